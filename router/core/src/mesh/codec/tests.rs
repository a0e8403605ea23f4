//! Tests of the codec: round trips, arbitrary bytes, arbitrary chunks, bounds.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use herald_testing::frames::{self, Segment};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::flow::FlowKey;
use crate::id::{BootId, Epoch, Generation, Interface, Mac, NodeId, PerInterface};
use crate::inspector::Direction;
use crate::mesh::{
    Acknowledge, Announce, Answer, Assign, Astray, Claim, Close, Compare, Decline, Fence, Handover, Heartbeat, Inquiry,
    InquiryPart, Lane, Likeness, NeighbourChanged, Padding, Query, Redirect, Refresh, Refuse, Relay, Resume, Setting,
    Side, SyncEnd, Unheard,
};
use crate::packet::{Content, Frame, Packet};
use crate::session::Life;

fn any_interface() -> impl Strategy<Value = Interface> {
    prop_oneof![Just(Interface::First), Just(Interface::Second)]
}

fn any_node() -> impl Strategy<Value = NodeId> {
    "[a-z0-9-]{1,16}".prop_map(|text| text.parse().unwrap())
}

fn both<T: std::fmt::Debug>(one: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = PerInterface<T>> {
    (one.clone(), one).prop_map(|(first, second)| PerInterface { first, second })
}

fn any_epoch() -> impl Strategy<Value = Epoch> {
    (any::<u64>(), any_node(), any::<u64>()).prop_map(|(counter, node, boot)| Epoch {
        counter,
        node,
        boot: BootId(boot),
    })
}

fn any_key() -> impl Strategy<Value = FlowKey> {
    (any_interface(), any::<u8>(), any::<(IpAddr, u16)>(), any::<(IpAddr, u16)>())
        .prop_map(|(interface, protocol, from, to)| FlowKey::new(interface, protocol, from, to))
}

fn any_generation() -> impl Strategy<Value = Generation> {
    (any::<u32>(), any_node()).prop_map(|(counter, node)| Generation { counter, node })
}

fn any_announce() -> impl Strategy<Value = Announce> {
    (any_key(), any_key(), any::<u64>(), any::<u64>(), any_generation()).prop_map(
        |(arrival, return_key, choice, boot, generation)| Announce {
            arrival,
            return_key,
            choice,
            boot: BootId(boot),
            generation,
        },
    )
}

fn any_digests() -> impl Strategy<Value = Vec<u64>> {
    any::<u64>().prop_map(|seed| (0..limits::BUCKETS as u64).map(|n| seed.wrapping_mul(n | 1)).collect())
}

/// The life of a TCP stream after some packets of either end, as another node is told it.
fn any_life() -> impl Strategy<Value = Life> {
    vec((any::<bool>(), any::<u32>(), any::<u32>(), 0u8..64), 1..6).prop_map(|packets| {
        let mut life: Option<Life> = None;
        for (from_opener, sequence, acknowledgement, flags) in packets {
            let ip = frames::ip([[2; 6], [4; 6]], [10, 0, 0, 1], [10, 0, 0, 2], 9);
            let segment = Segment { flags: flags & 3 | 16, sequence, acknowledgement, payload: &[0; 5] };
            let frame = Frame::from_bytes(&frames::tcp(ip, (1, 2), segment));
            let Content::Ip(headers) = Packet::parse(&frame).unwrap().content else { unreachable!() };
            let direction = if from_opener { Direction::FromOpener } else { Direction::ToOpener };
            life.get_or_insert_with(|| Life::started(&headers)).packet_passed(direction, &headers);
        }
        let told = postcard::to_stdvec(&life.unwrap()).unwrap();
        postcard::from_bytes(&told).unwrap()
    })
}

fn any_padding() -> impl Strategy<Value = Padding> {
    prop_oneof![Just(Padding::default()), Just(Padding::whole())]
}

fn any_heartbeat() -> impl Strategy<Value = Heartbeat> {
    (
        both(any::<u8>()),
        both(option::of(any_epoch().boxed())),
        any::<u16>(),
        any::<[bool; 4]>(),
        both(any::<bool>()),
        both(any::<bool>()),
        both(vec(any_node(), 0..=limits::MEMBERS_MAX).boxed()),
        (vec(any_node(), 0..=limits::MEMBERS_MAX), any_padding()),
    )
        .prop_map(
            |(
                priorities,
                epochs,
                weight,
                [in_sync, draining, suspended, full],
                synced,
                interfaces,
                heard,
                (links, padding),
            )| {
                Heartbeat {
                    priorities,
                    epochs,
                    weight,
                    in_sync,
                    synced,
                    draining,
                    suspended,
                    full,
                    interfaces,
                    heard,
                    links,
                    padding,
                }
            },
        )
}

fn any_part() -> impl Strategy<Value = InquiryPart> {
    prop_oneof![Just(InquiryPart::Question), Just(InquiryPart::Piece), Just(InquiryPart::LastPiece)]
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any_heartbeat().prop_map(Message::Heartbeat),
        (any_interface(), any_epoch()).prop_map(|(interface, epoch)| Message::Claim(Claim { interface, epoch })),
        any_announce().prop_map(Message::Announce),
        (any_key(), any_generation(), any_epoch()).prop_map(|(return_key, generation, epoch)| Message::Acknowledge(
            Acknowledge { return_key, generation, epoch }
        )),
        (any_key(), any_generation(), option::of(any_generation())).prop_map(|(return_key, generation, winner)| {
            Message::Refuse(Refuse { return_key, generation, winner })
        }),
        vec(any_announce(), 0..=limits::REFRESH_STREAMS_MAX).prop_map(|streams| Message::Refresh(Refresh { streams })),
        (any_key(), any_key(), any_generation()).prop_map(|(arrival, return_key, generation)| Message::Close(Close {
            arrival,
            return_key,
            generation
        })),
        (any_node(), any_node(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(source, target, bytes)| Message::Relay(Relay { source, target, bytes })),
        any_interface().prop_map(|interface| Message::Unheard(Unheard { interface })),
        any_key().prop_map(|arrival| Message::Decline(Decline { arrival })),
        (any::<u64>(), any_part(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(id, part, bytes)| Message::Inquiry(Inquiry { id, part, bytes })),
        (any_interface(), any::<std::net::IpAddr>(), any::<[u8; 6]>()).prop_map(|(interface, address, mac)| {
            Message::NeighbourChanged(NeighbourChanged { interface, address, mac: Mac(mac) })
        }),
        (any::<u64>(), any_key()).prop_map(|(id, key)| Message::Query(Query { id, key })),
        (any::<u64>(), any_key(), option::of(any_generation()), option::of(any_announce()))
            .prop_map(|(id, key, believed, owned)| Message::Answer(Answer { id, key, believed, owned })),
        (any_interface(), any::<u8>(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(interface, hops, wire)| Message::Handover(Handover { interface, hops, wire })),
        (any_interface(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(interface, wire)| Message::Astray(Astray { interface, wire })),
        (any_interface(), any_epoch(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(interface, epoch, wire)| Message::Redirect(Redirect { interface, epoch, wire })),
        (any_key(), any_key(), any::<u64>(), any_generation(), option::of(any_life())).prop_map(
            |(arrival, return_key, choice, generation, life)| Message::Assign(Assign {
                arrival,
                return_key,
                choice,
                generation,
                life
            })
        ),
        (any_key(), any_generation()).prop_map(|(arrival, generation)| Message::Fence(Fence { arrival, generation })),
        (any_interface(), any_epoch(), any::<u32>(), any_digests()).prop_map(|(interface, epoch, round, digests)| {
            Message::Compare(Compare { interface, epoch, round, digests })
        }),
        (any_interface(), any_epoch(), any::<u32>(), any_digests()).prop_map(|(interface, epoch, round, digests)| {
            Message::SyncEnd(SyncEnd { interface, epoch, round, sent: vec![0, 7, 1023], digests })
        }),
    ]
}

fn any_hello() -> impl Strategy<Value = Hello> {
    (
        any::<(u16, u16, u64, u64)>(),
        "[ -~]{0,64}",
        any_node(),
        both(any::<[u8; 6]>().prop_map(Mac)),
        both(vec(any::<IpAddr>(), 0..=limits::ADDRESSES_MAX).boxed()),
    )
        .prop_map(|((version_min, version_max, boot, digest), cluster, node, macs, addresses)| Hello {
            version_min,
            version_max,
            cluster,
            node,
            boot: BootId(boot),
            macs,
            addresses,
            configuration: vec![
                Setting { key: "redirect".into(), likeness: Likeness::Must, digest },
                Setting { key: "timeouts.udp_s".into(), likeness: Likeness::Should, digest: boot },
            ],
            side: Side { serves: digest & 1 == 0, nodes: 3 },
        })
}

fn any_greeting() -> impl Strategy<Value = Greeting> {
    let lane = prop_oneof![Just(Lane::Control), Just(Lane::Frames)];
    let resume = any::<(u64, u64, u64)>().prop_map(|(boot, received, first_kept)| Resume {
        boot: BootId(boot),
        received,
        first_kept,
    });
    let taken = option::of(any::<(IpAddr, u16)>().prop_map(SocketAddr::from));
    let parts = (any_hello(), lane, option::of(resume), taken, any_padding());
    parts.prop_map(|(hello, lane, resume, taken, padding)| Greeting { hello, lane, resume, taken, padding })
}

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
        Spoken::Message(_, Message::Relay(r)) => r.bytes.capacity(),
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
