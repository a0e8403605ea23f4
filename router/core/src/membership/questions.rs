//! What is asked of membership, most of it on the way of every frame.

use super::{Candidate, Member, Membership};
use crate::id::{BootId, Epoch, Interface, Mac, NodeId};
use crate::limits::DETECTION_TIME;
use crate::time::Instant;

impl Membership {
    /// Who holds a redirector.
    #[must_use]
    pub fn holder(&self, interface: Interface) -> Option<NodeId> {
        self.roles[interface].map(|epoch| epoch.node)
    }

    /// The epoch this node obeys.
    #[must_use]
    pub fn epoch(&self, interface: Interface) -> Option<Epoch> {
        self.roles[interface]
    }

    /// True if this node holds the redirector.
    #[must_use]
    pub fn holds(&self, interface: Interface) -> bool {
        self.holder(interface) == Some(self.settings.node)
    }

    /// True if another node took the redirector from this one, and frames that were on their way may still come to it. It
    /// steers them by the sessions that it has until it hears an advert of its successor, or its lease ends.
    #[must_use]
    pub fn lingers(&self, interface: Interface) -> bool {
        self.lingers_until[interface].is_some()
    }

    /// True if this node steers what comes to the virtual MAC.
    #[must_use]
    pub fn steers(&self, now: Instant, interface: Interface) -> bool {
        self.holds(interface) || self.lingers_until[interface].is_some_and(|until| now < until)
    }

    /// The warm standby: who is to hold the redirector after its holder.
    #[must_use]
    pub fn standby(&self, interface: Interface) -> Option<NodeId> {
        self.standbys[interface]
    }

    /// True once this node has heard every peer, or waited long enough for those it has not heard.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.starting_until.is_none()
    }

    /// Who held the redirector before, for one detection time after a change.
    #[must_use]
    pub fn previous_holder(&self, now: Instant, interface: Interface) -> Option<NodeId> {
        let previous = self.previous[interface].filter(|previous| now < previous.until)?;
        (self.holder(interface) != Some(previous.node)).then_some(previous.node)
    }

    /// A member's own MAC; `None` before its first hello.
    #[must_use]
    pub fn mac(&self, node: NodeId, interface: Interface) -> Option<Mac> {
        Some(self.member(node)?.macs?[interface])
    }

    /// A member's present boot; `None` before its first hello.
    #[must_use]
    pub fn boot(&self, node: NodeId) -> Option<BootId> {
        self.member(node)?.boot
    }

    /// True if this node has no link, and every other member has been silent for so long that it has noticed that, too.
    #[must_use]
    pub fn is_long_alone(&self, now: Instant) -> bool {
        let mut others = self.members.iter().filter(|member| member.node != self.settings.node);
        others.all(|member| !member.link_up && now >= member.heard + DETECTION_TIME * 2)
    }

    /// The member with this MAC, dead or alive, this node included.
    #[must_use]
    pub fn member_by_mac(&self, interface: Interface, mac: Mac) -> Option<NodeId> {
        let has_it = |member: &&Member| member.macs.is_some_and(|macs| macs[interface] == mac);
        self.members.iter().find(has_it).map(|member| member.node)
    }

    /// One member, which may be this node.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// All configured members in the order of their ids, this node included.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Who may be chosen for a new stream, in the order of ids.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The epoch of another holder, which this node obeys.
    pub(super) fn followed(&self, interface: Interface) -> Option<Epoch> {
        self.roles[interface].filter(|epoch| epoch.node != self.settings.node)
    }
}
