//! Strangers and garbage on the mesh.

use herald_core::limits::UNIDENTIFIED_LINKS_MAX;
use herald_core::mesh::codec::{Spoken, VERSION_MAX, encode, encode_greeting};
use herald_core::mesh::{Greeting, Hello, Lane, Message, Padding};
use netns_tests::{Lab, eventually};
use serde_json::Value;

use crate::stranger::{
    CONFIGURATION, Certificate, Issuer, assert_all_is_well, bytes_of, heartbeat, hello, hexadecimal, log, refusals, say,
};
use crate::{LIMIT, NODES};

/// Growth of a node's peak memory in KiB: nothing of the announced 4 GiB is ever asked for.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// Opens as many connections as its second argument says, and keeps all of them open until each has been told that it is
/// of no use. On one half of them it says nothing, on the other half the first bytes of a handshake.
const CROWD: &str = r#"
import contextlib, resource, select, socket, sys

count = int(sys.argv[2])
limit = (count + 100, max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
open_ones = []
for number in range(count):
    open_ones.append(socket.create_connection((sys.argv[1], 7400), timeout=30))
    with contextlib.suppress(ConnectionError):
        open_ones[-1].sendall(bytes([22, 3, 1, 2, 0, 1]) if number % 2 else b"")
print("all open", len(open_ones), flush=True)
for one in open_ones:
    with contextlib.suppress(ConnectionError):
        while one.recv(4096):
            pass
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
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), lab.memory("VmHWM:"));
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
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
}

#[test]
fn a_stranger_on_the_mesh_is_refused_by_name_and_disturbs_nobody() {
    let lab = Lab::up("stranger").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), lab.memory("VmHWM:"));
    let (issuer, good) = (Issuer::new(&lab), hello(&lab));
    let newer = Hello { version_min: VERSION_MAX + 1, version_max: VERSION_MAX + 2, ..good.clone() };
    let four_gib = [&u32::MAX.to_be_bytes()[..], &[0, 1], &[0; 64]].concat();
    let mut cut = bytes_of(&good);
    cut.truncate(cut.len() / 2);
    let mut early = Vec::new();
    encode(&Message::Heartbeat(heartbeat()), &mut early).unwrap();
    let mut frames = Vec::new();
    let greeting =
        Greeting { hello: good.clone(), lane: Lane::Frames, resume: None, taken: None, padding: Padding::default() };
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
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
}

/// Half-open connections of one stranger, which are open at the same time as it sees them.
const CROWD_SIZE: u64 = 10_000;

/// Descriptors of a node that come and go for other reasons, as the questions of commands do.
const DESCRIPTORS_SPARE: usize = 8;

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn ten_thousand_half_open_links_and_one_byte_a_second_disturb_nobody() {
    let lab = Lab::up("half-open").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), lab.memory("VmHWM:"));
    let descriptors_max = lab.descriptors_max() + UNIDENTIFIED_LINKS_MAX + DESCRIPTORS_SPARE;
    let issuer = Issuer::new(&lab);
    let known = |refusals: &Value| -> u64 {
        let reasons = ["too-many-unidentified", "slow-hello", "closed-before-hello", "broken"];
        reasons.iter().map(|reason| refusals[*reason].as_u64().unwrap_or_default()).sum()
    };
    let before = known(&refusals(&lab));
    let crowd_size = CROWD_SIZE.to_string();
    let mut crowd = lab.spawn("stranger", &["python3", "-c", CROWD, "10.9.0.13", &crowd_size]);
    eventually(LIMIT * 2, "the crowd has come and was told to go", || {
        let descriptors = lab.descriptors_max();
        assert!(descriptors <= descriptors_max, "{descriptors} descriptors, {descriptors_max} are allowed");
        assert_eq!(lab.json("c", &["roles"]), roles);
        crowd.ended()
    });
    let crowd = crowd.wait(LIMIT);
    assert!(crowd.stdout.contains(&format!("all open {CROWD_SIZE}")), "{crowd:?}");
    let counted = || known(&refusals(&lab)) - before;
    eventually(LIMIT, "each connection is counted", || (counted() >= CROWD_SIZE).then_some(()));
    assert_eq!(counted(), CROWD_SIZE, "{}", refusals(&lab));
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
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
    for other in ["a", "b"] {
        assert!(!log(&lab).contains(&format!("link to {other} is lost")), "{}", log(&lab));
    }
}

#[test]
fn garbage_of_a_member_ends_its_own_link_only() {
    let lab = Lab::up("garbage").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), lab.memory("VmHWM:"));
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
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
    let members = lab.json("c", &["members"]);
    let peer = members.as_array().unwrap().iter().find(|m| m["node"] == "0").unwrap();
    assert_eq!(peer["link"], "down", "{members}");
}
