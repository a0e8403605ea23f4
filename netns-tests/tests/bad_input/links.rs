//! Strangers and garbage on the mesh.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use herald::id::{BootId, Mac, PerInterface};
use herald::io::clock;
use herald::keys::{Authority, Keys, KeysFolder, Validity};
use herald::mesh::codec::{Decoder, Spoken, VERSION_MAX, encode, encode_greeting};
use herald::mesh::{Greeting, Heartbeat, Hello, Lane, Message};
use netns_tests::{Lab, eventually};
use serde_json::Value;
use tempfile::TempDir;

use crate::{LIMIT, NODES, assert_grown_by_less, memory};

/// Growth of a node's peak memory in KiB: nothing of the announced 4 GiB is ever asked for.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// A host on the mesh, and a peer `0` whom all nodes expect to dial from there.
pub(super) const CONFIGURATION: &str = r#"
roles = "static"

[holders]
first = "a"
second = "b"

[mesh.peers]
0 = "10.9.0.99:7400"

[lab.hosts.stranger]
network = "mesh"
addresses = ["10.9.0.99/24"]
"#;

/// Sends its second argument, bytes in hexadecimal, to the address that is its first; waits until the node closes, and
/// prints what it said before. With a third and fourth argument, the files of a certificate and its key, or with a third
/// that is empty, it does so over TLS.
const STRANGER: &str = r#"
import contextlib, socket, ssl, sys

