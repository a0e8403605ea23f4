//! Who is heard on the interfaces: probes, the members whose interface nobody hears, and the sides of a cut.
//!
//! A node *hears* a member on an interface if that has answered a challenge there of late
//! (`router/core/src/membership/proof.rs`), so frames pass both ways. A member is *unheard* on an interface if no member that
//! this node is linked with hears it there, although somebody is heard there: then the network works, and the member's
//! interface does not. A node reports what it hears over the mesh, so a node whose own cable is cut learns from the others that
//! they hear each other, and that it is the one. A member that hears nobody, while others hear each other, counts like one that
//! nobody hears: nothing of what hosts send comes to it, although its adverts lead all of it there.
//!
//! Two nodes that do not hear each other cannot tell whose cable it is: neither is unheard, and the holder keeps its role
//! for as long as the mesh says that it lives.

use std::time::Duration;

use super::Membership;
use super::member::{Member, MemberState};
use crate::event::Event;
use crate::id::{Interface, NodeId};
use crate::limits::DETECTION_TIME;
use crate::mistake::or_mistake;
use crate::outbox::Outbox;
use crate::packet::probe::Word;
use crate::time::Instant;

impl Membership {
    /// Members that are silent on the mesh: dead, or cut off if they are heard on an interface.
    pub(super) fn judge_silent(&mut self, now: Instant, out: &mut Outbox) {
        let own = self.settings.node;
        for index in 0..self.members.len() {
            let Some(member) = self.members.get_mut(index).filter(|member| member.node != own) else { continue };
            let seen = Interface::BOTH.into_iter().any(|interface| member.is_seen(now, interface));
            let silent = now >= member.heard + DETECTION_TIME;
            match (member.state, seen) {
                (MemberState::Alive | MemberState::Suspect, true) if silent => member.cut_off(out),
                (MemberState::Dead, true) if member.boot.is_some() && !member.is_proven_dead => member.cut_off(out),
                (MemberState::Alive | MemberState::Suspect, false) if silent => {
                    let node = member.node;
                    self.died(node, out);
                }
                (MemberState::Cut, false) => {
                    let node = member.node;
                    self.died(node, out);
                }
                (MemberState::Alive | MemberState::Suspect | MemberState::Cut | MemberState::Dead, _) => {}
            }
        }
    }

    /// Nobody listens at a peer's address any more, although its machine answers: if its link was lost, its process is dead.
    pub fn peer_refused(&mut self, now: Instant, peer: NodeId, out: &mut Outbox) {
        let Some(member) = self.peer_mut(peer).filter(|member| !member.link_up) else { return };
        if member.state == MemberState::Suspect {
            member.is_proven_dead = true;
            self.died(peer, out);
            self.settle(now, out);
        }
    }

    /// A member is dead: what this run of it owned is gone.
    pub(super) fn died(&mut self, node: NodeId, out: &mut Outbox) {
        if let Some(member) = self.peer_mut(node) {
            member.state = MemberState::Dead;
            out.tell(Event::MemberDied { node });
            self.note(super::Change::MemberDied { node });
        }
    }

    /// This node did not run for so long: that much of the others' silence was its own.
    pub(super) fn forgive_silence(&mut self, now: Instant, paused: Duration) {
        let later = |heard: Instant| now.min(heard + paused);
        for member in &mut self.members {
            member.heard = later(member.heard);
            for interface in Interface::BOTH {
                member.seen[interface] = member.seen[interface].map(later);
                member.heard_in_groups[interface] = member.heard_in_groups[interface].map(later);
            }
        }
        for interface in Interface::BOTH {
            self.adverts[interface].heard = later(self.adverts[interface].heard);
        }
    }

    /// Whom this node hears on an interface, into its own report.
    pub(super) fn listen(&mut self, now: Instant, interface: Interface) {
        let own = self.settings.node;
        let is_silent = self.is_holder_silent(now, interface);
        let silent = self.followed(interface).filter(|_| is_silent).map(|epoch| epoch.node);
        let works = self.member(own).is_some_and(|member| member.interfaces[interface]);
        let heard: Vec<NodeId> = self
            .members
            .iter()
            .filter(|member| works && member.node != own && member.is_heard(now, interface))
            .filter(|member| Some(member.node) != silent)
            .map(|member| member.node)
            .collect();
        let hears = self.places(&heard);
        if let Some(member) = self.members.iter_mut().find(|member| member.node == own) {
            member.heard_on[interface] = heard;
            member.hears[interface] = hears;
        }
        self.judge_unheard(now, interface);
    }

    /// Who has been unheard for a detection time, or has heard nobody: what two members report need not be of the same moment.
    fn judge_unheard(&mut self, now: Instant, interface: Interface) {
        let speaks = |member: &&Member| member.node == self.settings.node || member.is_joined();
        let works = |member: &&Member| member.interfaces[interface];
        let places = |all: u64, member: &Member| all | self.place(member.node);
        let heard = self.members.iter().filter(speaks).fold(0, |all, member| all | member.hears[interface]);
        let listeners = self.members.iter().filter(speaks).filter(works).fold(0, places);
        // A member that says that its interface is down proves nothing, though it was heard a moment ago.
        let proof = heard & self.members.iter().filter(works).fold(0, places);
        let (mut unheard, own) = (0, self.settings.node);
        for place in 0..self.members.len() {
            let Some(member) = self.members.get_mut(place) else { continue };
            let bit = bit(place);
            let is_heard = heard & bit != 0 || proof & !bit == 0 || listeners & !bit == 0;
            // Others are heard there, and not by this member alone, for it hears none.
            let says = member.node == own || member.is_joined() && member.priorities.is_some();
            let is_deaf = says && member.hears[interface] == 0 && proof & !bit != 0;
            let is_heard = is_heard && !is_deaf;
            let since = if is_heard { None } else { member.unheard_since[interface].or(Some(now)) };
            member.unheard_since[interface] = since;
            if since.is_some_and(|since| now >= since + DETECTION_TIME) {
                unheard |= bit;
            }
        }
        self.unheard[interface] = unheard;
    }

