//! A host on the mesh that says what it likes, with the certificate that it likes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use herald::io::clock;
use herald_core::id::{BootId, Mac, PerInterface};
use herald_core::mesh::codec::{Decoder, Spoken, VERSION_MAX, encode_greeting};
use herald_core::mesh::{Greeting, Heartbeat, Hello, Lane, Padding, Side};
use herald_keys::{Authority, Keys, KeysFolder, Validity};
use netns_tests::Lab;
use serde_json::Value;
use tempfile::TempDir;

use crate::{LIMIT, NODES};

/// A host on the mesh, and a peer `0` whom all nodes expect to dial from there.
pub(crate) const CONFIGURATION: &str = r#"
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

/// What a node `0` of this lab would say.
pub(crate) fn hello(lab: &Lab) -> Hello {
    Hello {
        version_min: VERSION_MAX,
        version_max: VERSION_MAX,
        cluster: lab.name().to_owned(),
        node: "0".parse().unwrap(),
        boot: BootId(7),
        macs: PerInterface { first: Mac([2, 0, 0, 0, 1, 0x77]), second: Mac([2, 0, 0, 0, 2, 0x77]) },
        addresses: PerInterface { first: Vec::new(), second: Vec::new() },
        configuration: Vec::new(),
        side: Side::default(),
    }
}

/// What stands in the certificate of a stranger, and when it is valid.
#[derive(Clone, Copy)]
pub(crate) enum Certificate {
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
pub(crate) struct Issuer {
    authority: Authority,
    place: TempDir,
}

impl Issuer {
    /// With the lab's own authority.
    pub(crate) fn new(lab: &Lab) -> Self {
        let status = lab.status();
        let log = Path::new(status["nodes"][0]["log"].as_str().unwrap());
        let keys = KeysFolder::at(&log.ancestors().nth(2).unwrap().join("keys"));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let (certificate, key) = (read(keys.authority_certificate()), read(keys.authority_key()));
        let authority = Authority::from_pem(Keys { certificate, key }).unwrap();
        Self { authority, place: tempfile::tempdir().unwrap() }
    }

    /// The arguments that say which certificate a stranger has.
    pub(crate) fn arguments(&self, certificate: Certificate) -> Vec<String> {
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

pub(crate) fn bytes_of(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    let greeting =
        Greeting { hello: hello.clone(), lane: Lane::Control, resume: None, taken: None, padding: Padding::default() };
    encode_greeting(&greeting, &mut bytes).unwrap();
    bytes
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    text
}

/// What node `c` says to these bytes before it closes.
pub(crate) fn say(lab: &Lab, issuer: &Issuer, certificate: Certificate, bytes: &[u8]) -> Vec<Spoken> {
    say_to("c", lab, issuer, certificate, bytes)
}

/// A node's address on the mesh.
fn address(node: &str) -> String {
    let place = NODES.iter().position(|name| *name == node).unwrap();
    format!("10.9.0.{}", 11 + place)
}

/// What a node says to these bytes before it closes.
pub(crate) fn say_to(node: &str, lab: &Lab, issuer: &Issuer, certificate: Certificate, bytes: &[u8]) -> Vec<Spoken> {
    let (text, address) = (hexadecimal(bytes), address(node));
    let files = issuer.arguments(certificate);
    let mut line = vec!["python3", "-c", STRANGER, &address, &text];
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

pub(crate) fn refusals(lab: &Lab) -> Value {
    lab.json("c", &["status"])["refusals"].clone()
}

pub(crate) fn log(lab: &Lab) -> String {
    log_of(lab, "c")
}

pub(crate) fn log_of(lab: &Lab, node: &str) -> String {
    let status = lab.status();
    let mut nodes = status["nodes"].as_array().unwrap().iter();
    fs::read_to_string(nodes.find(|n| n["node"] == node).unwrap()["log"].as_str().unwrap()).unwrap()
}

pub(crate) fn heartbeat() -> Heartbeat {
    Heartbeat {
        priorities: PerInterface { first: 1, second: 1 },
        epochs: PerInterface { first: None, second: None },
        weight: 100,
        in_sync: false,
        synced: PerInterface::default(),
        draining: false,
        suspended: false,
        full: false,
        interfaces: PerInterface::default(),
        heard: PerInterface::default(),
        links: Vec::new(),
        padding: Padding::default(),
    }
}

/// The real members are linked, the roles are where they were, and traffic crosses the cluster.
pub(crate) fn assert_all_is_well(lab: &Lab, roles: &Value) {
    assert_eq!(&lab.await_mesh(LIMIT, &NODES), roles);
    for address in ["10.2.0.100", "fd00:2::100"] {
        let output = lab.exec("client", &["ping", "-n", "-c", "1", "-W", "10", address]);
        assert_eq!(output.code, 0, "{}", output.stdout);
    }
}
