//! Streams that leave by the interface where they came: a second router on the clients' network.

use std::time::Duration;

use netns_tests::{Lab, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const NODES: [&str; 3] = ["a", "b", "c"];

/// A second router, which has a host's addresses itself.
const GATEWAY: &str = r#"
[lab.hosts.gw]
network = "first"
addresses = ["10.1.0.254/24", "fd00:1::254/64"]

[[routes]]
to = "192.0.2.0/24"
via = "10.1.0.254"

[[routes]]
to = "2001:db8:1::/64"
via = "fd00:1::254"
"#;

/// Answers each line with the same line, on port 7 of both families.
const ECHO: &str = r#"
import socket, threading
def serve(client):
    with client:
        while data := client.recv(65536):
            client.sendall(data)
with socket.create_server(("::", 7), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"#;

/// Opens connections to an address, talks on each every 50 ms for some seconds, prints how many were lost.
/// Arguments: address, connections, seconds.
const TALK: &str = r#"
import socket, sys, time
address, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
clients = []
for _ in range(count):
    client = socket.create_connection((address, 7), timeout=10)
    clients.append(client)
print("open", flush=True)
lost, end = set(), time.time() + seconds
while time.time() < end:
    for number, client in enumerate(clients):
        if number in lost:
            continue
        try:
            client.settimeout(5)
            client.sendall(b"hello")
            if not client.recv(100):
                lost.add(number)
        except OSError:
            lost.add(number)
    time.sleep(0.05)
print("lost", len(lost))
"#;

/// A lab whose second router sends its answers by way of the cluster, too.
fn lab(hint: &str, change: impl FnOnce(netns_tests::Builder) -> netns_tests::Builder) -> Lab {
    let lab = change(Lab::up(hint).configuration(GATEWAY)).start();
    for line in [
        "addr add 192.0.2.1/32 dev lo",
        "-6 addr add 2001:db8:1::1/128 dev lo",
        "route add 10.1.0.100/32 via 10.1.0.1 src 192.0.2.1",
        "-6 route add fd00:1::100/128 via fd00:1::1 src 2001:db8:1::1",
    ] {
        let words: Vec<&str> = ["ip"].into_iter().chain(line.split(' ')).collect();
        let _nothing_said = lab.exec("gw", &words).ok();
    }
    lab
}

#[test]
fn a_connection_passes_the_cluster_both_ways_and_is_inspected() {
    let lab = lab("hairpin", |lab| lab.set("choose.per_interface_key", true));
    let echo = lab.spawn("gw", &["python3", "-c", ECHO]);
    eventually(LIMIT, "the server listens", || echo.stdout().contains("ready").then_some(()));
    for address in ["192.0.2.1", "2001:db8:1::1"] {
        let said = lab.exec("client", &["python3", "-c", TALK, address, "20", "2"]).ok();
        assert!(said.contains("lost 0"), "{address}: {said}");
    }
    let chosen = |node: &str| lab.json(node, &["sessions"]);
    let rows: Vec<_> = NODES.iter().flat_map(|node| chosen(node).as_array().unwrap().clone()).collect();
    let markers: Vec<_> = rows.iter().filter(|row| row["kind"] == "marker" && row["protocol"] == "tcp").collect();
    assert_eq!(markers.len(), 40, "each has one chosen node");
    assert!(markers.iter().all(|row| row["packets"].as_u64().unwrap() > 20), "which sees both directions");
    assert!(markers.iter().all(|row| row["state"] != "one-way" && row["interface"] == "first"));
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn connections_outlive_the_holder_of_their_only_redirector() {
    let lab = lab("hairfail", |lab| lab);
    let echo = lab.spawn("gw", &["python3", "-c", ECHO]);
    eventually(LIMIT, "the server listens", || echo.stdout().contains("ready").then_some(()));
    let talk = lab.spawn("client", &["python3", "-c", TALK, "192.0.2.1", "20", "6"]);
    eventually(LIMIT, "the connections are open", || talk.stdout().contains("open").then_some(()));
    let holder = lab.json("a", &["roles"])["first"]["holder"].as_str().unwrap().to_owned();
    lab.kill(&holder, "KILL");
    let said = talk.wait(LIMIT).ok();
    // By default no holder is chosen, so none of its own streams went with it.
    assert!(said.contains("lost 0"), "{said}");
}

#[test]
fn hosts_are_told_of_the_shorter_way_if_that_is_wanted() {
    let lab = lab("shorter", |lab| lab.set("icmp_redirects", true));
    let settings = ["sysctl", "-qw", "net.ipv4.conf.all.accept_redirects=1", "net.ipv4.conf.eth0.accept_redirects=1"];
    let _nothing_said = lab.exec("client", &settings).ok();
    let said = lab.exec("client", &["ping", "-n", "-c", "3", "-i", "0.3", "-W", "5", "192.0.2.1"]).stdout;
    assert!(said.contains("Redirect Host(New nexthop: 10.1.0.254)"), "{said}");
    // The client has asked for the next hop's MAC by now, and believes the next redirect.
    let _second_stream = lab.exec("client", &["ping", "-n", "-c", "1", "-W", "5", "192.0.2.1"]).ok();
    let route = lab.exec("client", &["ip", "route", "get", "192.0.2.1"]).stdout;
    assert!(route.contains("via 10.1.0.254"), "the client believes its gateway: {route}");
}
