//! The advert of VRRP version 3 (RFC 9568, section 5): read with every check of section 7.1, and written.
//!
//! ```text
//! | version 3, type 1 | VRID | priority | address count |
//! | reserved, interval in centiseconds  |   checksum    |
//! | addresses: for IPv6 the virtual link-local one first |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder};

use super::{Frame, Headers};
use crate::event::DropReason;
use crate::id::Mac;

/// The protocol number.
pub const PROTOCOL: u8 = 112;

/// Where adverts for IPv4 addresses go (RFC 9568, section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Where adverts for IPv6 addresses go (RFC 9568, section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Proof that an advert has not crossed a router (RFC 9568, sections 5.1.1.3 and 5.1.2.3).
pub const HOP_LIMIT: u8 = 255;

/// "I do not hold the role any more" (RFC 9568, section 5.2.4).
pub const PRIORITY_RESIGNED: u8 = 0;

/// Version 3 and type 1, the only one there is (RFC 9568, sections 5.2.1 and 5.2.2).
const VERSION: u8 = 3;
const ADVERTISEMENT: u8 = 1;

const HEADER_LEN: usize = 8;

/// The longest interval that the field holds.
const CENTISECONDS_MAX: u16 = 0x0fff;

/// A checked advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The virtual router.
    pub vrid: u8,
    /// The sender's priority; [`PRIORITY_RESIGNED`] when it gives the role up.
    pub priority: u8,
    /// Time between two adverts, in hundredths of a second; of a larger number the lower 12 bits are written.
    pub centiseconds: u16,
    /// The virtual addresses, of one family. At most 255 are written.
    pub addresses: Vec<IpAddr>,
}

/// True for a packet that is to be read as an advert.
#[must_use]
pub fn is_advert(headers: &Headers) -> bool {
    headers.protocol == PROTOCOL && (headers.destination == GROUP_V4 || headers.destination == GROUP_V6)
}

impl Advert {
    /// Reads an advert.
    ///
    /// # Errors
    /// The first check that it fails (RFC 9568, section 7.1).
    pub fn parse(headers: &Headers, frame: &Frame) -> Result<Self, DropReason> {
        if headers.hop_limit != HOP_LIMIT {
            return Err(DropReason::VrrpHopLimit);
        }
        let message = headers.transport_bytes(frame);
        let &[kind, vrid, priority, count, high, low, _, _, ref list @ ..] = message else {
            return Err(DropReason::VrrpLength);
        };
        if kind >> 4 != VERSION {
            return Err(DropReason::VrrpVersion);
        }
        if kind & 0x0f != ADVERTISEMENT {
            return Err(DropReason::VrrpType);
        }
        let address_len = if headers.is_ipv6() { 16 } else { 4 };
        if count == 0 || list.len() != usize::from(count) * address_len {
            return Err(DropReason::VrrpLength);
        }
        if checksum(headers.source, headers.destination, message) != Some(0) {
            return Err(DropReason::VrrpChecksum);
        }
        let addresses = list.chunks_exact(address_len).filter_map(address);
        let centiseconds = u16::from_be_bytes([high, low]) & CENTISECONDS_MAX;
        Ok(Self { vrid, priority, centiseconds, addresses: addresses.collect() })
    }

    /// The frame of this advert from a node's own address, sent by the virtual MAC. `None` without addresses, or if they
    /// are not of the source's family.
    #[must_use]
    pub fn frame(&self, virtual_mac: Mac, source: IpAddr) -> Option<Frame> {
        let (destination, group) = match source {
            IpAddr::V4(_) => (IpAddr::V4(GROUP_V4), Mac([0x01, 0x00, 0x5e, 0x00, 0x00, 0x12])),
            IpAddr::V6(_) => (IpAddr::V6(GROUP_V6), Mac([0x33, 0x33, 0x00, 0x00, 0x00, 0x12])),
        };
        let message = self.message(source, destination)?;
        let ip = match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let len = u16::try_from(message.len()).ok()?;
                let header = Ipv4Header::new(len, HOP_LIMIT, IpNumber(PROTOCOL), from.octets(), to.octets()).ok()?;
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Ipv6Header {
                    hop_limit: HOP_LIMIT,
                    source: from.octets(),
                    destination: to.octets(),
                    ..Ipv6Header::default()
                };
                IpHeaders::Ipv6(header, Ipv6Extensions::default())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        let mut bytes = Vec::with_capacity(64 + message.len());
        let builder = PacketBuilder::ethernet2(virtual_mac.0, group.0).ip(ip);
        builder.write(&mut bytes, IpNumber(PROTOCOL), &message).ok()?;
        Some(Frame::from_bytes(&bytes))
    }

