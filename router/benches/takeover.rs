//! A million streams told to a redirector that has none of them: how long the chosen node and the redirector work for it,
//! through the bytes of the mesh but without a network.
//!
//! `cargo bench -p herald --bench takeover [STREAMS]`
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark")]

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;

use herald::chosen::HoldMax;
use herald::event::EndReason;
use herald::flow::{FlowKey, HashKey};
use herald::forward;
use herald::id::{BootId, Generation, Interface, Mac, NodeId, PerInterface};
use herald::inspector::{Inspection, Inspector, Line, States, Stream, Totals, Verdict};
use herald::membership::{self, InterfaceState, RolesMode};
use herald::mesh::codec::{self, Decoder, Spoken};
use herald::mesh::{Assign, Hello, Message};
use herald::node::{Announcing, Node, Redirecting, Settings};
use herald::outbox::Outbox;
use herald::redirector::choice::{self, Keying, Redirectors};
use herald::session::{Midstream, Timeouts};
use herald::time::Instant;

const NODES: [&str; 3] = ["a", "b", "c"];

/// No plugins.
struct Nothing;

impl Inspector for Nothing {
    fn state_len(&self) -> usize {
        0
    }
    fn stream_started(&mut self, _: Instant, _: &Stream, _: &[Cell<Line>]) -> Verdict {
        Verdict::default()
    }
    fn inspect(&mut self, _: Instant, _: &mut [Inspection], _: &States) {}
    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, _: &[Cell<Line>]) {}
}

fn id(node: &str) -> NodeId {
    node.parse().unwrap()
}

/// Node number `number` of a, b and c; a holds the first redirector and b the second.
fn settings(number: u8) -> Settings {
    let node = id(NODES[usize::from(number) - 1]);
    let net = |i: Interface| if i == Interface::First { 1 } else { 2 };
    let mac = |i: Interface| Mac([2, 0, 0, 0, net(i), number]);
    let long = Duration::from_secs(3600);
    Settings {
        node,
        boot: BootId(number.into()),
        membership: membership::Settings {
            node,
            boot: BootId(number.into()),
            macs: PerInterface::from_fn(mac),
            addresses: PerInterface::from_fn(|i| vec![Ipv4Addr::new(10, net(i), 0, 10 + number).into()]),
            peers: NODES.iter().map(|n| id(n)).filter(|n| *n != node).collect(),
            priorities: PerInterface { first: 100, second: 100 },
            weight: 100,
            adverts: membership::AdvertSettings::default(),
            roles: RolesMode::Static(PerInterface { first: Some(id("a")), second: Some(id("b")) }),
        },
        forward: forward::Settings {
            interfaces: PerInterface::from_fn(|i| forward::InterfaceSettings {
                mac: mac(i),
                virtual_mac_v4: Mac([0, 0, 0x5e, 0, 1, net(i)]),
                virtual_mac_v6: Mac([0, 0, 0x5e, 0, 2, net(i)]),
                addresses: vec![format!("10.{}.0.{}/24", net(i), 10 + number).parse().unwrap()],
                virtual_addresses: vec![Ipv4Addr::new(10, net(i), 0, 1).into()],
                mtu: 1500,
            }),
            routes: Vec::new(),
            hash_key: HashKey([3; 16]),
        },
        choice: choice::Settings { key: HashKey([9; 16]), redirectors: Redirectors::Equal, keying: Keying::Shared },
        midstream: Midstream::Drop,
        hold_max: HoldMax { time: Duration::from_millis(20), frames: 32, bytes: 1 << 20 },
        timeouts: Timeouts {
            tcp_established: long,
            tcp_opening: long,
            tcp_closing: long,
            tcp_closed: long,
            udp: long,
            icmp: long,
            other: long,
            provisional: long,
        },
        redirecting: Redirecting::Ethernet,
        announcing: Announcing::On(Duration::ZERO),
        hash_key: HashKey([5; 16]),
    }
}

fn hello(number: u8) -> Hello {
    let membership = settings(number).membership;
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: "bench".into(),
        node: membership.node,
        boot: membership.boot,
        macs: membership.macs,
        addresses: membership.addresses,
        config_digest: 0,
    }
}

/// A node that is linked with the others.
fn node(number: u8, now: Instant, out: &mut Outbox) -> Node {
    let mut node = Node::new(now, settings(number), 0).unwrap();
    for interface in Interface::BOTH {
        node.interface_changed(now, interface, InterfaceState::Up, &mut Nothing, out);
    }
    for other in (1..=3).filter(|other| *other != number) {
        node.link_up(now, &hello(other), &mut Nothing, out);
    }
    node
}

/// Stream number `number`, given to c.
fn assign(number: u32) -> Assign {
    let [_, high, middle, low] = number.to_be_bytes();
    let source = (Ipv4Addr::new(10, 1, high, middle).into(), 1024 + u16::from(low));
    let arrival = FlowKey::new(Interface::First, 17, source, (Ipv4Addr::new(10, 2, 0, 100).into(), 53));
    let generation = Generation { counter: 1, node: id("c") };
    let choice = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Assign { arrival, return_key: arrival.reversed(Interface::Second), choice, generation, life: None }
}

fn main() {
    let streams: u32 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1_000_000);
    let now = Instant::from_nanos(1_000_000_000);
    let mut out = Outbox::default();
    let mut c = node(3, now, &mut out);
    for number in 0..streams {
        c.message_arrived(now, id("a"), Message::Assign(assign(number)), &mut Nothing, &mut out);
        out.send.clear();
        out.events.clear();
    }
    let mut b = node(2, now, &mut out);
    let compares: Vec<Message> = out.send.drain(..).filter(|(to, _)| *to == id("c")).map(|(_, m)| m).collect();
    for message in compares {
        c.message_arrived(now, id("b"), message, &mut Nothing, &mut out);
    }
    let (mut telling, mut hearing, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let (mut wire, mut decoder) = (Vec::new(), Decoder::default());
    while c.has_bulk() {
        let began = std::time::Instant::now();
        c.send_bulk(now, &|_| 256 * 1024, &mut Nothing, &mut out);
        out.send.drain(..).for_each(|(_, message)| codec::encode(&message, &mut wire).unwrap());
        telling += began.elapsed();
        bytes += wire.len();
        let began = std::time::Instant::now();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let space = decoder.space();
            let (now_read, later) = rest.split_at(rest.len().min(space.len()));
            space[..now_read.len()].copy_from_slice(now_read);
            decoder.filled(now_read.len());
            rest = later;
            while let Some(Spoken::Message(_, message)) = decoder.decode(usize::MAX).unwrap() {
                b.message_arrived(now, id("c"), message, &mut Nothing, &mut out);
            }
        }
        hearing += began.elapsed();
        wire.clear();
        let answers: Vec<Message> = out.send.drain(..).filter(|(to, _)| *to == id("c")).map(|(_, m)| m).collect();
        for message in answers {
            c.message_arrived(now, id("b"), message, &mut Nothing, &mut out);
        }
        out.events.clear();
    }
    println!("streams                  {streams}");
    println!("sessions made            {}", b.tables().redirector.len());
    println!("bytes per stream         {}", bytes / streams as usize);
    println!("chosen node's time       {} ms", telling.as_millis());
    println!("redirector's time        {} ms", hearing.as_millis());
    let kept =
        [Interface::First, Interface::Second].iter().filter(|i| b.membership().standby(**i) == Some(id("b"))).count();
    assert_eq!(b.tables().redirector.len(), streams as usize * (1 + kept));
}
