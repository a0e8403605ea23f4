//! Initial packets whose hello and protection rustls made, in any order.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::quic::{self, Keys};
use rustls::{ClientConfig, RootCertStore, Side};
use serde_json::json;

use super::Parser;
use crate::limits::{HELLO_BYTES_MAX, QUIC_PACKETS_MAX, QUIC_PIECES_MAX};
use crate::{FactName, Facts, Oddity, Progress};

const CONNECTION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// The hello of a client of rustls.
fn hello(name: &str, version: quic::Version) -> Vec<u8> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let name = name.to_owned().try_into().unwrap();
    let mut connection = quic::ClientConnection::new(Arc::new(config), version, name, vec![1, 2, 3]).unwrap();
    let mut bytes = Vec::new();
    assert!(connection.write_hs(&mut bytes).is_none());
    bytes
}

fn varint(value: usize) -> [u8; 4] {
    (0x8000_0000 | u32::try_from(value).unwrap()).to_be_bytes()
}

/// A frame of handshake bytes.
fn crypto(offset: usize, bytes: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(bytes.len()), bytes].concat()
}

/// An Initial packet with these frames to this connection ID, protected with the keys of another one.
fn sealed(version: quic::Version, to: &[u8], keys_of: &[u8], number: u32, frames: &[u8]) -> Vec<u8> {
    let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let keys = Keys::initial(version, suite, suite.quic.unwrap(), keys_of, Side::Client);
    let (first, number_on_wire) = match version {
        quic::Version::V2 => (0xd1, 0x6b33_43cf_u32),
        quic::Version::V1 | quic::Version::V1Draft | _ => (0xc1, 1),
    };
    let mut packet =
        [&[first][..], &number_on_wire.to_be_bytes(), &[u8::try_from(to.len()).unwrap()], to, &[0, 0]].concat();
    let mut content = frames.to_vec();
    content.resize(content.len().max(1_200 - packet.len() - 22), 0);
    packet.extend(varint(2 + content.len() + 16));
    let number_at = packet.len();
    packet.extend(&number.to_be_bytes()[2..]);
    let tag = keys.local.packet.encrypt_in_place(number.into(), &packet, &mut content).unwrap();
    packet.extend(&content);
    packet.extend(tag.as_ref());
    let (header, rest) = packet.split_at_mut(number_at + 2);
    let (first, header) = header.split_first_mut().unwrap();
    let sample = rest[2..18].to_vec();
    keys.local.header.encrypt_in_place(&sample, first, &mut header[number_at - 1..]).unwrap();
    packet
}

fn initial(number: u32, frames: &[u8]) -> Vec<u8> {
    sealed(quic::Version::V1, &CONNECTION, &CONNECTION, number, frames)
}

fn read(datagrams: &[Vec<u8>]) -> (Progress, Facts) {
    let (mut parser, mut facts) = (Parser::new(), Facts::new());
    let mut progress = Progress::Need(1);
    for datagram in datagrams {
        progress = parser.datagram(datagram, &mut facts);
    }
    (progress, facts)
}

#[test]
fn hellos_of_both_versions_are_read() {
    for (version, number) in [(quic::Version::V1, 1), (quic::Version::V2, 2)] {
        let frames = crypto(0, &hello("Quic.example.test", version));
        let (progress, facts) = read(&[sealed(version, &CONNECTION, &CONNECTION, 0, &frames)]);
        assert_eq!(progress, Progress::Done, "{facts:?}");
        let facts = serde_json::to_value(&facts).unwrap();
        assert_eq!((&facts["quic.sni"], &facts["quic.alpn"]), (&json!("quic.example.test"), &json!(["h3"])));
        assert_eq!((&facts["quic.version"], &facts["quic.dcid"]), (&json!(number), &json!("8394c8f03e515708")));
        assert!(facts["quic.ja4"].as_str().unwrap().starts_with("q13d"), "{facts}");
        assert!(facts.get("quic.oddities").is_none());
    }
}

#[test]
fn frames_come_in_any_order_and_twice() {
    let hello = hello("quic.example.test", quic::Version::V1);
    let (a, b) = hello.split_at(100);
    let mixed =
        [&crypto(100, b)[..], &[1, 0, 0, 2, 5, 0, 0, 5], &crypto(50, &hello[50..150]), &[0x1c, 0, 0, 0]].concat();
    let (progress, facts) = read(&[initial(1, &mixed), initial(0, &crypto(0, a))]);
    assert_eq!(
        (progress, &serde_json::to_value(&facts).unwrap()["quic.sni"]),
        (Progress::Done, &json!("quic.example.test"))
    );
    // Two packets in one datagram, the first of which nobody can open.
    let both = [initial(300, &crypto(0, a)), initial(301, &crypto(100, b))].concat();
    assert_eq!(read(&[sealed(quic::Version::V1, &CONNECTION, b"other", 9, &[1]), both]).0, Progress::Done);
    // After a Retry keys follow from its connection ID.
    let retried = sealed(quic::Version::V1, b"retried", b"retried", 1, &crypto(0, &hello));
    assert_eq!(read(&[initial(0, &crypto(0, a)), retried]).0, Progress::Done);
}