    fn message(&self, source: IpAddr, destination: IpAddr) -> Option<Vec<u8>> {
        let count = u8::try_from(self.addresses.len()).ok().filter(|count| *count > 0)?;
        let [high, low] = (self.centiseconds & CENTISECONDS_MAX).to_be_bytes();
        let mut message = vec![VERSION << 4 | ADVERTISEMENT, self.vrid, self.priority, count, high, low, 0, 0];
        debug_assert_eq!(message.len(), HEADER_LEN);
        for address in &self.addresses {
            match (address, source) {
                (IpAddr::V4(v4), IpAddr::V4(_)) => message.extend(v4.octets()),
                (IpAddr::V6(v6), IpAddr::V6(_)) => message.extend(v6.octets()),
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
            }
        }
        let sum = checksum(source, destination, &message)?;
        if let Some(place) = message.get_mut(6..HEADER_LEN) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        Some(message)
    }
}

/// The checksum over the pseudo header and the message as it stands (RFC 9568, section 5.2.8): 0 if its field is right, the
/// right value if its field is 0.
fn checksum(source: IpAddr, destination: IpAddr, message: &[u8]) -> Option<u16> {
    let len = u16::try_from(message.len()).ok()?;
    let sum = match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Sum16BitWords::new().add_4bytes(from.octets()).add_4bytes(to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => Sum16BitWords::new().add_16bytes(from.octets()).add_16bytes(to.octets()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    let sum = sum.add_2bytes(u16::from(PROTOCOL).to_be_bytes()).add_2bytes(len.to_be_bytes()).add_slice(message);
    Some(u16::from_be(sum.ones_complement()))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|b| Ipv4Addr::from(*b).into()),
        _ => bytes.first_chunk::<16>().map(|b| Ipv6Addr::from(*b).into()),
    }
}

#[cfg(test)]
mod tests {
    use herald_testing::frames;
    use proptest::prelude::*;

