//! The adverts of VRRP before other programs: keepalived obeys them and its own change nothing, tshark finds nothing
//! wrong with them, and what scapy forges is counted by its reason. And what they are for: a holder that dies, stops or
//! is asked to end is succeeded, and acts no more.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::time::Duration;

use netns_tests::{CapturedFrame, Lab, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["a", "b", "c"];

/// Adverts that make a sample: two seconds of both families.
const SAMPLE: u64 = 40;

/// Growth of a node's peak memory in KiB: what is refused is not kept.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// A stranger on the first network.
const CONFIGURATION: &str = r#"
[lab.hosts.guest]
network = "first"
addresses = ["10.1.0.50/24", "fd00:1::50/64"]
"#;

fn lab(hint: &str) -> Lab {
    let lab = Lab::up(hint).configuration(CONFIGURATION).start();
    assert_eq!(holders(&lab, "c"), ["a", "b"]);
    lab
}

fn holders(lab: &Lab, node: &str) -> [String; 2] {
    let roles = lab.json(node, &["roles"]);
    ["first", "second"].map(|role| roles[role]["holder"].as_str().unwrap_or_default().to_owned())
}

fn drops(lab: &Lab, node: &str, reason: &str) -> u64 {
    lab.json(node, &["drops"])[reason].as_u64().unwrap_or(0)
}

/// keepalived with this priority for the cluster's addresses, both families.
fn keepalived_configuration(priority: u8) -> String {
    let instance = |name: &str, addresses: &str| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n state BACKUP\n virtual_router_id 1\n priority {priority}\n \
             advert_int 0.1\n {addresses}\n}}\n"
        )
    };
    let v4 = instance("v4", "virtual_ipaddress {\n 10.1.0.1/24\n }");
    let v6 = instance("v6", "native_ipv6\n virtual_ipaddress {\n fe80::200:5eff:fe00:201/64\n fd00:1::1/64\n }");
    format!("global_defs {{\n vrrp_version 3\n script_user root\n}}\n{v4}{v6}")
}

/// Runs keepalived on the guest until `is_enough` has looked at its statistics; returns these and its log.
fn run_keepalived(lab: &Lab, priority: u8, is_enough: impl Fn(&str) -> bool) -> (String, String) {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    fs::write(file("conf"), keepalived_configuration(priority)).unwrap();
    let temporary = format!("TMPDIR={}", folder.path().display());
    let (conf, pid, vrrp_pid, checkers_pid) = (file("conf"), file("pid"), file("vrrp"), file("checkers"));
    let keepalived = ["keepalived", "-n", "-l", "-D", "-f", &conf, "-p", &pid, "-r", &vrrp_pid, "-c", &checkers_pid];
    let mut running = lab.spawn("guest", &[&["env", temporary.as_str()], &keepalived[..]].concat());
    let statistics = eventually(LIMIT, "keepalived has seen enough", || {
        assert_eq!(running.ended(), None, "{}{}", running.stdout(), running.stderr());
        let said = running.stdout() + &running.stderr();
        if !said.contains("(v6) Entering BACKUP STATE") {
            return None;
        }
        lab.exec("guest", &["sh", "-c", &format!("kill -USR2 $(cat {vrrp_pid})")]);
        let written = ["keepalived.stats", "keepalived_vrrp.stats"].map(file);
        let statistics = written.iter().find_map(|path| fs::read_to_string(path).ok())?;
        is_enough(&statistics).then_some(statistics)
    });
    let log = running.stdout() + &running.stderr();
    (statistics, log)
}

/// A number of both instances in keepalived's statistics.
fn numbers(statistics: &str, section: &str, name: &str) -> Vec<u64> {
    let mut found = Vec::new();
    let mut within = "";
    for line in statistics.lines() {
        let trimmed = line.trim();
        match trimmed.split_once(": ") {
            Some((key, number)) if within == section && key == name => found.extend(number.trim().parse::<u64>()),
            Some(_) => {}
            None => within = trimmed.trim_end_matches(':'),
        }
    }
    found
}

