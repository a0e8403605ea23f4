//! `acl` as clients meet it: what it drops falls silent, what it rejects is refused, and the reports name both.

#![expect(clippy::unwrap_used, reason = "a test's own steps may panic too")]

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use netns_tests::{Lab, Running, eventually};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Answers every connection and datagram at its ports with one byte, and prints at which port and from whom.
const SERVER: &str = r#"
import selectors, socket, sys

selector = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        server = socket.socket(socket.AF_INET6, kind)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            server.listen(64)
        selector.register(server, selectors.EVENT_READ, port)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            connection, peer = key.fileobj.accept()
            connection.send(b"!")
            connection.close()
        else:
            _, peer = key.fileobj.recvfrom(100)
            key.fileobj.sendto(b"!", peer)
        print("served", key.data, peer[0], flush=True)
"#;

/// Prints what became of each PROTOCOL,ADDRESS,PORT of its arguments: `answered`, `silent` or the name of the error. All
/// run at the same time.
const CLIENT: &str = r#"
import errno, socket, sys, threading

results = {}

def probe(what):
    protocol, address, port = what.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as client:
        # An answer that does not come can only be told by time; the second try of TCP comes after one second.
        client.settimeout(2.5)
        try:
            client.connect((address, int(port)))
            if protocol == "udp":
                client.send(b"?")
            results[what] = "answered" if client.recv(1) == b"!" else "closed"
        except socket.timeout:
            results[what] = "silent"
        except OSError as error:
            results[what] = errno.errorcode[error.errno]