    use super::*;
    use crate::packet::{Content, Packet};

    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);

    /// An advert of virtual router 1 for 10.1.0.1 and 10.1.0.2 from 10.1.0.11, byte by byte from RFC 9568.
    #[rustfmt::skip]
    const ADVERT_V4: [u8; 50] = [
        0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x00, 0x00, 0x5e, 0x00, 0x01, 0x01, 0x08, 0x00,
        0x45, 0x00, 0x00, 0x24, 0x00, 0x00, 0x40, 0x00, 0xff, 0x70, 0x91, 0x4b, 10, 1, 0, 11, 224, 0, 0, 18,
        // Pseudo header: 0a01 + 000b + e000 + 0012 + 0070 + 0010 = ea9e; message: 3101 + 6602 + 000a + 0a01 + 0001 + 0a01 +
        // 0002 = ab12; together 195b0, folded 95b1, its complement 6a4e.
        0x31, 0x01, 0x66, 0x02, 0x00, 0x0a, 0x6a, 0x4e, 10, 1, 0, 1, 10, 1, 0, 2,
    ];

    /// The same in IPv6 for fe80::200:5eff:fe00:201 from fe80::ff:fe00:10a.
    #[rustfmt::skip]
    const ADVERT_V6: [u8; 78] = [
        0x33, 0x33, 0x00, 0x00, 0x00, 0x12, 0x00, 0x00, 0x5e, 0x00, 0x02, 0x01, 0x86, 0xdd,
        0x60, 0x00, 0x00, 0x00, 0x00, 0x18, 0x70, 0xff,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0xff, 0xfe, 0x00, 0x01, 0x0a,
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x12,
        // Pseudo header: fe80 + 00ff + fe00 + 010a + ff02 + 0012 + 0018 + 0070 = 2fe25; message: 3101 + 6601 + 000a + fe80 +
        // 0200 + 5eff + fe00 + 0201 = 2f68c; together 5f4b1, folded f4b6, its complement 0b49.
        0x31, 0x01, 0x66, 0x01, 0x00, 0x0a, 0x0b, 0x49,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x00, 0x02, 0x01,
    ];

    fn parse(bytes: &[u8]) -> Result<Advert, DropReason> {
        let frame = Frame::from_bytes(bytes);
        let Content::Ip(headers) = Packet::parse(&frame)?.content else { panic!("no IP") };
        assert!(is_advert(&headers));
        Advert::parse(&headers, &frame)
    }

    fn changed(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    }

    #[test]
    fn adverts_of_both_families_are_read_and_written_as_the_rfc_has_them() {
        let v4 = Advert {
            vrid: 1,
            priority: 102,
            centiseconds: 10,
            addresses: vec![Ipv4Addr::new(10, 1, 0, 1).into(), Ipv4Addr::new(10, 1, 0, 2).into()],
        };
        assert_eq!(parse(&ADVERT_V4), Ok(v4.clone()));
        let frame = v4.frame(Mac([0, 0, 0x5e, 0, 1, 1]), SOURCE.into()).unwrap();
        assert_eq!(frame.bytes(), ADVERT_V4);
        let v6 = Advert { addresses: vec!["fe80::200:5eff:fe00:201".parse().unwrap()], ..v4 };
        assert_eq!(parse(&ADVERT_V6), Ok(v6.clone()));
        let source: IpAddr = "fe80::ff:fe00:10a".parse().unwrap();
        let frame = v6.frame(Mac([0, 0, 0x5e, 0, 2, 1]), source).unwrap();
        assert_eq!(frame.bytes(), ADVERT_V6);
        assert!(v6.frame(Mac::default(), SOURCE.into()).is_none(), "addresses of the other family");
        assert!(Advert { addresses: Vec::new(), ..v6 }.frame(Mac::default(), source).is_none());
    }

    #[test]
    fn each_check_has_its_reason() {
        // The IPv4 header's checksum follows the TTL: 0xff70 becomes 0xfe70, so it is one hundred (hexadecimal) higher.
        let ttl = changed(&changed(&ADVERT_V4, 22, &[254]), 24, &[0x92, 0x4b]);
        let short = {
            let mut bytes = changed(&ADVERT_V6, 18, &[0, 7]);
            bytes.truncate(54 + 7);
            bytes
        };
        let table = [
            (ttl, DropReason::VrrpHopLimit),
            (changed(&ADVERT_V6, 21, &[254]), DropReason::VrrpHopLimit),
            (changed(&ADVERT_V4, 34, &[0x21]), DropReason::VrrpVersion),
            (changed(&ADVERT_V4, 34, &[0x41]), DropReason::VrrpVersion),
            (changed(&ADVERT_V4, 34, &[0x32]), DropReason::VrrpType),
            (changed(&ADVERT_V4, 37, &[0]), DropReason::VrrpLength),
            (changed(&ADVERT_V4, 37, &[1]), DropReason::VrrpLength),
            (changed(&ADVERT_V4, 37, &[3]), DropReason::VrrpLength),
            (short, DropReason::VrrpLength),
            (changed(&ADVERT_V4, 35, &[2]), DropReason::VrrpChecksum),
            (changed(&ADVERT_V4, 49, &[3]), DropReason::VrrpChecksum),
            (changed(&ADVERT_V6, 36, &[1, 0x0b]), DropReason::VrrpChecksum),
        ];
        for (bytes, reason) in table {
            assert_eq!(parse(&bytes), Err(reason), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            vrid in 1_u8..,
            priority: u8,
            centiseconds in 1_u16..=CENTISECONDS_MAX,
            hosts in prop::collection::vec(any::<u32>(), 1..16),
            v6: bool,
        ) {
            let source = if v6 { "fe80::1".parse().unwrap() } else { IpAddr::from(SOURCE) };
            let address = |host: u32| -> IpAddr {
                if v6 { Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(host)).into() } else { Ipv4Addr::from(host).into() }
            };
            let advert = Advert { vrid, priority, centiseconds, addresses: hosts.into_iter().map(address).collect() };
            prop_assert_eq!(parse(advert.frame(Mac::default(), source).unwrap().bytes()), Ok(advert));
        }

        /// Whatever the bytes are, and one flipped bit in an advert is always found.
        #[test]
        fn garbage_and_flipped_bits_are_refused(message in prop::collection::vec(any::<u8>(), 0..64), bit in 0_usize..128) {
            let ip = frames::ip([[2; 6], [3; 6]], SOURCE, GROUP_V4, HOP_LIMIT);
            let bytes = frames::raw(ip, PROTOCOL, &message);
            if let Ok(advert) = parse(&bytes) {
                prop_assert_eq!(message.len(), HEADER_LEN + 4 * advert.addresses.len());
            }
            let mut bytes = ADVERT_V4;
            bytes[34 + bit / 8] ^= 1 << (bit % 8);
            prop_assert!(parse(&bytes).is_err());
        }
    }
}
