//! Router advertisements (RFC 4861, section 6.2), if they are wanted: the holder of an interface's redirector tells hosts that
//! the virtual router is their gateway, and which prefixes they may make addresses of. Every node would say the same, from the
//! same address, so hosts see one router, and its withdrawal comes only when no node goes on.

use std::net::IpAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use ipnet::Ipv6Net;

use super::Forward;
use super::local::{ALL_NODES, Local, group_mac};
use crate::id::Interface;
use crate::limits::{
    GATEWAY_ADVERT_DELAY_MAX, GATEWAY_ADVERT_INTERVAL_MAX, GATEWAY_ADVERT_INTERVAL_MIN,
    GATEWAY_ADVERTS_INITIAL_INTERVAL, GATEWAY_ADVERTS_INITIAL_MAX, GATEWAY_ADVERTS_PAUSE,
};
use crate::outbox::{Leaving, Outbox};
use crate::packet::Frame;
use crate::time::Instant;

/// ICMPv6 type of an advertisement.
const ADVERTISEMENT: u8 = 134;

/// Proof that a message has not crossed a router (RFC 4861, section 7.1).
const HOP_LIMIT: u8 = 255;

/// Hop limit that hosts shall begin with (RFC 4861, section 6.2.1: `AdvCurHopLimit`).
const HOSTS_HOP_LIMIT: u8 = 64;

/// Seconds for which an address of a prefix is valid, and preferred (RFC 4861, section 6.2.1).
const VALID_SECONDS: u32 = 2_592_000;
const PREFERRED_SECONDS: u32 = 604_800;

/// Prefixes of this length become addresses without more being said (RFC 4862, section 5.5.3; RFC 2464, section 4).
const AUTOMATIC_LEN: u8 = 64;

/// What an interface's holder has still to advertise.
#[derive(Debug)]
pub(super) struct GatewayAdverts {
    /// Seconds for which hosts may use the gateway.
    lifetime: u16,
    /// When the next one is due; `None` unless this node holds the role.
    next: Option<Instant>,
    last: Option<Instant>,
    /// How many follow soon, since the role is new (RFC 4861, section 6.2.4).
    soon: u8,
}

impl GatewayAdverts {
    pub(super) fn new(lifetime: Duration) -> Self {
        let lifetime = u16::try_from(lifetime.as_secs()).unwrap_or(u16::MAX);
        Self { lifetime, next: None, last: None, soon: 0 }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The role is new.
    fn begin(&mut self, now: Instant) {
        (self.next, self.soon) = (Some(now), GATEWAY_ADVERTS_INITIAL_MAX);
    }

    /// A host asks. All hear the answer, so that many that ask at once get one (RFC 4861, section 6.2.6).
    fn asked(&mut self, now: Instant, spread: u8) {
        let Some(next) = self.next else { return };
        let earliest = self.last.map_or(now, |last| now.max(last + GATEWAY_ADVERTS_PAUSE));
        self.next = Some(next.min(earliest + GATEWAY_ADVERT_DELAY_MAX / 256 * u32::from(spread)));
    }

    /// True if one is due; the next is planned then.
    fn take(&mut self, now: Instant, spread: u8) -> bool {
        if self.next.is_none_or(|next| next > now) {
            return false;
        }
        self.soon = self.soon.saturating_sub(1);
        let range = GATEWAY_ADVERT_INTERVAL_MAX - GATEWAY_ADVERT_INTERVAL_MIN;
        let regular = GATEWAY_ADVERT_INTERVAL_MIN + range / 256 * u32::from(spread);
        let interval = if self.soon > 0 { GATEWAY_ADVERTS_INITIAL_INTERVAL } else { regular };
        (self.last, self.next) = (Some(now), Some(now + interval));
        true
    }
}

impl Forward {
    /// This node took a role, or gave it up to another one.
    pub(super) fn gateway_changed(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let is_holder = self.local[interface].is_holder();
        let Some(adverts) = &mut self.schedule[interface].gateway else { return };
        if is_holder {
            adverts.begin(now);
            self.advertise_gateway(now, interface, out);
        } else {
            adverts.next = None;
        }
    }

    /// A host asks for its gateway.
    pub(super) fn gateway_asked(&mut self, now: Instant, interface: Interface) {
        let schedule = &mut self.schedule[interface];
        let spread = schedule.spread;
        schedule.gateway.iter_mut().for_each(|adverts| adverts.asked(now, spread));
    }