threads = [threading.Thread(target=probe, args=(what,)) for what in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for what in sys.argv[1:]:
    print(what, results[what])
"#;

const RULES: &str = r#"
[[plugins]]
name = "acl"

[[plugins.config.rules]]
action = "drop"
name = "silent-tcp"
protocol = "tcp"
destination_ports = 7001

[[plugins.config.rules]]
action = "reject"
name = "refused-tcp"
protocol = "tcp"
destination_ports = [7002, "7102-7103"]

[[plugins.config.rules]]
action = "drop"
name = "silent-udp"
protocol = "udp"
destination_ports = 7003

[[plugins.config.rules]]
action = "reject"
name = "refused-udp"
protocol = "udp"
destination_ports = 7004

[[plugins.config.rules]]
action = "reject"
name = "from-second"
protocol = "tcp"
interface = "second"
destination_ports = 7005
"#;

const PORTS: [&str; 6] = ["7001", "7002", "7003", "7004", "7005", "7103"];

fn serve(lab: &Lab, host: &str) -> Running {
    let server = lab.spawn(host, &[&["python3", "-c", SERVER], &PORTS[..]].concat());
    eventually(LIMIT, "the server listens", || server.stdout().contains("ready").then_some(()));
    server
}

/// What becomes of each `PROTOCOL PORT` at an address.
fn probe(lab: &Lab, host: &str, address: &str, wanted: &[&str]) -> BTreeMap<String, String> {
    let targets = wanted.iter().map(|w| w.replace(' ', &format!(",{address},")));
    let line: Vec<String> = ["python3", "-c", CLIENT].iter().map(ToString::to_string).chain(targets).collect();
    let said = lab.exec(host, &line).ok();
    let results = said.lines().map(|line| line.rsplit_once(' ').unwrap());
    results.map(|(what, result)| (what.replace(&format!(",{address},"), " "), result.to_owned())).collect()
}

/// The row of `acl` at the chosen node.
fn acl(lab: &Lab) -> Value {
    let plugins = lab.json("c", &["plugins"]);
    plugins.as_array().unwrap().iter().find(|p| p["id"] == "acl").unwrap().clone()
}

#[test]
fn clients_meet_silence_and_refusals_as_the_rules_say() {
    let lab = Lab::up("acl").configuration(RULES).start();
    let (client, server) = (serve(&lab, "client"), serve(&lab, "server"));
    // All at the same time: each waits for answers that do not come.
    thread::scope(|scope| {
        for (host, address) in
            [("client", "10.2.0.100"), ("client", "fd00:2::100"), ("server", "10.1.0.100"), ("server", "fd00:1::100")]
        {
            let lab = &lab;
            scope.spawn(move || {
                // "Administratively prohibited" is EHOSTUNREACH for IPv4 and EACCES for IPv6 (Linux, icmp(7)).
                let prohibited = if address.contains(':') { "EACCES" } else { "EHOSTUNREACH" };
                let by_interface = if host == "server" { "ECONNREFUSED" } else { "answered" };
                let expected = [
                    ("tcp 7001", "silent"),
                    ("tcp 7002", "ECONNREFUSED"),
                    ("tcp 7103", "ECONNREFUSED"),
                    ("udp 7003", "silent"),
                    ("udp 7004", prohibited),
                    ("tcp 7005", by_interface),
                    // Other ports, and the other protocol at the same ports, are not meant by the rules.
                    ("udp 7001", "answered"),
                    ("tcp 7003", "answered"),
                ];
                let wanted = expected.map(|(what, _)| what);
                let expected = expected.map(|(what, result)| (what.to_owned(), result.to_owned()));
                assert_eq!(probe(lab, host, address, &wanted), BTreeMap::from(expected), "from {host} to {address}");
            });
        }
    });

    // Each stream counts once, whatever was tried again within it: four kinds of stream, some from one side only.
    let row = acl(&lab);
    let hits = |rule: &str| row["counters"][rule].as_u64().unwrap();
    let expected = [("silent-tcp", 4), ("refused-tcp", 8), ("silent-udp", 4), ("refused-udp", 4), ("from-second", 2)];
    for (rule, count) in expected {
        assert_eq!(hits(rule), count, "{rule}: {row}");
        assert!(row["reasons"][rule].as_u64().unwrap_or_default() >= count, "{rule}: {row}");
    }
    assert_eq!(hits("default"), 10, "{row}");

    let drops = lab.json("c", &["drops"]);
    let dropped = |reason: &str| drops[reason].as_u64().unwrap_or_default();
    assert!(dropped("verdict") >= 8, "{drops}");
    // A rejected stream's client does not try again.
    assert_eq!(dropped("rejected"), 14, "{drops}");
    for node in ["a", "b"] {
        let drops = lab.json(node, &["drops"]);
        assert!(drops.get("verdict").is_none() && drops.get("rejected").is_none(), "{node}: {drops}");
    }
    // The server's own words: nothing of what was dropped or rejected reached it.
    assert_eq!(client.stdout().lines().filter(|l| l.starts_with("served")).count(), 4);
    assert_eq!(server.stdout().lines().filter(|l| l.starts_with("served")).count(), 6);
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn what_no_rule_passes_meets_the_default() {
    let rules = r#"
        [[plugins]]
        name = "acl"
        [plugins.config]
        default = "drop"
        [[plugins.config.rules]]
        action = "pass"
        name = "open"
        protocol = "tcp"
        interface = "first"
        source = ["10.1.0.0/24", "fd00:1::/64"]
        destination = ["10.2.0.100", "fd00:2::100"]
        destination_ports = 7002
    "#;
    let lab = Lab::up("default").configuration(rules).start();
    let (_client, _server) = (serve(&lab, "client"), serve(&lab, "server"));
    for address in ["10.2.0.100", "fd00:2::100"] {
        let found = probe(&lab, "client", address, &["tcp 7002", "tcp 7001", "udp 7002"]);
        let expected = [("tcp 7002", "answered"), ("tcp 7001", "silent"), ("udp 7002", "silent")];
        assert_eq!(found, BTreeMap::from(expected.map(|(what, result)| (what.to_owned(), result.to_owned()))));
    }
    let back = probe(&lab, "server", "10.1.0.100", &["tcp 7002"]);
    assert_eq!(back.values().collect::<Vec<_>>(), ["silent"], "the rule names the interface of the opener");
    let counters = acl(&lab)["counters"].clone();
    assert_eq!((&counters["open"], &counters["default"]), (&2.into(), &5.into()), "{counters}");
    let shown = lab.exec("c", &[netns_tests::binary().display().to_string().as_str(), "drops"]).ok();
    assert!(shown.lines().any(|line| line.trim_start().starts_with("verdict")), "{shown}");
}
