//! Damaged frames on a TAP.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;

use herald_testing::chance::Chance;
use netns_tests::{Lab, Running, eventually};
use tempfile::NamedTempFile;

use crate::junk::{self, Target};
use crate::{LIMIT, NODES};

/// Frames that have to arrive at the nodes.
const FRAMES: u64 = 100_000;

/// Frames sent at once.
const CHUNK: usize = 10_000;

/// Chunks after which so many frames must have arrived, though a TAP's queue may overflow.
const CHUNKS_MAX: usize = 60;

/// Growth of a node's resident memory in KiB that is no leak: the second half of the frames brings the same tables back.
const GROWTH_KIB_MAX: u64 = 48 * 1024;

/// A host that sends the frames, and streams that end soon, so that the tables are empty soon.
const CONFIGURATION: &str = r#"
[timeouts]
tcp_opening_s = 2
tcp_established_s = 20
tcp_closing_s = 2
tcp_closed_s = 1
udp_s = 2
icmp_s = 2
other_s = 2
provisional_s = 2

[lab.hosts.guest]
network = "first"
addresses = ["10.1.0.101/24", "fd00:1::101/64"]
"#;

/// Sends records of: u8 1 if an offload header is in front, u32 length, frame. Prints how many the kernel took.
const SENDER: &str = r#"
import errno, socket, struct, sys

def opened(offload):
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    # SOL_PACKET, PACKET_VNET_HDR
    one.setsockopt(263, 15, offload)
    one.bind(("eth0", 0))
    return one

sockets = [opened(0), opened(1)]
data, at, taken = memoryview(open(sys.argv[1], "rb").read()), 0, 0
while at < len(data):
    kind, size = struct.unpack_from("<BI", data, at)
    at += 5
    while True:
        try:
            sockets[kind].send(data[at:at + size])
            taken += 1
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                continue
        break
    at += size
print(taken)
"#;

/// Makes connections and sends datagrams one after the other, over IPv4 and IPv6, and prints a line for each; ends with
/// an error when one fails.
const TRAFFIC: &str = r#"
import socket

while True:
    for address in ("10.2.0.100", "fd00:2::100"):
        with socket.create_connection((address, 8000), timeout=20) as client:
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((address, 8000))
            # A full queue of a TAP may lose a datagram, as any network may.
            client.settimeout(1)
            for attempt in range(20):
                try:
                    client.send(b"hello")
                    assert client.recv(5) == b"hello"
                    break
                except socket.timeout:
                    pass
            else:
                raise SystemExit("no datagram comes back")
        print(address, flush=True)
"#;

const ECHO: &str = r#"
import socket, threading

stream, datagrams = socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True), None
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.bind(("::", 8000))

def answer():
    while True:
        data, peer = datagrams.recvfrom(2000)
        datagrams.sendto(data, peer)

threading.Thread(target=answer, daemon=True).start()
print("ready", flush=True)
while True:
    connection, _ = stream.accept()
    with connection:
        connection.settimeout(20)
        try:
            connection.sendall(connection.recv(5, socket.MSG_WAITALL))
        except OSError:
            pass
"#;

