//! Keys of Initial packets, which everybody can derive who saw the first one (RFC 9001, section 5; RFC 9369, section 3.3).

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::error::Unspecified;
use ring::hkdf;

/// The versions whose Initial packets are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// RFC 9000.
    One,
    /// RFC 9369.
    Two,
}

impl Version {
    /// By its number on the wire.
    pub(super) fn parse(number: u32) -> Option<Self> {
        match number {
            0x0000_0001 => Some(Self::One),
            0x6b33_43cf => Some(Self::Two),
            _ => None,
        }
    }

    /// Its number among people.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn salt(self) -> [u8; 20] {
        match self {
            Self::One => [
                0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
                0xbb, 0x7f, 0x0a,
            ],
            Self::Two => [
                0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
                0xbd, 0x2e, 0xd9,
            ],
        }
    }

    /// The labels of key, initialisation vector and header protection.
    fn labels(self) -> [&'static str; 3] {
        match self {
            Self::One => ["quic key", "quic iv", "quic hp"],
            Self::Two => ["quicv2 key", "quicv2 iv", "quicv2 hp"],
        }
    }
}

/// What opens the client's Initial packets.
pub(super) struct Keys {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    header: quic::HeaderProtectionKey,
}

/// So many bytes are derived.
struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label` with an empty context (RFC 8446, section 7.1).
fn expand<const LEN: usize>(secret: &hkdf::Prk, label: &str) -> Result<[u8; LEN], Unspecified> {
    let len = u16::try_from(LEN).map_err(|_| Unspecified)?.to_be_bytes();
    let label_len = [u8::try_from(label.len() + 6).map_err(|_| Unspecified)?];
    let mut bytes = [0; LEN];
    secret.expand(&[&len, &label_len, b"tls13 ", label.as_bytes(), &[0]], Len(LEN))?.fill(&mut bytes)?;
    Ok(bytes)
}

/// Key, initialisation vector and key of the header of a client, as bytes.
pub(super) type Bytes = ([u8; 16], [u8; aead::NONCE_LEN], [u8; 16]);

/// Derives them from the connection ID to which the client sent its first packet.
pub(super) fn derive(version: Version, connection: &[u8]) -> Result<Bytes, Unspecified> {
    let initial = hkdf::Salt::new(hkdf::HKDF_SHA256, &version.salt()).extract(connection);
    let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &expand::<32>(&initial, "client in")?);
    let [key, iv, header] = version.labels();
    Ok((expand(&secret, key)?, expand(&secret, iv)?, expand(&secret, header)?))
}

impl Keys {
    pub(super) fn new(version: Version, connection: &[u8]) -> Result<Self, Unspecified> {
        let (key, iv, header) = derive(version, connection)?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&aead::AES_128_GCM, &key)?),
            iv,
            header: quic::HeaderProtectionKey::new(&quic::AES_128, &header)?,
        })
    }

    /// The mask of a header (RFC 9001, section 5.4).
    pub(super) fn mask(&self, sample: &[u8]) -> Result<[u8; 5], Unspecified> {
        self.header.new_mask(sample)
    }

    /// Opens a packet's content in place.
    pub(super) fn open<'a>(&self, number: u64, header: &[u8], content: &'a mut [u8]) -> Result<&'a [u8], Unspecified> {
        let mut nonce = self.iv;
        for (byte, part) in nonce.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
            *byte ^= part;
        }
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header), content)?;
        Ok(opened)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 9001, appendix A.1, and RFC 9369, appendix A.1.
    #[test]
    fn keys_are_those_of_the_standards() {
        let connection = bytes("8394c8f03e515708");
        let cases = [
            (
                Version::One,
                ["1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"],
            ),
            (
                Version::Two,
                ["8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"],
            ),
        ];
        for (version, expected) in cases {
            let (key, iv, header) = derive(version, &connection).unwrap();
            assert_eq!([&key[..], &iv, &header].map(<[u8]>::to_vec), expected.map(bytes));
        }
    }
}
