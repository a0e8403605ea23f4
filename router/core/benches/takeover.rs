//! A million streams told to a redirector that has none of them: how long the chosen node and the redirector work for it,
//! through the bytes of the mesh but without a network.
//!
//! `cargo bench -p herald-core --bench takeover [STREAMS]`
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark")]

mod nodes;

use std::net::Ipv4Addr;
use std::time::Duration;

use herald_core::flow::FlowKey;
use herald_core::id::{Generation, Interface};
use herald_core::membership::InterfaceState;
use herald_core::mesh::codec::{self, Decoder, Spoken};
use herald_core::mesh::{Assign, Hello, Message};
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::time::Instant;
use herald_core::turn::Turn;
use nodes::{Nothing, id, settings};

const NODES: [&str; 3] = ["a", "b", "c"];
const HOLDERS: [&str; 2] = ["a", "b"];

fn hello(number: u8) -> Hello {
    let membership = settings(&NODES, number, HOLDERS).membership;
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
fn node(number: u8, now: Instant, out: &mut Outbox) -> Node<()> {
    let mut node = Node::new(now, settings(&NODES, number, HOLDERS)).unwrap();
    for interface in Interface::BOTH {
        node.interface_changed(&mut Turn::new(now, &mut Nothing, out), interface, InterfaceState::Up);
    }
    for other in (1..=3).filter(|other| *other != number) {
        node.link_up(&mut Turn::new(now, &mut Nothing, out), &hello(other));
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
        c.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id("a"), Message::Assign(assign(number)));
        out.send.clear();
        out.events.clear();
    }
    let mut b = node(2, now, &mut out);
    let compares: Vec<Message> = out.send.drain(..).filter(|(to, _)| *to == id("c")).map(|(_, m)| m).collect();
    for message in compares {
        c.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id("b"), message);
    }
    let (mut telling, mut hearing, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let (mut wire, mut decoder) = (Vec::new(), Decoder::default());
    while c.has_bulk() {
        let began = std::time::Instant::now();
        c.send_bulk(&mut Turn::new(now, &mut Nothing, &mut out), &|_| 256 * 1024);
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
                b.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id("c"), message);
            }
        }
        hearing += began.elapsed();
        wire.clear();
        let answers: Vec<Message> = out.send.drain(..).filter(|(to, _)| *to == id("c")).map(|(_, m)| m).collect();
        for message in answers {
            c.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id("b"), message);
        }
        out.events.clear();
    }
    println!("streams                  {streams}");
    println!("sessions made            {}", b.redirector().iter().count());
    println!("bytes per stream         {}", bytes / streams as usize);
    println!("chosen node's time       {} ms", telling.as_millis());
    println!("redirector's time        {} ms", hearing.as_millis());
    let kept =
        [Interface::First, Interface::Second].iter().filter(|i| b.membership().standby(**i) == Some(id("b"))).count();
    assert_eq!(b.redirector().iter().count(), streams as usize * (1 + kept));
}
