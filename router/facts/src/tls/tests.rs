//! Hellos built here and made by rustls, in any cuts.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{ClientParser, ServerParser};
use crate::limits::{CERTIFICATE_BYTES_MAX, HELLO_BYTES_MAX, RECORD_BYTES_MAX};
use crate::{FactName, Facts, Oddity, Progress, Value};

fn field8(content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(content.len()).unwrap()], content].concat()
}

fn field16(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

fn field24(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap().to_be_bytes()[1..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &field16(content)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &field16(&[&[0][..], &field16(name)].concat()))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &field24(body)].concat()
}

fn record(content: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &field16(content)].concat()
}

fn client_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let head = [&[3, 3][..], &[7; 32], &field8(&[9; 32]), &field16(&[0x13, 1, 0xc0, 0x2b]), &field8(&[0])].concat();
    message(1, &[head, field16(&extensions.concat())].concat())
}

fn server_hello(version: u16, extensions: &[Vec<u8>]) -> Vec<u8> {
    let head = [&version.to_be_bytes()[..], &[7; 32], &field8(&[9; 32]), &[0xc0, 0x2b, 0]].concat();
    message(2, &[head, field16(&extensions.concat())].concat())
}

/// Says all in pieces of these lengths, the last one over and over.
fn client(bytes: &[u8], mut cuts: impl Iterator<Item = usize>) -> (Progress, Facts) {
    let (mut parser, mut facts, mut rest) = (ClientParser::new(), Facts::new(), bytes);
    let mut progress = parser.feed(&[], &mut facts);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(cuts.next().unwrap_or(rest.len()).clamp(1, rest.len()));
        if let Progress::Need(wanted) = progress {
            assert!(wanted > 0);
        }
        progress = parser.feed(piece, &mut facts);
        rest = more;
    }
    (progress, facts)
}

fn server(bytes: &[u8]) -> (Progress, Facts) {
    let (mut parser, mut facts) = (ServerParser::new(), Facts::new());
    let progress = parser.feed(bytes, &mut facts);
    let (mut slow, mut same) = (ServerParser::new(), Facts::new());
    let last = bytes.iter().map(|byte| slow.feed(&[*byte], &mut same)).last();
    assert_eq!((last, &same), (Some(progress), &facts));
    (progress, facts)
}

fn whole(bytes: &[u8]) -> (Progress, Facts) {
    client(bytes, std::iter::empty())
}

fn text(facts: &Facts, name: FactName) -> &str {
    match facts.get(name) {
        Some(Value::Text(text)) => text,
        other => panic!("{name:?}: {other:?}"),
    }
}

fn oddities(facts: &Facts) -> Vec<Oddity> {
    match facts.get(FactName::TlsOddities) {
        Some(Value::Oddities(list)) => list.clone(),
        _ => Vec::new(),
    }
}

#[test]
fn a_hello_is_read() {
    let alpn = extension(16, &field16(&[field8(b"h2"), field8(b"http/1.1")].concat()));
    let versions = extension(43, &field8(&[0x2a, 0x2a, 3, 4, 3, 3]));
    let hello = client_hello(&[server_name(b"WWW.example.TEST"), alpn, versions, extension(0xfe0d, &[0, 1, 2])]);
    let (progress, facts) = whole(&record(&hello));
    assert_eq!(progress, Progress::Need(5));
    assert_eq!(
        serde_json::to_value(&facts).unwrap(),
        serde_json::json!({
            "tls.sni": "www.example.test", "tls.alpn": ["h2", "http/1.1"], "tls.versions": ["1.3", "1.2"],
            "tls.ja4": text(&facts, FactName::TlsJa4), "tls.ech": true,
        })
    );
    assert!(text(&facts, FactName::TlsJa4).starts_with("t13d0204h2_"));
    // What is no hello ends it.
    let (progress, same) = whole(&[record(&hello), record(&message(16, &[1; 70]))].concat());
    assert_eq!((progress, same), (Progress::Done, facts));
}

