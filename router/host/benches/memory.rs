//! Resident memory per stream on a chosen node, everything included but the plugins' own states.
//!
//! `cargo bench -p herald-host --bench memory [STREAMS]`
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::time::Duration;

use herald_core::id::Interface;
use herald_core::mesh::{Acknowledge, Message};
use herald_core::outbox::Outbox;
use herald_core::session::MarkerSession;
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_host::{Chain, Clock, Head, PluginSettings};
use herald_plugin::{Plugin, thunk};
use herald_testing::layout::{self, Place, id};
use herald_testing::streams::assign;

/// The bound that a stream keeps to, in bytes.
const STREAM_BYTES_MAX: u64 = 400;

/// How long the nodes of benchmarks hold a frame at most.
const HOLD_TIME: Duration = Duration::from_millis(20);

/// A plugin that remembers nothing.
#[derive(Default)]
struct Forgetful;

impl Plugin for Forgetful {
    type Stream = ();
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Gives so many streams to a node, by its place, and returns how many bytes each takes.
fn bytes_per_stream(place: Place, streams: u32) -> u64 {
    let start = Instant::from_nanos(1_000_000_000);
    let clock = Clock { monotonic: Instant::default, unix_nanos: || 0 };
    let seats = ["one", "two"].map(|name| PluginSettings { name: name.into(), config: String::new(), fault: None });
    // SAFETY: the table is the SDK's, which keeps the contract.
    let mut chain = unsafe { Chain::built_in(clock, thunk::table::<Forgetful>(), &seats) }.unwrap();
    let mut out = Outbox::default();
    // a and b hold the redirectors.
    let mut linked = |place| {
        let settings = layout::steady_settings(place, 4, ["a", "b"]);
        layout::linked(settings, &mut Turn::new(start, &mut chain, &mut out))
    };
    // c reports itself, so it stands by, and nobody else does.
    let (mut node, mut c) = (linked(place), linked(2));
    c.deadline_reached(&mut Turn::new(start, &mut chain, &mut out));
    let reports: Vec<_> =
        out.send.drain(..).filter(|(to, message)| *to == id(3) && matches!(message, Message::Heartbeat(_))).collect();
    for (_, report) in reports {
        node.message_arrived(&mut Turn::new(start, &mut chain, &mut out), id(2), report);
    }
    drop(c);
    let epoch = node.membership().epoch(Interface::Second).unwrap();
    let before = resident_bytes();
    for number in 0..streams {
        // Holds end in time, as they do when streams come one after the other.
        let now = start + HOLD_TIME * (number / (streams / 10).max(1));
        let turn = &mut Turn::new(now, &mut chain, &mut out);
        let assign = assign(place, number);
        node.message_arrived(turn, id(0), Message::Assign(assign));
        let acknowledge = Acknowledge { return_key: assign.return_key, generation: assign.generation, epoch };
        node.message_arrived(turn, id(1), Message::Acknowledge(acknowledge));
        node.deadline_reached(turn);
        out.send.clear();
        out.events.clear();
        out.transmit.clear();
    }
    assert_eq!(node.markers().len(), streams as usize);
    (resident_bytes() - before) / u64::from(streams)
}

fn main() {
    let streams: u32 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1_000_000);
    let alone = bytes_per_stream(3, streams);
    println!("streams                                     {streams}");
    println!("bytes per stream on its chosen node         {alone}");
    println!("of these the record                         {}", size_of::<Option<MarkerSession<Head>>>());
    println!("of the record the plugins' host's part      {}", size_of::<Head>());
    println!("the same where it stands by for both roles  {}", bytes_per_stream(2, streams));
    assert!(streams < 500_000 || alone <= STREAM_BYTES_MAX, "a stream takes at most {STREAM_BYTES_MAX} bytes");
}