#[test]
fn what_contradicts_itself_or_exceeds_a_bound_is_refused() {
    let cases = [
        (vec![crypto(0, b"\x01\0\x01\0abcd"), crypto(4, b"abcx")], Oddity::QuicOverlap),
        (vec![crypto(HELLO_BYTES_MAX - 1, b"ab")], Oddity::TlsHelloTooLong),
        (vec![crypto(0, &[1, 1, 0, 0])], Oddity::TlsHelloTooLong),
        (vec![crypto(0, &[2, 0, 0, 0])], Oddity::TlsHello),
        (vec![crypto(0, &[1, 0, 0, 1, 7])], Oddity::TlsHello),
        (vec![vec![8, 0]], Oddity::QuicFrame),
        (vec![vec![6, 0, 0x7f, 0xff]], Oddity::QuicFrame),
        (vec![(0..=QUIC_PIECES_MAX).flat_map(|piece| crypto(10 + piece * 2, b"a")).collect()], Oddity::QuicPieces),
        (vec![vec![1]; QUIC_PACKETS_MAX + 1], Oddity::QuicPackets),
    ];
    for (packets, oddity) in cases {
        let datagrams: Vec<_> = packets.iter().zip(0..).map(|(frames, number)| initial(number, frames)).collect();
        let (progress, facts) = read(&datagrams);
        assert_eq!(progress, Progress::Refused(oddity));
        assert_eq!(serde_json::to_value(&facts).unwrap()["quic.oddities"], json!([oddity]));
    }
    let short = initial(0, &[1])[..1_199].to_vec();
    assert_eq!(read(&[short]).0, Progress::NotThis);
}

#[test]
fn other_datagrams_are_not_this() {
    let retry = [&[0xf0, 0, 0, 0, 1, 0, 0][..], &[0; 1_200]].concat();
    let negotiation = [&[0xc0, 0, 0, 0, 0, 0, 0][..], &[0; 1_200]].concat();
    let handshake = [&[0xe0, 0, 0, 0, 1, 0, 0, 0x44, 0xb0][..], &[0; 1_200]].concat();
    for datagram in [&[][..], &[0xc0], &[0x40; 1_200], b"\xab\xcd\x01\0", &retry, &negotiation, &handshake] {
        assert_eq!(read(&[datagram.to_vec()]).0, Progress::NotThis, "{:?}", datagram.get(..9));
    }
    let unknown = [&[0xc0, 0xff, 0, 0, 29, 0, 0][..], &[0; 1_200]].concat();
    assert_eq!(read(&[unknown]).0, Progress::Refused(Oddity::QuicVersion));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cuts_in_any_order_say_the_same(
        cuts in proptest::collection::btree_set(1_usize..180, 0..12), seed in any::<prop::sample::Index>(), turn in any::<bool>(),
    ) {
        let hello = hello("quic.example.test", quic::Version::V1);
        let ends: Vec<_> = [0].into_iter().chain(cuts).chain([hello.len()]).collect();
        let mut frames: Vec<_> = ends.windows(2).map(|pair| crypto(pair[0], &hello[pair[0]..pair[1]])).collect();
        let len = frames.len();
        frames.rotate_left(seed.index(len));
        if turn {
            frames.reverse();
        }
        let datagrams: Vec<_> = frames.iter().zip(0..).map(|(frame, number)| initial(number, frame)).collect();
        let whole = read(&[initial(0, &crypto(0, &hello))]);
        prop_assert_eq!(whole.0, Progress::Done);
        prop_assert_eq!(read(&datagrams), whole);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..1_200) {
        read(std::slice::from_ref(&bytes));
        read(&[[&[0xc0, 0, 0, 0, 1][..], &bytes].concat()]);
        read(&[initial(0, &bytes)]);
        let mut changed = initial(0, &crypto(0, &hello("a.test", quic::Version::V1)));
        changed[at] ^= 0x55;
        read(&[changed]);
    }
}

#[test]
fn facts_of_quic_have_names_of_their_own() {
    let (_, facts) = read(&[initial(0, &crypto(0, &hello("a.test", quic::Version::V1)))]);
    assert!(facts.iter().all(|(name, _)| name.as_str().starts_with("quic.")));
    assert!(facts.get(FactName::QuicVersions).is_some());
}
