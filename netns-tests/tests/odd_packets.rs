//! What is odd but legal crosses the cluster as it crosses any router, unless `strict` drops it by its reason; and ICMP errors
//! find the stream of what they quote, whatever its headers.

#![expect(clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netns_tests::{Capture, Lab, Scapy, eventually, mute};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What stands between IP and payload, in scapy's words, and the reason why a strict node drops it.
type Case = (&'static str, Option<&'static str>);

const PAD: &str = "PadN(optdata=b'0000')";

/// Both families have these.
const ANY: [Case; 12] = [
    ("UDP(sport=5000, dport=6000)/b'plain'", None),
    ("UDP(sport=5001, dport=6000, len=0, chksum=0)/b'x'", Some("odd-udp-length")),
    ("UDP(sport=5002, dport=6000, len=100, chksum=0)/b'x'", Some("odd-udp-length")),
    ("TCP(sport=5004, dport=6000, flags='S')", None),
    ("TCP(sport=5005, dport=6000, flags=0)", Some("odd-tcp-flags")),
    ("TCP(sport=5006, dport=6000, flags='SF')", Some("odd-tcp-flags")),
    ("TCP(sport=5007, dport=6000, flags='FPU')", Some("odd-tcp-flags")),
    ("TCP(sport=5008, dport=6000, flags='S', dataofs=4)", Some("odd-transport")),
    ("TCP(sport=5009, dport=6000, flags='R', dataofs=15)", Some("odd-transport")),
    ("SCTP(sport=5000, dport=6000)", None),
    ("GRE()/b'anything'", None),
    ("AH(nh=17, spi=1, seq=1, icv=b'123456789012', payloadlen=4)/UDP(sport=1, dport=2)", None),
];

/// With the protocol number in the IP header.
const RAW: [(u8, &str, Option<&str>); 5] = [
    (17, "Raw(b'1234')", Some("odd-transport")),
    (6, "Raw(b'')", Some("odd-transport")),
    (50, "Raw(b'E' * 40)", None),
    (253, "Raw(b'experiment')", Some("odd-protocol")),
    (89, "Raw(b'O' * 44)", None),
];

const V6: [Case; 9] = [
    ("IPv6ExtHdrHopByHop(options=[PAD])/UDP(sport=5100, dport=6000)", None),
    ("IPv6ExtHdrDestOpt(options=[PAD])/UDP(sport=5101, dport=6000)", None),
    ("IPv6ExtHdrRouting(type=4, segleft=0)/UDP(sport=5102, dport=6000)", None),
    ("IPv6ExtHdrRouting(type=253, segleft=1, addresses=['fd00:2::100'])/UDP(sport=5103)", Some("odd-header")),
    ("IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1e, optdata=b'abcd')])/UDP(sport=5104)", None),
    ("IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9e, optdata=b'abcd')])/UDP(sport=5105)", Some("odd-header")),
    ("IPv6ExtHdrDestOpt(options=[PAD])/IPv6ExtHdrHopByHop(options=[PAD])/UDP(sport=5106)", Some("odd-header")),
    ("UDP(sport=5107, dport=6000, chksum=0)/b'tunnel'", Some("odd-udp-checksum")),
    ("ICMPv6NIQueryIPv6(data='fd00:2::100')", None),
];

const V4: [Case; 5] = [
    ("UDP(sport=5201, dport=6000, len=9, chksum=0)/b'with a trailer'", None),
    ("ICMP(type=13, id=9)", None),
    ("ICMP(type=17, id=9)", None),
    ("ICMP(type=42, id=9)", None),
    ("UDP(sport=5200, dport=6000, chksum=0)/b'none'", None),
];

/// Each packet of one family with a number of its own, which it carries, and its reason.
fn packets(family: u8) -> BTreeMap<u16, (String, Option<&'static str>)> {
    let ip = |number: u16, protocol: Option<u8>| match (family, protocol) {
        (4, None) => format!("IP(src='10.1.0.100', dst='10.2.0.100', id={number})"),
        (4, Some(protocol)) => format!("IP(src='10.1.0.100', dst='10.2.0.100', id={number}, proto={protocol})"),
        (_, None) => format!("IPv6(src='fd00:1::100', dst='fd00:2::100', fl={number})"),
        (_, Some(protocol)) => format!("IPv6(src='fd00:1::100', dst='fd00:2::100', fl={number}, nh={protocol})"),
    };
    let own: &[Case] = if family == 4 { &V4 } else { &V6 };
    let plain = ANY.iter().chain(own).map(|(text, reason)| (None, *text, *reason));
    let raw = RAW.iter().map(|(protocol, text, reason)| (Some(*protocol), *text, *reason));
    (1..)
        .zip(plain.chain(raw))
        .map(|(number, (protocol, text, reason))| {
            (number, (format!("{}/{}", ip(number, protocol), text.replace("PAD", PAD)), reason))
        })
        .collect()
}

