//! The adverts of one interface: what is written while this node holds the role, and what is heard of the others.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::{AdvertSettings, Change, Member, Membership, RolesMode, Settings};
use crate::event::DropReason;
use crate::id::{Epoch, Interface, Mac, NodeId};
use crate::limits::{CROSSING_TIME_MAX, START_DEFERRED_MAX, START_TIME_MAX};
use crate::mutation::{Mutation, is_on};
use crate::outbox::{Leaving, Outbox};
use crate::packet::vrrp::{self, Advert};
use crate::packet::{Frame, Headers};
use crate::time::Instant;

/// Adverts of one interface, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdvertCounts {
    /// Written by this node.
    pub sent: u64,
    /// Of members, and in agreement with what they say.
    pub heard: u64,
}

/// What this node knows of one interface's adverts.
#[derive(Debug)]
pub(super) struct Adverts {
    vrid: u8,
    centiseconds: u16,
    priority: u8,
    virtual_macs: [Mac; 2],
    /// The virtual addresses of each family, as adverts list them.
    addresses: [Vec<IpAddr>; 2],
    /// The own addresses that adverts come from.
    sources: [Option<IpAddr>; 2],
    /// The last one written in the present epoch.
    written: Option<Instant>,
    /// When an advert of the followed holder last came, or its epoch was learned. Anybody can write one: it proves nothing.
    pub(super) heard: Instant,
    /// When the followed epoch was learned.
    pub(super) since: Instant,
    /// The member whose adverts came last, and when: since then switches lead both virtual MACs to it.
    turned_to: Option<(NodeId, Instant)>,
    /// When this node last wrote one, in whatever epoch.
    written_last: Option<Instant>,
    /// When this node last contradicted a member's advert.
    asserted: Option<Instant>,
    /// Until then no role is taken: the own one had lapsed, and whoever took it is to be heard first.
    pub(super) quiet_until: Option<Instant>,
    /// Since when this node might preempt the holder.
    pub(super) able_since: Option<Instant>,
    /// This node has held the role and lost it, and was not drained.
    pub(super) is_lost: bool,
    /// When the followed holder was last probed because its adverts were missing.
    pub(super) probed: Instant,
    /// The last epoch of which it was told that its adverts do not come.
    pub(super) told_as_unheard: Option<Epoch>,
    pub(super) counts: AdvertCounts,
}

impl Adverts {
    pub(super) fn new(settings: &Settings, interface: Interface) -> Self {
        let AdvertSettings { vrids, virtual_addresses, centiseconds, .. } = &settings.adverts;
        let vrid = vrids[interface];
        // RFC 9568, section 7.3.
        let virtual_macs = [Mac([0, 0, 0x5e, 0, 1, vrid]), Mac([0, 0, 0x5e, 0, 2, vrid])];
        let [_, virtual_mac_v6] = virtual_macs;
        let (v4, mut v6): (Vec<_>, Vec<_>) = virtual_addresses[interface].iter().copied().partition(IpAddr::is_ipv4);
        if !v6.iter().copied().any(is_link_local) {
            v6.push(virtual_mac_v6.link_local().into());
        }
        // A link-local address is the first one (RFC 9568, section 5.2.9).
        v6.sort_by_key(|address| !is_link_local(*address));
        let own_v4 = settings.addresses[interface].iter().copied().find(IpAddr::is_ipv4);
        Self {
            vrid,
            centiseconds: *centiseconds,
            priority: settings.priorities[interface],
            virtual_macs,
            addresses: [v4, v6],
            sources: [own_v4, Some(settings.macs[interface].link_local().into())],
            written: None,
            heard: Instant::default(),
            since: Instant::default(),
            turned_to: None,
            written_last: None,
            asserted: None,
            quiet_until: None,
            able_since: None,
            is_lost: false,
            probed: Instant::default(),
            told_as_unheard: None,
            counts: AdvertCounts::default(),
        }
    }

    /// The virtual router.
    pub(super) fn vrid(&self) -> u8 {
        self.vrid
    }

    /// True for the virtual MAC of either family.
    pub(super) fn has_virtual_mac(&self, mac: Mac) -> bool {
        self.virtual_macs.contains(&mac)
    }

