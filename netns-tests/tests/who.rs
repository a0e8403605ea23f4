//! `herald who` in a lab: a stream is found by its ends in either order, at whichever interface it opened, from every node;
//! and as long as its chosen node has it, though no redirector knows of it any more.

#![expect(clippy::unwrap_used, reason = "a test's own steps may panic too")]

use std::time::Duration;

use netns_tests::{DROP_7003, Lab, eventually, send_datagram};
use serde_json::{Value, json};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

const NODES: [&str; 3] = ["a", "b", "c"];

/// Lets a host send a datagram, and waits until a node has its stream; returns the stream's ends and that node.
fn send(lab: &Lab, host: &str, from: (&str, &str), to: (&str, &str)) -> ([String; 2], String) {
    send_datagram(lab, host, from, to, "?");
    let ends = [from, to].map(|(address, port)| format!("{address}:{port}"));
    let [source, destination] = &ends;
    let marked = || {
        NODES.into_iter().find(|node| {
            let sessions = lab.json(node, &["sessions"]);
            let mut rows = sessions.as_array().unwrap().iter();
            rows.any(|row| row["kind"] == "marker" && row["source"] == **source && row["destination"] == **destination)
        })
    };
    let chosen = eventually(LIMIT, "a node has the stream", marked).to_owned();
    (ends, chosen)
}

/// What each node says of a stream, with its ends in both orders.
fn asked(lab: &Lab, [one, other]: &[String; 2]) -> Vec<Value> {
    let streams = [format!("udp {one} {other}"), format!("udp {other} {one}")];
    NODES.iter().flat_map(|node| streams.iter().map(|stream| lab.json(node, &["who", stream]))).collect()
}

#[test]
fn a_stream_is_found_by_its_ends_in_either_order_wherever_it_opened() {
    let lab = Lab::up("who").set("plugins", "[]").set("reverse_path", "off").start();
    // The cluster has no route to this address: it cannot tell where it is.
    let _nothing_said = lab.exec("server", &["ip", "address", "add", "172.16.0.9/32", "dev", "lo"]).ok();
    for (host, from, to) in [
        ("client", ("10.1.0.100", "5001"), ("10.2.0.100", "7001")),
        ("server", ("10.2.0.100", "5002"), ("10.1.0.100", "7002")),
        ("server", ("172.16.0.9", "5003"), ("10.1.0.100", "7003")),
    ] {
        let (ends, chosen) = send(&lab, host, from, to);
        // The other redirector may hear of it a moment later.
        eventually(LIMIT, &format!("every node names {chosen} for {ends:?}"), || {
            let expected = json!({"chosen": chosen, "first": chosen, "second": chosen});
            asked(&lab, &ends).iter().all(|who| *who == expected).then_some(())
        });
    }
}

#[test]
fn a_dropped_stream_is_found_as_long_as_its_chosen_node_has_it() {
    let lab = Lab::up("who").configuration(DROP_7003).set("timeouts.provisional_s", 1).start();
    let (ends, chosen) = send(&lab, "client", ("10.1.0.100", "5001"), ("10.2.0.100", "7003"));
    eventually(LIMIT, "no redirector knows of it", || {
        let sessions = NODES.map(|node| lab.json(node, &["sessions"]));
        let mut rows = sessions.iter().flat_map(|rows| rows.as_array().unwrap());
        rows.all(|row| row["kind"] == "marker").then_some(())
    });
    assert_eq!(asked(&lab, &ends), vec![json!({"chosen": chosen, "first": null, "second": null}); 6]);
}
