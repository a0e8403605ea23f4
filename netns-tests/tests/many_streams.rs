//! Thousands of streams at once: all complete, each passes one node, the books balance, and nothing stays.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use netns_tests::{Family, Lab, Protocol, Running, Streams, Watch, echo, eventually};
use serde_json::Value;

/// For all streams together; two slow cores need some seconds.
const LIMIT: Duration = Duration::from_secs(120);

const NODES: [&str; 3] = ["a", "b", "c"];

/// Of each kind; the long run has twice as many.
const CONNECTIONS: u16 = 500;
const REQUESTS: u16 = 125;

/// 1,000 connections and 250 requests, or twice as many, from both ends and in both families.
fn orders() -> [Streams; 4] {
    let times = if std::env::var_os("HERALD_LONG").is_some() { 2 } else { 1 };
    let order = |protocol, family, opened_at, source_port, count| Streams {
        protocol,
        family,
        opened_at,
        source_port,
        count: count * times,
        len: 1_000,
        time_max: LIMIT,
    };
    [
        order(Protocol::Tcp, Family::V4, Interface::First, 10_000, CONNECTIONS),
        order(Protocol::Tcp, Family::V6, Interface::Second, 12_000, CONNECTIONS),
        order(Protocol::Udp, Family::V6, Interface::First, 14_000, REQUESTS),
        order(Protocol::Udp, Family::V4, Interface::Second, 16_000, REQUESTS),
    ]
}

/// Every frame that arrived is accounted for (I9). True at any moment, not only when all is quiet.
fn assert_books_balance(status: &Value) {
    let count = |name: &str| status["frames"][name].as_u64().unwrap();
    let arrived = count("arrived_first") + count("arrived_second") + count("arrived_mesh") + count("cut");
    let went = count("joined") + count("forwarded") + count("redirected") + count("handed_over") + count("consumed");
    let ended = count("dropped") - count("generated_dropped") + count("kept");
    assert_eq!(arrived, went + ended, "{status}");
}

fn statuses(lab: &Lab) -> [Value; 3] {
    let statuses = NODES.map(|node| lab.json(node, &["status"]));
    statuses.iter().for_each(assert_books_balance);
    statuses
}

/// The lines that the nodes' `flowlog` plugins have written: node and line, by stream.
fn flow_lines(lab: &Lab) -> BTreeMap<String, Vec<(String, Value)>> {
    let mut lines: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for node in lab.status()["nodes"].as_array().unwrap() {
        let file = Path::new(node["log"].as_str().unwrap()).with_file_name("flows.json");
        for line in fs::read_to_string(file).unwrap().lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let end = |address: &str, port: &str| {
                let address = line[address].as_str().unwrap().parse().unwrap();
                std::net::SocketAddr::new(address, u16::try_from(line[port].as_u64().unwrap()).unwrap()).to_string()
            };
            let protocol = line["proto"].as_str().unwrap().to_lowercase();
            let stream = format!("{protocol} {} {}", end("src_ip", "src_port"), end("dest_ip", "dest_port"));
            lines.entry(stream).or_default().push((node["node"].as_str().unwrap().to_owned(), line));
        }
    }
    lines
}

/// Opens streams one by one until every node has resolved both hosts in both families, and returns them: of a burst
/// towards an unresolved neighbour a node keeps only some packets.
fn meet_neighbours(lab: &Lab) -> Vec<FlowKey> {
    let mut openers = Vec::new();
    for (family, first_port) in [(Family::V4, 18_000), (Family::V6, 19_000)] {
        let mut ports = first_port..first_port + 100;
        eventually(LIMIT, "every node knows both hosts", || {
            let (protocol, opened_at) = (Protocol::Udp, Interface::First);
            let source_port = ports.next().unwrap();
            let one = Streams { protocol, family, opened_at, source_port, count: 1, len: 10, time_max: LIMIT };
            let _answered = one.open(lab).wait(LIMIT).ok();
            let opener = one.openers().next().unwrap();
            openers.push(opener);
            let hosts = [opener.source(), opener.destination()].map(|end| end.ip().to_string());
            let knows = |node: &&str| {
                let rows = lab.json(node, &["neighbours"]);
                let known = |host: &String| {
                    let mut rows = rows.as_array().unwrap().iter();
                    rows.any(|row| row["address"] == host.as_str() && row["mac"].is_string())
                };
                hosts.iter().all(known)
            };
            NODES.iter().all(knows).then_some(())
        });
    }
    openers
}

/// Lets all streams run to their ends, looking at the books meanwhile.
fn run(lab: &Lab) {
    let mut running: Vec<Running> = orders().iter().map(|order| order.open(lab)).collect();
    let mut sessions_max = 0;
    eventually(LIMIT, "all streams are over", || {
        let markers = statuses(lab).map(|status| status["sessions"]["marker"].as_u64().unwrap());
        sessions_max = sessions_max.max(markers.iter().sum());
        running.iter_mut().all(|program| program.ended().is_some()).then_some(())
    });
    for (program, order) in running.into_iter().zip(orders()) {
        let said = program.wait(LIMIT).ok();
        assert_eq!(said.lines().filter(|line| line.ends_with(" ok")).count(), usize::from(order.count), "{said}");
    }
    // Connections carry data only when all of them are open.
    assert!(sessions_max >= u64::from(CONNECTIONS), "at most {sessions_max} streams at once");
}

#[test]
fn thousands_of_streams_complete_on_one_node_each_and_leave_nothing() {
    let lab = Lab::up("many")
        .static_roles()
        .set("choose.redirectors", "equal")
        .set("choose.per_interface_key", true)
        // On a slow machine a node may not get to a peer's announcement for long; what is lost by that is not the subject.
        .set("hold_ms_max", 5_000)
        .set("timeouts.tcp_closed_s", 1)
        .set("timeouts.udp_s", 3)
        .start();
    let _echo = echo(&lab);
    let mut watch = Watch::start(&lab);
    let mut openers = meet_neighbours(&lab);
    run(&lab);

    openers.extend(orders().iter().flat_map(Streams::openers));
    let lines = eventually(LIMIT, "each stream has its line", || {
        Some(flow_lines(&lab)).filter(|lines| lines.values().map(Vec::len).sum::<usize>() >= openers.len())
    });
    let seen = watch.seen();
    let mut shares = BTreeMap::new();
    for opener in &openers {
        let back = opener.reversed(opener.interface().other());
        let Some([(node, line)]) = lines.get(&opener.to_string()).map(Vec::as_slice) else {
            panic!("{opener}: one line expected: {:?}", lines.get(&opener.to_string()));
        };
        assert_eq!(
            (line["herald"]["chosen"].as_str(), &line["herald"]["midstream"]),
            (Some(node.as_str()), &false.into())
        );
        for (flow, name) in [(opener, "pkts_toserver"), (&back, "pkts_toclient")] {
            assert_eq!(seen.nodes(flow).into_iter().collect::<Vec<_>>(), [node.as_str()], "{flow:?}");
            assert_eq!(line["flow"][name], seen.sent_on(flow), "{flow:?}: {line}");
        }
        *shares.entry(node).or_insert(0) += 1;
    }
    println!("{} streams: {shares:?}", openers.len());
    assert_eq!((lines.len(), shares.len()), (openers.len(), NODES.len()), "a line more, or a node that nobody chose");

    eventually(LIMIT, "the tables are empty", || {
        let statuses = statuses(&lab);
        let empty = |status: &Value| {
            status["sessions"] == serde_json::json!({"redirector": 0, "marker": 0}) && status["frames"]["kept"] == 0
        };
        statuses.iter().all(empty).then_some(())
    });
}
