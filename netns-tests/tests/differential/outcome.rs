//! What came of a case at one of the two gateways, without what differs between any two gateways.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::checksum::Sum16BitWords;

use crate::case::End;
use crate::packet::{ICMP, ICMP_V6, TCP, UDP};

/// A gateway's own addresses become these.
const GATE_V4: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 1);
const GATE_V6: Ipv6Addr = Ipv6Addr::new(0xfdff, 0, 0, 0, 0, 0, 0, 1);

/// Who made a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Maker {
    /// It was sent by the test, and passed on.
    Test,
    /// The gateway.
    Gateway,
}

/// One frame that came out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Emission {
    /// Where it came out.
    pub(crate) at: End,
    pub(crate) maker: Maker,
    /// Whether its Ethernet source is the gateway.
    from_gateway: bool,
    /// Whether its Ethernet destination is a group.
    to_group: bool,
    /// Whether the checksums that the gateway has to write are right.
    checksums: bool,
    /// ARP or IP, with the gateway's addresses made one, and those checksums 0.
    pub(crate) packet: Vec<u8>,
}

/// What is known of a gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) macs: Vec<[u8; 6]>,
}

/// Which case something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Number(u16),
    /// The answer to an ARP request of this sender.
    Asker(Ipv4Addr),
}

impl Emission {
    /// Type and code of an ICMP message.
    pub(crate) fn icmp(&self) -> Option<(u8, u8)> {
        let transport = transport_of(&self.packet)?;
        let (ICMP | ICMP_V6, [kind, code, ..]) = (transport.protocol, &self.packet[transport.at..]) else {
            return None;
        };
        Some((*kind, *code))
    }

    pub(crate) fn is_reset(&self) -> bool {
        let flags = transport_of(&self.packet).filter(|t| t.protocol == TCP).and_then(|t| self.packet.get(t.at + 13));
        self.maker == Maker::Gateway && flags.is_some_and(|flags| flags & 4 != 0)
    }
}

/// Where a transport begins, as far as it is told from the fixed header alone.
struct Place {
    protocol: u8,
    at: usize,
}

fn transport_of(packet: &[u8]) -> Option<Place> {
    match packet.first()? >> 4 {
        4 if packet.len() >= 20 => Some(Place { protocol: packet[9], at: usize::from(packet[0] & 15) * 4 }),
        6 if packet.len() >= 40 => Some(Place { protocol: packet[6], at: 40 }),
        _ => None,
    }
}

/// Reads a frame that arrived at an end: whose it is, and what it is. `None` for what no case has caused.
pub(crate) fn read(at: End, own: [u8; 6], gateway: &Gateway, frame: &[u8]) -> Option<(Owner, Emission)> {
    let (to, from) = (&frame[..6], &frame[6..12]);
    let to_group = to[0] & 1 != 0;
    if to != own && !to_group {
        return None;
    }
    let packet = frame.get(14..)?.to_vec();
    let from_gateway = gateway.macs.iter().any(|mac| from == mac);
    let mut made = Emission { at, maker: Maker::Test, from_gateway, to_group, checksums: true, packet };
    let owner = match frame[12..14] {
        [8, 6] => made.read_arp(gateway)?,
        [8, 0] => made.read_v4(gateway)?,
        [0x86, 0xdd] => made.read_v6(gateway)?,
        _ => return None,
    };
    Some((owner, made))
}

impl Emission {
    fn read_arp(&mut self, gateway: &Gateway) -> Option<Owner> {
        let arp = self.packet.get_mut(..28)?;
        if arp[6..8] != [0, 2] {
            return None;
        }
        let asker = Ipv4Addr::new(arp[24], arp[25], arp[26], arp[27]);
        if gateway.macs.iter().any(|mac| arp[8..14] == *mac) {
            arp[8..14].fill(0);
        }
        self.packet.truncate(28);
        self.maker = Maker::Gateway;
        Some(Owner::Asker(asker))
    }

    fn read_v4(&mut self, gateway: &Gateway) -> Option<Owner> {
        let place = transport_of(&self.packet).filter(|p| p.at >= 20 && p.at <= self.packet.len())?;
        self.checksums = Sum16BitWords::new().add_slice(&self.packet[..place.at]).ones_complement() == 0;
        self.packet[10..12].fill(0);
        let source = address_v4(&self.packet[12..16]);
        let mut number = u16::from_be_bytes([self.packet[4], self.packet[5]]);
        if gateway.addresses.contains(&source.into()) {
            let sealed = self.is_sealed(&place);
            if let Some(of) = answered(&self.packet, &place) {
                number = of;
                self.maker = Maker::Gateway;
                self.checksums &= sealed;
                self.packet[4..6].fill(0);
                self.packet[12..16].copy_from_slice(&GATE_V4.octets());
                self.forget_checksum(&place);
            }
        }
        forget_options(&mut self.packet[20..place.at], gateway);
        Some(Owner::Number(number))
    }

