//! Fragments of frames, cut by hand: what hosts send.

use etherparse::Ipv4HeaderSlice;

/// Length of an Ethernet header in bytes.
const ETHERNET_LEN: usize = 14;

/// A fragment of a frame without IP options or extension headers: `len` bytes of what is behind its IP header, from `at` on.
#[must_use]
pub fn fragment(frame: &[u8], identification: u32, at: usize, len: usize) -> Vec<u8> {
    let is_ipv6 = frame[ETHERNET_LEN] >> 4 == 6;
    let head_end = ETHERNET_LEN + if is_ipv6 { 40 } else { 20 };
    let payload = &frame[head_end..];
    let part = &payload[at..(at + len).min(payload.len())];
    let more = at + part.len() < payload.len();
    let mut bytes = frame[..head_end].to_vec();
    if is_ipv6 {
        let next = std::mem::replace(&mut bytes[20], 44);
        bytes[18..20].copy_from_slice(&u16::try_from(8 + part.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&[next, 0]);
        bytes.extend_from_slice(&(u16::try_from(at).unwrap() | u16::from(more)).to_be_bytes());
        bytes.extend_from_slice(&identification.to_be_bytes());
    } else {
        bytes[16..18].copy_from_slice(&u16::try_from(20 + part.len()).unwrap().to_be_bytes());
        bytes[18..20].copy_from_slice(&u16::try_from(identification & 0xffff).unwrap().to_be_bytes());
        let place = u16::try_from(at / 8).unwrap() | if more { 0x2000 } else { 0 };
        bytes[20..22].copy_from_slice(&place.to_be_bytes());
        mend(&mut bytes);
    }
    bytes.extend_from_slice(part);
    bytes
}

/// All fragments of a frame, each of `len` bytes at most behind its headers, a multiple of 8.
#[must_use]
pub fn fragments(frame: &[u8], identification: u32, len: usize) -> Vec<Vec<u8>> {
    let head_end = ETHERNET_LEN + if frame[ETHERNET_LEN] >> 4 == 6 { 40 } else { 20 };
    (0..frame.len() - head_end).step_by(len).map(|at| fragment(frame, identification, at, len)).collect()
}

/// Writes the checksum of a frame's IPv4 header.
pub fn mend(frame: &mut [u8]) {
    let sum = Ipv4HeaderSlice::from_slice(&frame[ETHERNET_LEN..]).unwrap().to_header().calc_header_checksum();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}