/// The numbers of the packets that came from an address.
fn arrived(capture: &mut Capture, from_server: bool) -> BTreeSet<u16> {
    let last = if from_server { 2 } else { 1 };
    let number = |bytes: &[u8]| match bytes.get(12..14)? {
        [8, 0] if bytes[26..29] == [10, last, 0] => Some(u16::from_be_bytes([bytes[18], bytes[19]])),
        [0x86, 0xdd] if bytes[22..26] == [0xfd, 0, 0, last] => Some(u16::from_be_bytes([bytes[16], bytes[17]])),
        _ => None,
    };
    capture.frames().iter().filter_map(|frame| number(&frame.bytes)).collect()
}

#[track_caller]
fn assert_arrive(capture: &mut Capture, from_server: bool, numbers: &BTreeSet<u16>) {
    let mut seen = BTreeSet::new();
    eventually(LIMIT, &format!("{numbers:?} arrive"), || {
        seen = arrived(capture, from_server);
        numbers.is_subset(&seen).then_some(())
    });
    assert_eq!(seen, *numbers);
}

#[test]
fn what_is_odd_passes_unless_a_node_is_strict() {
    for strict in [false, true] {
        let lab = Lab::up("odd").static_roles().set("strict", strict).start();
        mute(&lab, "client");
        mute(&lab, "server");
        let mut scapy = Scapy::start(&lab, "client");
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for family in [4, 6] {
            let packets = packets(family);
            let mut seen = lab.capture_at("server", "eth0");
            let texts: Vec<String> = packets.values().map(|(text, _)| text.clone()).collect();
            scapy.send(&texts);
            let passes = |(_, (_, reason)): &(&u16, &(String, Option<&str>))| !strict || reason.is_none();
            assert_arrive(&mut seen, false, &packets.iter().filter(passes).map(|(number, _)| *number).collect());
            for reason in packets.values().filter_map(|(_, reason)| *reason).filter(|_| strict) {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let drops = lab.json("c", &["drops"]);
        for (reason, count) in reasons {
            assert_eq!(drops[reason], count, "{reason}: {drops}");
        }
        lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
    }
}

/// An error about a packet, as its destination sends it: the same addresses the other way round, and the same number.
fn error(packet: &str, family: u8, number: u16) -> String {
    if family == 4 {
        format!(
            "(lambda p: IP(src=p.dst, dst=p.src, id={number})/ICMP(type=3, code=4, nexthopmtu=1300)/Raw(bytes(p)))({packet})"
        )
    } else {
        format!(
            "(lambda p: IPv6(src=p.dst, dst=p.src, fl={number})/ICMPv6PacketTooBig(mtu=1280)/Raw(bytes(p)))({packet})"
        )
    }
}

#[test]
fn errors_find_the_stream_of_what_they_quote() {
    let lab = Lab::up("quotes").static_roles().start();
    mute(&lab, "client");
    mute(&lab, "server");
    let [mut client, mut server] = ["client", "server"].map(|host| Scapy::start(&lab, host));
    for family in [4, 6] {
        // What is quoted of four bytes looks as if it were cut off behind the ports.
        let quotable = packets(family).into_iter().filter(|(_, (text, _))| !text.contains("b'1234'"));
        let mut packets: BTreeMap<u16, String> = quotable.map(|(number, (text, _))| (number, text)).collect();
        if family == 6 {
            let atomic =
                "IPv6(src='fd00:1::100', dst='fd00:2::100', fl=99)/IPv6ExtHdrFragment(id=9)/UDP(sport=5300)/b'x'";
            packets.insert(99, atomic.to_owned());
        }
        // The other way the errors come to the other redirector.
        for (from, to) in [("client", "server"), ("server", "client")] {
            let turned = |text: &String| match from {
                "client" => text.clone(),
                _ => text.replace("src=", "dest=").replace("dst=", "src=").replace("dest=", "dst="),
            };
            let texts: BTreeMap<u16, String> = packets.iter().map(|(number, text)| (*number, turned(text))).collect();
            let numbers: BTreeSet<u16> = texts.keys().copied().collect();
            let mut there = lab.capture_at(to, "eth0");
            let (sender, receiver) =
                if from == "client" { (&mut client, &mut server) } else { (&mut server, &mut client) };
            sender.send(&texts.values().cloned().collect::<Vec<_>>());
            assert_arrive(&mut there, from == "server", &numbers);
            let mut back = lab.capture_at(from, "eth0");
            let errors = texts.iter().map(|(number, text)| error(text, family, *number)).collect::<Vec<_>>();
            receiver.send(&errors);
            assert_arrive(&mut back, to == "server", &numbers);
        }
    }
    let unknown: u64 =
        ["a", "b", "c"].iter().map(|n| lab.json(n, &["drops"])["unknown-quote"].as_u64().unwrap_or(0)).sum();
    assert_eq!(unknown, 0);
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}
