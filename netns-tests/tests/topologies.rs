//! The topologies of `configs/topologies`, each as real hosts see it.

#![expect(clippy::unwrap_used, reason = "a test's own steps may panic too")]

use std::fs;
use std::time::Duration;

use netns_tests::{Lab, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const NODES: [&str; 3] = ["a", "b", "c"];

/// A server that says how many bytes came from each client, on port 8000 of both families.
const SERVER: &str = r#"
import socket
with socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        with client:
            count = 0
            while data := client.recv(65536):
                count += len(data)
            client.sendall(b"%d" % count)
"#;

/// Sends a million bytes to an address and prints what comes back.
const CLIENT: &str = r#"
import socket, sys
with socket.create_connection((sys.argv[1], 8000), timeout=30) as client:
    client.sendall(bytes(1000000))
    client.shutdown(socket.SHUT_WR)
    print(client.recv(100).decode())
"#;

#[track_caller]
fn assert_reached(lab: &Lab, from: &str, addresses: &[&str]) {
    for address in addresses {
        let said = lab.exec(from, &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "10", address]);
        assert!(said.stdout.contains(" 0% packet loss"), "{from} pings {address}: {}", said.stdout);
    }
}

#[track_caller]
fn assert_sent(lab: &Lab, from: &str, to: &str, addresses: &[&str]) {
    let server = lab.spawn(to, &["python3", "-c", SERVER]);
    eventually(LIMIT, "the server listens", || server.stdout().contains("ready").then_some(()));
    for address in addresses {
        let said = lab.exec(from, &["python3", "-c", CLIENT, address]);
        assert_eq!(said.stdout.trim(), "1000000", "{from} to {address}: {}", said.stderr);
    }
}

/// The states of the streams of all nodes.
fn states(lab: &Lab, protocol: &str) -> Vec<String> {
    let rows = NODES.map(|node| lab.json(node, &["sessions"]));
    let rows = rows.iter().flat_map(|rows| rows.as_array().unwrap());
    let wanted = rows.filter(|row| row["kind"] == "marker" && row["protocol"] == protocol);
    wanted.map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn hosts_behind_a_second_router_are_reached_from_both_networks() {
    let lab = Lab::up("second").topology("second-router").start();
    let (desk, shop) = (["192.0.2.100", "2001:db8:1::100"], ["198.51.100.100", "2001:db8:2::100"]);
    assert_reached(&lab, "client", &[desk, shop].concat());
    assert_reached(&lab, "server", &[desk, shop].concat());
    assert_reached(&lab, "desk", &["10.2.0.100", "fd00:2::100", shop[0], shop[1]]);
    assert_sent(&lab, "client", "shop", &shop);
    assert_sent(&lab, "shop", "desk", &desk);
    assert_sent(&lab, "client", "desk", &desk);
    // The second router leads the answers of `desk` to the client past the cluster.
    let listening = lab.spawn("desk", &["python3", "-c", SERVER]);
    eventually(LIMIT, "the server listens", || listening.stdout().contains("ready").then_some(()));
    let keeps =
        "import socket, time; c = socket.create_connection(('192.0.2.100', 8000)); c.send(b'x'); time.sleep(60)";
    let _client = lab.spawn("client", &["python3", "-c", keeps]);
    eventually(LIMIT, "its stream is one-way", || states(&lab, "tcp").contains(&"one-way".to_owned()).then_some(()));
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn networks_on_one_wire_are_joined_by_the_cluster() {
    let lab = Lab::up("several").topology("several-networks").start();
    assert_reached(&lab, "other", &["10.3.0.1", "fd00:3::1", "10.1.0.100", "fd00:1::100", "10.2.0.100", "fd00:2::100"]);
    assert_reached(&lab, "client", &["10.3.0.100", "fd00:3::100"]);
    assert_sent(&lab, "client", "other", &["10.3.0.100", "fd00:3::100"]);
    assert_sent(&lab, "other", "server", &["10.2.0.100", "fd00:2::100"]);
    let said = lab.exec("other", &["ping", "-c", "2", "-i", "0.2", "-W", "5", "-M", "do", "-s", "1400", "10.2.0.100"]);
    assert!(said.stdout.contains("mtu = 1400") || said.stdout.contains("mtu=1400"), "{}", said.stdout);
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn frames_of_a_tagged_network_have_its_tag_and_the_hosts_see_none() {
    let lab = Lab::up("tagged").topology("tagged").start();
    let mut at_node = lab.capture_at("net-first", "a-first");
    let mut at_client = lab.capture_at("client", "eth0");
    assert_reached(&lab, "client", &["10.1.0.1", "fd00:1::1", "10.2.0.100", "fd00:2::100"]);
    assert_reached(&lab, "server", &["10.1.0.100", "fd00:1::100"]);
    assert_sent(&lab, "client", "server", &["10.2.0.100", "fd00:2::100"]);
    assert_sent(&lab, "server", "client", &["10.1.0.100", "fd00:1::100"]);
    let tag = |bytes: &[u8]| (bytes[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([bytes[14], bytes[15]]) & 0xfff);
    let frames = at_node.frames();
    assert!(frames.len() > 20);
    for frame in frames {
        assert_eq!(tag(&frame.bytes), Some(10), "{:02x?}", &frame.bytes[..20]);
    }
    let frames = at_client.frames();
    assert!(frames.len() > 20 && frames.iter().all(|frame| tag(&frame.bytes).is_none()));
    for node in NODES {
        let drops = lab.json(node, &["drops"]);
        assert!(drops["wrong-vlan"].is_null() && drops["vlan-tagged"].is_null(), "{node}: {drops}");
    }
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn a_wrong_topology_is_refused_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "[first]\nvlan = 10\n\n[second]\nmtu = 12\n").unwrap();
    let mut command = Lab::up("wrong").command();
    let output = command.arg("--topology").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("wrong.toml:5: second.mtu: 12: 1280 to 65535 is allowed"), "{said}");
}