#[test]
fn keepalived_accepts_the_adverts_of_both_families_and_stays_backup() {
    let lab = lab("keepalived");
    let both_above = |statistics: &str| {
        let received = numbers(statistics, "Advertisements", "Received");
        received.len() == 2 && received.iter().all(|count| *count > SAMPLE)
    };
    let (statistics, log) = run_keepalived(&lab, 50, both_above);
    assert!(!log.contains("MASTER"), "{log}");
    assert_eq!(numbers(&statistics, "Advertisements", "Sent"), [0, 0], "{statistics}");
    for error in ["Length", "TTL", "Invalid Type", "Advertisement Interval", "Address List"] {
        assert_eq!(numbers(&statistics, "Packet Errors", error), [0, 0], "{error}: {statistics}");
    }
    for word in ["hecksum", "mismatch", "invalid"] {
        assert!(!log.contains(word), "{log}");
    }
    assert_eq!(drops(&lab, "c", "vrrp-stranger"), 0);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn adverts_of_keepalived_are_read_counted_and_change_nothing() {
    let lab = lab("usurper");
    let before = lab.json("c", &["roles"]);
    // Of higher priority it makes itself the active router, advertises, and claims the addresses by ARP and ND.
    let (_, log) = run_keepalived(&lab, 200, |statistics| {
        let sent = numbers(statistics, "Advertisements", "Sent");
        sent.len() == 2 && sent.iter().all(|count| *count > SAMPLE)
    });
    assert!(log.contains("(v4) Entering MASTER STATE") && log.contains("(v6) Entering MASTER STATE"), "{log}");
    for node in NODES {
        let drops = lab.json(node, &["drops"]);
        assert!(drops["vrrp-stranger"].as_u64().unwrap() > 2 * SAMPLE, "{node}: {drops}");
        assert!(drops["address-conflict"].as_u64().unwrap() > 0, "{node}: {drops}");
        let other = drops.as_object().unwrap().keys().filter(|reason| reason.starts_with("vrrp-")).count();
        assert_eq!(other, 1, "its adverts are right in everything else: {drops}");
        assert_eq!(lab.json(node, &["roles"]), before);
        assert_eq!(foreign_routers(&lab, node), ["first 10.1.0.50", "first fe80"], "{node} names it");
    }
}

/// Who advertises one of the cluster's virtual routers and is no member: the network and the beginning of the address.
fn foreign_routers(lab: &Lab, node: &str) -> Vec<String> {
    let status = lab.json(node, &["status"]);
    let name = |router: &Value| {
        let address = router["address"].as_str().unwrap();
        format!("{} {}", router["interface"].as_str().unwrap(), address.split("::").next().unwrap())
    };
    let mut named: Vec<_> = status["foreign_routers"].as_array().unwrap().iter().map(name).collect();
    named.sort_unstable();
    named
}

/// A router of somebody else with the cluster's VRID and addresses of its own, for two seconds.
const FOREIGNER: &str = r#"
from scapy.all import Ether, IP, sendp
from scapy.layers.vrrp import VRRPv3
ip = IP(src="10.1.0.50", dst="224.0.0.18", ttl=255, proto=112)
advert = Ether(src="00:00:5e:00:01:01", dst="01:00:5e:00:00:12") / ip / VRRPv3(vrid=1, priority=200, adv=10, addrlist=["10.1.0.250"])
sendp(advert, iface="eth0", count=20, inter=0.1, verbose=False)
"#;

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_foreign_router_is_named_once_and_forgotten_when_it_is_gone() {
    let lab = lab("foreigner");
    let before = lab.json("c", &["roles"]);
    assert_eq!(foreign_routers(&lab, "c"), [""; 0]);
    assert_eq!(lab.exec("guest", &["/usr/bin/python3", "-c", FOREIGNER]).code, 0);
    let logs: Vec<Value> = lab.status()["nodes"].as_array().unwrap().clone();
    for node in logs {
        let name = node["node"].as_str().unwrap();
        let status = lab.json(name, &["status"]);
        let router = &status["foreign_routers"][0];
        let said = [&router["address"], &router["mac"], &router["vrid"], &router["priority"]].map(Value::to_string);
        assert_eq!(said, ["\"10.1.0.50\"", "\"00:00:5e:00:01:01\"", "1", "200"], "{name}");
        let log = fs::read_to_string(node["log"].as_str().unwrap()).unwrap();
        let told = log.lines().filter(|line| line.contains("10.1.0.50 with MAC 00:00:5e:00:01:01")).count();
        assert_eq!(told, 1, "{name} says it once: {log}");
    }
    assert_eq!(lab.json("c", &["roles"]), before);
    eventually(LIMIT, "it is forgotten", || foreign_routers(&lab, "c").is_empty().then_some(()));
}

#[test]
fn tshark_finds_nothing_wrong_with_the_adverts() {
    let lab = lab("tshark");
    let mut fields = vec!["tshark", "-i", "bridge", "-f", "ip proto 112 or ip6 proto 112", "-c", "20", "-T", "fields"];
    for field in [
        "vrrp.version",
        "vrrp.virt_rtr_id",
        "vrrp.prio",
        "vrrp.checksum.status",
        "eth.src",
        "ip.src",
        "ip.ttl",
        "ipv6.hlim",
        "vrrp.ip_addr",
        "vrrp.ipv6_addr",
    ] {
        fields.extend(["-e", field]);
    }
    let said = lab.exec("net-first", &fields).ok();
    let mut kinds: Vec<&str> = said.lines().collect();
    kinds.sort_unstable();
    kinds.dedup();
    // Checksum status 1 is "good".
    let v4 = "3\t1\t102\t1\t00:00:5e:00:01:01\t10.1.0.11\t255\t\t10.1.0.1\t";
    let v6 = "3\t1\t102\t1\t00:00:5e:00:02:01\t\t\t255\t\tfe80::200:5eff:fe00:201,fd00:1::1";
    assert_eq!(kinds, [v4, v6], "{said}");
}

/// Forged adverts of both families, each with what is wrong with it.
const FORGER: &str = r#"
import sys
from scapy.all import Ether, IP, IPv6, Raw, sendp, conf
from scapy.layers.inet6 import in6_chksum
from scapy.layers.vrrp import VRRPv3

def advert(ttl=255, vrid=1, priority=255, source="10.1.0.50", mac="00:00:5e:00:01:01", addresses=["10.1.0.1"], **more):
    ip = IP(src=source, dst="224.0.0.18", ttl=ttl, proto=112)
    vrrp = VRRPv3(vrid=vrid, priority=priority, adv=10, addrlist=addresses, **more)
    return Ether(src=mac, dst="01:00:5e:00:00:12") / ip / vrrp

def advert_v6(hlim=255, vrid=1, last=1, damage=0):
    ip = IPv6(src="fe80::200:aff:fe01:32", dst="ff02::12", hlim=hlim, nh=112)
    body = bytes.fromhex("3101ff02000a0000fe8000000000000002005efffe000201fd0000010000000000000000000000")
    body = body[:1] + bytes([vrid]) + body[2:] + bytes([last])
    sum = in6_chksum(112, ip, body) ^ damage
    body = body[:6] + sum.to_bytes(2, "big") + body[8:]
    return Ether(src="00:00:5e:00:02:01", dst="33:33:00:00:00:12") / ip / Raw(body)

member = "10.1.0.12"
frames = [
    advert(ttl=254), advert_v6(hlim=254), advert(version=2), advert(type=2), advert(ipcount=3), advert(chksum=0x1234),
    advert(vrid=9), advert(addresses=["10.1.0.99"]), advert(), advert_v6(), advert(source=member),
    advert(source="10.1.0.11", priority=0), advert_v6(damage=0x0101), advert_v6(vrid=9), advert_v6(last=99),
]
sendp(frames * int(sys.argv[1]), iface="eth0", verbose=False)
"#;

/// Each reason and how many of the forged frames have it.
const REASONS: [(&str, u64); 9] = [
    ("vrrp-hop-limit", 2),
    ("vrrp-version", 1),
    ("vrrp-type", 1),
    ("vrrp-length", 1),
    ("vrrp-checksum", 2),
    ("vrrp-vrid", 2),
    ("vrrp-addresses", 2),
    ("vrrp-stranger", 2),
    ("vrrp-contradicts", 2),
];

#[test]
fn forged_adverts_are_counted_by_reason_and_change_nothing() {
    const TIMES: u64 = 50;
    let lab = lab("forger");
    let (before, memory_before) = (lab.json("c", &["roles"]), lab.memory("VmHWM:"));
    // The first advert of a new holder may overtake its claim, and contradicts what c knows by then.
    let counted = REASONS.map(|(reason, _)| drops(&lab, "c", reason));
    let forged = lab.exec("guest", &["/usr/bin/python3", "-c", FORGER, &TIMES.to_string()]);
    assert_eq!(forged.code, 0, "{}", forged.stderr);
    for ((reason, each), counted) in REASONS.into_iter().zip(counted) {
        // c is neither of the two members that were forged.
        let expected = counted + each * TIMES;
        eventually(LIMIT, reason, || (drops(&lab, "c", reason) >= expected).then_some(()));
        assert_eq!(drops(&lab, "c", reason), expected, "{reason}");
    }
    let status = lab.json("c", &["status"]);
    assert_eq!(status["drops"]["vrrp-checksum"], 2 * TIMES);
    assert!(status["interfaces"]["first"]["adverts"]["heard"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(NODES.map(|node| lab.json(node, &["roles"])), [(); 3].map(|()| before.clone()));
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
}

/// A node's own MAC on the first network.
fn mac(lab: &Lab, node: &str) -> [u8; 6] {
    let status: Value = lab.json(node, &["status"]);
    let text = status["interfaces"]["first"]["mac"].as_str().unwrap();
    text.parse::<herald_core::id::Mac>().unwrap().0
}

/// True for an advert with this priority from this IPv4 address.
fn is_advert(frame: &CapturedFrame, source: [u8; 4], priority: u8) -> bool {
    let field = |at: usize, len: usize| frame.bytes.get(at..at + len).unwrap_or_default();
    field(12, 2) == [0x08, 0x00] && field(23, 1) == [112] && field(26, 4) == source && field(36, 1) == [priority]
}

fn await_holders(lab: &Lab, nodes: &[&str], expected: [&str; 2]) {
    eventually(LIMIT, "the others have the roles", || {
        nodes.iter().all(|node| holders(lab, node) == expected).then_some(())
    });
}

#[test]
fn a_killed_holder_is_succeeded() {
    let lab = lab("killed");
    lab.kill("a", "KILL");
    await_holders(&lab, &["b", "c"], ["b", "b"]);
    lab.start("a");
    lab.await_mesh(LIMIT, &NODES);
    // No preemption: it takes the role back only when b dies.
    await_holders(&lab, &NODES, ["b", "b"]);
    lab.kill("b", "KILL");
    await_holders(&lab, &["a", "c"], ["a", "c"]);
}

#[test]
fn a_holder_that_is_asked_to_end_gives_its_role_up_by_priority_0() {
    let lab = lab("ended");
    let capture = lab.capture("first");
    lab.kill("a", "TERM");
    await_holders(&lab, &["b", "c"], ["b", "b"]);
    let frames = capture.stop();
    let given_up = frames.iter().position(|frame| is_advert(frame, [10, 1, 0, 11], 0)).unwrap();
    let taken = frames.iter().position(|frame| is_advert(frame, [10, 1, 0, 12], 101)).unwrap();
    assert!(given_up < taken, "{given_up} {taken}");
    let between = frames[taken].at_nanos - frames[given_up].at_nanos;
    println!("{} µs from priority 0 to the successor's first advert", between / 1_000);
}

#[test]
fn a_holder_that_was_stopped_transmits_nothing_as_holder_afterwards() {
    let lab = lab("stopped");
    let (a, others) = (mac(&lab, "a"), [mac(&lab, "b"), mac(&lab, "c")]);
    // A redirected packet: from a's MAC to another node's, to the server.
    let redirected = |frame: &CapturedFrame| {
        let field = |at: usize, len: usize| frame.bytes.get(at..at + len).unwrap_or_default();
        field(6, 6) == a && others.iter().any(|mac| field(0, 6) == mac) && field(30, 4) == [10, 2, 0, 100]
    };
    let mut capture = lab.capture("first");
    let ping = lab.spawn("client", &["ping", "-n", "-i", "0.01", "10.2.0.100"]);
    eventually(LIMIT, "a redirects", || (capture.frames().iter().filter(|f| redirected(f)).count() > 10).then_some(()));
    lab.kill("a", "STOP");
    await_holders(&lab, &["b", "c"], ["b", "b"]);
    let before = capture.frames();
    let answered = ping.stdout().lines().count();
    lab.kill("a", "CONT");
    lab.await_mesh(LIMIT, &NODES);
    await_holders(&lab, &NODES, ["b", "b"]);
    eventually(LIMIT, "the client's packets go on", || (ping.stdout().lines().count() > answered + 50).then_some(()));
    let frames = capture.stop();
    let after = &frames[before.len()..];
    assert!(after.len() > 100);
    assert_eq!(after.iter().filter(|frame| redirected(frame)).count(), 0, "it redirected as holder");
    assert!(!after.iter().any(|frame| is_advert(frame, [10, 1, 0, 11], 102)), "it advertised as holder");
}
