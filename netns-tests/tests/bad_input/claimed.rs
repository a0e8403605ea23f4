//! A hostile host on a network claims the cluster's addresses.

use std::net::Ipv6Addr;

use netns_tests::{CapturedFrame, Lab, eventually};
use serde_json::Value;

use crate::{LIMIT, NODES};

/// A hostile host beside the client.
const CONFIGURATION: &str = r#"
[lab.hosts.guest]
network = "first"
addresses = ["10.1.0.50/24", "fd00:1::50/64"]
"#;

/// Says as often as its argument, in five ways, that 10.1.0.1 and fd00:1::1 have its own MAC: ARP answers, announcements and requests,
/// unsolicited advertisements and solicitations.
const THIEF: &str = r#"
import sys
from scapy.all import ARP, Ether, IPv6, get_if_hwaddr, sendp
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr

own, v4, v6 = get_if_hwaddr("eth0"), "10.1.0.1", "fd00:1::1"
everyone, all_nodes = Ether(src=own, dst="ff:ff:ff:ff:ff:ff"), Ether(src=own, dst="33:33:00:00:00:01")
said = IPv6(src=v6, dst="ff02::1", hlim=255)
frames = [
    everyone / ARP(op=2, hwsrc=own, psrc=v4, hwdst="ff:ff:ff:ff:ff:ff", pdst=v4),
    everyone / ARP(op=1, hwsrc=own, psrc=v4, pdst=v4),
    everyone / ARP(op=1, hwsrc=own, psrc=v4, pdst="10.1.0.11"),
    all_nodes / said / ICMPv6ND_NA(tgt=v6, R=1, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=own),
    all_nodes / said / ICMPv6ND_NS(tgt="fd00:1::11") / ICMPv6NDOptSrcLLAddr(lladdr=own),
]
# Over some seconds: a kernel believes no second answer within one (arp(7), locktime).
sendp(frames * int(sys.argv[1]), iface="eth0", inter=0.04, verbose=False)
print(own)
"#;

/// How often each way is taken.
const TIMES: u64 = 20;

/// Growth of a node's peak memory in KiB: what nobody believes is not kept.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// The ways of [`THIEF`].
const WAYS: u64 = 5;

const VIRTUAL_MAC_V4: [u8; 6] = [0, 0, 0x5e, 0, 1, 1];

const VIRTUAL_MAC_V6: [u8; 6] = [0, 0, 0x5e, 0, 2, 1];

/// True for an ARP message by which 10.1.0.1 has this MAC.
fn is_arp_of(frame: &CapturedFrame, mac: [u8; 6]) -> bool {
    let field = |at: usize, len: usize| frame.bytes.get(at..at + len).unwrap_or_default();
    field(12, 2) == [0x08, 0x06] && field(22, 6) == mac && field(28, 4) == [10, 1, 0, 1]
}

/// True for an advertisement that this virtual address has its virtual MAC.
fn is_advertisement_of(frame: &CapturedFrame, target: Ipv6Addr) -> bool {
    let field = |at: usize, len: usize| frame.bytes.get(at..at + len).unwrap_or_default();
    let icmp = field(12, 2) == [0x86, 0xdd] && field(20, 1) == [58] && field(54, 1) == [136];
    icmp && field(62, 16) == target.octets() && field(80, 6) == VIRTUAL_MAC_V6
}

/// The holder announces all virtual addresses together, now and then; a single one it defends. How often each of the two
/// that are claimed was defended: how often more than the one that nobody claims it was announced.
fn defences(frames: &[CapturedFrame]) -> [usize; 2] {
    let count = |is: &dyn Fn(&CapturedFrame) -> bool| frames.iter().filter(|frame| is(frame)).count();
    let advertised = |target: &str| count(&|frame| is_advertisement_of(frame, target.parse().unwrap()));
    let together = advertised("fe80::200:5eff:fe00:201");
    [count(&|frame| is_arp_of(frame, VIRTUAL_MAC_V4)), advertised("fd00:1::1")].map(|all| all.saturating_sub(together))
}

/// Nobody believes the thief: no node has a neighbour at the virtual addresses, or one of its MAC at another's address.
#[track_caller]
fn assert_nobody_believes(lab: &Lab, thief: &str) {
    for node in NODES {
        let neighbours = lab.json(node, &["neighbours"]);
        for row in neighbours.as_array().unwrap() {
            let (address, mac) = (row["address"].as_str().unwrap(), &row["mac"]);
            assert!(!["10.1.0.1", "fd00:1::1"].contains(&address), "{node}: {neighbours}");
            assert!(mac != thief || ["10.1.0.50", "fd00:1::50"].contains(&address), "{node}: {neighbours}");
        }
    }
}

fn conflicts(lab: &Lab, node: &str) -> u64 {
    lab.json(node, &["drops"])["address-conflict"].as_u64().unwrap_or(0)
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_host_that_claims_the_virtual_addresses_is_counted_contradicted_and_believed_by_no_node() {
    let lab = Lab::up("thief").configuration(CONFIGURATION).start();
    let (roles, memory_before): (Value, _) = (lab.await_mesh(LIMIT, &NODES), lab.memory("VmHWM:"));
    let ping = |address| lab.exec("client", &["ping", "-n", "-c", "1", "-W", "2", address]).code == 0;
    for address in ["10.2.0.100", "fd00:2::100"] {
        eventually(LIMIT, "the cluster forwards", || ping(address).then_some(()));
    }
    assert_eq!(NODES.map(|node| conflicts(&lab, node)), [0; 3]);

    let mut capture = lab.capture("first");
    let thief = lab.exec("guest", &["/usr/bin/python3", "-c", THIEF, &TIMES.to_string()]).ok();
    let thief = thief.trim();
    let neighbours = lab.exec("client", &["cat", "/proc/net/arp"]).ok();
    let gateway = neighbours.lines().find(|line| line.starts_with("10.1.0.1 ")).unwrap_or_default();
    assert!(gateway.contains(thief), "the client is not deceived, so this shows nothing: {neighbours}");
    for node in NODES {
        eventually(LIMIT, "each claim is counted", || (conflicts(&lab, node) >= WAYS * TIMES).then_some(()));
        assert_eq!(conflicts(&lab, node), WAYS * TIMES, "{node}");
        assert_eq!(lab.json(node, &["roles"]), roles);
    }
    assert_nobody_believes(&lab, thief);

    // By now all claims are dealt with; the first of each was answered at once, the others are when ten seconds are over.
    let defended = defences(&capture.frames());
    assert!(defended.iter().all(|count| *count > 0), "{defended:?}");

    // The client finds its gateway again.
    for address in ["10.2.0.100", "fd00:2::100"] {
        eventually(LIMIT, "the client reaches the server again", || ping(address).then_some(()));
    }
    eventually(LIMIT, "each is defended again", || {
        defences(&capture.frames()).iter().all(|count| *count > 1).then_some(())
    });
    assert_eq!(lab.await_mesh(LIMIT, &NODES), roles);
    assert_nobody_believes(&lab, thief);
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
    lab.assert_books_balance(LIMIT, &NODES);
}
