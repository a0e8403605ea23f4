//! Bytes in order, with real programs: a hostile sender that a plugin which reads packets does not see through is seen through by
//! one that reads bytes, and what the server's application reads is what that one saw.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::time::Duration;

use herald_testing::chance::Chance;
use netns_tests::{Lab, Running, eventually, mute};
use serde_json::{Value, json};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads each connection to its end, and prints the client's port, how it ended, and what it said, in hexadecimal digits.
const SERVER: &str = r#"
import selectors, socket

server = socket.create_server(("0.0.0.0", 80))
selector = selectors.DefaultSelector()
selector.register(server, selectors.EVENT_READ)
said = {}
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        if key.fileobj is server:
            connection, peer = server.accept()
            said[connection] = (peer[1], b"")
            selector.register(connection, selectors.EVENT_READ)
            continue
        port, before = said[key.fileobj]
        try:
            more = key.fileobj.recv(65536)
        except OSError:
            more = b""
        said[key.fileobj] = (port, before + more)
        print("read", port, len(before + more), flush=True)
        if not more:
            print("all", port, "x" + before.hex(), flush=True)
            selector.unregister(key.fileobj)
            key.fileobj.close()
"#;

/// A TCP client of its own, whose kernel knows nothing of it: each line on standard input is a port and a list of
/// [offset, payload, options] to send behind the handshake, at once. Answers a line when the server has all bytes up to the end,
/// has reset the connection, or says nothing any more.
const SENDER: &str = r#"
import json, select, socket, struct, sys, time

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
link.bind(("eth0", 0x0800))
own = link.getsockname()[4]
gate = bytes.fromhex("00005e000101")
client, server = (socket.inet_aton(address) for address in ("10.1.0.100", "10.2.0.100"))
FIRST, FIN, SYN, RST, ACK = 1000, 1, 2, 4, 16

def sum_of(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

def send(port, sequence, acknowledgement, flags, payload=b"", ttl=64, window=65000, spoilt=0):
    head = struct.pack("!HHIIBBHHH", port, 80, sequence, acknowledgement, 5 << 4, flags, window, 0, 0)
    pseudo = client + server + struct.pack("!HH", 6, len(head) + len(payload))
    total = sum_of(pseudo + head + payload) ^ spoilt
    head = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, ttl, 6, 0) + client + server
    ip = ip[:10] + struct.pack("!H", sum_of(ip)) + ip[12:]
    link.send(gate + own + b"\x08\x00" + ip + head + payload)

def heard(port, until):
    while (left := until - time.monotonic()) > 0 and select.select([link], [], [], left)[0]:
        packet = link.recv(65536)[14:]
        if packet[9] != 6 or packet[12:16] != server:
            continue
        at = (packet[0] & 15) * 4
        source, target, sequence, acknowledgement, offset, flags = struct.unpack("!HHIIBB", packet[at:at + 14])
        if (source, target) == (80, port):
            length = struct.unpack("!H", packet[2:4])[0] - at - (offset >> 4) * 4
            yield sequence, acknowledgement, flags, length

def talk(port, segments, end):
    for _ in range(20):
        send(port, FIRST - 1, 0, SYN)
        answer = next((said for said in heard(port, time.monotonic() + 1) if said[2] & SYN), None)
        if answer:
            break
    else:
        return "unanswered"
    own_next = answer[0] + 1
    send(port, FIRST, own_next, ACK)
    for offset, payload, options in segments:
        flags = ACK | options.pop("flags", 0)
        send(port, FIRST + offset, own_next + options.pop("beyond", 0), flags, payload.encode(), **options)
    if end is None:
        return "left"
    for _ in range(20):
        send(port, FIRST + end, own_next, ACK | FIN)
        for sequence, acknowledgement, flags, length in heard(port, time.monotonic() + 0.3):
            if flags & RST:
                return "reset"
            if flags & FIN:
                send(port, FIRST + end + 1, sequence + length + 1, ACK)
                return "closed"
    return "silent"

for line in sys.stdin:
    port, segments, end = json.loads(line)
    print(port, talk(port, segments, end), flush=True)
"#;

/// A lab whose client speaks TCP by itself.
struct Hostile {
    lab: Lab,
    server: Running,
    sender: Running,
    port: u16,
}

/// What came of a connection.
struct Came {
    /// In the sender's eyes.
    end: String,
    /// What the server's application read.
    read: Vec<u8>,
}

fn serve(lab: &Lab) -> Running {
    let server = lab.spawn("server", &["python3", "-c", SERVER]);
    eventually(LIMIT, "the server listens", || server.stdout().contains("ready").then_some(()));
    server
}

impl Hostile {
    fn start(name: &str, by: &str) -> Self {
        let plugins = format!("[[plugins]]\nname = \"word\"\nconfig = {{ word = \"forbidden\", by = \"{by}\" }}\n");
        let lab = Lab::up(name).configuration(&plugins).static_roles().start();
        let server = serve(&lab);
        mute(&lab, "client");
        let sender = lab.converse("client", &["python3", "-c", SENDER]);
        Self { lab, server, sender, port: 40_000 }
    }

