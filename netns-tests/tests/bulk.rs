//! Very many streams are told to a node that knows none of them, while traffic goes on.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::time::Duration;

use netns_tests::{Lab, eventually};
use serde_json::Value;

/// For each step; a million streams take a while to open.
const LIMIT: Duration = Duration::from_secs(240);

/// New streams in a second: well below what two slow cores take.
const PER_SECOND: &str = "15000";

/// Nothing answers these streams, which have a half of the table.
const SESSIONS_MAX: u64 = 2_500_000;

/// Streams: a million in long runs, less where every minute counts.
fn streams() -> u64 {
    if std::env::var_os("HERALD_LONG").is_some() { 1_000_000 } else { 60_000 }
}

fn sessions(lab: &Lab, node: &str, kind: &str) -> u64 {
    lab.json(node, &["status"])["sessions"][kind].as_u64().unwrap()
}

/// Opens all streams; those whose datagram was lost are opened again.
fn open_all(lab: &Lab, count: u64) {
    eventually(LIMIT, "every stream has its marker session", || {
        let flood = env!("CARGO_BIN_EXE_flood");
        let _sent = lab.exec("client", &[flood, "10.2.0.100", &count.to_string(), PER_SECOND]).ok();
        (sessions(lab, "c", "marker") >= count).then_some(())
    });
}

/// The node's events of these kinds: name, interface, time in milliseconds.
fn events(lab: &Lab, node: &str, names: &[&str]) -> Vec<(String, String, f64)> {
    let binary = netns_tests::binary().display().to_string();
    let lines = lab.exec(node, &[binary.as_str(), "events"]).ok();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| names.contains(&event["event"].as_str().unwrap()))
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            (text("event"), text("interface"), event["at_ns"].as_f64().unwrap() / 1e6)
        })
        .collect()
}

fn await_sync(lab: &Lab, node: &str, interface: &str) {
    eventually(LIMIT, "the node is in sync", || {
        let synced = events(lab, node, &["in-sync"]);
        synced.iter().any(|(_, which, _)| which == interface).then_some(())
    });
}

/// 100 pings through the cluster in five seconds: how many were answered.
fn pings(lab: &Lab) -> netns_tests::Running {
    lab.spawn("client", &["ping", "-n", "-i", "0.05", "-c", "100", "10.2.0.100"])
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_node_without_sessions_is_told_all_streams_while_traffic_goes_on() {
    let count = streams();
    let lab =
        Lab::up("bulk").set("timeouts.udp_s", 3600).set("plugins", "[]").set("sessions_max", SESSIONS_MAX).start();
    open_all(&lab, count);
    lab.kill("b", "KILL");
    lab.await_mesh(LIMIT, &["a", "c"]);
    eventually(LIMIT, "the successor is in sync", || {
        (sessions(&lab, "c", "redirector") >= count || sessions(&lab, "a", "redirector") >= 2 * count).then_some(())
    });
    let ping = pings(&lab);
    lab.start("b");
    await_sync(&lab, "b", "first");
    let said = ping.wait(LIMIT).ok();
    assert!(said.contains(" 0% packet loss"), "traffic goes on meanwhile: {said}");
    let told = events(&lab, "b", &["link-up", "in-sync"]);
    let begin = told.iter().find(|(event, ..)| event == "link-up").unwrap().2;
    let end = told.iter().find(|(event, which, _)| event == "in-sync" && which == "first").unwrap().2;
    println!("{count} streams told to a node that had none: {:.0} ms from its first link", end - begin);

    lab.kill("a", "KILL");
    let roles = lab.await_mesh(LIMIT, &["b", "c"]);
    let holder = roles["first"]["holder"].as_str().unwrap().to_owned();
    let taken = |names: &[&str]| events(&lab, &holder, names).into_iter().rev().find(|(_, which, _)| which == "first");
    let (begin, end) = eventually(LIMIT, "the new holder is in sync", || {
        let (_, _, begin) = taken(&["holder-changed"])?;
        let (_, _, end) = taken(&["in-sync"]).filter(|(_, _, end)| *end >= begin)?;
        Some((begin, end))
    });
    println!("{count} streams compared by {holder}, which stood by: {:.0} ms from taking the role", end - begin);
    let said = pings(&lab).wait(LIMIT).ok();
    assert!(said.contains(" 0% packet loss"), "{said}");
    assert!(sessions(&lab, &holder, "redirector") >= count);
}
