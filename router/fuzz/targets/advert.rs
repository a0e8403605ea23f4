//! A VRRP advert: what is read can be written and is read as the same. The packet around it is right, and so is its
//! checksum unless the input wants another: random bytes have none.
//!
//! Input: family and whether the checksum is mended, hop limit, message.

use std::net::IpAddr;

use herald_core::event::DropReason;
use herald_core::id::Mac;
use herald_core::packet::vrrp::{Advert, is_advert};
use herald_core::packet::{Frame, Packet};
use herald_testing::frames;

const PROTOCOL: u8 = 112;
const V4: [[u8; 4]; 2] = [[10, 1, 0, 11], [224, 0, 0, 18]];
const V6: [[u8; 16]; 2] = [
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 1, 0x0a],
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12],
];

pub(crate) fn run(data: &[u8]) {
    let &[choices, hop_limit, ref message @ ..] = data else { return };
    let message = message.get(..2048).unwrap_or(message);
    let mut message = message.to_vec();
    let is_v6 = choices & 1 != 0;
    let mends_checksum = choices & 2 == 0;
    if mends_checksum && message.len() >= 8 {
        message[6..8].fill(0);
        let len = u32::try_from(message.len()).unwrap_or_default();
        let mut summed = if is_v6 { V6.concat() } else { V4.concat() };
        summed.extend(len.to_be_bytes());
        summed.extend([0, PROTOCOL]);
        summed.extend(&message);
        let sum = checksum(&summed);
        message[6..8].copy_from_slice(&sum);
    }
    let macs = [[0, 0, 0x5e, 0, 1, 1], [1, 0, 0x5e, 0, 0, 0x12]];
    let ip = if is_v6 { frames::ip(macs, V6[0], V6[1], hop_limit) } else { frames::ip(macs, V4[0], V4[1], hop_limit) };
    let frame = Frame::from_bytes(&frames::raw(ip, PROTOCOL, &message));
    let read = read(&frame);
    assert!(!mends_checksum || read != Err(DropReason::VrrpChecksum));
    let Ok(advert) = read else { return };
    let source = if is_v6 { IpAddr::from(V6[0]) } else { IpAddr::from(V4[0]) };
    let written = advert.frame(Mac([0, 0, 0x5e, 0, 1, 1]), source).expect("addresses of one family");
    assert_eq!(self::read(&written), Ok(advert));
}

fn read(frame: &Frame) -> Result<Advert, DropReason> {
    let headers = Packet::parse_ip(frame)?;
    assert!(is_advert(&headers), "{headers:?}");
    Advert::parse(&headers, frame)
}

/// The Internet checksum (RFC 1071) of bytes whose own field is zero.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(!sum & 0xffff).unwrap_or_default().to_be_bytes()
}
