//! The router's own work as real hosts see it: echo, errors, neighbours, routes, and the MACs it makes known.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::net::IpAddr;
use std::time::Duration;

use etherparse::{Ipv4HeaderSlice, NetSlice, SlicedPacket, TransportSlice};
use netns_tests::{CapturedFrame, Lab, eventually};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The virtual MACs (RFC 9568, section 7.3) by the lab's VRIDs: IPv4 and IPv6 of the first and the second interface.
const VIRTUAL_MACS: [&str; 4] = ["00:00:5e:00:01:01", "00:00:5e:00:02:01", "00:00:5e:00:01:02", "00:00:5e:00:02:02"];

/// What ping prints; it waits for at most some seconds for each answer.
fn ping(lab: &Lab, host: &str, arguments: &[&str]) -> (i32, String) {
    let output = lab.exec(host, &[&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "10"], arguments].concat());
    (output.code, output.stdout)
}

#[track_caller]
fn assert_answered(lab: &Lab, host: &str, address: &str) {
    let (code, said) = ping(lab, host, &[address]);
    let answered = said.lines().filter(|line| line.contains(&format!("from {address}: icmp_seq="))).count();
    assert!(code == 0 && answered == 2, "{host} pings {address}: {said}");
}

/// Ping hears from one of these addresses, and what it hears contains `text`.
#[track_caller]
fn assert_told(lab: &Lab, host: &str, arguments: &[&str], from: &[&str], text: &str) {
    let (code, said) = ping(lab, host, arguments);
    let told = said.lines().find(|line| line.to_lowercase().contains(&text.to_lowercase()));
    let told = told.unwrap_or_else(|| panic!("{host} pings {arguments:?} and is not told {text:?}: {said}"));
    assert_eq!(code, 1, "{said}");
    assert!(from.iter().any(|from| told.to_lowercase().starts_with(&format!("from {from} "))), "{told}");
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn own_and_virtual_addresses_of_both_interfaces_answer_echo() {
    let lab = Lab::up("echo").start();
    for host in ["client", "server"] {
        for network in [1, 2] {
            for last in [1, 11, 12, 13] {
                assert_answered(&lab, host, &format!("10.{network}.0.{last}"));
                assert_answered(&lab, host, &format!("fd00:{network}::{last}"));
            }
        }
    }
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
fn echo_crosses_the_cluster_whatever_its_size() {
    let lab = Lab::up("sizes").start();
    for address in ["10.2.0.100", "fd00:2::100"] {
        // 1472 and 1452 bytes fill a packet of 1500.
        for size in ["0", "1", "55", "1000", if address.contains(':') { "1452" } else { "1472" }] {
            let (code, said) = ping(&lab, "client", &["-s", size, address]);
            assert!(code == 0 && said.contains(" 0% packet loss"), "{size} bytes to {address}: {said}");
        }
    }
}

#[test]
fn a_hop_limit_of_one_ends_at_the_chosen_node_with_time_exceeded() {
    let lab = Lab::up("ttl").start();
    assert_told(&lab, "client", &["-t", "1", "10.2.0.100"], &["10.1.0.13"], "time to live exceeded");
    assert_told(&lab, "client", &["-t", "1", "fd00:2::100"], &["fd00:1::13"], "time exceeded: hop limit");
    assert_told(&lab, "server", &["-t", "1", "10.1.0.100"], &["10.2.0.13"], "time to live exceeded");
    assert_told(&lab, "server", &["-t", "1", "fd00:1::100"], &["fd00:2::13"], "time exceeded: hop limit");
    assert_eq!(lab.json("c", &["drops"])["ttl-exceeded"], 8);
    // One hop is all there is: the cluster counts as one router.
    for address in ["10.2.0.100", "fd00:2::100"] {
        let (code, said) = ping(&lab, "client", &["-t", "2", address]);
        assert_eq!(code, 0, "{said}");
    }
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
fn no_route_gives_net_unreachable() {
    let lab = Lab::up("noroute").start();
    assert_told(&lab, "client", &["203.0.113.9"], &["10.1.0.13"], "destination net unreachable");
    assert_told(&lab, "client", &["2001:db8:9::9"], &["fd00:1::13"], "destination unreachable: no route");
    assert_eq!(lab.json("c", &["drops"])["no-route"], 4);
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
fn a_silent_neighbour_gives_host_unreachable() {
    let lab = Lab::up("silent").start();
    assert_told(&lab, "client", &["10.2.0.77"], &["10.1.0.13"], "destination host unreachable");
    assert_told(&lab, "client", &["fd00:2::77"], &["fd00:1::13"], "destination unreachable: address unreachable");
    assert_eq!(lab.json("c", &["drops"])["neighbour-silent"], 4);
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

/// Sends datagrams at once, each with its number, and prints the error that comes back. Arguments: address, port, count.
const DATAGRAMS: &str = r#"
import errno, socket, sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.connect((address, port))
    client.settimeout(30)
    for number in range(count):
        client.send(b"%d" % number)
    try:
        print(client.recv(10).decode())
    except OSError as error:
        print(errno.errorcode.get(error.errno, "silent"))
"#;

/// Receives as many datagrams as its first argument says, prints them, then answers the last.
const RECEIVER: &str = r#"
import socket, sys

with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
    server.bind(("::", 9000))
    print("ready", flush=True)
    for _ in range(int(sys.argv[1])):
        data, peer = server.recvfrom(100)
        print(data.decode(), flush=True)
    server.sendto(b"enough", peer)
"#;

fn datagrams(lab: &Lab, address: &str, port: &str, count: &str) -> String {
    lab.exec("client", &["python3", "-c", DATAGRAMS, address, port, count]).ok().trim().to_owned()
}

#[test]
fn port_unreachable_of_a_far_host_comes_back_through_the_cluster() {
    let lab = Lab::up("port").start();
    for address in ["10.2.0.100", "fd00:2::100"] {
        let mut capture = lab.capture("first");
        assert_eq!(datagrams(&lab, address, "9", "1"), "ECONNREFUSED", "{address}");
        let sender: IpAddr = address.parse().unwrap();
        let frames = capture.frames();
        let errors: Vec<_> = frames.iter().filter(|f| is_port_unreachable(f, sender)).collect();
        assert_eq!(errors.len(), 1, "{frames:?}");
        assert_eq!(source(errors[0]), mac(&lab, "c", "first"), "the chosen node forwards it");
    }
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

fn is_port_unreachable(frame: &CapturedFrame, from: IpAddr) -> bool {
    let Ok(packet) = SlicedPacket::from_ethernet(&frame.bytes) else { return false };
    let source = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => IpAddr::from(ip.header().source_addr()),
        Some(NetSlice::Ipv6(ip)) => IpAddr::from(ip.header().source_addr()),
        Some(NetSlice::Arp(_)) | None => return false,
    };
    let kind = match &packet.transport {
        Some(TransportSlice::Icmpv4(icmp)) => (icmp.type_u8(), icmp.code_u8()) == (3, 3),
        Some(TransportSlice::Icmpv6(icmp)) => (icmp.type_u8(), icmp.code_u8()) == (1, 4),
        Some(TransportSlice::Udp(_) | TransportSlice::Tcp(_) | TransportSlice::Igmp(_)) | None => false,
    };
    source == from && kind
}

const GATEWAY: &str = r#"
[[routes]]
to = "192.0.2.0/24"
via = "10.2.0.254"

[[routes]]
to = "2001:db8::/64"
via = "fd00:2::254"

[lab.hosts.gateway]
network = "second"
addresses = ["10.2.0.254/24", "192.0.2.7/24", "fd00:2::254/64", "2001:db8::7/64"]
"#;

#[test]
fn a_static_route_leads_through_its_gateway() {
    let lab = Lab::up("gateway").configuration(GATEWAY).start();
    let mut capture = lab.capture("second");
    let gateway = mac_of_host(&lab, "gateway");
    for (address, via) in [("192.0.2.7", "10.2.0.254"), ("2001:db8::7", "fd00:2::254")] {
        assert_answered(&lab, "client", address);
        let neighbours = lab.json("c", &["neighbours"]);
        let known = neighbours.as_array().unwrap().iter();
        let known: Vec<_> = known.filter(|n| n["mac"] == gateway.as_str()).map(|n| n["address"].clone()).collect();
        assert!(known.contains(&via.into()) && !known.contains(&address.into()), "{neighbours}");
    }
    let (frames, chosen) = (capture.frames(), mac(&lab, "c", "second"));
    let requests: Vec<_> = frames.iter().filter(|f| destination(f) == gateway && is_echo(f)).collect();
    assert_eq!(requests.len(), 4, "two of each IP version: {requests:?}");
    assert!(requests.iter().all(|frame| source(frame) == chosen), "{requests:?}");
}

fn is_echo(frame: &CapturedFrame) -> bool {
    match SlicedPacket::from_ethernet(&frame.bytes).ok().and_then(|packet| packet.transport) {
        Some(TransportSlice::Icmpv4(icmp)) => matches!(icmp.type_u8(), 0 | 8),
        Some(TransportSlice::Icmpv6(icmp)) => matches!(icmp.type_u8(), 128 | 129),
        Some(TransportSlice::Udp(_) | TransportSlice::Tcp(_) | TransportSlice::Igmp(_)) | None => false,
    }
}

#[test]
fn no_packet_to_a_cold_neighbour_is_lost() {
    for address in ["10.2.0.100", "fd00:2::100"] {
        let lab = Lab::up("cold").start();
        let receiver = lab.spawn("server", &["python3", "-c", RECEIVER, "100"]);
        eventually(LIMIT, "the receiver listens", || receiver.stdout().contains("ready").then_some(()));
        // The client's kernel keeps what it sends to a cold gateway, and may send the next datagrams before those.
        assert_answered(&lab, "client", if address.contains(':') { "fd00:1::1" } else { "10.1.0.1" });
        let neighbours = lab.json("c", &["neighbours"]);
        let known = neighbours.as_array().unwrap().iter().any(|n| n["address"] == address);
        assert!(!known, "the server's address is cold at first: {neighbours}");
        // They wait for the stream's announcement first, and then for the neighbour.
        assert_eq!(datagrams(&lab, address, "9000", "100"), "enough");
        let numbers: String = (0..100).map(|number| format!("{number}\n")).collect();
        let said = receiver.wait(LIMIT).stdout;
        println!("{address}: {} of a burst of 100 datagrams lost", 101_usize.saturating_sub(said.lines().count()));
        assert_eq!(said, format!("ready\n{numbers}"), "all of them, in order");
        lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
    }
}

/// Asks for COUNT addresses of the second network, 2,000 a second.
const SCAN: &str = r#"
import random, socket, sys, time

chance = random.Random(1)
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
begun = time.monotonic()
for number in range(int(sys.argv[1])):
    out.sendto(b"who?", ("fd00:2::%x:%x" % (1 + chance.randrange(65535), chance.randrange(65536)), 9))
    if number == 2000:
        print("under way", flush=True)
    time.sleep(max(0, begun + number / 2000 - time.monotonic()))
"#;

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_scan_of_a_network_shuts_nobody_out() {
    let lab = Lab::up("scan").guest().start();
    let new = |number: u32| format!("fd00:2::a{number}");
    for number in 0..8 {
        let address = format!("{}/64", new(number));
        let said = lab.exec("server", &["ip", "-6", "address", "add", &address, "dev", "eth0", "nodad"]).ok();
        assert_eq!(said, "");
    }
    let scan = lab.spawn("guest", &["python3", "-c", SCAN, "12000"]);
    eventually(LIMIT, "the scan is under way", || scan.stdout().contains("under way").then_some(()));
    for number in 0..8 {
        assert_answered(&lab, "client", &new(number));
    }
    let drops = lab.json("c", &["drops"]);
    assert!(drops["neighbours-full"].as_u64().is_some_and(|dropped| dropped > 100), "{drops}");
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
fn hosts_know_the_gateways_by_the_virtual_macs() {
    let lab = Lab::up("macs").start();
    for (host, other, macs) in [("client", 2, &VIRTUAL_MACS[..2]), ("server", 1, &VIRTUAL_MACS[2..])] {
        let network = 3 - other;
        for (far, gateway, mac) in [
            (format!("10.{other}.0.100"), format!("10.{network}.0.1"), macs[0]),
            (format!("fd00:{other}::100"), format!("fd00:{network}::1"), macs[1]),
        ] {
            assert_answered(&lab, host, &far);
            let known = lab.exec(host, &["ip", "neigh", "show", &gateway, "dev", "eth0"]).ok();
            assert!(known.contains(&format!("lladdr {mac} ")), "{host} knows {gateway}: {known}");
        }
    }
}

/// The bytes of a MAC in an Ethernet header: 0 is the destination's, 1 the source's.
fn mac_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn destination(frame: &CapturedFrame) -> String {
    mac_text(&frame.bytes[..6])
}

fn source(frame: &CapturedFrame) -> String {
    mac_text(&frame.bytes[6..12])
}

/// A host's own MAC: NAME STATE MAC FLAGS. (/sys shows the devices of another namespace.)
fn mac_of_host(lab: &Lab, host: &str) -> String {
    let said = lab.exec(host, &["ip", "-brief", "link", "show", "eth0"]).ok();
    said.split_whitespace().nth(2).unwrap().to_owned()
}

/// A node's own MAC.
fn mac(lab: &Lab, node: &str, interface: &str) -> String {
    lab.json(node, &["status"])["interfaces"][interface]["mac"].as_str().unwrap().to_owned()
}

/// For an announcement of one's own: the MAC it announces (gratuitous ARP, RFC 5227, section 3; unsolicited neighbour
/// advertisement, RFC 4861, section 7.2.6).
fn announces(frame: &CapturedFrame, address: &str) -> Option<String> {
    let bytes = &frame.bytes;
    match address.parse().unwrap() {
        IpAddr::V4(address) => {
            let (is_arp, address) = (bytes[12..14] == [8, 6] && bytes.len() >= 42, address.octets());
            (is_arp && bytes[28..32] == address && bytes[38..42] == address).then(|| mac_text(&bytes[22..28]))
        }
        IpAddr::V6(address) => {
            // Ethernet 14, IPv6 40, advertisement 24 with the target at 8, option "target link-layer address" (2, 1).
            let is_advertisement =
                bytes.len() >= 86 && bytes[12..14] == [0x86, 0xdd] && bytes[20] == 58 && bytes[54] == 136;
            let to_all = is_advertisement && bytes[0..2] == [0x33, 0x33];
            let target = to_all && bytes[62..78] == address.octets() && bytes[78..80] == [2, 1];
            target.then(|| mac_text(&bytes[80..86]))
        }
    }
}

#[test]
fn a_new_holder_announces_the_virtual_macs_and_a_starting_node_its_own() {
    let lab = Lab::up("announce").start();
    let mac_of_a = mac(&lab, "a", "first");
    let mut capture = lab.capture("first");
    lab.kill("a", "KILL");
    for (address, virtual_mac) in [("10.1.0.1", VIRTUAL_MACS[0]), ("fd00:1::1", VIRTUAL_MACS[1])] {
        eventually(LIMIT, "the new holder announces the virtual MAC more than once", || {
            let frames = capture.frames();
            let macs: Vec<_> = frames.iter().filter_map(|frame| announces(frame, address)).collect();
            assert!(macs.iter().all(|mac| mac == virtual_mac), "{macs:?}");
            (macs.len() >= 3).then_some(())
        });
    }
    let announced_before = capture.frames().len();
    lab.start("a");
    for address in ["10.1.0.11", "fd00:1::11"] {
        eventually(LIMIT, "the starting node announces its own MAC", || {
            let frames = capture.frames();
            let macs: Vec<_> = frames[announced_before..].iter().filter_map(|f| announces(f, address)).collect();
            assert!(macs.iter().all(|mac| *mac == mac_of_a), "{macs:?}");
            (!macs.is_empty()).then_some(())
        });
    }
    // Whoever sends from a virtual MAC makes the switch learn it at that port.
    let from_virtual = capture.frames().iter().filter(|frame| VIRTUAL_MACS.contains(&source(frame).as_str())).count();
    assert!(from_virtual >= 6);
}

/// Checks the checksums of a whole frame; `None` if it has none, or is cut.
fn checksums_are_right(frame: &CapturedFrame) -> Option<bool> {
    if frame.len > frame.bytes.len() {
        return None;
    }
    let packet = SlicedPacket::from_ethernet(&frame.bytes).ok()?;
    let (ip_is_right, pseudo) = match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => (header_is_right(ip.header()), None),
        NetSlice::Ipv6(ip) => (true, Some((ip.header().source(), ip.header().destination()))),
        NetSlice::Arp(_) => return None,
    };
    let message_is_right = match packet.transport? {
        TransportSlice::Icmpv4(icmp) => sum([icmp.slice()]) == 0xffff,
        TransportSlice::Icmpv6(icmp) => {
            let (source, destination) = pseudo?;
            icmp.is_checksum_valid(source, destination)
        }
        TransportSlice::Udp(_) | TransportSlice::Tcp(_) | TransportSlice::Igmp(_) => return None,
    };
    Some(ip_is_right && message_is_right)
}

fn header_is_right(header: Ipv4HeaderSlice<'_>) -> bool {
    sum([header.slice()]) == 0xffff
}

/// The Internet checksum's sum in one's complement (RFC 1071): 0xffff over bytes that contain their right checksum.
fn sum<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let words = parts.into_iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16)
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn what_a_node_builds_has_whole_checksums() {
    let lab = Lab::up("sums").start();
    let (mut first, mut second) = (lab.capture("first"), lab.capture("second"));
    // Odd sizes end in half a word.
    for size in ["0", "1", "13", "1001"] {
        for address in ["10.1.0.1", "fd00:1::1", "10.1.0.13", "fd00:1::13"] {
            let (code, said) = ping(&lab, "client", &["-s", size, address]);
            assert_eq!(code, 0, "{said}");
        }
        for address in ["10.2.0.100", "fd00:2::100", "203.0.113.9", "2001:db8:9::9"] {
            let (_, said) = ping(&lab, "client", &["-s", size, "-t", "1", address]);
            assert!(said.contains("exceeded") || said.contains("nreachable"), "{said}");
        }
    }
    let macs: Vec<String> =
        ["a", "b", "c"].iter().flat_map(|node| ["first", "second"].map(|i| mac(&lab, node, i))).collect();
    let frames = [first.frames(), second.frames()].concat();
    let built = frames.iter().filter(|f| macs.contains(&source(f)) || VIRTUAL_MACS.contains(&source(f).as_str()));
    let mut checked = 0;
    for frame in built {
        if let Some(right) = checksums_are_right(frame) {
            assert!(right, "a wrong checksum: {frame:?}");
            checked += 1;
        }
    }
    // Echo replies and errors, two for each ping, and the advertisements of neighbour discovery.
    assert!(checked > 4 * 8 * 2, "only {checked} checksums were seen");
    for host in ["client", "server"] {
        let snmp = lab.exec(host, &["cat", "/proc/net/snmp6"]).ok();
        assert!(snmp.lines().any(|l| l.split_whitespace().eq(["Icmp6InCsumErrors", "0"])), "{host}: {snmp}");
    }
}

#[test]
fn frames_that_a_node_is_too_slow_for_are_counted_and_told() {
    const FRAMES: u64 = 8_000;
    let lab = Lab::up("queue").nodes(1).start();
    assert_answered(&lab, "client", "10.1.0.11");
    lab.kill("a", "STOP");
    let flood = env!("CARGO_BIN_EXE_flood");
    let _sent = lab.exec("client", &[flood, "10.1.0.11", &FRAMES.to_string(), "20000"]).ok();
    lab.kill("a", "CONT");
    let status = eventually(LIMIT, "the lost frames are counted", || {
        let status = lab.json("a", &["status"]);
        (status["interfaces"]["first"]["queue_lost"].as_u64().unwrap() > 0).then_some(status)
    });
    let (lost, read) = (&status["interfaces"]["first"]["queue_lost"], lab.books("a").count("arrived_first"));
    // The queue holds 4,096; some frames are not the flood's.
    assert!(lost.as_u64().unwrap().abs_diff(FRAMES - 4_096) < 50 && read >= 4_096, "{lost} lost, {read} read");
    assert_eq!(&lab.json("a", &["drops"])["tap-queue-full"], lost);
    assert_eq!(status["interfaces"]["second"]["queue_lost"], 0);
    lab.assert_books_balance(LIMIT, &["a"]);
    let log = std::fs::read_to_string(lab.status()["nodes"][0]["log"].as_str().unwrap()).unwrap();
    assert_eq!(log.matches("frames of the first interface are lost").count(), 1, "{log}");
}
