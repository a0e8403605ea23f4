//! Announcements that are late, links that lose bytes, a peer that does not read for a moment: no return packet comes to
//! another node than its stream's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use herald_core::id::Interface;
use netns_tests::{Family, Lab, Protocol, Running, Streams, echo, eventually};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

/// Connections of one order; they are open at the same time.
const AT_ONCE: u16 = 250;

/// Connections: ten thousand in long runs.
fn orders() -> Vec<Streams> {
    let count: u16 = if std::env::var_os("HERALD_LONG").is_some() { 40 } else { 4 };
    let order = |number: u16| Streams {
        protocol: Protocol::Tcp,
        family: if number % 4 < 2 { Family::V4 } else { Family::V6 },
        opened_at: if number.is_multiple_of(2) { Interface::First } else { Interface::Second },
        source_port: 10_000 + number * AT_ONCE,
        count: AT_ONCE,
        len: 500,
        time_max: LIMIT,
    };
    (0..count).map(order).collect()
}

/// Each stream with the nodes whose plugins saw any packet of it, whichever direction they took for the opener's. A node
/// that gave it to another, as one does that has lost its link to a holder for too long, is none of them.
fn inspectors(lab: &Lab) -> BTreeMap<[SocketAddr; 2], BTreeSet<String>> {
    let mut streams: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for node in lab.status()["nodes"].as_array().unwrap() {
        let file = Path::new(node["log"].as_str().unwrap()).with_file_name("flows.json");
        for line in fs::read_to_string(file).unwrap().lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            if line["flow"]["reason"] == "handed-over" {
                continue;
            }
            let end = |address: &str, port: &str| {
                let address: IpAddr = line[address].as_str().unwrap().parse().unwrap();
                SocketAddr::new(address, u16::try_from(line[port].as_u64().unwrap()).unwrap())
            };
            let mut ends = [end("src_ip", "src_port"), end("dest_ip", "dest_port")];
            ends.sort_unstable();
            streams.entry(ends).or_default().insert(node["node"].as_str().unwrap().to_owned());
        }
    }
    streams
}

/// Lets an order run to its end; `disturb` is called meanwhile.
fn run(lab: &Lab, order: &Streams, mut disturb: impl FnMut(&Lab)) {
    let mut program: Running = order.open(lab);
    eventually(LIMIT, "the connections are over", || {
        disturb(lab);
        program.ended()
    });
    let said = program.wait(LIMIT).ok();
    assert_eq!(said.lines().filter(|line| line.ends_with(" ok")).count(), usize::from(order.count), "{said}");
}

#[test]
fn no_return_packet_comes_to_a_wrong_node_whatever_happens_to_announcements() {
    let lab = Lab::up("wrong")
        .static_roles()
        .set("choose.redirectors", "equal")
        .set("choose.per_interface_key", true)
        .set("testing.announcement_delay_ms", 50)
        .set("hold_ms_max", 5_000)
        // A packet at a wrong node is taken up there, and so it is seen.
        .set("midstream", "pick-up")
        .set("timeouts.tcp_closed_s", 1)
        .start();
    let _echo = echo(&lab);
    for (number, order) in orders().iter().enumerate() {
        match number % 4 {
            0 => run(&lab, order, |_| {}),
            1 => {
                for pair in [["a", "c"], ["b", "c"], ["a", "b"]] {
                    lab.links("impair", &[pair[0], pair[1], "--delay", "10ms", "--loss", "5%", "--seed", "11"]);
                }
                run(&lab, order, |_| {});
                lab.links("heal", &[]);
            }
            // Well below the detection time: the node does not count as dead, it only does not read.
            2 => run(&lab, order, |lab| {
                lab.kill("b", "STOP");
                lab.kill("b", "CONT");
            }),
            _ => run(&lab, order, |lab| {
                lab.links("cut", &["b", "c"]);
                lab.links("heal", &[]);
            }),
        }
    }
    let expected = orders().len() * usize::from(AT_ONCE);
    let seen = eventually(LIMIT, "each stream has its line", || {
        Some(inspectors(&lab)).filter(|streams| streams.len() >= expected)
    });
    let astray: Vec<_> = seen.iter().filter(|(_, nodes)| nodes.len() > 1).collect();
    println!("{} connections, {} of them at a wrong node", seen.len(), astray.len());
    assert!(astray.is_empty(), "{astray:?}");
}
