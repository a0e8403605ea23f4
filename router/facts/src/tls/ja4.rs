//! The fingerprint JA4 of a client's hello, as FoxIO's text "JA4: TLS Client Fingerprinting" says (JA4 alone, which is
//! under a BSD licence; the other fingerprints of that family are not).

use std::fmt::Write;

use ring::digest;

use super::hello::{ALPN, ClientHello, SERVER_NAME};
use crate::FactName;

/// What carries the hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Tls,
    Quic,
}

/// The names of the facts of a hello.
pub(crate) struct Names {
    pub(super) transport: Transport,
    pub(super) sni: FactName,
    pub(super) alpn: FactName,
    pub(super) versions: FactName,
    pub(super) ja4: FactName,
    pub(super) ech: FactName,
    pub(super) oddities: FactName,
}

impl Transport {
    /// The names of its facts.
    pub(crate) fn names(self) -> Names {
        match self {
            Self::Tls => Names {
                transport: self,
                sni: FactName::TlsSni,
                alpn: FactName::TlsAlpn,
                versions: FactName::TlsVersions,
                ja4: FactName::TlsJa4,
                ech: FactName::TlsEch,
                oddities: FactName::TlsOddities,
            },
            Self::Quic => Names {
                transport: self,
                sni: FactName::QuicSni,
                alpn: FactName::QuicAlpn,
                versions: FactName::QuicVersions,
                ja4: FactName::QuicJa4,
                ech: FactName::QuicEch,
                oddities: FactName::QuicOddities,
            },
        }
    }
}

/// A value that means nothing, sent so that receivers learn to ignore the unknown (RFC 8701, section 2).
pub(super) fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The fingerprint.
pub(super) fn fingerprint(hello: &ClientHello, transport: Transport) -> String {
    let carrier = match transport {
        Transport::Tls => 't',
        Transport::Quic => 'q',
    };
    let known = |list: &[u16]| -> Vec<u16> { list.iter().copied().filter(|value| !is_grease(*value)).collect() };
    let newest = known(&hello.versions).into_iter().max().unwrap_or(hello.legacy_version);
    let has_name = if hello.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
    let (mut ciphers, mut extensions) = (known(&hello.ciphers), known(&hello.extensions));
    let (ciphers_len, extensions_len) = (ciphers.len().min(99), extensions.len().min(99));
    let (first, last) = ends(hello.alpn.first().map_or(&[], Vec::as_slice));
    ciphers.sort_unstable();
    extensions.retain(|kind| ![SERVER_NAME, ALPN].contains(kind));
    extensions.sort_unstable();
    let mut listed = list(&extensions);
    let algorithms = known(&hello.signature_algorithms);
    if !listed.is_empty() && !algorithms.is_empty() {
        listed.push('_');
        listed.push_str(&list(&algorithms));
    }
    let version = version(newest);
    format!(
        "{carrier}{version}{has_name}{ciphers_len:02}{extensions_len:02}{first}{last}_{}_{}",
        hash(&list(&ciphers)),
        hash(&listed)
    )
}

fn version(number: u16) -> &'static str {
    match number {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the first protocol, or of its hexadecimal digits if one of them is no letter or digit.
fn ends(protocol: &[u8]) -> (char, char) {
    let (Some(first), Some(last)) = (protocol.first(), protocol.last()) else { return ('0', '0') };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return ((*first).into(), (*last).into());
    }
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    (digit(first >> 4), digit(last & 0x0f))
}

/// Numbers in four hexadecimal digits, commas between.
fn list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for number in numbers {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing into a text cannot fail.
        let _ = write!(text, "{comma}{number:04x}");
    }
    text
}

/// The first twelve digits of its SHA-256; zeros of nothing.
fn hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hex(digest.as_ref().get(..6).unwrap_or_default())
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_text() {
        let ciphers = "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9";
        assert_eq!(hash(ciphers), "8daaf6152771");
        let extensions = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01";
        assert_eq!(hash(extensions), "6d807ffa2a79");
        assert_eq!(hash(""), "000000000000");
    }

    #[test]
    fn ends_of_a_protocol_are_those_of_the_text() {
        let cases: &[(&[u8], &str)] = &[
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"", "00"),
            (b"x", "xx"),
            (&[0xab], "ab"),
            (&[0x20], "20"),
            (&[0xab, 0xcd], "ad"),
            (&[0x20, 0x61], "21"),
            (&[0x30, 0xab], "3b"),
            (&[0x61, 0x20], "60"),
            (&[0x30, 0x31, 0xab, 0xcd], "3d"),
            (&[0x30, 0xab, 0xcd, 0x31], "01"),
        ];
        for (protocol, expected) in cases {
            let (first, last) = ends(protocol);
            assert_eq!(format!("{first}{last}"), *expected, "{protocol:?}");
        }
    }

    #[test]
    fn the_whole_is_that_of_the_text() {
        let hello = ClientHello::example(
            &[
                0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
                0x009d, 0x002f, 0x0035,
            ],
            &[
                0x3a3a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
                0xff01, 0x000b, 0x000a, 0x0015,
            ],
            &[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
        );
        assert_eq!(fingerprint(&hello, Transport::Tls), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }
}
