//! Packets for the tests of a plugin: streams of several protocols, each with payloads that plugins like to read.

use std::net::IpAddr;

use herald_core::id::{Interface, Slot};
use herald_core::inspector::{Direction, Inspection};
use herald_core::packet::{Arrival, Came, Frame};

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
    Echo4,
    Other4,
}

/// A packet and where it belongs.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    kind: Kind,
    direction: Direction,
    bytes: Vec<u8>,
}

/// Beginnings that parsers look for, whole and cut, and what they do not expect.
const PAYLOADS: [&[u8]; 11] = [
    b"",
    b"\0",
    b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: www.exa",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    // A TLS record with the head of a ClientHello that promises more than comes.
    &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
    // A DNS question for example.org, and one whose name points at itself.
    &[
        0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 3, b'o', b'r', b'g', 0, 0, 1,
        0, 1,
    ],
    &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1],
    b"boom",
    &[0xff; 200],
    &[0x41; 1_400],
];

/// Packets of one direction of a stream, with every payload.
pub(super) fn samples(kind: Kind, direction: Direction) -> Vec<Sample> {
    PAYLOADS.iter().map(|payload| Sample::new(kind, direction, payload)).collect()
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [Self::Tcp4, Self::Tcp6, Self::Udp4, Self::Udp6, Self::Echo4, Self::Other4];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp4 => "TCP over IPv4",
            Self::Tcp6 => "TCP over IPv6",
            Self::Udp4 => "UDP over IPv4",
            Self::Udp6 => "UDP over IPv6",
            Self::Echo4 => "ICMP echo",
            Self::Other4 => "an unknown protocol",
        }
    }

    /// The IP protocol number.
    pub(super) fn protocol(self) -> u8 {
        match self {
            Self::Tcp4 | Self::Tcp6 => 6,
            Self::Udp4 | Self::Udp6 => 17,
            Self::Echo4 => 1,
            Self::Other4 => 253,
        }
    }

    /// Opener and other end.
    pub(super) fn ends(self) -> ((IpAddr, u16), (IpAddr, u16)) {
        let v4 = |net: u8| IpAddr::from([10, net, 0, 100]);
        let v6 = |net: u16| IpAddr::from([0xfd00, net, 0, 0, 0, 0, 0, 0x100]);
        match self {
            Self::Tcp4 => ((v4(1), 40_000), (v4(2), 80)),
            Self::Tcp6 => ((v6(1), 40_000), (v6(2), 443)),
            Self::Udp4 => ((v4(1), 40_000), (v4(2), 53)),
            Self::Udp6 => ((v6(1), 40_000), (v6(2), 53)),
            Self::Echo4 => ((v4(1), 7), (v4(2), 7)),
            Self::Other4 => ((v4(1), 0), (v4(2), 0)),
        }
    }
}

impl Sample {
    /// A packet with this payload.
    pub(super) fn new(kind: Kind, direction: Direction, payload: &[u8]) -> Self {
        let (opener, other) = kind.ends();
        let (from, to) = match direction {
            Direction::FromOpener => (opener, other),
            Direction::ToOpener => (other, opener),
        };
        let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
        let udp_len = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
        let header = match kind {
            // Acknowledgement and push; a header of five words.
            Kind::Tcp4 | Kind::Tcp6 => {
                [&ports[..], &[0, 0, 1, 0, 0, 0, 2, 0, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]].concat()
            }
            Kind::Udp4 | Kind::Udp6 => [&ports[..], &udp_len, &[0, 0]].concat(),
            Kind::Echo4 => {
                let request = if direction == Direction::FromOpener { 8 } else { 0 };
                vec![request, 0, 0, 0, 0, 7, 0, 1]
            }
            Kind::Other4 => Vec::new(),
        };
        let transport = [&header, payload].concat();
        let bytes = [ip(kind.protocol(), from.0, to.0, transport.len()), transport].concat();
        Self { kind, direction, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn name(&self) -> String {
        format!("{}, {} bytes", self.kind.name(), self.bytes.len())
    }

    /// The packet as the core gives it to the host.
    ///
    /// # Panics
    /// When the core does not take it: the tests of this module say that it does.
    pub(super) fn inspection(&self, stream: u64) -> Inspection {
        let frame = Frame::from_bytes(&self.bytes);
        let arrival = Arrival::parse(Interface::First, frame, Came::Directly);
        let arrival = arrival.unwrap_or_else(|(_, reason)| panic!("a test's packet is {}", reason.name()));
        Inspection::new(arrival, self.direction, stream, Slot::new(0))
    }
}

/// Ethernet and IP headers; the IPv4 one has its checksum.
fn ip(protocol: u8, from: IpAddr, to: IpAddr, len: usize) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(20 + len).unwrap_or(u16::MAX).to_be_bytes();
            let head = [0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol];
            let ends = [from.octets(), to.octets()].concat();
            let words = head.chunks_exact(2).chain(ends.chunks_exact(2)).filter_map(|word| word.first_chunk::<2>());
            let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or_default();
            [&macs[..], &[8, 0], &head, &sum.to_be_bytes(), &ends].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let len = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
            let head = [0x60, 0, 0, 0, len[0], len[1], protocol, 64];
            [&macs[..], &[0x86, 0xdd], &head, &from.octets(), &to.octets()].concat()
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_takes_every_packet_for_the_stream_that_it_is_of() {
        for kind in Kind::ALL {
            for direction in Direction::BOTH {
                let mut all = samples(kind, direction);
                all.push(Sample::new(kind, direction, &[1; 65_000]));
                for sample in all {
                    let arrival = sample.inspection(1).arrival;
                    assert_eq!(arrival.headers.protocol, kind.protocol(), "{}", sample.name());
                    assert_eq!(arrival.headers.end as usize, sample.bytes().len());
                    let key = arrival.key();
                    let (opener, other) = kind.ends();
                    let from = if direction == Direction::FromOpener { opener } else { other };
                    assert_eq!((key.source().ip(), key.source().port()), from, "{}", sample.name());
                }
            }
        }
    }
}
