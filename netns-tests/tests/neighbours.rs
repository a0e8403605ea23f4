//! Neighbours that change or are sought for: how long it takes until every node knows, printed.

use std::time::Duration;

use netns_tests::{Lab, echo_server, eventually};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Streams of each family: enough that each of three nodes is chosen for some.
const STREAMS: u16 = 24;

/// Sends each stream a datagram every 10 ms. Arguments: the number of streams, addresses.
const TALK: &str = r#"
import socket, sys, time

count = int(sys.argv[1])
outs = []
for address in sys.argv[2:]:
    for number in range(count):
        out = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        if ":" in address:
            out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        out.bind(("", 20000 + number))
        out.connect((address, 9000))
        outs.append(out)
while True:
    for out in outs:
        try:
            out.send(b"hello")
        except OSError:
            pass
    time.sleep(0.01)
"#;

/// Takes another MAC, pings the gateways, and prints after how many milliseconds the last of the streams of IPv4 and of IPv6
/// arrived again. Arguments: the number of streams, gateways.
const CHANGE: &str = r#"
import select, socket, subprocess, sys, time

count, gateways = int(sys.argv[1]), sys.argv[2:]
families = [socket.AF_INET, socket.AF_INET6]
ins = []
for family in families:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", 9000))
    ins.append(sock)

def arrivals(until):
    seen = [{}, {}]
    while time.monotonic() < until and min(map(len, seen)) < count:
        for sock in select.select(ins, [], [], 0.1)[0]:
            _, peer = sock.recvfrom(100)
            seen[ins.index(sock)].setdefault(peer[1], time.monotonic())
    return seen

assert min(map(len, arrivals(time.monotonic() + 30))) == count, "not all streams arrive"
print("all arrive", flush=True)
sys.stdin.readline()
begun = time.monotonic()
subprocess.run(["ip", "link", "set", "eth0", "address", "02:00:0a:02:77:77"], check=True)
for sock in ins:
    sock.setblocking(False)
    try:
        while True:
            sock.recv(100)
    except BlockingIOError:
        pass
for family, gateway in zip("46", gateways):
    subprocess.run(["ip", "-" + family, "neigh", "flush", "dev", "eth0"], check=True)
    # An answer that is lost does not matter: the question is what tells of the new MAC.
    subprocess.Popen(["ping", "-c", "1", "-W", "1", gateway], stdout=subprocess.DEVNULL)
seen = arrivals(begun + 60)
for streams in seen:
    print(round((max(streams.values()) - begun) * 1000) if len(streams) == count else "never")
"#;

/// Asks an echo server every 5 ms for some seconds, and prints the longest time in milliseconds between two answers.
/// Arguments: address, seconds.
const PULSE: &str = r#"
import select, socket, sys, time

address, until = sys.argv[1], time.monotonic() + float(sys.argv[2])
out = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
out.connect((address, 9000))
last, longest, answered = time.monotonic(), 0, 0
while time.monotonic() < until:
    out.send(b"pulse")
    end = time.monotonic() + 0.005
    while (left := end - time.monotonic()) > 0:
        if select.select([out], [], [], left)[0]:
            out.recv(100)
            now = time.monotonic()
            longest, last, answered = max(longest, now - last), now, answered + 1
longest = max(longest, time.monotonic() - last)
print(round(longest * 1000) if answered else "never")
"#;

/// Sends datagrams to addresses that nobody has, 2,000 a second. Argument: seconds.
const SCAN: &str = r#"
import random, socket, sys, time

chance, begun = random.Random(1), time.monotonic()
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
number = 0
while time.monotonic() < begun + float(sys.argv[1]):
    out.sendto(b"who?", ("fd00:2::%x:%x" % (1 + chance.randrange(65535), chance.randrange(65536)), 9))
    number += 1
    if number == 2000:
        print("under way", flush=True)
    time.sleep(max(0, begun + number / 2000 - time.monotonic()))
"#;

#[test]
fn every_node_reaches_a_host_with_another_mac_within_a_second() {
    let lab = Lab::up("new-mac").static_roles().set("choose.redirectors", "equal").start();
    let count = STREAMS.to_string();
    let _talk = lab.spawn("client", &["python3", "-c", TALK, &count, "10.2.0.100", "fd00:2::100"]);
    let go = tempfile::tempdir().unwrap();
    let fifo = go.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let line = "exec python3 -c \"$1\" \"$2\" 10.2.0.1 fd00:2::1 <\"$3\"";
    let change = lab.spawn("server", &["sh", "-c", line, "change", CHANGE, &count, fifo.to_str().unwrap()]);
    let mut open = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    eventually(LIMIT, "all streams arrive", || {
        assert!(!change.stderr().contains("Error"), "{}", change.stderr());
        change.stdout().contains("all arrive").then_some(())
    });
    for node in ["a", "b", "c"] {
        let chosen = lab.json(node, &["status"])["sessions"]["marker"].as_u64().unwrap();
        assert!(chosen > 0, "{node} is chosen for none of the streams");
    }
    std::io::Write::write_all(&mut open, b"\n").unwrap();
    let said = change.wait(LIMIT).ok();
    let times: Vec<Option<u64>> = said.lines().skip(1).map(|line| line.parse().ok()).collect();
    println!("every node reaches a host with another MAC after {times:?} ms (IPv4, IPv6)");
    assert_eq!(times.len(), 2, "{said}");
    assert!(times.iter().all(|time| time.is_some_and(|ms| ms < 1_000)), "{times:?} ms");
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_scan_delays_no_stream_of_others() {
    let lab = Lab::up("scan-gap").static_roles().guest().start();
    let _echo = echo_server(&lab, "server");
    let scan = lab.spawn("guest", &["python3", "-c", SCAN, "8"]);
    eventually(LIMIT, "the scan is under way", || scan.stdout().contains("under way").then_some(()));
    let pulses = ["10.2.0.100", "fd00:2::100"].map(|to| lab.spawn("client", &["python3", "-c", PULSE, to, "5"]));
    let gaps = pulses.map(|pulse| pulse.wait(LIMIT).ok().trim().parse::<u64>().ok());
    println!("the longest gap of others while a network is scanned: {gaps:?} ms (IPv4, IPv6)");
    assert!(gaps.iter().all(|gap| gap.is_some_and(|ms| ms < 1_000)), "{gaps:?} ms");
}
