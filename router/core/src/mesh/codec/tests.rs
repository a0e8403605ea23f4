//! Tests of the codec: round trips, arbitrary bytes, arbitrary chunks, bounds.

mod any;

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::flow::FlowKey;
use crate::id::{BootId, Epoch, Generation, Interface, NodeId, PerInterface};
use crate::mesh::{
    Acknowledge, Announce, Answer, Claim, Handover, Heartbeat, Padding, Refresh, RelayFrame, Setting, SyncEnd,
};
use any::{any_greeting, any_message};

/// Feeds the bytes in chunks of these lengths, repeated, and gives all messages and the error, if one came.
fn decode_in_chunks(bytes: &[u8], chunks: &[usize]) -> (Vec<Spoken>, Option<PeerError>) {
    let (mut decoder, mut spoken) = (Decoder::default(), Vec::new());
    let mut chunks = chunks.iter().cycle();
    let mut rest = bytes;
    loop {
        loop {
            match decoder.decode(limits::MESSAGE_LEN_MAX) {
                Ok(Some(one)) => {
                    assert!(memory_of(&one) <= 2 * limits::MESSAGE_LEN_MAX);
                    spoken.push(one);
                }
                Ok(None) => break,
                Err(error) => return (spoken, Some(error)),
            }
        }
        if rest.is_empty() {
            return (spoken, None);
        }
        let space = decoder.space();
        assert!(!space.is_empty());
        let len = chunks.next().map_or(rest.len(), |len| *len).clamp(1, rest.len().min(space.len()));
        space[..len].copy_from_slice(&rest[..len]);
        decoder.filled(len);
        rest = &rest[len..];
        assert!(decoder.buffer.capacity() <= LENGTH_LEN + NUMBER_LEN + limits::MESSAGE_LEN_MAX);
    }
}

/// Bytes on the heap.
fn memory_of(spoken: &Spoken) -> usize {
    match spoken {
        Spoken::Greeting(Greeting { hello, .. }) => {
            let addresses = hello.addresses.first.capacity() + hello.addresses.second.capacity();
            let keys: usize = hello.configuration.iter().map(|setting| setting.key.capacity()).sum();
            let settings = hello.configuration.capacity() * size_of::<Setting>();
            hello.cluster.capacity() + addresses * size_of::<IpAddr>() + keys + settings
        }
        Spoken::Message(_, Message::Heartbeat(h)) => {
            (h.links.capacity() + h.heard.first.capacity() + h.heard.second.capacity()) * size_of::<NodeId>()
        }
        Spoken::Message(_, Message::Compare(c)) => c.digests.capacity() * size_of::<u64>(),
        Spoken::Message(_, Message::SyncEnd(e)) => {
            e.digests.capacity() * size_of::<u64>() + e.sent.capacity() * size_of::<u16>()
        }
        Spoken::Message(_, Message::Redirect(r)) => r.wire.capacity(),
        Spoken::Message(_, Message::Relay(r) | Message::RelayFrame(RelayFrame(r))) => r.bytes.capacity(),
        Spoken::Message(_, Message::Inquiry(i)) => i.bytes.capacity(),
        Spoken::Message(_, Message::Refresh(r)) => r.streams.capacity() * size_of::<Announce>(),
        Spoken::Message(_, Message::Handover(h)) => h.wire.capacity(),
        Spoken::Message(_, Message::Astray(a)) => a.wire.capacity(),
        Spoken::Message(
            _,
            Message::Claim(_)
            | Message::Announce(_)
            | Message::Acknowledge(_)
            | Message::Refuse(_)
            | Message::Close(_)
            | Message::Assign(_)
            | Message::Fence(_)
            | Message::Unheard(_)
            | Message::Decline(_)
            | Message::NeighbourChanged(_)
            | Message::Query(_)
            | Message::Answer(_),
        )
        | Spoken::Received(_)
        | Spoken::Ping(_)
        | Spoken::Pong(_)
        | Spoken::Unknown { .. } => 0,
    }
}

fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(KIND_LEN + body.len()).unwrap();
    [&len.to_be_bytes()[..], &kind.to_be_bytes()[..], body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_chunking_gives_the_messages_that_were_encoded(
        greeting in any_greeting(),
        messages in vec((option::of(any::<u64>()), any_message()), 1..8),
        (received, ping) in any::<(u64, u64)>(),
        chunks in vec(1_usize..3_000, 0..8),
    ) {
        let mut bytes = Vec::new();
        encode_greeting(&greeting, &mut bytes).unwrap();
        encode_received(received, &mut bytes).unwrap();
        encode_ping(ping, &mut bytes).unwrap();
        encode_pong(ping, &mut bytes).unwrap();
        for (number, message) in &messages {
            match number {
                Some(number) => encode_numbered(*number, message, &mut bytes).unwrap(),
                None => encode(message, &mut bytes).unwrap(),
            }
        }
        let first =
            [Spoken::Greeting(greeting), Spoken::Received(received), Spoken::Ping(ping), Spoken::Pong(ping)];
        let then = messages.into_iter().map(|(number, message)| Spoken::Message(number, message));
        let expected: Vec<_> = first.into_iter().chain(then).collect();
        prop_assert_eq!(decode_in_chunks(&bytes, &[]), (expected.clone(), None));
        prop_assert_eq!(decode_in_chunks(&bytes, &chunks), (expected.clone(), None));
        prop_assert_eq!(decode_in_chunks(&bytes, &[1]), (expected, None));
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_take_memory(bytes in vec(any::<u8>(), 0..4_000), chunks in vec(1_usize..500, 0..4)) {
        prop_assert_eq!(decode_in_chunks(&bytes, &chunks), decode_in_chunks(&bytes, &[]));
    }

    #[test]
    fn arbitrary_bodies_of_known_kinds_neither_panic_nor_take_memory(
        frames in vec((0_u16..23, vec(any::<u8>(), 0..600)), 1..4),
    ) {
        let bytes = frames.iter().flat_map(|(kind, body)| framed(*kind, body)).collect::<Vec<_>>();
        prop_assert_eq!(decode_in_chunks(&bytes, &[7]), decode_in_chunks(&bytes, &[]));
    }

    #[test]
    fn changed_bytes_never_panic(message in any_message(), at: prop::sample::Index, to: u8) {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = decode_in_chunks(&bytes, &[]);
    }

    #[test]
    fn a_byte_more_or_less_is_garbage(message in any_message()) {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes).unwrap();
        let kind = message.kind();
        let body = &bytes[HEADER_LEN..];
        let longer = [body, &[0]].concat();
        for wrong in [&longer[..], &body[..body.len() - 1]] {
            if KIND_LEN + wrong.len() <= kind.len_max {
                let error = Some(PeerError::Garbage { kind: kind.number });
                prop_assert_eq!(decode_in_chunks(&framed(kind.number, wrong), &[]), (vec![], error));
            }
        }
    }
}

#[test]
fn messages_of_every_kind_are_tried() {
    let mut runner = TestRunner::deterministic();
    let tried: BTreeSet<u16> =
        (0..400).map(|_| any_message().new_tree(&mut runner).unwrap().current().kind().number).collect();
    let known: BTreeSet<u16> = (0..=u16::MAX).filter(|number| Message::known(*number).is_some()).collect();
    assert_eq!(tried, known, "`any_message` makes them");
}

#[test]
fn unknown_kinds_are_skipped() {
    let claim = Message::Claim(Claim {
        interface: Interface::Second,
        epoch: Epoch { counter: 3, node: "a".parse().unwrap(), boot: BootId(4) },
    });
    let mut bytes = framed(4_711, &[0xff; 3_000]);
    encode(&claim, &mut bytes).unwrap();
    let expected = vec![Spoken::Unknown { number: None, kind: 4_711 }, Spoken::Message(None, claim)];
    assert_eq!(decode_in_chunks(&bytes, &[100]), (expected, None));
}

#[test]
fn lengths_are_checked_before_memory_is_taken() {
    for (bytes, name) in [
        (&[0xff, 0xff, 0xff, 0xff][..], "too-long"),
        (&[0, 0, 0, 0], "too-short"),
        (&[0, 0, 0, 1], "too-short"),
        (b"GET / HTTP/1.1\r\n", "too-long"),
        // A claim of 1,024 bytes: more than its kind has, known from six bytes.
        (&[0, 0, 4, 0, 0, 3], "too-long"),
    ] {
        let (spoken, error) = decode_in_chunks(bytes, &[]);
        assert_eq!((spoken.len(), error.map(|e| e.name())), (0, Some(name)), "{bytes:?}");
    }
    let mut decoder = Decoder::default();
    decoder.space()[..4].copy_from_slice(&[0, 0, 0x80, 0]);
    decoder.filled(4);
    assert_eq!(decoder.decode(limits::HELLO_LEN_MAX).unwrap_err().name(), "too-long", "a stranger may say less");
}