    /// Time between two adverts.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(10) * u32::from(self.centiseconds)
    }

    /// Silence after which the holder counts as gone: three intervals and the skew, by which the higher priority comes
    /// first (RFC 9568, section 6.1).
    pub(super) fn down_interval(&self) -> Duration {
        self.interval() * 3 + self.interval() * (256 - u32::from(self.priority)) / 256
    }

    /// When adverts of the followed holder are missing: one at least was not written, or is lost.
    pub(super) fn overdue_at(&self) -> Instant {
        self.heard + self.interval() * 2
    }

    /// When the followed holder is to be probed because its adverts are missing.
    pub(super) fn next_probe(&self) -> Instant {
        self.overdue_at().max(self.probed + self.interval())
    }

    /// Until when this node may act as holder: a backup waits at least one interval longer.
    pub(super) fn lease_until(&self) -> Instant {
        self.written.map_or(Instant::default(), |written| written + self.interval() * 2)
    }

    /// True if a backup may have taken the role already.
    fn has_lapsed(&self, now: Instant) -> bool {
        self.written.is_some_and(|written| now >= written + self.interval() * 3)
    }

    /// When the next advert is due, if any was written.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.written.map(|written| written + self.interval())
    }

    /// Another epoch is followed from now on.
    pub(super) fn followed(&mut self, now: Instant) {
        (self.heard, self.since, self.quiet_until) = (now, now, None);
    }

    /// True if frames to the virtual MACs go to this member now, and not to this node: its adverts have come, and no own
    /// one that they may have crossed turned the switches back.
    pub(super) fn has_turned_to(&self, now: Instant, node: NodeId) -> bool {
        let crossed = |heard| self.written_last.is_some_and(|written| heard < written + CROSSING_TIME_MAX);
        self.turned_to.is_some_and(|(member, heard)| member == node && now < heard + self.interval() && !crossed(heard))
    }

    /// The adverts of both families. A family without addresses has none.
    fn frames(&self, priority: u8) -> impl Iterator<Item = Frame> {
        self.addresses.iter().zip(self.sources).zip(self.virtual_macs).filter_map(move |((list, source), mac)| {
            let (vrid, centiseconds) = (self.vrid, self.centiseconds);
            Advert { vrid, priority, centiseconds, addresses: list.clone() }.frame(mac, source?)
        })
    }

    /// The checks beyond the message itself.
    fn check(&self, advert: &Advert, headers: &Headers) -> Result<(), DropReason> {
        if advert.vrid != self.vrid {
            return Err(DropReason::VrrpVrid);
        }
        let [v4, v6] = &self.addresses;
        let expected = if headers.is_ipv6() { v6 } else { v4 };
        let same = advert.addresses.len() == expected.len() && expected.iter().all(|a| advert.addresses.contains(a));
        if same { Ok(()) } else { Err(DropReason::VrrpAddresses) }
    }
}

impl Membership {
    /// An advert arrived ([`vrrp::is_advert`]), from this MAC and with these headers. Its frame ends here. Of a member whose link
    /// lives, only its agreement with what the member says there is noted; of another one nothing, unless that has proven of late
    /// that it lives on this interface. Who holds the role is never an advert's affair.
    pub fn advert_arrived(
        &mut self,
        now: Instant,
        interface: Interface,
        (link_source, headers): (Mac, &Headers),
        frame: Frame,
        out: &mut Outbox,
    ) {
        let checked = Advert::parse(headers, &frame)
            .and_then(|advert| self.adverts[interface].check(&advert, headers).map(|()| advert));
        let advert = match checked {
            Ok(advert) => advert,
            Err(reason) => {
                self.foreign_advertised(now, interface, (link_source, headers), &frame, out);
                return out.drop(frame, reason);
            }
        };
        let Some(node) = self.advertiser(interface, link_source, headers) else {
            self.stranger_advertised(now);
            self.foreign_advertised(now, interface, (link_source, headers), &frame, out);
            return out.drop(frame, DropReason::VrrpStranger);
        };
        let resigns = advert.priority == vrrp::PRIORITY_RESIGNED;
        if !resigns && headers.is_ipv6() {
            self.switches_turned(now, interface, node, out);
        }
        let joined = match self.member(node).filter(|member| member.is_joined()) {
            Some(member) if member.says_it_holds(interface) == resigns => {
                return out.drop(frame, DropReason::VrrpContradicts);
            }
            joined => joined.is_some(),
        };
        if !joined && !self.is_proven(now, node, interface) {
            return out.drop(frame, DropReason::VrrpUnproven);
        }
        if let Some(member) = self.peer_mut(node) {
            member.heard_in_groups[interface] = Some(now);
        }
        out.consume(frame);
        let is_followed = self.followed(interface).is_some_and(|epoch| epoch.node == node);
        let contested = resigns && !joined && self.holds(interface);
        let adverts = &mut self.adverts[interface];
        adverts.counts.heard += 1;
        if is_followed && !resigns {
            adverts.heard = now;
        }
        if contested {
            self.note(Change::RoleContested { interface });
        }
        self.settle(now, out);
    }

