//! TLS 1.3 records read with the secrets that the nodes wrote down (RFC 8446, sections 5.2, 5.3 and 7.3).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use ring::hkdf::{HKDF_SHA256, HKDF_SHA384, KeyType, Prk};

/// Bytes of a record's header.
pub(crate) const HEADER_LEN: usize = 5;

/// The longest record (RFC 8446, section 5.2).
const RECORD_LEN_MAX: usize = 16 * 1024 + 256;

const APPLICATION_DATA: u8 = 23;
const HANDSHAKE: u8 = 22;

/// What opens records of one direction of one connection.
#[derive(Debug)]
pub(crate) struct RecordKey {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

/// The keys of all connections whose secrets are in the files, each direction by itself, in no order. From one secret
/// there is a key for each cipher that it may be for.
#[must_use]
pub(crate) fn keys(files: &[impl AsRef<Path>]) -> Vec<RecordKey> {
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default());
    let secrets: BTreeSet<Vec<u8>> =
        texts.flat_map(|text| text.lines().filter_map(secret).collect::<Vec<_>>()).collect();
    secrets.iter().flat_map(|secret| RecordKey::of(secret)).collect()
}

/// The secret in a line such as `CLIENT_TRAFFIC_SECRET_0 RANDOM SECRET`, if it is one for application data.
fn secret(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split(' ');
    let label = words.next()?;
    if !matches!(label, "CLIENT_TRAFFIC_SECRET_0" | "SERVER_TRAFFIC_SECRET_0") {
        return None;
    }
    let digits = words.nth(1)?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// A number of bytes to be derived.
struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

impl RecordKey {
    fn of(secret: &[u8]) -> Vec<Self> {
        let (hash, ciphers): (_, &[&'static Algorithm]) = match secret.len() {
            48 => (HKDF_SHA384, &[&AES_256_GCM]),
            32 => (HKDF_SHA256, &[&AES_128_GCM, &CHACHA20_POLY1305]),
            _ => return Vec::new(),
        };
        let secret = Prk::new_less_safe(hash, secret);
        let key = |cipher: &&'static Algorithm| {
            let bytes = expand(&secret, b"tls13 key", cipher.key_len())?;
            let iv = expand(&secret, b"tls13 iv", NONCE_LEN)?.try_into().ok()?;
            let key = LessSafeKey::new(UnboundKey::new(cipher, &bytes).ok()?);
            Some(Self { key, iv })
        };
        ciphers.iter().filter_map(key).collect()
    }

    /// The application data in a whole record of this number; empty if it is something else. `None` if the key or the
    /// number is another's.
    #[must_use]
    pub(crate) fn open(&self, number: u64, record: &[u8]) -> Option<Vec<u8>> {
        let (header, body) = record.split_at_checked(HEADER_LEN)?;
        let mut nonce = self.iv;
        for (byte, part) in nonce.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
            *byte ^= part;
        }
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(header), &mut body).ok()?;
        // The kind of the content stands behind it, before padding.
        let end = plain.iter().rposition(|byte| *byte != 0)?;
        let (content, kind) = plain.split_at_checked(end)?;
        Some(if kind.first() == Some(&APPLICATION_DATA) { content.to_vec() } else { Vec::new() })
    }
}

/// HKDF-Expand-Label with an empty context.
fn expand(secret: &Prk, label: &[u8], len: usize) -> Option<Vec<u8>> {
    let (len_bytes, label_len) = (u16::try_from(len).ok()?.to_be_bytes(), [u8::try_from(label.len()).ok()?]);
    let mut bytes = vec![0; len];
    secret.expand(&[&len_bytes, &label_len, label, &[0]], Len(len)).ok()?.fill(&mut bytes).ok()?;
    Some(bytes)
}

/// What the first bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The beginning of a record with so many bytes, header included.
    Record {
        /// Its length.
        len: usize,
        /// It may be application data; else it belongs to a handshake.
        encrypted: bool,
    },
    /// Too few bytes to say.
    Short,
    /// No record.
    None,
}

/// What these bytes begin with.
#[must_use]
pub(crate) fn head(bytes: &[u8]) -> Head {
    let Some([kind, major, _, high, low]) = bytes.first_chunk::<HEADER_LEN>() else { return Head::Short };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if *major != 3 || !(20..=APPLICATION_DATA).contains(kind) || len > RECORD_LEN_MAX {
        return Head::None;
    }
    Head::Record { len: HEADER_LEN + len, encrypted: *kind == APPLICATION_DATA }
}

/// True if these bytes begin a handshake: then the stream begins here.
#[must_use]
pub(crate) fn begins_handshake(bytes: &[u8]) -> bool {
    bytes.first() == Some(&HANDSHAKE)
}
