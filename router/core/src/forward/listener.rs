//! Multicast listener discovery (RFC 3810): tells switches which groups this node listens to, so that those which snoop
//! deliver solicitations. Queries of version 1 are answered with version 2 reports, which every snooping switch reads.

use std::net::Ipv6Addr;
use std::time::Duration;

use etherparse::{Icmpv6Slice, IpHeaders, IpNumber, Ipv6Extensions, Ipv6Header, Ipv6RawExtHeader, PacketBuilder};

use super::local::{Local, group_mac};
use crate::packet::Frame;

const QUERY: u8 = 130;
const REPORT_V1: u8 = 131;
const DONE_V1: u8 = 132;
const REPORT: u8 = 143;

/// Where reports go (RFC 3810, section 5.2.14).
const ALL_MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Hop-by-hop options: router alert for multicast listener discovery (RFC 2711, section 2.1), padded to 8 bytes.
const ROUTER_ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];

/// What a report says of its groups (RFC 3810, section 5.2.12); no source is ever named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Answer to a query: this node listens (`MODE_IS_EXCLUDE`).
    Listens = 2,
    /// This node stopped (`CHANGE_TO_INCLUDE_MODE`).
    Leaves = 3,
    /// This node began (`CHANGE_TO_EXCLUDE_MODE`).
    Joins = 4,
}

/// True for the types of multicast listener discovery.
pub(super) fn is_listener_message(kind: u8) -> bool {
    matches!(kind, QUERY | REPORT_V1 | DONE_V1 | REPORT)
}

/// The delay within which a query wants its answer; `None` if it is no valid query (RFC 3810, sections 5.1.3 and 6.2).
pub(super) fn query_delay(source: Ipv6Addr, hop_limit: u8, icmp: &Icmpv6Slice<'_>) -> Option<Duration> {
    if icmp.type_u8() != QUERY || hop_limit != 1 || !source.is_unicast_link_local() {
        return None;
    }
    let [high, low, ..] = icmp.bytes5to8();
    let code = u64::from(u16::from_be_bytes([high, low]));
    let millis = if code < 0x8000 { code } else { ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3) };
    Some(Duration::from_millis(millis))
}

/// A report on `groups`, from the link-local address; `None` without groups.
pub(super) fn report(local: &Local, record: Record, groups: &[Ipv6Addr]) -> Option<Frame> {
    let count = u16::try_from(groups.len()).ok().filter(|&count| count > 0)?;
    let mut payload = Vec::with_capacity(groups.len() * 20);
    for group in groups {
        payload.extend([record as u8, 0, 0, 0]);
        payload.extend(group.octets());
    }
    let header = Ipv6Header {
        hop_limit: 1,
        source: local.link_local.octets(),
        destination: ALL_MLD_ROUTERS.octets(),
        ..Ipv6Header::default()
    };
    let alert = Ipv6RawExtHeader::new_raw(IpNumber::IPV6_ICMP, &ROUTER_ALERT).ok()?;
    let extensions = Ipv6Extensions { hop_by_hop_options: Some(alert), ..Ipv6Extensions::default() };
    let [high, low] = count.to_be_bytes();
    let mut bytes = Vec::with_capacity(64 + payload.len());
    PacketBuilder::ethernet2(local.mac.0, group_mac(ALL_MLD_ROUTERS).0)
        .ip(IpHeaders::Ipv6(header, extensions))
        .icmpv6_raw(REPORT, 0, [0, 0, high, low])
        .write(&mut bytes, &payload)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use herald_testing::frames;

    fn query(hop_limit: u8, code: u16) -> Frame {
        let [high, low] = code.to_be_bytes();
        let ip = frames::ip([NODE_MAC.0, [0x33, 0x33, 0, 0, 0, 1]], v6("fe80::99"), v6("ff02::1"), hop_limit);
        Frame::from_bytes(&frames::icmpv6(ip, (QUERY, 0), [high, low, 0, 0], &[0; 20]))
    }

    /// Record type and group of each record.
    fn records(sent: &Sent) -> Vec<(u8, Ipv6Addr)> {
        let at = usize::from(sent.headers().transport_at);
        let message = &sent.bytes()[at..];
        assert_eq!((message[0], usize::from(message[7])), (REPORT, message[8..].len() / 20));
        let group = |record: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(&record[4..]).unwrap());
        message[8..].chunks_exact(20).map(|record| (record[0], group(record))).collect()
    }

    #[test]
    fn a_query_is_answered_within_its_delay_with_every_group() {
        let mut router = Router::new();
        router.arrives(FIRST, query(1, 1000));
        assert!(router.sent().is_empty());
        router.wait(Duration::from_secs(1));
        let sent = router.sent_one();
        let group = |text| (2, v6(text));
        let groups = ["ff02::2", "ff02::12", "ff02::1:ff00:11", "ff02::1:ff00:10a", "ff05::2"];
        assert_eq!(records(&sent), groups.map(group));
        // Hop limit 1, from the link-local address, with router alert (RFC 3810, section 5).
        assert_eq!(sent.bytes()[..6], [0x33, 0x33, 0, 0, 0, 0x16]);
        assert_eq!(sent.bytes()[20..22], [0, 1]);
        assert_eq!(sent.bytes()[54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
        assert_eq!(sent.headers().source, v6("fe80::ff:fe00:10a"));
        assert_eq!(sent.headers().destination, v6("ff02::16"));
        router.wait(Duration::from_secs(100));
        assert!(router.sent().is_empty());
    }

    #[test]
    fn a_holder_listens_for_the_virtual_addresses_too() {
        let mut router = Router::new().holding(FIRST);
        router.wait(Duration::from_secs(10));
        router.sent();
        router.arrives(FIRST, query(1, 0));
        router.wait(Duration::ZERO);
        let groups: Vec<_> = records(&router.sent_one()).into_iter().map(|r| r.1).collect();
        for virtual_group in ["ff02::1:ff00:1", "ff02::1:ff00:201"] {
            assert!(groups.contains(&v6(virtual_group)), "{virtual_group}");
        }
    }

    #[test]
    fn a_query_from_beyond_a_router_is_ignored() {
        let mut router = Router::new();
        router.arrives(FIRST, query(2, 1000));
        assert_eq!(router.forward.next_deadline(), None);
    }

    #[test]
    fn delays_are_decoded() {
        for (code, millis) in [(0, 0), (10_000, 10_000), (0x7fff, 32_767), (0x8000, 32_768), (0xffff, 8_387_584)] {
            let frame = query(1, code);
            let icmp = Icmpv6Slice::from_slice(&frame.bytes()[54..]).unwrap();
            assert_eq!(query_delay(v6("fe80::99"), 1, &icmp), Some(Duration::from_millis(millis)), "{code:#x}");
        }
    }
}