    /// Sends segments of one connection, each by its offset, bytes and options, and a FIN at `end`.
    fn send(&mut self, segments: &[(usize, &str, Value)], end: usize) -> Came {
        self.port += 1;
        let port = self.port;
        let segments: Vec<_> = segments.iter().map(|(at, payload, options)| json!([at, payload, options])).collect();
        self.sender.say(&json!([port, segments, end]).to_string());
        let said =
            |lines: String, head: &str| lines.lines().find_map(|line| line.strip_prefix(head).map(str::to_owned));
        let end = eventually(LIMIT, "the sender is done", || {
            assert!(self.sender.ended().is_none(), "it ended: {}", self.sender.stderr());
            said(self.sender.stdout(), &format!("{port} "))
        });
        let read = if end == "closed" {
            let whole = || said(self.server.stdout(), &format!("all {port} x"));
            unhex(&eventually(LIMIT, "the server has read all", whole))
        } else {
            Vec::new()
        };
        Came { end, read }
    }

    /// Sends the 15 bytes of a sentence in these segments; what came of it, and what was read as text.
    fn says(&mut self, name: &str, segments: &[(usize, &str)]) -> (Came, String) {
        let segments: Vec<_> = segments.iter().map(|(at, payload)| (*at, *payload, json!({}))).collect();
        let came = self.send(&segments, 15);
        let read = String::from_utf8_lossy(&came.read).into_owned();
        println!("{name}: {} {read:?}", came.end);
        (came, read)
    }

    /// Bytes that the server has read of the last connection by now.
    fn read_so_far(&self) -> usize {
        let head = format!("read {} ", self.port);
        let lines = self.server.stdout();
        lines.lines().filter_map(|line| line.strip_prefix(&head)?.parse().ok()).max().unwrap_or(0)
    }

    /// The plugin's counters at the chosen node.
    fn word(&self) -> Value {
        let plugins = self.lab.json("c", &["plugins"]);
        plugins.as_array().unwrap().iter().find(|row| row["id"] == "word").unwrap().clone()
    }

    fn drops(&self, reason: &str) -> u64 {
        self.lab.json("c", &["drops"])[reason].as_u64().unwrap_or(0)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap()).collect()
}

/// FNV-1a, as the plugin does it.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

