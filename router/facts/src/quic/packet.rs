//! Packets of a datagram, as far as their headers can be read without keys (RFC 9000, section 17.2).

use super::keys::Version;
use crate::reader::Reader;

/// A packet with a long header.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) version: Version,
    pub(super) is_initial: bool,
    /// To whom it is sent.
    pub(super) connection: &'a [u8],
    /// All its bytes.
    pub(super) bytes: &'a [u8],
    /// Where its number begins.
    pub(super) number_at: usize,
}

/// Bytes of a connection ID (RFC 9000, section 17.2).
const CONNECTION_LEN_MAX: usize = 20;

/// What the next packet is.
#[derive(Debug)]
pub(super) enum Next<'a> {
    Packet(Packet<'a>),
    /// Of a version that is not read.
    UnknownVersion,
    /// No packet with a long header.
    None,
}

/// Takes the next packet out of a datagram.
pub(super) fn next<'a>(datagram: &mut &'a [u8]) -> Next<'a> {
    let mut reader = Reader::new(datagram);
    let Some((first, number)) = (|| Some((reader.u8()?, reader.u32()?)))() else { return Next::None };
    if first & 0x80 == 0 || number == 0 {
        return Next::None;
    }
    let Some((connection, from)) = (|| Some((reader.field8()?, reader.field8()?)))() else { return Next::None };
    let Some(version) = Version::parse(number) else { return Next::UnknownVersion };
    let connection = connection.rest();
    if connection.len() > CONNECTION_LEN_MAX || from.rest().len() > CONNECTION_LEN_MAX || first & 0x40 == 0 {
        return Next::None;
    }
    // The types are numbered otherwise in version 2 (RFC 9369, section 3.2).
    let (initial, retry) = match version {
        Version::One => (0, 3),
        Version::Two => (1, 0),
    };
    let kind = first >> 4 & 0x03;
    if kind == retry {
        return Next::None;
    }
    let is_initial = kind == initial;
    let rest = (|| {
        if is_initial {
            let token = varint(&mut reader)?;
            reader.take(usize::try_from(token).ok()?)?;
        }
        let len = usize::try_from(varint(&mut reader)?).ok()?;
        let header_len = datagram.len() - reader.rest().len();
        Some((header_len, datagram.split_at_checked(header_len.checked_add(len)?)?))
    })();
    let Some((number_at, (bytes, rest))) = rest else { return Next::None };
    *datagram = rest;
    Next::Packet(Packet { version, is_initial, connection, bytes, number_at })
}

/// A number of one, two, four or eight bytes (RFC 9000, section 16).
pub(super) fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let mut value = u64::from(first & 0x3f);
    for byte in reader.take((1 << (first >> 6)) - 1)? {
        value = value << 8 | u64::from(*byte);
    }
    Some(value)
}
