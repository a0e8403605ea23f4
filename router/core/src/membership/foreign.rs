//! Routers of others that advertise one of the cluster's virtual routers: two on one network share the virtual MAC, switches
//! lead its frames now to one and now to the other, and half of what hosts send is lost. Nothing here can mend that; people
//! are told who it is.

use std::net::IpAddr;

use super::{Member, Membership};
use crate::event::Event;
use crate::id::{Interface, Mac};
use crate::limits::{FOREIGN_ROUTER_TIME, FOREIGN_ROUTERS_MAX};
use crate::outbox::Outbox;
use crate::packet::vrrp::HOP_LIMIT;
use crate::packet::{Frame, Headers};
use crate::time::Instant;

/// A router that is no member and advertises a virtual router of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignRouter {
    /// The network.
    pub interface: Interface,
    /// Its address.
    pub address: IpAddr,
    /// The MAC that its last advert came from: the virtual one, or its own.
    pub mac: Mac,
    /// The virtual router.
    pub vrid: u8,
    /// The priority in its last advert.
    pub priority: u8,
    /// When that came.
    pub heard: Instant,
}

impl ForeignRouter {
    fn is_heard(&self, now: Instant) -> bool {
        now < self.heard + FOREIGN_ROUTER_TIME
    }
}

impl Membership {
    /// An advert was refused. If it is of a virtual router of the cluster, by its number or its MAC, and of no member, people
    /// are told, once in each outbreak. A peer that was not met yet, as this node starts, is not taken for one.
    pub(super) fn foreign_advertised(
        &mut self,
        now: Instant,
        interface: Interface,
        (mac, headers): (Mac, &Headers),
        frame: &Frame,
        out: &mut Outbox,
    ) {
        let &[_, vrid, priority, ..] = headers.transport_bytes(frame) else { return };
        let adverts = &self.adverts[interface];
        let is_ours = adverts.has_virtual_mac(mac) || vrid == adverts.vrid() && headers.hop_limit == HOP_LIMIT;
        let address = headers.source;
        if !is_ours || self.has_member_at(interface, address) || self.may_be_unmet() {
            return;
        }
        let router = ForeignRouter { interface, address, mac, vrid, priority, heard: now };
        let known = &mut self.foreign[interface];
        known.retain(|other| other.is_heard(now));
        if let Some(before) = known.iter_mut().find(|other| other.address == address) {
            *before = router;
        } else if known.len() < FOREIGN_ROUTERS_MAX {
            known.push(router);
            out.tell(Event::ForeignRouter { interface, address, mac, vrid, priority });
        }
    }

    fn has_member_at(&self, interface: Interface, address: IpAddr) -> bool {
        self.members.iter().any(|member| member.is_at(interface, address))
    }

    /// This node starts, and has not met every peer.
    pub(super) fn may_be_unmet(&self) -> bool {
        self.starting_until.is_some() && self.members.iter().any(|member| member.boot.is_none())
    }

    /// The foreign routers that were heard a short while ago.
    pub fn foreign_routers(&self, now: Instant) -> impl Iterator<Item = ForeignRouter> + '_ {
        let all = Interface::BOTH.into_iter().flat_map(|interface| &self.foreign[interface]);
        all.filter(move |router| router.is_heard(now)).copied()
    }
}

impl Member {
    /// It sends from this address: one of its own, or the link-local one of its MAC.
    pub(super) fn is_at(&self, interface: Interface, address: IpAddr) -> bool {
        let has_link_local = |v6| self.macs.is_some_and(|macs| macs[interface].link_local() == v6);
        self.addresses[interface].contains(&address)
            || match address {
                IpAddr::V4(_) => false,
                IpAddr::V6(v6) => has_link_local(v6),
            }
    }
}
