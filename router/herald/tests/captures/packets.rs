//! The packets of a capture and those that left, and what they say of their connections.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ring::digest::{SHA256, digest};

/// A packet by the time of its capture, in nanoseconds.
pub(crate) type Timed = (u64, Vec<u8>);

/// A TCP segment of a packet, or of the fragments of one.
pub(crate) struct Segment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

fn usize_of(word: u32) -> usize {
    usize::try_from(word).unwrap()
}

/// The packets of a pcap file in this machine's usual order, with microseconds.
pub(crate) fn pcap_packets(bytes: &[u8]) -> Vec<Timed> {
    assert_eq!(word(bytes), 0xa1b2_c3d4);
    let (mut rest, mut packets) = (&bytes[24..], Vec::new());
    while !rest.is_empty() {
        let (seconds, micros, len) = (word(rest), word(&rest[4..]), usize_of(word(&rest[8..])));
        packets.push(((u64::from(seconds) * 1_000_000 + u64::from(micros)) * 1_000, rest[16..16 + len].to_vec()));
        rest = &rest[16 + len..];
    }
    packets
}

/// The packets of a pcapng file that `herald replay` wrote.
pub(crate) fn pcapng(bytes: &[u8]) -> Vec<Timed> {
    const PACKET: u32 = 6;
    let (mut rest, mut packets) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (kind, block_len) = (word(rest), usize_of(word(&rest[4..])));
        if kind == PACKET {
            let nanos = u64::from(word(&rest[12..])) << 32 | u64::from(word(&rest[16..]));
            packets.push((nanos, rest[28..28 + usize_of(word(&rest[20..]))].to_vec()));
        }
        rest = &rest[block_len..];
    }
    packets
}

/// What stands behind an IP header, and where in its packet if it is a fragment.
fn content(frame: &[u8]) -> (IpAddr, IpAddr, u8, Option<usize>, &[u8]) {
    let ip = &frame[14..];
    if ip[0] >> 4 == 4 {
        let (len, head_len) = (usize::from(u16::from_be_bytes([ip[2], ip[3]])), usize::from(ip[0] & 15) * 4);
        let place = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff;
        let at = (place != 0).then_some(usize::from(place & 0x1fff) * 8);
        let address = |at: usize| IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap()));
        return (address(12), address(16), ip[9], at, &ip[head_len..len]);
    }
    let address = |at: usize| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap()));
    let end = 40 + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    let (mut next, mut at, mut rest) = (ip[6], None, &ip[40..end]);
    while let 0 | 43 | 44 | 60 = next {
        let len = if next == 44 { 8 } else { (usize::from(rest[1]) + 1) * 8 };
        if next == 44 && rest[2..4] != [0, 0] {
            at = Some(usize::from(u16::from_be_bytes([rest[2], rest[3]]) & 0xfff8));
        }
        (next, rest) = (rest[0], &rest[len..]);
    }
    (address(8), address(24), next, at, rest)
}

pub(crate) fn is_fragment(frame: &[u8]) -> bool {
    content(frame).3.is_some()
}

/// The TCP segment of the packets of one moment: of a single one, or of all fragments of one.
pub(crate) fn segment(frames: &[&[u8]]) -> Option<Segment> {
    let mut parts: Vec<_> = frames.iter().map(|frame| content(frame)).collect();
    parts.sort_by_key(|(.., at, _)| at.unwrap_or_default());
    let (from, to, protocol, ..) = *parts.first()?;
    let bytes: Vec<u8> = parts.iter().flat_map(|(.., bytes)| bytes.to_vec()).collect();
    if protocol != 6 {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Some(Segment {
        from: SocketAddr::new(from, port(0)),
        to: SocketAddr::new(to, port(2)),
        sequence: u32::from_be_bytes(bytes[4..8].try_into().unwrap()),
        flags: bytes[13],
        payload: bytes[usize::from(bytes[12] >> 4) * 4..].to_vec(),
    })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What left of one direction of a connection, by offsets from its first byte.
#[derive(Default)]
struct Way {
    first: u32,
    bytes: BTreeMap<u32, u8>,
}

/// What each connection's directions carried when they left: by source and destination, the newest of them.
#[derive(Default)]
pub(crate) struct Ways {
    ways: HashMap<(SocketAddr, SocketAddr), Vec<Way>>,
    /// Copies of a byte that differ.
    pub(crate) differing: Vec<String>,
}

impl Ways {
    pub(crate) fn add(&mut self, segment: &Segment) {
        let ways = self.ways.entry((segment.from, segment.to)).or_default();
        let is_syn = segment.flags & SYN != 0;
        let first = segment.sequence.wrapping_add(u32::from(is_syn));
        if ways.last().is_none_or(|way| is_syn && way.first != first) {
            ways.push(Way { first, bytes: BTreeMap::new() });
        }
        let way = ways.last_mut().unwrap();
        for (place, byte) in (first.wrapping_sub(way.first)..).zip(&segment.payload) {
            let kept = way.bytes.entry(place).or_insert(*byte);
            if kept != byte {
                self.differing.push(format!("byte {place} from {} leaves as {kept:?} and as {byte:?}", segment.from));
            }
        }
    }

    /// Everything before the first hole, and everything at all, of each connection of these ends.
    pub(crate) fn carried(&self, from: SocketAddr, to: SocketAddr) -> Vec<Vec<u8>> {
        let ways = self.ways.get(&(from, to)).into_iter().flatten();
        ways.flat_map(|way| {
            let in_order = (0..).map_while(|place| way.bytes.get(&place).copied()).collect();
            [in_order, way.bytes.values().copied().collect()]
        })
        .collect()
    }
}