#[test]
fn a_hello_may_lie_in_records_of_one_byte() {
    let hello = client_hello(&[server_name(b"www.example.test")]);
    let records: Vec<u8> = hello.iter().flat_map(|byte| record(&[*byte])).collect();
    assert_eq!(text(&whole(&records).1, FactName::TlsSni), "www.example.test");
    // Between them lies nothing else, and none is empty.
    for wrong in [&[20, 3, 3, 0, 1, 1][..], &[21, 3, 3, 0, 2, 1, 0], &[22, 3, 3, 0, 0], &[22, 4, 3, 0, 1, 1]] {
        let (progress, facts) = whole(&[&record(&hello[..9]), wrong, &record(&hello[9..])].concat());
        assert_eq!((progress, oddities(&facts)), (Progress::Refused(Oddity::TlsRecord), vec![Oddity::TlsRecord]));
        assert_eq!(facts.get(FactName::TlsSni), None);
    }
}

#[test]
fn a_second_hello_is_seen() {
    let hello = |name: &[u8]| record(&client_hello(&[server_name(name)]));
    let (progress, facts) = whole(&[hello(b"a.test"), hello(b"b.test")].concat());
    assert_eq!((progress, text(&facts, FactName::TlsSni)), (Progress::Need(5), "a.test"));
    assert_eq!((text(&facts, FactName::TlsSecondSni), oddities(&facts)), ("b.test", vec![Oddity::TlsSecondHello]));
    // After a request to retry it is the same, behind a record that says nothing.
    let (progress, facts) = whole(&[&hello(b"a.test")[..], &[20, 3, 3, 0, 1, 1], &hello(b"a.test")].concat());
    assert_eq!((progress, oddities(&facts)), (Progress::Need(5), vec![]));
    // What a client of TLS 1.2 says there is encrypted, and may begin like a hello.
    let (progress, facts) = whole(&[&hello(b"a.test")[..], &[20, 3, 3, 0, 1, 1], &record(&[1; 40])].concat());
    assert_eq!((progress, oddities(&facts)), (Progress::Done, vec![]));
}

#[test]
fn names_that_name_no_host_are_told() {
    for name in [&b"a b"[..], b"192.0.2.1", b"a\0.test", b"_x.test", b"."] {
        assert_eq!(oddities(&whole(&record(&client_hello(&[server_name(name)]))).1), [Oddity::TlsNameNoHost]);
    }
}

#[test]
fn malformed_hellos_are_refused_and_say_no_name() {
    let name = server_name(b"www.example.test");
    let two_names = field16(&[&[0][..], &field16(b"a.test"), &[0], &field16(b"b.test")].concat());
    let cases = [
        client_hello(&[name.clone(), name.clone()]),
        client_hello(&[extension(0, &two_names)]),
        client_hello(&[extension(0, &field16(&[1, 0, 1, 65]))]),
        client_hello(&[extension(0, &field16(&[0, 0, 0]))]),
        client_hello(&[extension(0, &[])]),
        client_hello(&[name.clone(), vec![0, 16, 0]]),
        client_hello(&[name.clone(), extension(43, &[3, 3, 4, 3])]),
        client_hello(&[name.clone(), extension(16, &field16(&[9, 65]))]),
        message(1, &[3, 3]),
        message(1, &[]),
    ];
    for hello in cases {
        let (progress, facts) = whole(&record(&hello));
        assert_eq!(progress, Progress::Refused(Oddity::TlsHello), "{hello:?}");
        assert_eq!(facts.iter().map(|(name, _)| name).collect::<Vec<_>>(), [FactName::TlsOddities]);
    }
}

#[test]
fn hellos_have_a_bound() {
    let long = |len: usize| {
        let empty = client_hello(&[extension(21, &[])]).len();
        let padding = vec![0; len + 4 - empty];
        // The field of an extension holds less than the bound: two of them.
        let (a, b) = padding.split_at(padding.len() / 2);
        let hello = client_hello(&[extension(21, a), extension(22, &b[4..])]);
        hello.chunks(RECORD_BYTES_MAX).flat_map(record).collect::<Vec<u8>>()
    };
    let (progress, facts) = whole(&long(65_000));
    assert_eq!((progress, facts.get(FactName::TlsEch)), (Progress::Need(5), Some(&Value::Flag(false))));
    let announced = u32::try_from(HELLO_BYTES_MAX + 1).unwrap().to_be_bytes();
    let (progress, _) = whole(&record(&[1, announced[1], announced[2], announced[3]]));
    assert_eq!(progress, Progress::Refused(Oddity::TlsHelloTooLong));
}

