//! Any message, greeting and what they are made of.

use std::net::{IpAddr, SocketAddr};

use herald_testing::frames::{self, Segment};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::flow::FlowKey;
use crate::id::{BootId, Epoch, Generation, Interface, Mac, NodeId, PerInterface};
use crate::inspector::Direction;
use crate::limits;
use crate::mesh::codec::Message;
use crate::mesh::{
    Acknowledge, Announce, Answer, Assign, Astray, Claim, Close, Compare, Decline, Fence, Greeting, Handover,
    Heartbeat, Hello, Inquiry, InquiryPart, Lane, Likeness, NeighbourChanged, Padding, Query, Redirect, Refresh,
    Refuse, Relay, RelayFrame, Resume, Setting, Side, SyncEnd, Unheard,
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

pub(super) fn any_message() -> impl Strategy<Value = Message> {
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
        (any_node(), any_node(), vec(any::<u8>(), 0..2_000))
            .prop_map(|(source, target, bytes)| Message::RelayFrame(RelayFrame(Relay { source, target, bytes }))),
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

pub(super) fn any_greeting() -> impl Strategy<Value = Greeting> {
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
