//! How long this node's own packets may be on their way to hosts, as routers behind it say (RFC 1191; RFC 8201).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::{Forward, Received};
use crate::flow::HashKey;
use crate::limits::{PATH_MTU_TIME, PATH_MTU_V4_MIN, PATH_MTU_V6_MIN, PATH_MTUS_MAX};
use crate::packet::{Frame, Headers, Packet, Transport};
use crate::time::Instant;

/// What was learned of the ways to some hosts, the oldest first.
#[derive(Debug)]
pub(super) struct PathMtus {
    known: HashMap<IpAddr, u16, HashKey>,
    by_age: VecDeque<(Instant, IpAddr)>,
}

impl PathMtus {
    pub(super) fn new(key: HashKey) -> Self {
        Self { known: HashMap::with_hasher(key), by_age: VecDeque::new() }
    }

    /// How long a packet to a host may be, if that is known to be less than elsewhere.
    pub(super) fn of(&self, host: IpAddr) -> Option<u16> {
        self.known.get(&host).copied()
    }

    /// True if nothing is known of any way.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A way takes no longer packets than these. It only becomes shorter until it is forgotten.
    fn learn(&mut self, now: Instant, host: IpAddr, mtu: u16) {
        if let Some(known) = self.known.get_mut(&host) {
            *known = mtu.min(*known);
            return;
        }
        if self.known.len() >= PATH_MTUS_MAX {
            self.forget_oldest();
        }
        self.known.insert(host, mtu);
        self.by_age.push_back((now + PATH_MTU_TIME, host));
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_age.front().map(|(until, _)| *until)
    }

    pub(super) fn deadline_reached(&mut self, now: Instant) {
        while self.by_age.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, host)) = self.by_age.pop_front() {
            self.known.remove(&host);
        }
    }
}

/// What an error did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// It said how long packets of this node may be.
    Mtu,
    /// Nothing.
    Nothing,
}

impl Forward {
    /// How long this packet of the node's own may be, where the link takes `mtu` bytes.
    pub(super) fn own_mtu(&self, mtu: u16, frame: &Frame) -> u16 {
        let headers = Packet::parse_ip(frame).ok();
        headers.and_then(|headers| self.paths.of(headers.destination)).map_or(mtu, |known| known.min(mtu))
    }

    /// An ICMP error with a right checksum came for this node. If it says that a packet was too long, that must have been one of
    /// this node's own: ICMP, which is all that it sends of any length, from an address of its own.
    pub(super) fn told_mtu(&mut self, now: Instant, received: Received<'_>) -> Learned {
        let Headers { transport, .. } = *received.headers;
        let Transport::IcmpError { source: (own, _), destination: (host, _), protocol } = transport else {
            return Learned::Nothing;
        };
        let is_own = self.is_own_address(own) || self.is_virtual_address(own);
        let &[kind, code, _, _, a, b, c, d] =
            received.headers.transport_bytes(received.frame).first_chunk().unwrap_or(&[0; 8]);
        let mtu = match (received.headers.is_ipv6(), kind, code) {
            (false, 3, 4) => u32::from(u16::from_be_bytes([c, d])).max(PATH_MTU_V4_MIN.into()),
            (true, 2, _) => u32::from_be_bytes([a, b, c, d]).max(PATH_MTU_V6_MIN.into()),
            _ => return Learned::Nothing,
        };
        // ICMP, ICMPv6, or a fragment of it.
        let (true, true, Ok(mtu)) = (is_own, matches!(protocol, 1 | 44 | 58), u16::try_from(mtu)) else {
            return Learned::Nothing;
        };
        self.paths.learn(now, host, mtu);
        Learned::Mtu
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::testing::*;
    use super::*;
    use herald_testing::frames;

    fn ping(from: impl Into<IpAddr>, to: impl Into<IpAddr>, len: usize) -> Frame {
        let (from, to) = (from.into(), to.into());
        let mut bytes = Vec::new();
        match from {
            IpAddr::V4(_) => ip(from, to).icmpv4_echo_request(3, 4).write(&mut bytes, &vec![7; len]).unwrap(),
            IpAddr::V6(_) => ip(from, to).icmpv6_echo_request(3, 4).write(&mut bytes, &vec![7; len]).unwrap(),
        }
        Frame::from_bytes(&bytes)
    }

    /// A router at `from` says that this packet was too long.
    fn too_long(from: impl Into<IpAddr>, packet: &Frame, mtu: u16) -> Frame {
        let (from, quoted) = (from.into(), &packet.bytes()[14..]);
        let [high, low] = mtu.to_be_bytes();
        Frame::from_bytes(&match from {
            IpAddr::V4(_) => frames::icmpv4(ip(from, OWN), (3, 4), [0, 0, high, low], &quoted[..28]),
            IpAddr::V6(_) => frames::icmpv6(ip(from, v6("fd00:1::11")), (2, 0), [0, 0, high, low], quoted),
        })
    }

    fn lens(router: &mut Router, ping: Frame) -> Vec<usize> {
        router.arrives(FIRST, ping);
        router.out.transmit.drain(..).map(|(_, frame, _)| frame.bytes().len() - 14).collect()
    }

    #[test]
    fn own_packets_become_as_short_as_their_way_wants_for_ten_minutes() {
        let hosts: [(IpAddr, IpAddr, IpAddr, Vec<usize>); 2] = [
            (CLIENT.into(), OWN.into(), Ipv4Addr::new(10, 1, 0, 200).into(), vec![1_300, 148]),
            (v6("fd00:1::64").into(), v6("fd00:1::11").into(), v6("fd00:1::200").into(), vec![1_296, 160]),
        ];
        for (host, own, between, short) in hosts {
            let mut router = Router::with_neighbours();
            let asked = if host.is_ipv4() { 1_400 } else { 1_352 };
            assert_eq!(lens(&mut router, ping(host, own, asked)).len(), 1);
            // A packet that was not of this node teaches nothing.
            router.arrives(FIRST, too_long(between, &ping(host, between, asked), 1_300));
            assert_eq!(lens(&mut router, ping(host, own, asked)).len(), 1);
            router.arrives(FIRST, too_long(between, &ping(own, host, asked), 1_300));
            assert_eq!(router.out.ledger.consumed, 3, "the pings, and what was learned");
            let cut = lens(&mut router, ping(host, own, asked));
            assert_eq!(cut, short);
            router.wait(PATH_MTU_TIME - std::time::Duration::from_secs(1));
            router.sent();
            let mut warm = Router::with_neighbours();
            std::mem::swap(&mut warm.forward.paths, &mut router.forward.paths);
            warm.now = router.now;
            assert!(warm.forward.paths.of(host).is_some());
            warm.wait(std::time::Duration::from_secs(2));
            assert!(warm.forward.paths.is_empty());
        }
    }

    #[test]
    fn what_is_known_is_bounded_and_never_absurd() {
        let mut router = Router::with_neighbours();
        for number in 0..u16::try_from(PATH_MTUS_MAX).unwrap() + 3 {
            let [a, b] = number.to_be_bytes();
            let host = Ipv4Addr::new(10, 9, a, b);
            router.arrives(FIRST, too_long(CLIENT, &ping(OWN, host, 100), 20));
        }
        assert_eq!(router.forward.paths.known.len(), PATH_MTUS_MAX);
        assert!(router.forward.paths.known.values().all(|mtu| *mtu == PATH_MTU_V4_MIN));
        assert_eq!(router.forward.paths.of(Ipv4Addr::new(10, 9, 0, 2).into()), None, "the oldest are forgotten");
    }
}