def secured(plain, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if all(files):
        context.load_cert_chain(*files)
    return context.wrap_socket(plain)

said, files = b"", sys.argv[3:]
with socket.create_connection((sys.argv[1], 7400), timeout=30) as plain:
    # A node that closes with bytes unread resets the connection; one that refuses a certificate says so in an alert.
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        client = secured(plain, files) if files else plain
        client.sendall(bytes.fromhex(sys.argv[2]))
        while some := client.recv(65536):
            said += some
print(said.hex())
"#;

/// Opens as many connections as its second argument says, and says nothing on them. Some hundreds are open at a time.
const SILENT_CROWD: &str = r#"
import collections, socket, sys

held = collections.deque(maxlen=500)
for _ in range(int(sys.argv[2])):
    held.append(socket.create_connection((sys.argv[1], 7400), timeout=30))
"#;

/// Says its second argument over TLS, then one byte of its third in each second, until the node closes.
const TRICKLE: &str = r#"
import contextlib, socket, ssl, sys, time

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(*sys.argv[4:])
with socket.create_connection((sys.argv[1], 7400), timeout=30) as plain, context.wrap_socket(plain) as client:
    client.sendall(bytes.fromhex(sys.argv[2]))
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        for byte in bytes.fromhex(sys.argv[3]):
            client.sendall(bytes([byte]))
            time.sleep(1)
        raise SystemExit("the node took all bytes")
"#;

/// What a node `0` of this lab would say.
pub(super) fn hello(lab: &Lab) -> Hello {
    Hello {
        version_min: VERSION_MAX,
        version_max: VERSION_MAX,
        cluster: lab.name().to_owned(),
        node: "0".parse().unwrap(),
        boot: BootId(7),
        macs: PerInterface { first: Mac([2, 0, 0, 0, 1, 0x77]), second: Mac([2, 0, 0, 0, 2, 0x77]) },
        addresses: PerInterface { first: Vec::new(), second: Vec::new() },
        config_digest: 0,
    }
}

/// What stands in the certificate of a stranger, and when it is valid.
#[derive(Clone, Copy)]
pub(super) enum Certificate {
    /// No TLS at all.
    Plain,
    /// TLS without a certificate.
    None,
    /// By the lab's authority, valid now, of this node.
    Of(&'static str),
    /// By the lab's authority, of node `0`, but not valid any more.
    Expired,
    /// The same, not valid yet.
    Early,
    /// By another authority, of node `0`.
    Foreign,
}

/// The files of strangers' certificates; they go with the lab's own.
pub(super) struct Issuer {
    authority: Authority,
    place: TempDir,
}

impl Issuer {
    /// With the lab's own authority.
    pub(super) fn new(lab: &Lab) -> Self {
        let status = lab.status();
        let log = Path::new(status["nodes"][0]["log"].as_str().unwrap());
        let keys = KeysFolder::at(&log.ancestors().nth(2).unwrap().join("keys"));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let (certificate, key) = (read(keys.authority_certificate()), read(keys.authority_key()));
        let authority = Authority::from_pem(Keys { certificate, key }).unwrap();
        Self { authority, place: tempfile::tempdir().unwrap() }
    }

    /// The arguments that say which certificate a stranger has.
    pub(super) fn arguments(&self, certificate: Certificate) -> Vec<String> {
        let (now, day) = (clock::wall(), Duration::from_secs(24 * 3600));
        let issue = |node: &str, validity| self.authority.issue(node.parse().unwrap(), validity).unwrap();
        let keys = match certificate {
            Certificate::Plain => return Vec::new(),
            Certificate::None => return vec![String::new()],
            Certificate::Of(node) => issue(node, Validity::days(now, 1)),
            Certificate::Expired => issue("0", Validity { from: now - 2 * day, until: now - day }),
            Certificate::Early => issue("0", Validity { from: now + day, until: now + 2 * day }),
            Certificate::Foreign => {
                let other = Authority::new("other", now).unwrap();
                other.issue("0".parse().unwrap(), Validity::days(now, 1)).unwrap()
            }
        };
        let write = |name: &str, text: &str| {
            let path = self.place.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        vec![write("certificate", &keys.certificate), write("key", &keys.key)]
    }
}

pub(super) fn bytes_of(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    let greeting = Greeting { hello: hello.clone(), lane: Lane::Control, resume: None };
    encode_greeting(&greeting, &mut bytes).unwrap();
    bytes
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    text
}

/// What node `c` says to these bytes before it closes.
fn say(lab: &Lab, issuer: &Issuer, certificate: Certificate, bytes: &[u8]) -> Vec<Spoken> {
    let text = hexadecimal(bytes);
    let files = issuer.arguments(certificate);
    let mut line = vec!["python3", "-c", STRANGER, "10.9.0.13", &text];
    line.extend(files.iter().map(String::as_str));
    let said = lab.exec("stranger", &line).ok();
    if matches!(certificate, Certificate::Plain) {
        // At most an alert.
        return Vec::new();
    }
    let said: Vec<u8> =
        (0..said.trim().len() / 2).map(|at| u8::from_str_radix(&said[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let (mut decoder, mut rest, mut spoken) = (Decoder::default(), &said[..], Vec::new());
    loop {
        while let Some(one) = decoder.decode(usize::MAX / 2).unwrap() {
            spoken.push(one);
        }
        if rest.is_empty() {
            return spoken;
        }
        let space = decoder.space();
        let len = space.len().min(rest.len());
        space[..len].copy_from_slice(&rest[..len]);
        decoder.filled(len);
        rest = &rest[len..];
    }
}

pub(super) fn refusals(lab: &Lab) -> Value {
    lab.json("c", &["status"])["refusals"].clone()
}

fn log(lab: &Lab) -> String {
    log_of(lab, "c")
}

pub(super) fn log_of(lab: &Lab, node: &str) -> String {
    let status = lab.status();
    let mut nodes = status["nodes"].as_array().unwrap().iter();
    fs::read_to_string(nodes.find(|n| n["node"] == node).unwrap()["log"].as_str().unwrap()).unwrap()
}

/// The real members are linked, the roles are where they were, and traffic crosses the cluster.
pub(super) fn assert_all_is_well(lab: &Lab, roles: &Value) {
    assert_eq!(&lab.await_mesh(LIMIT, &NODES), roles);
    for address in ["10.2.0.100", "fd00:2::100"] {
        let output = lab.exec("client", &["ping", "-n", "-c", "1", "-W", "10", address]);
        assert_eq!(output.code, 0, "{}", output.stdout);
    }
}

/// Says something to node `c` and sees that this is refused once, for this reason, with this line in the log.
#[track_caller]
fn assert_refused(lab: &Lab, reason: &str, line: &str, say: impl FnOnce()) {
    let (before, lines) = (refusals(lab), log(lab).lines().count());
    say();
    let count = |refusals: &Value| refusals[reason].as_u64().unwrap_or_default();
    let after = eventually(LIMIT, reason, || Some(refusals(lab)).filter(|after| count(after) > count(&before)));
    assert_eq!(count(&after), count(&before) + 1, "{reason}: {before} {after}");
    let log = log(lab);
    let told: Vec<_> = log.lines().skip(lines).filter(|l| l.contains("10.9.0.99") && l.contains("refused")).collect();
    assert!(told.len() == 1 && told[0].contains(line), "{reason}: {told:?}");
}

#[test]
fn a_stranger_without_a_good_certificate_is_refused_by_name_and_disturbs_nobody() {
    let lab = Lab::up("certificate").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), memory(&lab, "VmHWM:"));
    let (issuer, good) = (Issuer::new(&lab), bytes_of(&hello(&lab)));
    let garbage: Vec<u8> = (0..2_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let four_gib = [&u32::MAX.to_be_bytes()[..], &[0, 1], &[0; 64]].concat();
    for (certificate, bytes, reason, line) in [
        (Certificate::Foreign, good.clone(), "other-authority", "is not of this cluster's authority"),
        (Certificate::Expired, good.clone(), "certificate-expired", "its certificate has expired"),
        (Certificate::Early, good.clone(), "certificate-not-yet-valid", "its certificate is not valid yet"),
        (Certificate::None, good.clone(), "no-certificate", "it has no certificate"),
        (
            Certificate::Of("0"),
            bytes_of(&Hello { node: "a".parse().unwrap(), ..hello(&lab) }),
            "certificate-of-another",
            "it is node a by its word, and node 0 by its certificate",
        ),
        (Certificate::Plain, good.clone(), "not-tls", "it does not speak TLS"),
        (Certificate::Plain, garbage, "not-tls", "it does not speak TLS"),
        (Certificate::Plain, four_gib, "not-tls", "it does not speak TLS"),
        (Certificate::Plain, b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not-tls", "it does not speak TLS"),
        // The beginning of a handshake.
        (Certificate::Plain, vec![22, 3, 1, 2, 0, 1], "slow-hello", "no complete hello came in time"),
        (Certificate::Plain, Vec::new(), "slow-hello", "no complete hello came in time"),
    ] {
        assert_refused(&lab, reason, line, || assert_eq!(say(&lab, &issuer, certificate, &bytes), []));
    }
    assert_all_is_well(&lab, &roles);
    assert_grown_by_less(GROWTH_KIB_MAX, &memory_before, &memory(&lab, "VmHWM:"));
}

#[test]
fn a_stranger_on_the_mesh_is_refused_by_name_and_disturbs_nobody() {
    let lab = Lab::up("stranger").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), memory(&lab, "VmHWM:"));
    let (issuer, good) = (Issuer::new(&lab), hello(&lab));
    let newer = Hello { version_min: VERSION_MAX + 1, version_max: VERSION_MAX + 2, ..good.clone() };
    let four_gib = [&u32::MAX.to_be_bytes()[..], &[0, 1], &[0; 64]].concat();
    let mut cut = bytes_of(&good);
    cut.truncate(cut.len() / 2);
    let mut early = Vec::new();
    encode(&Message::Heartbeat(heartbeat()), &mut early).unwrap();
    let mut frames = Vec::new();
    let greeting = Greeting { hello: good.clone(), lane: Lane::Frames, resume: None };
    encode_greeting(&greeting, &mut frames).unwrap();
    let of = |node: &str| Hello { node: node.parse().unwrap(), ..good.clone() };
    for (node, bytes, reason, line, answered) in [
        (
            "0",
            bytes_of(&Hello { cluster: "other".into(), ..good.clone() }),
            "wrong-cluster",
            "the cluster \"other\"",
            true,
        ),
        ("0", bytes_of(&newer), "no-common-version", "it speaks protocol versions 2 to 3, this node 1 to 1", true),
        ("zz", bytes_of(&of("zz")), "unknown-node", "node zz is not among", false),
        ("c", bytes_of(&of("c")), "own-id", "this node's own id", false),
        ("0", vec![0xff; 2_000], "too-long", "bytes was announced", false),
        ("0", four_gib, "too-long", "a message of 4294967295 bytes was announced", false),
        ("0", vec![0; 64], "too-short", "a message of 0 bytes was announced", false),
        ("0", early, "message-before-hello", "came before the hello", false),
        ("0", frames, "no-control", "node 0 has no control connection", false),
        ("0", cut, "slow-hello", "no complete hello came in time", false),
        ("0", Vec::new(), "slow-hello", "no complete hello came in time", false),
    ] {
        assert_refused(&lab, reason, line, || {
            let said = say(&lab, &issuer, Certificate::Of(node), &bytes);
            assert_eq!(matches!(said[..], [Spoken::Greeting(_)]), answered, "{reason}: {said:?}");
        });
    }
    assert_all_is_well(&lab, &roles);
    assert_grown_by_less(GROWTH_KIB_MAX, &memory_before, &memory(&lab, "VmHWM:"));
}

/// Half-open connections of one stranger.
const CROWD: u64 = 10_000;

#[test]
fn ten_thousand_half_open_links_and_one_byte_a_second_disturb_nobody() {
    let lab = Lab::up("half-open").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), memory(&lab, "VmHWM:"));
    let issuer = Issuer::new(&lab);
    let known = |refusals: &Value| -> u64 {
        let reasons = ["too-many-unidentified", "slow-hello", "closed-before-hello", "broken"];
        reasons.iter().map(|reason| refusals[*reason].as_u64().unwrap_or_default()).sum()
    };
    let before = known(&refusals(&lab));
    let crowd = CROWD.to_string();
    let _all_open = lab.exec("stranger", &["python3", "-c", SILENT_CROWD, "10.9.0.13", &crowd]).ok();
    eventually(LIMIT, "each connection is counted", || (known(&refusals(&lab)) >= before + CROWD).then_some(()));
    assert_all_is_well(&lab, &roles);

    // A member that is slower than any message: its link is silent.
    let mut beat = Vec::new();
    encode(&Message::Heartbeat(heartbeat()), &mut beat).unwrap();
    let (hello, files) = (hexadecimal(&bytes_of(&hello(&lab))), issuer.arguments(Certificate::Of("0")));
    let beat = hexadecimal(&beat);
    let output = lab.exec("stranger", &["python3", "-c", TRICKLE, "10.9.0.13", &hello, &beat, &files[0], &files[1]]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    eventually(LIMIT, "the silent link is counted", || (refusals(&lab)["silent"].as_u64()? > 0).then_some(()));
    assert_all_is_well(&lab, &roles);
    assert_grown_by_less(GROWTH_KIB_MAX, &memory_before, &memory(&lab, "VmHWM:"));
    for other in ["a", "b"] {
        assert!(!log(&lab).contains(&format!("link to {other} is lost")), "{}", log(&lab));
    }
}

pub(super) fn heartbeat() -> Heartbeat {
    Heartbeat {
        priorities: PerInterface { first: 1, second: 1 },
        epochs: PerInterface { first: None, second: None },
        weight: 100,
        in_sync: false,
        synced: PerInterface::default(),
        draining: false,
        interfaces: PerInterface::default(),
        heard: PerInterface::default(),
        links: Vec::new(),
    }
}

#[test]
fn garbage_of_a_member_ends_its_own_link_only() {
    let lab = Lab::up("garbage").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), memory(&lab, "VmHWM:"));
    let (issuer, hello) = (Issuer::new(&lab), bytes_of(&hello(&lab)));
    let mut beat = Vec::new();
    encode(&Message::Heartbeat(heartbeat()), &mut beat).unwrap();
    let kind: [u8; 2] = beat[4..6].try_into().unwrap();
    let message = |len: u32, body: &[u8]| [&len.to_be_bytes()[..], &kind[..], body].concat();
    for (bytes, line) in [
        (message(u32::MAX, &[0; 100]), "a message of 4294967295 bytes was announced"),
        (message(2 + 300, &[0xff; 300]), "the body of a message of kind"),
        (message(0, &[]), "a message of 0 bytes was announced"),
        (hello.clone(), "a second hello came"),
    ] {
        let lines = log(&lab).lines().count();
        let said = say(&lab, &issuer, Certificate::Of("0"), &[&hello[..], &beat[..], &bytes[..]].concat());
        assert!(matches!(said.first(), Some(Spoken::Greeting(_))), "the hello is accepted: {said:?}");
        let told = eventually(LIMIT, line, || {
            let log = log(&lab);
            let told: Vec<_> = log.lines().skip(lines).filter(|l| l.contains("link to 0: ")).collect();
            (!told.is_empty()).then(|| told.join("\n"))
        });
        assert!(told.contains(line) && told.lines().count() == 1, "{told}");
    }
    assert_all_is_well(&lab, &roles);
    assert_grown_by_less(GROWTH_KIB_MAX, &memory_before, &memory(&lab, "VmHWM:"));
    let members = lab.json("c", &["members"]);
    let peer = members.as_array().unwrap().iter().find(|m| m["node"] == "0").unwrap();
    assert_eq!(peer["link"], "down", "{members}");
}
