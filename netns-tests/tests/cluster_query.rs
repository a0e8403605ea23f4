//! Questions to the whole cluster in a lab: every node answers for all, who is dead or frozen is named, and a dropped packet is
//! explained wherever one asks.

#![expect(clippy::unwrap_used, reason = "a test's own steps may panic too")]

use std::time::Duration;

use herald::io::clock;
use netns_tests::{DROP_7003, Lab, binary, eventually, send_datagram};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

const NODES: [&str; 3] = ["a", "b", "c"];

/// The rows of a dropped stream that any node told, with the node that told each.
fn rows(answer: &Value) -> Vec<Value> {
    let nodes = answer.as_object().unwrap().values();
    nodes.flat_map(|node| node["report"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn every_node_answers_for_all_and_the_absent_are_named() {
    let lab = Lab::up("cluster").configuration(DROP_7003).start();
    let herald = binary().display().to_string();
    send_datagram(&lab, "client", ("10.1.0.100", "5001"), ("10.2.0.100", "7003"), "let me in");
    let streams = ["udp 10.1.0.100:5001 10.2.0.100:7003", "udp 10.2.0.100:7003 10.1.0.100:5001"];
    for node in NODES {
        for stream in streams {
            let row = eventually(LIMIT, &format!("{node} says why {stream} was dropped"), || {
                rows(&lab.json(node, &["why", stream])).pop()
            });
            let said = ["verdict", "reason", "plugin", "interface", "source"].map(|key| row[key].as_str().unwrap());
            assert_eq!(said, ["drop", "verdict", "acl", "first", "10.1.0.100:5001"], "{row}");
            assert!(row["bytes"].as_str().unwrap().contains("6c6574206d6520696e"), "the datagram itself: {row}");
        }
    }
    let text = lab.exec("a", &[&herald[..], "why", streams[0]]).ok();
    assert!(text.contains("drop by acl") && text.contains("10.1.0.100:5001"), "{text}");

    for report in ["drops", "status", "sessions", "plugins", "members", "roles", "routes", "neighbours"] {
        let answer = lab.json("b", &[report, "--cluster"]);
        let nodes: Vec<_> = answer.as_object().unwrap().iter().collect();
        assert_eq!(nodes.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>(), NODES, "{report}");
        for (node, answer) in nodes {
            assert!(answer["age_ms"].as_u64().unwrap() < 2_000 && !answer["report"].is_null(), "{report} of {node}");
        }
    }
    let status = lab.json("c", &["status", "--cluster"]);
    assert!(NODES.iter().all(|node| status[node]["report"]["node"] == **node), "{status}");
    let events = lab.exec("a", &[&herald[..], "events", "--cluster"]).ok();
    assert!(NODES.iter().all(|node| events.contains(&format!("{{\"told_by\":\"{node}\","))), "{events}");

    // A frozen node answers nobody, and is named in time.
    lab.kill("c", "STOP");
    let began = clock::now();
    let answer = lab.json("a", &["drops", "--cluster"]);
    assert!(clock::now().since(began) < Duration::from_secs(5) && answer["c"]["report"].is_null(), "{answer}");
    assert!(!answer["c"]["error"].as_str().unwrap().is_empty() && !answer["b"]["report"].is_null(), "{answer}");
    lab.kill("c", "CONT");
    lab.kill("b", "KILL");
    eventually(LIMIT, "the dead node is named, and the one that goes on answers", || {
        let answer = lab.json("a", &["drops", "--cluster"]);
        let is_named = answer["b"]["error"] == "it is dead: not asked";
        (is_named && !answer["c"]["report"].is_null()).then_some(())
    });
    let table = lab.exec("a", &[&herald[..], "drops", "--cluster"]).ok();
    assert!(table.trim_start().starts_with("NODE") && table.contains("no answer of b: it is dead"), "{table}");
}