    /// An IPv6 advert of a member came, which it writes behind the IPv4 one: what a switch sent to this node before that
    /// has come before it, and what comes from now on was flooded. If this node holds the role, the member did not know
    /// that yet, or not in time, and switches have to be turned back (RFC 9568, section 6.4.3): once in an interval, so
    /// that two nodes do not answer each other for ever.
    fn switches_turned(&mut self, now: Instant, interface: Interface, to: NodeId, out: &mut Outbox) {
        self.adverts[interface].turned_to = Some((to, now));
        if self.holder(interface) == Some(to) && self.adverts[interface].has_turned_to(now, to) {
            self.end_lingering(interface);
        }
        let adverts = &self.adverts[interface];
        let may = adverts.asserted.is_none_or(|asserted| now >= asserted + adverts.interval());
        if may && self.may_emit(now, interface) && self.member(to).is_some_and(Member::is_joined) {
            self.adverts[interface].asserted = Some(now);
            self.advertise(now, interface, out);
        }
    }

    /// The member, other than this node, that an advert is from, by its address; all holders share the virtual MAC.
    fn advertiser(&self, interface: Interface, link_source: Mac, headers: &Headers) -> Option<NodeId> {
        let [v4, v6] = self.adverts[interface].virtual_macs;
        if link_source != if headers.is_ipv6() { v6 } else { v4 } {
            return None;
        }
        let mut others = self.members.iter().filter(|member| member.node != self.settings.node);
        others.find(|member| member.is_at(interface, headers.source)).map(|member| member.node)
    }

    /// As long as this node starts and has not met every peer, the stranger may be one of them: a holder beyond the mesh's
    /// reach is not challenged, for some time.
    fn stranger_advertised(&mut self, now: Instant) {
        if self.may_be_unmet() {
            self.starting_until = Some((now + START_TIME_MAX).min(self.made + START_DEFERRED_MAX));
        }
    }

    /// Writes the adverts that are due.
    pub(super) fn advertise_due(&mut self, now: Instant, out: &mut Outbox) {
        for interface in Interface::BOTH {
            if self.holds(interface) && self.adverts[interface].due_at().is_none_or(|due| due <= now) {
                self.advertise(now, interface, out);
            }
        }
    }

    /// Writes the adverts of a held role, which renews its lease.
    pub(super) fn advertise(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let adverts = &mut self.adverts[interface];
        (adverts.written, adverts.written_last) = (Some(now), Some(now));
        self.transmit_adverts(interface, self.settings.priorities[interface], out);
    }

    /// Gives the role up before the network.
    pub(super) fn advertise_resignation(&mut self, interface: Interface, out: &mut Outbox) {
        self.transmit_adverts(interface, vrrp::PRIORITY_RESIGNED, out);
    }

    fn transmit_adverts(&mut self, interface: Interface, priority: u8, out: &mut Outbox) {
        if is_on(Mutation::SilentHolder) {
            return;
        }
        let frames: Vec<_> = self.adverts[interface].frames(priority).collect();
        self.adverts[interface].counts.sent += frames.len() as u64;
        for frame in frames {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }

    /// Ends roles whose lease ran out so long ago that another may have taken them.
    pub(super) fn end_lapsed_roles(&mut self, now: Instant) {
        for interface in Interface::BOTH {
            if self.elections[interface].held().is_some() && self.adverts[interface].has_lapsed(now) {
                self.elections[interface].lapsed();
                let adverts = &mut self.adverts[interface];
                // Alone there is nobody to wait for.
                adverts.quiet_until = (self.members.len() > 1).then(|| now + adverts.down_interval());
                self.has_lapsed[interface] = true;
            }
        }
    }

    /// Forgets the adverts of epochs that are over, and notes until when this node may act.
    pub(super) fn renew_lease(&mut self) {
        self.lease_until = if self.admitted { Instant::NEVER } else { Instant::default() };
        for interface in Interface::BOTH {
            if !self.holds(interface) {
                self.adverts[interface].written = None;
            } else if matches!(self.settings.roles, RolesMode::Priority) {
                self.lease_until = self.lease_until.min(self.adverts[interface].lease_until());
            }
        }
    }

    /// True if this node's lease ran out for a role that it holds: [`Membership::deadline_reached`] must renew or end it
    /// before the node acts as its holder again; and until it [is admitted](Membership::is_admitted). One comparison, for
    /// every frame.
    #[must_use]
    pub fn is_lease_over(&self, now: Instant) -> bool {
        now >= self.lease_until
    }

    /// True if this node holds the redirector and may act so now.
    #[must_use]
    pub fn may_emit(&self, now: Instant, interface: Interface) -> bool {
        self.holds(interface) && !self.is_lease_over(now)
    }

    /// A member beyond the mesh's reach that proves that it holds the redirector, while this node knows no holder: on the smaller
    /// side of a cut its redirected frames are taken.
    #[must_use]
    pub fn cut_holder(&self, now: Instant, interface: Interface) -> Option<NodeId> {
        if self.holder(interface).is_some() { None } else { self.rival(now, interface) }
    }

    /// How many adverts were written and heard.
    #[must_use]
    pub fn advert_counts(&self, interface: Interface) -> AdvertCounts {
        self.adverts[interface].counts
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => Ipv6Addr::is_unicast_link_local(&v6),
    }
}