/// A seed to be printed; `HERALD_SEED` repeats one.
fn seed() -> u64 {
    let given = std::env::var("HERALD_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("the frames' seed; to repeat: HERALD_SEED={seed}");
    seed
}

fn bytes_of(mac: &str) -> [u8; 6] {
    let bytes: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

fn target(lab: &Lab) -> Target {
    let own = NODES.map(|n| bytes_of(lab.json(n, &["status"])["interfaces"]["first"]["mac"].as_str().unwrap()));
    let virtual_macs = [[0, 0, 0x5e, 0, 1, 1], [0, 0, 0x5e, 0, 2, 1]];
    let said = lab.exec("guest", &["ip", "-brief", "link", "show", "eth0"]).ok();
    // The virtual MACs twice: most of what hosts send goes there.
    let macs = [&own[..], &virtual_macs[..], &virtual_macs[..]].concat();
    Target { macs, own: bytes_of(said.split_whitespace().nth(2).unwrap()), member: own[1] }
}

/// Sends a chunk from `guest`; the number of frames the kernel took.
fn send(lab: &Lab, chance: &mut Chance, target: &Target) -> u64 {
    let mut file = NamedTempFile::new().unwrap();
    let mut records = Vec::new();
    for _ in 0..CHUNK {
        let junk = junk::next(chance, target);
        let offload = junk.offload.as_ref().map_or(&[][..], |header| &header[..]);
        records.push(u8::from(junk.offload.is_some()));
        records.extend(u32::try_from(offload.len() + junk.bytes.len()).unwrap().to_le_bytes());
        records.extend(offload);
        records.extend(junk.bytes);
    }
    file.write_all(&records).unwrap();
    let path = file.path().display().to_string();
    lab.exec("guest", &["python3", "-c", SENDER, &path]).ok().trim().parse().unwrap()
}

/// Waits until the traffic has gone a good way on.
fn await_traffic(traffic: &mut Running) {
    let lines = |traffic: &Running| traffic.stdout().lines().count();
    let before = lines(traffic);
    eventually(LIMIT, "traffic goes on", || {
        assert_eq!(traffic.ended(), None, "the traffic ended: {}", traffic.stderr());
        (lines(traffic) >= before + 6).then_some(())
    });
}

fn await_empty_tables(lab: &Lab) {
    eventually(LIMIT, "the tables are empty", || {
        NODES.iter().all(|node| lab.json(node, &["sessions"]).as_array().unwrap().is_empty()).then_some(())
    });
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_hundred_thousand_damaged_frames_stop_nothing() {
    let mut chance = Chance::of(seed());
    let lab = Lab::up("frames").configuration(CONFIGURATION).start();
    let echo = lab.spawn("server", &["python3", "-c", ECHO]);
    eventually(LIMIT, "the server listens", || echo.stdout().contains("ready").then_some(()));
    let mut traffic = lab.spawn("client", &["python3", "-c", TRAFFIC]);
    await_traffic(&mut traffic);
    let (target, roles) = (target(&lab), lab.json("a", &["roles"]));
    let arrived = || -> u64 { NODES.iter().map(|node| lab.books(node).count("arrived_first")).sum() };

    let (start, mut taken, mut halfway) = (arrived(), 0, None);
    for chunk in 0.. {
        assert!(chunk < CHUNKS_MAX, "only {} of {taken} frames arrived", arrived() - start);
        taken += send(&lab, &mut chance, &target);
        await_traffic(&mut traffic);
        let arrived = arrived() - start;
        if arrived > FRAMES / 2 && halfway.is_none() {
            halfway = Some(lab.memory("VmRSS:"));
        }
        if taken >= FRAMES && arrived >= FRAMES {
            break;
        }
    }
    await_traffic(&mut traffic);
    drop(traffic);
    lab.memory("VmRSS:").assert_grown_by_less(GROWTH_KIB_MAX, &halfway.unwrap());
    assert_eq!(lab.json("a", &["roles"]), roles, "roles stay where they are");
    await_empty_tables(&lab);
    lab.assert_books_balance(LIMIT, &NODES);
    assert_reasons(&lab);
    assert_logs_are_quiet(&lab);
}

/// What is wrong with the frames is told by name, at the nodes together.
fn assert_reasons(lab: &Lab) {
    let drops: Vec<_> = NODES.iter().map(|node| lab.json(node, &["drops"])).collect();
    for reason in [
        "malformed",
        "ip-checksum",
        "icmp-checksum",
        "ether-type",
        "vlan-tagged",
        "fragment-size",
        "transport-checksum",
        "reverse-path",
        "martian",
        "multicast",
        "other-mac",
        "member-source",
        "claim-wait",
        "local-unhandled",
        "mid-stream",
        "unknown-quote",
        "ttl-exceeded",
        "no-route",
    ] {
        assert!(drops.iter().any(|d| d[reason].as_u64().unwrap_or_default() > 0), "{reason}: {drops:?}");
    }
    // What comes to a node's own MAC is of no node's streams.
    let books = NODES.map(|node| lab.books(node));
    for count in ["straight", "handed_to_holder"] {
        assert!(books.iter().any(|books| books.count(count) > 0), "{count}: {books:?}");
    }
}

/// No host can make a node write much to its log, nor anything beyond information but that somebody uses its addresses, which
/// some of the frames claim.
fn assert_logs_are_quiet(lab: &Lab) {
    for node in lab.status()["nodes"].as_array().unwrap() {
        let log = fs::read_to_string(node["log"].as_str().unwrap()).unwrap();
        let is_bad = |line: &&str| line.contains("ERROR") && !line.contains("another host, with MAC");
        assert_eq!(log.lines().find(is_bad), None);
        assert!(!log.contains("panicked"), "{log}");
        assert!(log.lines().count() < 200, "{} lines in {}", log.lines().count(), node["log"]);
    }
}
