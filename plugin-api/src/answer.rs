//! Answers in the name of a stream's other end, built without an allocation. The host fills in the checksums.

use std::net::IpAddr;

use crate::{Direction, Packet, Refused, Transport};

/// Bytes of one built packet: what fits every link that IPv6 may cross (RFC 8200, section 5).
const PACKET_LEN_MAX: usize = 1280;
/// Payload of one TCP segment of an answer.
const SEGMENT_LEN_MAX: usize = PACKET_LEN_MAX - 60;
/// Payload of a datagram of an answer.
const DATAGRAM_LEN_MAX: usize = 1472;

const TCP: u8 = 6;
const UDP: u8 = 17;
const FIN: u8 = 1;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Answers the sender of a packet.
pub(crate) fn answer(packet: &Packet<'_>, payload: &[u8]) -> Result<(), Refused> {
    match packet.transport() {
        Transport::Udp => datagram(packet, payload),
        Transport::Tcp if packet.from_opener() => segments(packet, payload),
        Transport::Tcp | Transport::Echo | Transport::IcmpError | Transport::Other => Err(Refused::Wrong),
    }
}

fn datagram(packet: &Packet<'_>, payload: &[u8]) -> Result<(), Refused> {
    if payload.len() > DATAGRAM_LEN_MAX {
        return Err(Refused::NoRoom);
    }
    let mut built = Built::new();
    built.ip(packet, Way::Back, UDP, 8 + payload.len());
    built.ports(packet, Way::Back);
    built.push(&u16::try_from(8 + payload.len()).unwrap_or_default().to_be_bytes());
    built.push(&[0, 0]);
    built.push(payload);
    packet.inject(packet.direction().reversed(), built.bytes())
}

fn segments(packet: &Packet<'_>, payload: &[u8]) -> Result<(), Refused> {
    let (sequence, acknowledgement) = packet.tcp_numbers().ok_or(Refused::Wrong)?;
    if packet.tcp_flags() & ACK == 0 || payload.len() > usize::from(u16::MAX) {
        return Err(Refused::Wrong);
    }
    let taken = u32::try_from(packet.payload().len()).unwrap_or_default() + u32::from(packet.tcp_flags() & FIN);
    let heard = sequence.wrapping_add(taken);
    let (mut at, mut rest) = (acknowledgement, payload);
    loop {
        let (part, behind) = rest.split_at(rest.len().min(SEGMENT_LEN_MAX));
        rest = behind;
        let end = if rest.is_empty() { FIN } else { 0 };
        segment(packet, Way::Back, [at, heard], (ACK | PSH | end, part))?;
        at = at.wrapping_add(u32::try_from(part.len()).unwrap_or_default());
        if rest.is_empty() {
            break;
        }
    }
    segment(packet, Way::On, [sequence, acknowledgement], (RST | ACK, &[]))
}

fn segment(packet: &Packet<'_>, way: Way, numbers: [u32; 2], (flags, payload): (u8, &[u8])) -> Result<(), Refused> {
    let mut built = Built::new();
    built.ip(packet, way, TCP, 20 + payload.len());
    built.ports(packet, way);
    for number in numbers {
        built.push(&number.to_be_bytes());
    }
    // Header of five words, the largest window without scaling, no checksum yet, nothing urgent.
    built.push(&[5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    built.push(payload);
    let direction = match way {
        Way::On => Direction::FromOpener,
        Way::Back => Direction::ToOpener,
    };
    packet.inject(direction, built.bytes())
}

/// Where a built packet goes, seen from the one that is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Where that was going.
    On,
    /// To its sender.
    Back,
}

/// A packet that is built.
struct Built {
    bytes: [u8; DATAGRAM_LEN_MAX + 48],
    len: usize,
}

impl Built {
    fn new() -> Self {
        Self { bytes: [0; DATAGRAM_LEN_MAX + 48], len: 0 }
    }

    /// Appends; the lengths above leave room for everything.
    fn push(&mut self, more: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + more.len()) {
            place.copy_from_slice(more);
            self.len += more.len();
        }
    }

    /// The IP header of a packet with so many bytes behind it.
    fn ip(&mut self, packet: &Packet<'_>, way: Way, protocol: u8, len: usize) {
        let (source, destination) = ends(packet, way);
        let len = |more: usize| u16::try_from(len + more).unwrap_or_default().to_be_bytes();
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.push(&[0x45, 0]);
                self.push(&len(20));
                // No identification is needed: it must not be fragmented (RFC 6864, section 4.1).
                self.push(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
                self.push(&source.octets());
                self.push(&destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.push(&[0x60, 0, 0, 0]);
                self.push(&len(0));
                self.push(&[protocol, 64]);
                self.push(&source.octets());
                self.push(&destination.octets());
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    fn ports(&mut self, packet: &Packet<'_>, way: Way) {
        let (source, destination) = ends(packet, way);
        self.push(&source.port().to_be_bytes());
        self.push(&destination.port().to_be_bytes());
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn ends(packet: &Packet<'_>, way: Way) -> (std::net::SocketAddr, std::net::SocketAddr) {
    match way {
        Way::On => (packet.source(), packet.destination()),
        Way::Back => (packet.destination(), packet.source()),
    }
}
