//! The two hellos (RFC 8446, sections 4.1.2 and 4.1.3).

use super::ja4::{self, Names};
use crate::name::{Form, Name};
use crate::reader::Reader;
use crate::{FactName, Facts, Oddity, Value};

/// Extensions that are read (RFC 8446, section 4.2; RFC 9849, section 5 for the encrypted hello).
pub(super) const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const ALPN: u16 = 16;
pub(super) const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// TLS 1.3, as a number.
pub(super) const TLS_1_3: u16 = 0x0304;

/// `SHA-256("HelloRetryRequest")`: the random value that marks a request to retry (RFC 8446, section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a client's hello says.
#[derive(Debug)]
pub(crate) struct ClientHello {
    pub(super) legacy_version: u16,
    pub(super) ciphers: Vec<u16>,
    /// Their types in order.
    pub(super) extensions: Vec<u16>,
    pub(crate) name: Option<Name>,
    pub(super) alpn: Vec<Vec<u8>>,
    /// As offered; none without the extension.
    pub(super) versions: Vec<u16>,
    pub(super) signature_algorithms: Vec<u16>,
    is_encrypted: bool,
}

impl ClientHello {
    /// Reads a message's body.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        reader.take(32)?;
        let _session = reader.field8()?;
        let ciphers = reader.field16()?.u16s()?;
        let _compressions = reader.field8()?;
        let mut hello = Self {
            legacy_version,
            ciphers,
            extensions: Vec::new(),
            name: None,
            alpn: Vec::new(),
            versions: Vec::new(),
            signature_algorithms: Vec::new(),
            is_encrypted: false,
        };
        // Before TLS 1.2 there may be none.
        if !reader.is_empty() {
            let mut extensions = reader.field16()?;
            while !extensions.is_empty() {
                let kind = extensions.u16()?;
                hello.extension(kind, extensions.field16()?)?;
            }
        }
        let types = &mut hello.extensions.clone();
        types.sort_unstable();
        // A type that comes twice: receivers differ in which one they read.
        let has_twice = types.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        (reader.is_empty() && !has_twice).then_some(hello)
    }

    fn extension(&mut self, kind: u16, mut content: Reader<'_>) -> Option<()> {
        self.extensions.push(kind);
        match kind {
            SERVER_NAME => {
                let mut list = content.field16()?;
                // One name of type 0, host_name, and no other type exists (RFC 6066, section 3).
                let kind = list.u8()?;
                let name = list.field16()?;
                self.name = Some(Name::new(name.rest()));
                (kind == 0 && !name.is_empty() && list.is_empty() && content.is_empty()).then_some(())
            }
            ALPN => {
                self.alpn = protocols(&mut content)?;
                content.is_empty().then_some(())
            }
            SUPPORTED_VERSIONS => {
                self.versions = content.field8()?.u16s()?;
                content.is_empty().then_some(())
            }
            SIGNATURE_ALGORITHMS => {
                self.signature_algorithms = content.field16()?.u16s()?;
                content.is_empty().then_some(())
            }
            ENCRYPTED_CLIENT_HELLO => {
                // The outer hello is type 0; the inner one is never seen on the wire.
                self.is_encrypted = content.u8() == Some(0);
                Some(())
            }
            _ => Some(()),
        }
    }

    /// Puts what it says into the facts, under the names of its transport.
    pub(crate) fn tell(&self, names: &Names, facts: &mut Facts) {
        if let Some(name) = &self.name {
            facts.add(names.sni, Value::Text(name.text.clone()));
            if name.form != Form::Host {
                facts.add_oddity(names.oddities, Oddity::TlsNameNoHost);
            }
        }
        if !self.alpn.is_empty() {
            facts.add(names.alpn, Value::Texts(self.alpn.iter().map(|protocol| printable(protocol)).collect()));
        }
        let offered = if self.versions.is_empty() { &[self.legacy_version][..] } else { &self.versions };
        let versions = offered.iter().filter(|version| !ja4::is_grease(**version)).map(|number| version(*number));
        facts.add(names.versions, Value::Texts(versions.collect()));
        facts.add(names.ja4, Value::Text(ja4::fingerprint(self, names.transport)));
        facts.add(names.ech, Value::Flag(self.is_encrypted));
    }
}

/// What a server's hello says.
#[derive(Debug)]
pub(crate) struct ServerHello {
    pub(super) version: u16,
    pub(super) is_retry: bool,
    alpn: Vec<Vec<u8>>,
}

impl ServerHello {
    /// Reads a message's body.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let is_retry = reader.take(32)? == RETRY;
        let _session = reader.field8()?;
        let _cipher = reader.u16()?;
        let _compression = reader.u8()?;
        let mut hello = Self { version, is_retry, alpn: Vec::new() };
        if !reader.is_empty() {
            let mut extensions = reader.field16()?;
            while !extensions.is_empty() {
                let (kind, mut content) = (extensions.u16()?, extensions.field16()?);
                match kind {
                    SUPPORTED_VERSIONS => hello.version = content.u16()?,
                    ALPN => hello.alpn = protocols(&mut content)?,
                    _ => {}
                }
            }
        }
        reader.is_empty().then_some(hello)
    }

    pub(super) fn tell(&self, facts: &mut Facts) {
        facts.add(FactName::TlsServerVersion, Value::Text(version(self.version)));
        if let Some(protocol) = self.alpn.first() {
            facts.add(FactName::TlsServerAlpn, Value::Text(printable(protocol)));
        }
    }
}

/// A list of protocols (RFC 7301, section 3.1).
fn protocols(content: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = content.field16()?;
    let mut protocols = Vec::new();
    while !list.is_empty() {
        protocols.push(list.field8()?.rest().to_vec());
    }
    Some(protocols)
}

/// Bytes that are text for people: what is no UTF-8 is replaced.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A version as people write it.
pub(crate) fn version(number: u16) -> String {
    match number {
        0x0304 => "1.3".to_owned(),
        0x0303 => "1.2".to_owned(),
        0x0302 => "1.1".to_owned(),
        0x0301 => "1.0".to_owned(),
        0x0300 => "ssl3".to_owned(),
        other => format!("{other:04x}"),
    }
}

#[cfg(test)]
impl ClientHello {
    /// One with these lists that offers TLS 1.3, GREASE and h2.
    pub(super) fn example(ciphers: &[u16], extensions: &[u16], signature_algorithms: &[u16]) -> Self {
        Self {
            legacy_version: 0x0303,
            ciphers: ciphers.to_vec(),
            extensions: extensions.to_vec(),
            name: None,
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            versions: vec![0xfafa, TLS_1_3, 0x0303],
            signature_algorithms: signature_algorithms.to_vec(),
            is_encrypted: false,
        }
    }
}
