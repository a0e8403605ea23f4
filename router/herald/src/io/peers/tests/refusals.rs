//! Who is refused, by name, and harms no good link.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use super::super::*;
use super::room::*;
use crate::io::clock;
use herald_core::id::BootId;
use herald_core::mesh::{Greeting, Resume, codec};
use herald_keys::{Authority, Validity};

#[test]
fn each_wrong_peer_is_refused_by_name_and_the_good_link_stays() {
    let mut room = Room::linked();
    room.parties[1].told.clear();
    let foreign = Hello { cluster: "other".to_owned(), ..hello("a", 1) };
    let newer = Hello { version_min: 1_000, version_max: 1_001, ..hello("a", 1) };
    let mut early = Vec::new();
    codec::encode_numbered(1, &claim(1), &mut early).unwrap();
    let (mut wrong_boot, mut lanes) = (Vec::new(), greeting(&hello("a", 9)));
    lanes.lane = Lane::Frames;
    codec::encode_greeting(&lanes, &mut wrong_boot).unwrap();
    let mut never_sent = Vec::new();
    let resume = Some(Resume { boot: BootId(1), received: 1_000_000, first_kept: 1 });
    codec::encode_greeting(&Greeting { resume, ..greeting(&hello("a", 1)) }, &mut never_sent).unwrap();
    let cases = [
        ("wrong-cluster", "a", said(&foreign)),
        ("no-common-version", "a", said(&newer)),
        ("unknown-node", "0", said(&hello("0", 1))),
        ("own-id", "b", said(&hello("b", 1))),
        ("certificate-of-another", "c", said(&hello("a", 1))),
        ("message-before-hello", "a", early),
        ("no-control", "a", wrong_boot),
        ("too-long", "a", vec![0xff; 64]),
        ("too-long", "a", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        ("too-short", "a", vec![0; 64]),
        ("garbage", "a", [&[0, 0, 0, 66, 0, 1][..], &[0xee; 64]].concat()),
    ];
    let mut expected = std::collections::BTreeMap::new();
    for (name, certified, bytes) in cases {
        let mut hand = room.secure(1, &tls(certified));
        hand.say(&bytes);
        *expected.entry(name).or_insert(0) += 1;
        room.until(|parties| parties[1].refused(name) == expected[name]);
        room.until(|_| hand.has_ended());
    }
    let mut cut = room.secure(1, &tls("a"));
    cut.say(&said(&hello("a", 1))[..20]);
    drop(cut);
    room.until(|parties| parties[1].refused("closed-before-hello") == 1);
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
    let refused: BTreeSet<_> = room.parties[1]
        .told
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Refused { error, .. } => Some(error.name()),
            PeerEvent::Up(_)
            | PeerEvent::Arrived(..)
            | PeerEvent::Lost(..)
            | PeerEvent::FramesUp(_)
            | PeerEvent::FramesLost(..)
            | PeerEvent::KeptApart { .. }
            | PeerEvent::Differs { .. } => None,
        })
        .collect();
    assert_eq!(refused.len(), 11);
    // A real hello with impossible numbers ends the link it would replace, and its own.
    let mut liar = room.secure(1, &tls("a"));
    liar.say(&never_sent);
    room.until(|parties| parties[1].refused("wrong-number") == 1);
    room.until(|_| liar.has_ended());
}

#[test]
fn each_wrong_certificate_is_refused_by_name_and_the_good_link_stays() {
    let mut room = Room::linked();
    let other = Authority::new("lab", clock::wall()).unwrap();
    let now = clock::wall();
    let day = Duration::from_secs(24 * 3600);
    let issue = |authority: &Authority, from, until| authority.issue(node("a"), Validity { from, until }).unwrap();
    let cases = [
        ("other-authority", issue(&other, now - day, now + day)),
        ("certificate-expired", issue(authority(), now - 2 * day, now - day)),
        ("certificate-not-yet-valid", issue(authority(), now + day, now + 2 * day)),
    ];
    for (name, keys) in cases {
        // The stranger itself trusts this cluster's authority, so that it is not the one to refuse.
        let mut hand = room.secure(1, &tls_of(authority(), &keys));
        room.until(|parties| parties[1].refused(name) == 1);
        room.until(|_| hand.has_ended());
    }
    let mut bare = room.secure(1, &TlsIdentity::without_certificate(authority().certificate().as_bytes()));
    room.until(|parties| parties[1].refused("no-certificate") == 1);
    room.until(|_| bare.has_ended());
    for garbage in [b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec(), vec![0xff; 64], said(&hello("a", 1))] {
        let before = room.parties[1].refused("not-tls");
        let mut stream = room.connect(1);
        stream.write_all(&garbage).unwrap();
        room.until(|parties| parties[1].refused("not-tls") == before + 1);
        room.until(|_| has_ended(&mut stream));
    }
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}

#[test]
fn who_dials_refuses_a_wrong_certificate_and_says_nothing() {
    // Node b's certificate is of another authority; node c has one of node d.
    let other = Authority::new("lab", clock::wall()).unwrap();
    let foreign = other.issue(node("b"), Validity::days(clock::wall(), 1)).unwrap();
    let mut b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
    b.peers.tls = tls_of(authority(), &foreign);
    let mut c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere())]);
    c.peers.tls = tls("d");
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("c", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    room.until(|parties| {
        parties[0].refused("other-authority") > 0
            && parties[0].refused("not-expected") > 0
            && parties[1].refused("refused-by-peer") > 0
    });
    assert!(!room.parties[0].told.iter().any(|event| matches!(event, PeerEvent::Up(_))));
}

#[test]
fn both_ends_name_another_cluster_and_the_unexpected_node() {
    let b = Party::new(Hello { cluster: "other".to_owned(), ..hello("b", 1) }, anywhere(), &[("a", anywhere())]);
    let c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere())]);
    // Where node d should be, c answers.
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("d", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    room.until(|parties| {
        parties[0].refused("wrong-cluster") > 0
            && parties[1].refused("wrong-cluster") > 0
            && parties[0].refused("not-expected") > 0
    });
    assert!(!room.parties[0].told.iter().any(|event| matches!(event, PeerEvent::Up(_))));
}

#[test]
fn strangers_are_bounded() {
    let mut room = Room::linked();
    let strangers: Vec<_> = (0..limits::UNIDENTIFIED_LINKS_MAX + 8).map(|_| room.connect(1)).collect();
    room.until(|parties| parties[1].refused("too-many-unidentified") > 0);
    drop(strangers);
    room.until(|parties| parties[1].peers.slots.iter().count() == 2);
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}