#[test]
fn other_protocols_are_not_this() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x\r\n", &[22, 2], &[23, 3, 3], &[22, 3, 1, 0, 4, 2, 0, 0, 0]] {
        assert_eq!(whole(bytes).0, Progress::NotThis, "{bytes:?}");
    }
}

#[test]
fn servers_tell_their_version_and_names() {
    let alpn = extension(16, &field16(&field8(b"h2")));
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["www.example.test".to_owned(), "*.Example.test".to_owned(), "192.0.2.7".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let chain = message(11, &field24(&field24(certificate.der())));
    let (progress, facts) = server(&record(&[server_hello(0x0303, &[alpn]), chain.clone()].concat()));
    assert_eq!(progress, Progress::Done);
    assert_eq!(
        serde_json::to_value(&facts).unwrap(),
        serde_json::json!({
            "tls.server_version": "1.2", "tls.server_alpn": "h2",
            "tls.certificate_names": ["www.example.test", "*.example.test", "192.0.2.7"],
        })
    );
    // TLS 1.3 encrypts its certificate; a resumed session has none.
    let (progress, facts) = server(&record(&server_hello(0x0303, &[extension(43, &[3, 4])])));
    assert_eq!((progress, text(&facts, FactName::TlsServerVersion)), (Progress::Done, "1.3"));
    let resumed = [&record(&server_hello(0x0303, &[]))[..], &[20, 3, 3, 0, 1, 1]].concat();
    assert_eq!(server(&resumed).0, Progress::Done);
    for (chain, oddity) in [
        (message(11, &field24(&field24(&[1, 2, 3]))), Oddity::TlsCertificate),
        ([&[11][..], &field24(&vec![0; CERTIFICATE_BYTES_MAX + 1])[..3]].concat(), Oddity::TlsCertificateTooLong),
    ] {
        let (progress, facts) = server(&record(&[server_hello(0x0303, &[]), chain].concat()));
        assert_eq!((progress, oddities(&facts)), (Progress::Refused(oddity), vec![oddity]));
    }
}

/// The hello of a client of rustls.
fn rustls_hello(name: &str) -> Vec<u8> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut connection = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_hello_of_rustls_is_read() {
    let (progress, facts) = whole(&rustls_hello("Rustls.example.test"));
    assert_eq!((progress, text(&facts, FactName::TlsSni)), (Progress::Need(5), "rustls.example.test"));
    assert_eq!(facts.get(FactName::TlsAlpn), Some(&Value::Texts(vec!["h2".to_owned(), "http/1.1".to_owned()])));
    assert!(text(&facts, FactName::TlsJa4).starts_with("t13d"), "{facts:?}");
    assert!(oddities(&facts).is_empty());
}

proptest! {
    #[test]
    fn any_cuts_say_the_same(cuts in proptest::collection::vec(1_usize..200, 0..40), second in any::<bool>()) {
        let names: &[&str] = if second { &["a.test", "b.test"] } else { &["a.test"] };
        let bytes: Vec<u8> = names.iter().flat_map(|name| rustls_hello(name)).collect();
        prop_assert_eq!(client(&bytes, cuts.into_iter()), whole(&bytes));
    }

    #[test]
    fn changed_bytes_never_panic_and_cuts_still_say_the_same(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cuts in proptest::collection::vec(1_usize..100, 0..40),
    ) {
        let mut bytes = rustls_hello("a.test");
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        prop_assert_eq!(client(&bytes, cuts.into_iter()), whole(&bytes));
        server(&bytes);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        whole(&bytes);
        whole(&record(&message(1, &bytes)));
        server(&record(&message(2, &bytes)));
        server(&record(&[server_hello(0x0303, &[]), message(11, &bytes)].concat()));
    }
}