    /// True if the holder that this node follows has not been heard for the `Active_Down_Interval`, neither by adverts nor by
    /// proof; or if it has proven nothing for a heartbeat interval longer, whatever adverts say.
    pub(super) fn is_holder_silent(&self, now: Instant, interface: Interface) -> bool {
        let unproven = self.unproven_at(interface, self.adverts[interface].down_interval());
        unproven.is_some_and(|at| now >= at)
            || self.have_adverts_ceased(now, interface) && !self.is_multicast_lost(now, interface)
    }

    /// True if the adverts of the holder that this node follows have ceased for the `Active_Down_Interval`.
    pub(super) fn have_adverts_ceased(&self, now: Instant, interface: Interface) -> bool {
        let adverts = &self.adverts[interface];
        now >= adverts.heard + adverts.down_interval()
    }

    /// True if the holder that this node follows answers challenges although adverts of it were missing already, and its last
    /// word, on the mesh or here, is that it holds: it lives, and the network does not pass its multicast. A holder that has died
    /// was heard for at most one interval after its last advert, so this does not make its death known later.
    fn is_multicast_lost(&self, now: Instant, interface: Interface) -> bool {
        let adverts = &self.adverts[interface];
        let Some(epoch) = self.followed(interface) else { return false };
        let holds = |holder: &&Member| {
            holder.is_expected() && holder.epochs[interface] == Some(epoch)
                || holder.proofs[interface].says(Word::Holds, adverts.since)
        };
        let seen = self.member(epoch.node).filter(holds).and_then(|holder| holder.seen[interface]);
        seen.is_some_and(|seen| seen >= adverts.overdue_at() && now < seen + adverts.down_interval())
    }

    /// Until when the holder that this node follows counts as heard by proof alone.
    pub(super) fn probed_until(&self, interface: Interface) -> Option<Instant> {
        let holder = self.followed(interface).and_then(|epoch| self.member(epoch.node));
        holder?.seen[interface].map(|seen| seen + self.adverts[interface].down_interval())
    }

    /// Challenges holders whose adverts are missing, once in an interval: challenges come once in a heartbeat interval otherwise,
    /// which may be too seldom to tell in time that only multicast is lost.
    pub(super) fn probe_overdue_holders(&mut self, now: Instant, out: &mut Outbox) {
        for interface in Interface::BOTH {
            let Some(epoch) = self.followed(interface) else { continue };
            if now < self.adverts[interface].next_probe() {
                continue;
            }
            self.adverts[interface].probed = now;
            self.challenge(now, interface, epoch.node, out);
        }
    }

    /// Says once of each epoch that its holder is heard by proof only.
    pub(super) fn tell_lost_multicast(&mut self, now: Instant, out: &mut Outbox) {
        for interface in Interface::BOTH {
            let Some(epoch) = self.followed(interface) else { continue };
            let lost = self.have_adverts_ceased(now, interface) && self.is_multicast_lost(now, interface);
            if lost && self.adverts[interface].told_as_unheard.replace(epoch) != Some(epoch) {
                out.tell(Event::AdvertsUnheard { interface, holder: epoch.node });
            }
        }
    }

    /// True if nobody hears the member on that interface, or it hears nobody there, although the network works.
    pub(super) fn is_unheard(&self, node: NodeId, interface: Interface) -> bool {
        self.unheard[interface] & self.place(node) != 0
    }

    /// True if this node hears any other member than `node` on that interface.
    pub(super) fn hears_others(&self, now: Instant, node: NodeId, interface: Interface) -> bool {
        let own = self.settings.node;
        let works = self.member(own).is_some_and(|own| own.interfaces[interface]);
        let mut others = self.members.iter().filter(|member| member.node != own && member.node != node);
        works && others.any(|member| member.is_seen(now, interface))
    }

    /// True if the mesh is cut, and this node on the smaller side: of equal ones, the one without the lowest id.
    pub(super) fn is_on_smaller_side(&self) -> bool {
        let mut near = self.place(self.settings.node);
        for member in self.members.iter().filter(|member| member.is_joined()) {
            near |= self.place(member.node) | self.places(&member.links);
        }
        let cut = self.members.iter().filter(|member| member.state == MemberState::Cut);
        let far = cut.fold(0, |far, member| far | self.place(member.node)) & !near;
        let lowest = (near | far) & (near | far).wrapping_neg();
        let (ours, theirs) = (near.count_ones(), far.count_ones());
        ours < theirs || (ours == theirs && lowest & near == 0)
    }

    /// Members as a set of their places.
    pub(super) fn places(&self, nodes: &[NodeId]) -> u64 {
        nodes.iter().fold(0, |all, node| all | self.place(*node))
    }

    /// A member's place as a set; empty for others.
    pub(super) fn place(&self, node: NodeId) -> u64 {
        self.members.binary_search_by_key(&node, |member| member.node).map_or(0, bit)
    }
}

/// A place as a set. There are at most 64 members.
fn bit(place: usize) -> u64 {
    let bit = u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place));
    or_mistake(bit, "there are no more members than bits")
}