type Case = (&'static str, &'static [(usize, &'static str)]);

/// Ways to say "it is forbidden" that no single packet shows.
const EVASIONS: [Case; 4] = [
    ("cut", &[(0, "it is for"), (9, "bid"), (12, "den")]),
    ("the end first", &[(12, "den"), (0, "it is forbid")]),
    ("twice, otherwise", &[(9, "owed!!"), (8, "rbidden"), (7, "o"), (0, "it is f")]),
    ("in the middle of others", &[(8, "rbidd"), (12, "den"), (4, "s f"), (7, "o"), (0, "it is f")]),
];

#[test]
fn who_evades_a_plugin_of_packets_does_not_evade_one_of_bytes() {
    let mut packets = Hostile::start("evaded", "packets");
    for (name, segments) in EVASIONS {
        let (came, read) = packets.says(name, segments);
        // Until the plugin has said that it wants no bytes, the router rewrites later copies.
        let expected = if name == "twice, otherwise" { "it is forowed!!" } else { "it is forbidden" };
        assert_eq!(read, expected, "{name}: {}", came.end);
    }
    drop(packets);
    let mut bytes = Hostile::start("not-evaded", "bytes");
    for (name, segments) in EVASIONS {
        let (came, read) = bytes.says(name, segments);
        if name == "twice, otherwise" {
            // The first copy stands, and is read.
            assert_eq!((came.end.as_str(), read.as_str()), ("closed", "it is forowed!!"));
            assert_eq!(bytes.word()["counters"]["digest"], digest(&came.read));
        } else {
            assert!(came.end != "closed" && bytes.read_so_far() < 15, "{name}");
        }
    }
    assert!(bytes.word()["reasons"]["word"].as_u64().unwrap() >= 3, "{}", bytes.word());
    // The word itself is seen by both.
    assert_ne!(bytes.send(&[(0, "forbidden", json!({}))], 9).end, "closed");
}

#[test]
fn what_the_server_reads_is_what_the_plugin_saw() {
    let mut hostile = Hostile::start("read-is-seen", "bytes");
    let seed = std::env::var("HERALD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("HERALD_SEED={seed}");
    let mut chance = Chance::of(seed);
    let text: String = (0..300_u32).map(|at| char::from_digit(at % 36, 36).unwrap()).collect();
    let rounds = if std::env::var_os("HERALD_LONG").is_some() { 40 } else { 8 };
    for round in 0..rounds {
        let mut segments = Vec::new();
        for _ in 0..chance.below(30) {
            let at = usize::try_from(chance.below(280)).unwrap();
            let len = usize::try_from(chance.below(20)).unwrap() + 1;
            let mut piece = text[at..at + len].to_owned();
            let options = match chance.below(8) {
                0 => json!({ "ttl": 1 }),
                1 => json!({ "spoilt": 0x1234 }),
                2 => json!({ "flags": 4 }),
                3 => json!({ "beyond": 70_000 }),
                4 => json!({ "flags": 32 }),
                _ => json!({}),
            };
            if chance.below(2) == 0 {
                piece = piece.to_uppercase();
            }
            // A reset in sequence would be a true one.
            segments.push((if options["flags"] == 4 { at + 7 } else { at }, piece, options));
        }
        // In the end all has been said.
        segments.extend((0..10).map(|part| (part * 30, text[part * 30..][..30].to_owned(), json!({}))));
        let segments: Vec<_> =
            segments.iter().map(|(at, piece, options)| (*at, piece.as_str(), options.clone())).collect();
        let came = hostile.send(&segments, text.len());
        assert_eq!((round, came.end.as_str(), came.read.len()), (round, "closed", text.len()));
        let word = hostile.word();
        assert_eq!(word["counters"]["bytes"], text.len());
        assert_eq!(
            word["counters"]["digest"],
            digest(&came.read),
            "round {round}: {:?}",
            String::from_utf8_lossy(&came.read)
        );
    }
    assert!(hostile.drops("tcp-acknowledges-unsent") > 0 && hostile.drops("tcp-reset-out-of-sequence") > 0);
    assert_eq!(hostile.drops("internal"), 0);
}

/// Sends each line of standard input, without its end, to the server.
const TALKER: &str = r#"
import socket, sys

connection = socket.create_connection(("10.2.0.100", 80))
for line in sys.stdin:
    connection.sendall(line.rstrip("\n").encode())
"#;

#[test]
fn a_node_that_takes_a_stream_over_tells_of_the_gap_and_goes_on() {
    let plugins = "[[plugins]]\nname = \"word\"\nconfig = { word = \"forbidden\" }\n";
    let lab = Lab::up("bytes-gap").configuration(plugins).set("midstream", "pick-up").start();
    let server = serve(&lab);
    let mut talker = lab.converse("client", &["python3", "-c", TALKER]);
    let mut read = 0;
    let mut say = |text: &str| {
        talker.say(text);
        read += text.len();
        eventually(LIMIT, text, || server.stdout().ends_with(&format!(" {read}\n")).then_some(()));
    };
    say("before ");
    lab.kill("c", "KILL");
    say("between ");
    say("for");
    talker.say("bidden");
    let ended = || {
        let rows = ["a", "b"].map(|node| lab.json(node, &["plugins"])[0].clone());
        rows.into_iter().find(|row| row["reasons"]["word"].as_u64().is_some())
    };
    let row = eventually(LIMIT, "the successor sees the word", ended);
    assert!(row["counters"]["gaps"].as_u64().unwrap() >= 1, "{row}");
    assert!(server.stdout().ends_with(&format!(" {read}\n")), "{}", server.stdout());
}

#[test]
fn ssh_passes_and_others_are_reset() {
    let lab = Lab::up("only-ssh").configuration("[[plugins]]\nname = \"only-ssh\"\n").start();
    let key = tempfile::tempdir().unwrap();
    let path = key.path().join("key").display().to_string();
    let _fingerprint = lab.exec("server", &["dropbearkey", "-t", "ed25519", "-f", &path]).ok();
    let _daemon = lab.spawn("server", &["dropbear", "-F", "-E", "-r", &path, "-p", "22"]);
    let _web = lab.spawn("server", &["python3", "-m", "http.server", "--bind", "::", "80"]);
    let is_there = || lab.exec("server", &["curl", "-s", "http://[::1]/"]).code == 0;
    eventually(LIMIT, "the web server listens", || is_there().then_some(()));
    for address in ["10.2.0.100", "fd00:2::100"] {
        let keys = eventually(LIMIT, "the server says its key", || {
            let said = lab.exec("client", &["ssh-keyscan", "-T", "5", "-t", "ed25519", address]).stdout;
            said.contains("ssh-ed25519 ").then_some(said)
        });
        println!("{keys}");
        let url = if address.contains(':') { format!("http://[{address}]/") } else { format!("http://{address}/") };
        let curl = lab.exec("client", &["curl", "-sS", "-m", "20", &url]);
        assert!(curl.stderr.contains("reset by peer"), "{}{}", curl.stdout, curl.stderr);
    }
    let plugins = lab.json("c", &["plugins"]);
    assert!(plugins[0]["reasons"]["not-ssh"].as_u64().unwrap() >= 2, "{plugins}");
}