    fn read_v6(&mut self, gateway: &Gateway) -> Option<Owner> {
        let place = transport_of(&self.packet)?;
        let source = address_v6(&self.packet[8..24]);
        let mut number = u16::from_be_bytes([self.packet[2], self.packet[3]]);
        if place.protocol == ICMP_V6 && matches!(self.packet.get(40)?, 130..=135 | 143) {
            return None;
        }
        if gateway.addresses.contains(&source.into()) || source.is_unicast_link_local() {
            let sealed = self.is_sealed(&place);
            if let Some(of) = answered(&self.packet, &place) {
                number = of;
                self.maker = Maker::Gateway;
                self.checksums = sealed;
                self.packet[1..4].fill(0);
                let asked = self.packet[40] == 136;
                self.packet[8..24].copy_from_slice(&GATE_V6.octets());
                self.forget_checksum(&place);
                if asked && self.packet.len() >= 72 && gateway.macs.iter().any(|mac| self.packet[66..72] == *mac) {
                    self.packet[66..72].fill(0);
                }
            }
        }
        Some(Owner::Number(number))
    }

    fn is_sealed(&self, place: &Place) -> bool {
        let transport = &self.packet[place.at..];
        let sum = if place.protocol == ICMP {
            Sum16BitWords::new()
        } else {
            let addresses = if place.at == 40 && self.packet[0] >> 4 == 6 { 8..40 } else { 12..20 };
            Sum16BitWords::new()
                .add_slice(&self.packet[addresses])
                .add_2bytes([0, place.protocol])
                .add_4bytes((transport.len() as u32).to_be_bytes())
        };
        // What a kernel leaves to a network card has the sum of the pseudo header there.
        let partial = transport.get(16..18).filter(|_| place.protocol == TCP);
        let is_partial = partial.is_some_and(|field| field == (!sum.ones_complement()).to_ne_bytes());
        is_partial || sum.add_slice(transport).ones_complement() == 0
    }

    fn forget_checksum(&mut self, place: &Place) {
        let field = match place.protocol {
            TCP => 16,
            UDP => 6,
            _ => 2,
        };
        if let Some(sum) = self.packet.get_mut(place.at + field..place.at + field + 2) {
            sum.fill(0);
        }
    }
}

/// The case that the gateway answers with this packet.
fn answered(packet: &[u8], place: &Place) -> Option<u16> {
    let transport = &packet[place.at..];
    let word = |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let quoted = || {
        let quote = transport.get(8..)?;
        if quote.first()? >> 4 == 6 { word(quote, 2) } else { word(quote, 4) }
    };
    match (place.protocol, transport.first()?) {
        (ICMP, 3 | 4 | 5 | 11 | 12) | (ICMP_V6, 1..=127) => quoted(),
        (ICMP, 0 | 14 | 18) | (ICMP_V6, 129) => word(transport, 4),
        // A neighbour's advertisement goes to who asked: a link-local address that ends in the number.
        (ICMP_V6, 136) => word(packet, 38),
        // A redirect has the packet in an option, perhaps behind another one of 8 bytes.
        (ICMP_V6, 137) => {
            let at = if *transport.get(40)? == 4 { 48 } else { 56 };
            word(transport.get(at..)?, 2)
        }
        (TCP, _) => word(transport, 2),
        _ => None,
    }
}

fn address_v4(bytes: &[u8]) -> Ipv4Addr {
    <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).unwrap()
}

fn address_v6(bytes: &[u8]) -> Ipv6Addr {
    <[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).unwrap()
}

/// Takes the gateway's own address and the time out of what it has recorded.
fn forget_options(options: &mut [u8], gateway: &Gateway) {
    let mut at = 0;
    while let Some(rest) = options.get_mut(at..) {
        let (kind, len) = match *rest {
            [0, ..] | [] => return,
            [1, ..] => (1, 1),
            [kind, len, ..] if len >= 2 => (kind, usize::from(len)),
            _ => return,
        };
        if let Some(option) = rest.get_mut(..len) {
            let step = if kind == 68 && option.get(3).is_some_and(|flags| flags & 15 != 0) { 8 } else { 4 };
            let first = if kind == 68 { 4 } else { 3 };
            for slot in option
                .get_mut(first..)
                .into_iter()
                .filter(|_| kind == 7 || kind == 68)
                .flat_map(|o| o.chunks_exact_mut(step))
            {
                if slot.len() == 4 && kind == 68 {
                    slot.fill(0);
                } else if gateway.addresses.contains(&address_v4(&slot[..4]).into()) {
                    slot.fill(0);
                    slot[..4].copy_from_slice(&GATE_V4.octets());
                }
            }
        }
        at += len;
    }
}

impl fmt::Debug for Emission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = transport_of(&self.packet).unwrap_or(Place { protocol: 0, at: 0 });
        let what = match (self.maker, place.protocol, self.icmp()) {
            (Maker::Test, _, _) => "passed on".to_owned(),
            (Maker::Gateway, _, Some((kind, code))) => format!("ICMP {kind}/{code}"),
            (Maker::Gateway, TCP, None) => "TCP".to_owned(),
            (Maker::Gateway, _, None) => "ARP or other".to_owned(),
        };
        let flags = [
            (!self.from_gateway, " from another MAC"),
            (self.to_group, " to a group"),
            (!self.checksums, " WRONG CHECKSUM"),
        ];
        let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, said)| *said).collect();
        let shown: String = self.packet.iter().take(120).map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{} at {}, {} bytes{flags}: {shown}", what, self.at.host(), self.packet.len())
    }
}
