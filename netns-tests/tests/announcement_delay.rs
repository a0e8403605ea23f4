//! With an artificial delay of every announcement: what leaves before its acknowledgement would be answered before the
//! other redirector knows of the stream, and a return packet would come to a wrong node.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::id::Interface;
use netns_tests::{Family, Lab, Protocol, Streams, Watch, echo, eventually};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

const NODES: [&str; 3] = ["a", "b", "c"];

const DELAY: Duration = Duration::from_millis(50);

/// Some of each protocol, from both ends and in both families. Few at once: the hold of 200 ms must suffice.
fn orders() -> [Streams; 8] {
    let order = |protocol, family, opened_at, source_port| Streams {
        protocol,
        family,
        opened_at,
        source_port,
        count: 6,
        len: 1_000,
        time_max: LIMIT,
    };
    [
        order(Protocol::Tcp, Family::V4, Interface::First, 20_000),
        order(Protocol::Tcp, Family::V4, Interface::Second, 21_000),
        order(Protocol::Tcp, Family::V6, Interface::First, 22_000),
        order(Protocol::Tcp, Family::V6, Interface::Second, 23_000),
        order(Protocol::Udp, Family::V4, Interface::First, 24_000),
        order(Protocol::Udp, Family::V4, Interface::Second, 25_000),
        order(Protocol::Udp, Family::V6, Interface::First, 26_000),
        order(Protocol::Udp, Family::V6, Interface::Second, 27_000),
    ]
}

/// Wire packets that reached the chain of each node.
fn counted(lab: &Lab) -> BTreeMap<&'static str, u64> {
    let count = |node| lab.json(node, &["plugins"])[0]["counters"]["packets"].as_u64().unwrap();
    NODES.into_iter().map(|node| (node, count(node))).collect()
}

/// Waits until no stream is on its way: each has closed, or, for UDP, has had its answer.
fn await_quiet(lab: &Lab) {
    eventually(LIMIT, "all connections have closed", || {
        let sessions = NODES.map(|node| lab.json(node, &["sessions"]));
        let rows = sessions.iter().flat_map(|rows| rows.as_array().unwrap());
        let mut connections = rows.filter(|row| row["kind"] == "marker" && row["protocol"] == "tcp");
        connections.all(|row| row["state"] == "closed").then_some(())
    });
}

#[test]
fn return_packet_never_overtakes_its_announcement() {
    let lab = Lab::up("delay")
        .static_roles()
        .set("choose.redirectors", "equal")
        .set("choose.per_interface_key", true)
        .set("testing.announcement_delay_ms", DELAY.as_millis())
        .set("hold_ms_max", 200)
        // A return packet that comes too early is taken up where it comes to, and seen there.
        .set("midstream", "pick-up")
        .set("plugins", "[{name = \"hello\"}]")
        .start();
    let _echo = echo(&lab);
    let mut watch = Watch::start(&lab);
    for order in orders() {
        let _all_well = order.open(&lab).wait(LIMIT * 2).ok();
    }
    await_quiet(&lab);

    let seen = watch.seen();
    let mut expected: BTreeMap<_, u64> = NODES.into_iter().map(|node| (node, 0)).collect();
    let mut waited = Vec::new();
    for opener in orders().iter().flat_map(Streams::openers) {
        // This checks, too, that the first packet left after the acknowledgement.
        let way = seen.follow(&opener).unwrap_or_else(|astray| panic!("{astray}"));
        *expected.get_mut(way.chosen.as_str()).unwrap() += way.from_opener + way.to_opener;
        let return_holder = if opener.interface() == Interface::First { "b" } else { "a" };
        if way.chosen != return_holder {
            let held = Duration::from_nanos(way.left_nanos - way.arrived_nanos);
            assert!(held >= DELAY, "{opener:?} was held for {held:?} only: {way:?}");
            waited.push(held);
        }
    }
    println!("{} first packets waited {:?} to {:?}", waited.len(), waited.iter().min(), waited.iter().max());
    // Two thirds are expected.
    assert!(!waited.is_empty(), "no stream had to be announced to another node");
    assert_eq!(counted(&lab), expected, "packets that reached the chains");
    let holds_that_ran_out = |node| lab.json(node, &["drops"]).get("hold-timed-out").cloned();
    assert_eq!(NODES.map(holds_that_ran_out), [const { None::<Value> }; 3]);
}
