//! A packet that is being made up: fields that can be spoilt one by one, and then bytes.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMP_V6: u8 = 58;
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const FRAGMENT: u8 = 44;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// An IP packet before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Which case it belongs to: IPv4's identification, or the low bits of the flow label.
    pub(crate) number: u16,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
    /// IPv4: three flags and the fragment's offset.
    pub(crate) flags: u16,
    /// IPv4: a multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    /// IPv6: each extension header's number, and what stands behind its first byte.
    pub(crate) headers: Vec<(u8, Vec<u8>)>,
    pub(crate) protocol: u8,
    pub(crate) transport: Vec<u8>,
}

impl Draft {
    /// A datagram of a case without anything odd, whose content is still to come.
    pub(crate) fn of(number: u16, source: IpAddr, destination: IpAddr) -> Self {
        Self {
            number,
            source,
            destination,
            hop_limit: 64,
            traffic_class: 0,
            flags: 0,
            options: Vec::new(),
            headers: Vec::new(),
            protocol: UDP,
            transport: Vec::new(),
        }
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// Writes the right checksum into the transport header, if that has one.
    pub(crate) fn seal(&mut self) {
        let at = match self.protocol {
            TCP => 16,
            UDP => 6,
            ICMP | ICMP_V6 => 2,
            _ => return,
        };
        if self.transport.len() < at + 2 {
            return;
        }
        self.transport[at..at + 2].fill(0);
        let sum = match (self.source, self.destination) {
            _ if self.protocol == ICMP => Sum16BitWords::new(),
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                Sum16BitWords::new().add_4bytes(from.octets()).add_4bytes(to.octets())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                Sum16BitWords::new().add_16bytes(from.octets()).add_16bytes(to.octets())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("of two families: {self:?}"),
        };
        let sum = if self.protocol == ICMP {
            sum
        } else {
            sum.add_2bytes([0, self.protocol]).add_4bytes((self.transport.len() as u32).to_be_bytes())
        };
        let sum = sum.add_slice(&self.transport).ones_complement();
        let sum = if sum == 0 && self.protocol == UDP { 0xffff } else { sum };
        self.transport[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        if self.is_v6() { self.v6() } else { self.v4() }
    }

    fn v4(&self) -> Vec<u8> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.source, self.destination) else { panic!("{self:?}") };
        let header_len = 20 + self.options.len();
        let mut bytes = vec![0x40 | (header_len / 4) as u8, self.traffic_class];
        bytes.extend(((header_len + self.transport.len()) as u16).to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend([self.hop_limit, self.protocol, 0, 0]);
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend(&self.options);
        mend_v4(&mut bytes);
        bytes.extend(&self.transport);
        bytes
    }

    fn v6(&self) -> Vec<u8> {
        let (IpAddr::V6(from), IpAddr::V6(to)) = (self.source, self.destination) else { panic!("{self:?}") };
        let mut behind = Vec::new();
        let next = self.headers.iter().skip(1).map(|(kind, _)| *kind).chain([self.protocol]);
        for ((_, content), next) in self.headers.iter().zip(next) {
            behind.push(next);
            behind.extend(content);
        }
        behind.extend(&self.transport);
        let label = 0x6000_0000 | u32::from(self.traffic_class) << 20 | u32::from(self.number);
        let mut bytes = label.to_be_bytes().to_vec();
        bytes.extend((behind.len() as u16).to_be_bytes());
        bytes.extend([self.headers.first().map_or(self.protocol, |(kind, _)| *kind), self.hop_limit]);
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend(behind);
        bytes
    }

    /// The packet as fragments that begin at these places of what stands behind the IP header, multiples of 8.
    pub(crate) fn cut(&self, places: &[usize]) -> Vec<Draft> {
        let ends = places.iter().skip(1).copied().chain([self.transport.len()]);
        places.iter().zip(ends).map(|(begin, end)| self.part(*begin, end, end < self.transport.len())).collect()
    }

    /// One fragment. IPv6 needs a packet without extension headers.
    pub(crate) fn part(&self, begin: usize, end: usize, more: bool) -> Draft {
        let mut part = self.clone();
        part.transport = self.transport[begin..end.min(self.transport.len())].to_vec();
        if !self.is_v6() {
            part.flags = self.flags & 0xe000 | (begin / 8) as u16 | if more { 0x2000 } else { 0 };
            return part;
        }
        let place = (begin as u16) & !7 | u16::from(more);
        let mut header = vec![0];
        header.extend(place.to_be_bytes());
        header.extend([0, 0]);
        header.extend(self.number.to_be_bytes());
        part.headers = vec![(FRAGMENT, header)];
        part
    }
}

/// Makes the checksum of an IPv4 header right.
pub(crate) fn mend_v4(packet: &mut [u8]) {
    let len = (usize::from(packet[0] & 15) * 4).min(packet.len());
    packet[10..12].fill(0);
    let sum = Sum16BitWords::new().add_slice(&packet[..len]).ones_complement();
    packet[10..12].copy_from_slice(&sum.to_ne_bytes());
}

pub(crate) fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// A segment with these control bits.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) ports: (u16, u16),
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    /// A multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.ports.0.to_be_bytes(), self.ports.1.to_be_bytes()].concat();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([((5 + self.options.len() / 4) << 4) as u8, self.flags, 0x40, 0, 0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.extend(&self.payload);
        bytes
    }
}

/// An ICMP message of either family: type, code, the rest of its header, and what follows.
pub(crate) fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0][..], &rest, payload].concat()
}
