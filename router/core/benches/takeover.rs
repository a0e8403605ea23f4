//! A million streams told to a redirector that has none of them: how long the chosen node and the redirector work for it,
//! through the bytes of the mesh but without a network.
//!
//! `cargo bench -p herald-core --bench takeover [STREAMS]`
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark")]

use std::time::Duration;

use herald_core::id::Interface;
use herald_core::mesh::Message;
use herald_core::mesh::codec::{self, Decoder, Spoken};
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_testing::layout::{self, Place, id};
use herald_testing::streams::{Nothing, assign};

/// One of four nodes, of which the first two hold the redirectors and the third stands by for both.
fn node(place: Place, now: Instant, out: &mut Outbox) -> Node<()> {
    layout::linked(layout::steady_settings(place, 4, ["a", "b"]), &mut Turn::new(now, &mut Nothing, out))
}

fn main() {
    let streams: u32 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1_000_000);
    let now = Instant::from_nanos(1_000_000_000);
    let mut out = Outbox::default();
    let mut c = node(2, now, &mut out);
    for number in 0..streams {
        c.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id(0), Message::Assign(assign(2, number)));
        out.send.clear();
        out.events.clear();
    }
    let mut b = node(1, now, &mut out);
    let compares: Vec<Message> = out.send.drain(..).filter(|(to, _)| *to == id(2)).map(|(_, m)| m).collect();
    for message in compares {
        c.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id(1), message);
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
                b.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id(2), message);
            }
        }
        hearing += began.elapsed();
        wire.clear();
        let answers: Vec<Message> = out.send.drain(..).filter(|(to, _)| *to == id(2)).map(|(_, m)| m).collect();
        for message in answers {
            c.message_arrived(&mut Turn::new(now, &mut Nothing, &mut out), id(1), message);
        }
        out.events.clear();
    }
    println!("streams                  {streams}");
    println!("sessions made            {}", b.redirector().iter().count());
    println!("bytes per stream         {}", bytes / streams as usize);
    println!("chosen node's time       {} ms", telling.as_millis());
    println!("redirector's time        {} ms", hearing.as_millis());
    let kept =
        [Interface::First, Interface::Second].iter().filter(|i| b.membership().standby(**i) == Some(id(1))).count();
    assert_eq!(b.redirector().iter().count(), streams as usize * (1 + kept));
}
