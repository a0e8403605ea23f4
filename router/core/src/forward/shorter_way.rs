//! ICMP redirects: a host that sends by way of the cluster what its own network could bring to the next hop is told so (RFC 792;
//! RFC 1812, section 5.2.7.2; RFC 4861, section 8.2). Off by default: what goes straight passes no plugin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;

use super::icmp::HOP_LIMIT;
use super::quote::quote;
use super::{Forward, Hop, Received};
use crate::id::Mac;
use crate::outbox::Outbox;
use crate::packet::Frame;
use crate::time::Instant;

/// Type of an ICMP redirect, and its code "for the host".
const REDIRECT_V4: (u8, u8) = (5, 1);

/// Type of a redirect of neighbour discovery (RFC 4861, section 4.5).
const REDIRECT_V6: u8 = 137;

/// The option with the target's MAC, which is 8 bytes long (RFC 4861, section 4.6.1).
const TARGET_MAC: u8 = 2;

/// The option with the packet that is spoken of (RFC 4861, section 4.6.3).
const REDIRECTED_HEADER: u8 = 4;

/// Bytes of the packet that is spoken of: an error may have 576 in IPv4, and 1,280 with all its options in IPv6.
const QUOTE_V4_LEN_MAX: usize = 576 - 28;
const QUOTE_V6_LEN_MAX: usize = 1280 - 40 - 40 - 8 - 8;

impl Forward {
    /// The first packet of a stream goes back out of its interface, by `hop`: its source is told, if it is on that network
    /// and can reach the next hop itself. The redirect is from the address that hosts have as their gateway, as they take it
    /// from no other (RFC 9568, section 8.1.1).
    #[cold]
    #[inline(never)]
    pub fn tell_shorter_way(&mut self, now: Instant, received: Received<'_>, hop: Hop, out: &mut Outbox) {
        let local = &self.local[hop.interface];
        let source = received.headers.source;
        if !self.icmp_redirects || !local.is_on_link(source) {
            return;
        }
        let (Some(back), Some(gateway)) = (self.way_back(&received), local.gateway_towards(source)) else { return };
        let redirect = match (gateway, source, hop.next_hop) {
            (IpAddr::V4(from), IpAddr::V4(to), IpAddr::V4(next)) if local.are_in_one_network(to, next) => {
                redirect_v4([from, to, next], &received)
            }
            (IpAddr::V6(from), IpAddr::V6(to), IpAddr::V6(next)) => {
                let mac = self.neighbours[hop.interface].mac(hop.next_hop);
                redirect_v6([from, to, next], mac, &received)
            }
            (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => None,
        };
        if let Some(frame) = redirect
            && self.errors.take(now).is_some()
        {
            self.originate(now, back, frame, out);
        }
    }
}

fn redirect_v4([from, to, next]: [Ipv4Addr; 3], received: &Received<'_>) -> Option<Frame> {
    let quoted = quote(received.headers, received.frame, QUOTE_V4_LEN_MAX);
    let (kind, code) = REDIRECT_V4;
    let mut bytes = Vec::with_capacity(600);
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv4(from.octets(), to.octets(), HOP_LIMIT)
        .icmpv4_raw(kind, code, next.octets())
        .write(&mut bytes, &quoted)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

/// A router as the target must be named by its link-local address; a host by the one that it was sent to.
fn redirect_v6([from, to, next]: [Ipv6Addr; 3], mac: Option<Mac>, received: &Received<'_>) -> Option<Frame> {
    let IpAddr::V6(destination) = received.headers.destination else { return None };
    if next != destination && !next.is_unicast_link_local() {
        return None;
    }
    let mut body = [next.octets(), destination.octets()].concat();
    if let Some(mac) = mac {
        body.extend([TARGET_MAC, 1]);
        body.extend(mac.0);
    }
    let mut quoted = quote(received.headers, received.frame, QUOTE_V6_LEN_MAX);
    quoted.resize(quoted.len().next_multiple_of(8), 0);
    let units = u8::try_from(quoted.len() / 8 + 1).ok()?;
    body.extend([REDIRECTED_HEADER, units, 0, 0, 0, 0, 0, 0]);
    body.extend(quoted);
    let mut bytes = Vec::with_capacity(1300);
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv6(from.octets(), to.octets(), 255)
        .icmpv6_raw(REDIRECT_V6, 0, [0; 4])
        .write(&mut bytes, &body)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}