    /// Sends the advertisement that is due.
    pub(super) fn advertise_gateway(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let schedule = &mut self.schedule[interface];
        let spread = schedule.spread;
        let Some(adverts) = schedule.gateway.as_mut() else { return };
        if adverts.take(now, spread)
            && let Some(frame) = advertisement(&self.local[interface], adverts.lifetime)
        {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }

    /// No node goes on when this one stops: hosts shall look for another gateway (RFC 4861, section 6.2.5).
    pub fn withdraw_gateway(&mut self, interface: Interface, out: &mut Outbox) {
        if let Some(adverts) = self.schedule[interface].gateway.as_mut()
            && adverts.next.take().is_some()
            && let Some(frame) = advertisement(&self.local[interface], 0)
        {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }
}

/// One advertisement, from the cluster's link-local address (RFC 4861, section 4.2; RFC 9568, section 8.2.3), with the virtual
/// MAC, the MTU, and each prefix of the interface.
fn advertisement(local: &Local, lifetime: u16) -> Option<Frame> {
    let IpAddr::V6(source) = local.gateway_towards(ALL_NODES.into())? else { return None };
    let [high, low] = lifetime.to_be_bytes();
    // Reachable time and time between solicitations: not said.
    let mut payload = vec![0; 8];
    payload.extend([1, 1]);
    payload.extend(local.virtual_mac_v6.0);
    payload.extend([5, 1, 0, 0]);
    payload.extend(u32::from(local.mtu).to_be_bytes());
    for prefix in local.prefixes_v6() {
        payload.extend(prefix_option(prefix));
    }
    let mut bytes = Vec::with_capacity(80 + payload.len());
    PacketBuilder::ethernet2(local.virtual_mac_v6.0, group_mac(ALL_NODES).0)
        .ipv6(source.octets(), ALL_NODES.octets(), HOP_LIMIT)
        .icmpv6_raw(ADVERTISEMENT, 0, [HOSTS_HOP_LIMIT, 0, high, low])
        .write(&mut bytes, &payload)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

/// A prefix is on the link, and if it has the right length an address may be made of it (RFC 4861, section 4.6.2).
fn prefix_option(prefix: Ipv6Net) -> Vec<u8> {
    const ON_LINK: u8 = 0x80;
    const AUTOMATIC: u8 = 0x40;
    let automatic = if prefix.prefix_len() == AUTOMATIC_LEN { AUTOMATIC } else { 0 };
    let mut option = vec![3, 4, prefix.prefix_len(), ON_LINK | automatic];
    option.extend(VALID_SECONDS.to_be_bytes());
    option.extend(PREFERRED_SECONDS.to_be_bytes());
    option.extend([0; 4]);
    option.extend(prefix.network().octets());
    option
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use herald_testing::frames;

    use super::super::testing::*;
    use super::super::{HolderState, Settings};
    use super::*;
    use crate::id::Mac;

    fn with_adverts() -> Router {
        let mut settings: Settings = settings();
        settings.interfaces.first.router_lifetime = Some(Duration::from_secs(1_800));
        Router::of(&settings)
    }

    fn hold(router: &mut Router, state: HolderState) {
        router.forward.holder_changed(router.now, FIRST, state, &mut router.out);
    }

    /// Seconds of each advertisement's lifetime.
    fn advertised(router: &mut Router) -> Vec<u16> {
        let is_one = |sent: &Sent| sent.bytes()[12..14] == [0x86, 0xdd] && sent.bytes()[54] == ADVERTISEMENT;
        let sent: Vec<_> = router.sent().into_iter().filter(is_one).collect();
        sent.iter().map(|sent| u16::from_be_bytes([sent.bytes()[60], sent.bytes()[61]])).collect()
    }

    fn solicitation(from: Ipv6Addr, options: &[u8], hop_limit: u8) -> Frame {
        let ip = frames::ip([CLIENT_MAC.0, [0x33, 0x33, 0, 0, 0, 2]], from, v6("ff02::2"), hop_limit);
        Frame::from_bytes(&frames::icmpv6(ip, (133, 0), [0; 4], options))
    }

    #[test]
    fn an_advertisement_names_the_cluster_its_prefixes_and_its_mtu() {
        let mut router = with_adverts();
        hold(&mut router, HolderState::Holds);
        let sent = router.sent();
        let sent = sent.iter().find(|sent| sent.bytes().get(54) == Some(&ADVERTISEMENT)).unwrap();
        let (packet, headers) = (sent.packet(), sent.headers());
        assert_eq!((packet.source, packet.destination), (VIRTUAL_MAC_V6, Mac([0x33, 0x33, 0, 0, 0, 1])));
        assert_eq!(headers.source, v6("fe80::200:5eff:fe00:201"));
        assert_eq!((headers.destination, headers.hop_limit), (v6("ff02::1").into(), 255));
        let icmp = &sent.bytes()[58..];
        assert_eq!(icmp[..12], [64, 0, 1_800_u16.to_be_bytes()[0], 1_800_u16.to_be_bytes()[1], 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(icmp[12..28], [1, 1, 0, 0, 0x5e, 0, 2, 1, 5, 1, 0, 0, 0, 0, 5, 220]);
        assert_eq!(icmp[28..44], [3, 4, 64, 0xc0, 0, 39, 141, 0, 0, 9, 58, 128, 0, 0, 0, 0]);
        assert_eq!(icmp[44..], v6("fd00:1::").octets());
    }

    #[test]
    fn only_a_holder_that_shall_advertises_often_at_first() {
        let mut router = Router::new();
        hold(&mut router, HolderState::Holds);
        router.wait(Duration::from_secs(2_000));
        assert_eq!(advertised(&mut router), [0; 0], "it was not asked for");
        let mut router = with_adverts();
        router.wait(Duration::from_secs(2_000));
        assert_eq!(advertised(&mut router), [0; 0], "another node holds the role");
        hold(&mut router, HolderState::Holds);
        router.wait(GATEWAY_ADVERTS_INITIAL_INTERVAL * 2);
        assert_eq!(advertised(&mut router), [1_800; 3]);
        router.wait(GATEWAY_ADVERT_INTERVAL_MIN - Duration::from_secs(1));
        assert_eq!(advertised(&mut router), [0; 0]);
        router.wait(GATEWAY_ADVERT_INTERVAL_MAX);
        assert!(!advertised(&mut router).is_empty());
        hold(&mut router, HolderState::DoesNot);
        router.wait(Duration::from_secs(2_000));
        assert_eq!(advertised(&mut router), [0; 0], "the next holder advertises");
    }

    #[test]
    fn many_that_ask_get_one_answer() {
        let mut router = with_adverts();
        hold(&mut router, HolderState::Holds);
        router.wait(Duration::from_secs(100));
        advertised(&mut router);
        for _ in 0..50 {
            router.arrives(FIRST, solicitation(v6("fe80::64"), &[], 255));
            router.arrives(FIRST, solicitation(Ipv6Addr::UNSPECIFIED, &[], 255));
        }
        router.wait(GATEWAY_ADVERT_DELAY_MAX);
        assert_eq!(advertised(&mut router), [1_800]);
        router.arrives(FIRST, solicitation(v6("fe80::64"), &[], 255));
        router.wait(GATEWAY_ADVERTS_PAUSE - GATEWAY_ADVERT_DELAY_MAX);
        assert_eq!(advertised(&mut router), [0; 0], "not so soon again");
        router.wait(GATEWAY_ADVERT_DELAY_MAX * 2);
        assert_eq!(advertised(&mut router), [1_800]);
    }

    #[test]
    fn a_solicitation_that_no_host_sends_is_not_answered() {
        let named = [1, 1, 2, 0, 0, 0, 0, 0x64];
        for (name, frame) in [
            ("from beyond a router", solicitation(v6("fe80::64"), &[], 64)),
            ("a MAC without an address", solicitation(Ipv6Addr::UNSPECIFIED, &named, 255)),
        ] {
            let mut router = with_adverts();
            hold(&mut router, HolderState::Holds);
            router.wait(Duration::from_secs(100));
            advertised(&mut router);
            router.arrives(FIRST, frame);
            router.wait(Duration::from_secs(5));
            assert_eq!(advertised(&mut router), [0; 0], "{name}");
        }
    }

    #[test]
    fn the_last_node_withdraws_the_gateway_once() {
        let mut router = with_adverts();
        router.forward.withdraw_gateway(FIRST, &mut router.out);
        assert_eq!(advertised(&mut router), [0; 0], "it is none");
        hold(&mut router, HolderState::Holds);
        advertised(&mut router);
        router.forward.withdraw_gateway(FIRST, &mut router.out);
        router.forward.withdraw_gateway(FIRST, &mut router.out);
        assert_eq!(advertised(&mut router), [0]);
        router.wait(Duration::from_secs(2_000));
        assert_eq!(advertised(&mut router), [0; 0]);
    }
}
