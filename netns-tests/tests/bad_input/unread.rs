//! A member of the mesh that talks, but never reads.

use std::fs;

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::limits::{LINK_QUEUE_BYTES_MAX, RESEND_BYTES_MAX};
use herald_core::mesh::codec::{encode, encode_numbered};
use herald_core::mesh::{Heartbeat, Message, Query};
use netns_tests::{Lab, eventually};

use crate::stranger::{
    CONFIGURATION, Certificate, Issuer, assert_all_is_well, bytes_of, heartbeat, hello, hexadecimal, log_of, refusals,
};
use crate::{LIMIT, NODES};

/// Says over TLS what is in the file that is its second argument, then its third again and again, until the node closes;
/// and never reads.
const DEAF: &str = r#"
import socket, ssl, sys, time

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(*sys.argv[4:])
talk, beat = open(sys.argv[2], "rb").read(), bytes.fromhex(sys.argv[3])
with socket.create_connection((sys.argv[1], 7400), timeout=30) as plain, context.wrap_socket(plain) as client:
    try:
        client.sendall(talk)
        while True:
            client.sendall(beat)
            time.sleep(0.1)
    except (ConnectionError, ssl.SSLError):
        print("the node closed")
"#;

/// Questions of the deaf member; the answers are more than may wait for it.
const QUESTIONS: u64 = 300_000;

/// After so many questions there is a heartbeat.
const QUESTIONS_PER_BEAT: u64 = 1_000;

/// Growth of a node's peak memory in KiB: what may wait for one peer, to be sent and to be acknowledged, and as much again,
/// since a buffer grows by doubling.
const GROWTH_KIB_MAX: u64 = 2 * ((LINK_QUEUE_BYTES_MAX + RESEND_BYTES_MAX) / 1024) as u64;

/// A heartbeat of a member that is not to be chosen.
fn beat() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&Message::Heartbeat(Heartbeat { weight: 0, ..heartbeat() }), &mut bytes).unwrap();
    bytes
}

/// Hello, and questions with heartbeats in between.
fn talk(lab: &Lab) -> Vec<u8> {
    let key = FlowKey::new(Interface::First, 6, ([10, 1, 0, 9].into(), 9), ([10, 2, 0, 9].into(), 9));
    let (beat, mut bytes) = (beat(), bytes_of(&hello(lab)));
    for number in 1..=QUESTIONS {
        if number % QUESTIONS_PER_BEAT == 1 {
            bytes.extend_from_slice(&beat);
        }
        encode_numbered(number, &Message::Query(Query { id: number, key }), &mut bytes).unwrap();
    }
    bytes
}

#[test]
fn a_member_that_never_reads_loses_its_own_link_only() {
    let lab = Lab::up("deaf").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), lab.memory("VmHWM:"));
    let (issuer, place) = (Issuer::new(&lab), tempfile::tempdir().unwrap());
    let file = place.path().join("talk").display().to_string();
    fs::write(&file, talk(&lab)).unwrap();
    assert_eq!(refusals(&lab)["queue-full"].as_u64(), None);

    let (beat, files) = (hexadecimal(&beat()), issuer.arguments(Certificate::Of("0")));
    let mut deaf = lab.spawn("stranger", &["python3", "-c", DEAF, "10.9.0.13", &file, &beat, &files[0], &files[1]]);
    eventually(LIMIT, "the link is ended for its reason", || {
        assert!(deaf.ended().is_none_or(|code| code == 0), "{}", deaf.stderr());
        refusals(&lab)["queue-full"].as_u64()
    });
    assert_eq!(deaf.wait(LIMIT).ok().trim(), "the node closed");
    assert_eq!(refusals(&lab)["queue-full"], 1);
    let log = log_of(&lab, "c");
    assert!(log.contains("link to 0 is up") && log.contains("link to 0: it does not read: "), "{log}");

    assert_all_is_well(&lab, &roles);
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
    for node in NODES {
        let log = log_of(&lab, node);
        assert!(!NODES.iter().any(|other| log.contains(&format!("link to {other} is lost"))), "{node}: {log}");
    }
}
