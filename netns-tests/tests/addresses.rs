//! Where packets may go, as real hosts see it: gateways, unusual addresses, options, sources.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::time::Duration;

use netns_tests::{Lab, Output, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const NODES: [&str; 3] = ["a", "b", "c"];

const GATEWAYS: &str = r#"
[lab.hosts.g1]
network = "second"
addresses = ["10.2.0.201/24", "fd00:2::201/64", "fe80::201/64"]

[lab.hosts.g2]
network = "second"
addresses = ["10.2.0.202/24", "fd00:2::202/64"]

[[routes]]
to = "198.51.100.0/24"
via = ["10.2.0.201", "10.2.0.202"]

[[routes]]
to = "2001:db8:9::/64"
via = "fe80::201"
interface = "second"

[[routes]]
to = "240.0.0.0/8"
via = "10.2.0.201"
"#;

fn ping(lab: &Lab, arguments: &[&str]) -> Output {
    lab.exec("client", &[&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5"], arguments].concat())
}

#[track_caller]
fn assert_answered(lab: &Lab, arguments: &[&str]) -> String {
    let said = ping(lab, arguments).stdout;
    assert!(said.contains(" 0% packet loss"), "{arguments:?}: {said}");
    said
}

/// How many echo requests a host has answered.
fn answered(lab: &Lab, host: &str) -> u64 {
    let said = lab.exec(host, &["cat", "/proc/net/snmp"]).ok();
    let lines: Vec<Vec<&str>> =
        said.lines().filter(|line| line.starts_with("Icmp:")).map(|line| line.split(' ').collect()).collect();
    let place = lines[0].iter().position(|name| *name == "InEchos").unwrap();
    lines[1][place].parse().unwrap()
}

/// A lab with two gateways of one route, both of which have had streams.
#[track_caller]
fn gateways() -> Lab {
    let lab = Lab::up("gateways").configuration(GATEWAYS).start();
    for (host, address) in [("g1", "198.51.100.1/32"), ("g2", "198.51.100.1/32"), ("g1", "240.0.0.5/32")] {
        let _nothing_said = lab.exec(host, &["ip", "addr", "add", address, "dev", "lo"]).ok();
    }
    let _nothing_said = lab.exec("g1", &["ip", "-6", "addr", "add", "2001:db8:9::1/128", "dev", "lo"]).ok();
    assert_answered(&lab, &["2001:db8:9::1"]);
    assert_answered(&lab, &["240.0.0.5"]);
    let routes = lab.json("b", &["routes"]).to_string();
    assert!(routes.contains(r#""via":"fe80::201""#) && routes.contains(r#""via":"10.2.0.202""#), "{routes}");
    // Each ping is a stream of its own.
    let before = ["g1", "g2"].map(|host| answered(&lab, host));
    for _ in 0..24 {
        assert_answered(&lab, &["-c", "1", "198.51.100.1"]);
    }
    let after = ["g1", "g2"].map(|host| answered(&lab, host));
    let parts = [after[0] - before[0], after[1] - before[1]];
    assert!(parts[0] + parts[1] == 24 && parts.iter().all(|part| *part >= 2), "{parts:?}");
    lab
}

#[test]
fn gateways_by_link_local_address_and_several_of_one_route() {
    gateways().assert_books_balance(LIMIT, &NODES);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_silent_gateway_leaves_its_part_to_the_others() {
    let lab = gateways();
    let _nothing_said = lab.exec("g1", &["ip", "link", "set", "eth0", "down"]).ok();
    eventually(LIMIT, "all streams go to the other gateway", || {
        let good = (0..12).filter(|_| ping(&lab, &["-c", "1", "-W", "1", "198.51.100.1"]).code == 0).count();
        (good == 12).then_some(())
    });
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn the_cluster_answers_where_all_routers_are_asked() {
    let lab = Lab::up("anycast").start();
    for address in ["fd00:1::", "fd00:2::"] {
        let said = ping(&lab, &[address]).stdout;
        assert!(said.contains("2 received"), "{said}");
    }
    let said = ping(&lab, &["-I", "eth0", "ff02::2"]).stdout;
    assert!(said.contains("from fe80::200:5eff:fe00:201"), "{said}");
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn a_record_route_has_the_node_and_a_source_route_ends_there() {
    let lab = Lab::up("options").start();
    let said = assert_answered(&lab, &["-R", "10.2.0.100"]);
    let chosen = ["1", "2", "3"].iter().any(|last| {
        let through = [1, 2].map(|network| format!("10.{network}.0.1{last}\n"));
        through.iter().all(|address| said.contains(address))
    });
    assert!(chosen, "out and back through one node: {said}");
    assert_answered(&lab, &["-R", "10.1.0.1"]);
    assert_answered(&lab, &["-T", "tsonly", "10.2.0.100"]);
    let loose = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
        s.setsockopt(socket.IPPROTO_IP, 4, bytes([131, 7, 4, 10, 2, 0, 100, 0])); s.sendto(b'x', ('10.2.0.1', 9))";
    let _maybe_refused = lab.exec("client", &["sysctl", "-qw", "net.ipv4.conf.all.accept_source_route=1"]);
    let _nothing_said = lab.exec("client", &["python3", "-c", loose]).ok();
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn a_source_without_a_route_is_dropped_by_reason() {
    let lab = Lab::up("reverse").start();
    let _nothing_said = lab.exec("client", &["ip", "addr", "add", "203.0.113.9/32", "dev", "lo"]).ok();
    assert_eq!(ping(&lab, &["-I", "203.0.113.9", "-W", "1", "10.2.0.100"]).code, 1);
    let dropped = || NODES.iter().filter_map(|node| lab.json(node, &["drops"])["reverse-path"].as_u64()).sum::<u64>();
    assert_eq!(dropped(), 2);
    lab.assert_books_balance(LIMIT, &NODES);
}