#[test]
fn too_many_things_in_one_message_are_refused_on_both_sides() {
    let node: NodeId = "abcdefghijklmnop".parse().unwrap();
    let end = (IpAddr::from([0; 4]), 0);
    let key = FlowKey::new(Interface::First, 0, end, end);
    let generation = Generation { counter: 0, node };
    let announce = Announce { arrival: key, return_key: key, choice: 0, boot: BootId(0), generation };
    let streams = vec![announce; limits::REFRESH_STREAMS_MAX + 1];
    let refresh = Message::Refresh(Refresh { streams });
    let wire = vec![0; crate::packet::BUFFER_LEN + 1];
    let handover = Message::Handover(Handover { interface: Interface::First, hops: 0, wire });
    let none = PerInterface::default();
    let links = vec!["a".parse().unwrap(); limits::MEMBERS_MAX + 1];
    let heartbeat = Message::Heartbeat(Heartbeat {
        priorities: PerInterface::default(),
        epochs: PerInterface::default(),
        weight: 0,
        in_sync: true,
        synced: none,
        draining: false,
        suspended: false,
        full: false,
        interfaces: none,
        heard: PerInterface::default(),
        links,
        padding: Padding::default(),
    });
    let bodies = [
        postcard::to_stdvec(&refresh).unwrap(),
        postcard::to_stdvec(&handover).unwrap(),
        postcard::to_stdvec(&heartbeat).unwrap(),
    ];
    for (message, body) in [refresh, handover, heartbeat].into_iter().zip(bodies) {
        let mut bytes = vec![1];
        assert_eq!(encode(&message, &mut bytes).unwrap_err().name(), "too-long");
        assert_eq!(bytes, [1]);
        // The body behind the number of the variant, which is below 128.
        let body = body.split_first().unwrap().1;
        let kind = message.kind();
        let error = decode_in_chunks(&framed(kind.number, body), &[]).1;
        assert_eq!(error, Some(PeerError::Garbage { kind: kind.number }));
    }
}

#[test]
fn the_longest_messages_fit_their_kinds() {
    let node: NodeId = "abcdefghijklmnop".parse().unwrap();
    let end = (IpAddr::from([0xff; 16]), u16::MAX);
    let key = FlowKey::new(Interface::Second, u8::MAX, end, end);
    let generation = Generation { counter: u32::MAX, node };
    let boot = BootId(u64::MAX);
    let announce = Announce { arrival: key, return_key: key, choice: u64::MAX, boot, generation };
    let epoch = Epoch { counter: u64::MAX, node, boot };
    let heartbeat = Heartbeat {
        priorities: PerInterface { first: u8::MAX, second: u8::MAX },
        epochs: PerInterface { first: Some(epoch), second: Some(epoch) },
        weight: u16::MAX,
        in_sync: true,
        synced: PerInterface { first: true, second: true },
        draining: true,
        suspended: true,
        full: true,
        interfaces: PerInterface { first: true, second: true },
        heard: PerInterface::from_fn(|_| vec![node; limits::MEMBERS_MAX]),
        links: vec![node; limits::MEMBERS_MAX],
        padding: Padding::whole(),
    };
    let longest = [
        Message::Heartbeat(heartbeat),
        Message::Refresh(Refresh { streams: vec![announce; limits::REFRESH_STREAMS_MAX] }),
        Message::Acknowledge(Acknowledge { return_key: key, generation, epoch }),
        Message::Announce(announce),
        Message::Answer(Answer { id: u64::MAX, key, believed: Some(generation), owned: Some(announce) }),
        Message::SyncEnd(SyncEnd {
            interface: Interface::Second,
            epoch,
            round: u32::MAX,
            sent: vec![u16::MAX; limits::BUCKETS],
            digests: vec![u64::MAX; limits::BUCKETS],
        }),
        Message::Handover(Handover {
            interface: Interface::Second,
            hops: 0,
            wire: vec![0xff; crate::packet::BUFFER_LEN],
        }),
    ];
    for message in longest {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes).unwrap();
        assert_eq!(decode_in_chunks(&bytes, &[]), (vec![Spoken::Message(None, message)], None));
    }
}
