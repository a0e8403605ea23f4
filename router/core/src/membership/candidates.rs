//! Who may be chosen for a new stream.

use super::Membership;
use super::member::{Member, MemberState};
use crate::id::{Interface, NodeId};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::time::Instant;

/// A member that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub node: NodeId,
    /// Its weight, at least 1.
    pub weight: u16,
    /// It holds one of the redirectors.
    pub is_holder: bool,
    /// It has no room for new streams.
    pub is_full: bool,
}

/// Whether this node takes new streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It does.
    Open,
    /// It has no room for them.
    Full,
}

impl Membership {
    /// This node has no room for new streams, or has it again.
    pub fn intake_changed(&mut self, now: Instant, intake: Intake, out: &mut Outbox) {
        let node = self.settings.node;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == node) {
            own.full = intake == Intake::Full;
        }
        self.settle(now, out);
    }

    /// Recomputes the candidates into the spare list; true if they differ.
    pub(super) fn recompute_candidates(&mut self) -> bool {
        let mut fresh = std::mem::take(&mut self.spare_candidates);
        fresh.clear();
        let candidate = |member: &Member| Candidate {
            node: member.node,
            weight: member.weight,
            is_holder: Interface::BOTH.iter().any(|interface| self.holder(*interface) == Some(member.node)),
            is_full: member.full,
        };
        let judges = |member: &&Member| !member.suspended || is_on(Mutation::ChooseSuspended);
        let able = self.members.iter().filter(|member| self.may_be_chosen(member));
        fresh.extend(able.clone().filter(judges).map(candidate));
        // Whose plugins judge no more is better than nobody: then the fault policy decides.
        let nobody_judges = fresh.is_empty();
        if nobody_judges {
            fresh.extend(able.map(candidate));
        }
        self.are_all_suspended = nobody_judges && !fresh.is_empty();
        let changed = fresh != self.candidates;
        self.spare_candidates = std::mem::replace(&mut self.candidates, fresh);
        changed
    }

    /// In sync, both interfaces working and heard, linked to both holders by both ends' reports. A vacant role asks for no link.
    fn may_be_chosen(&self, member: &Member) -> bool {
        let holders = Interface::BOTH.into_iter().filter_map(|interface| self.holder(interface));
        member.state == MemberState::Alive
            && member.is_linked()
            && (member.in_sync || is_on(Mutation::JoinUnsynced))
            && !member.draining
            && member.weight > 0
            && Interface::BOTH.into_iter().all(|i| member.interfaces[i] && !self.is_unheard(member.node, i))
            && holders.into_iter().all(|holder| self.are_linked(member.node, holder))
    }

    /// True if an interface of this node does not work or is heard by nobody, or if it has no link to a living holder, by
    /// either end's report: it keeps its streams, gets no new ones, and is to give away those it has.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        let own = self.settings.node;
        let deaf = |interface: Interface| {
            self.is_unheard(own, interface) || self.member(own).is_some_and(|member| !member.interfaces[interface])
        };
        if Interface::BOTH.into_iter().any(deaf) {
            return true;
        }
        Interface::BOTH.into_iter().filter_map(|interface| self.holder(interface)).any(|holder| {
            self.member(holder).is_some_and(Member::lives) && !self.are_linked(self.settings.node, holder)
        })
    }

    /// The living members to which this node has no link, each with one that has links to both.
    #[must_use]
    pub fn detours(&self) -> Vec<(NodeId, NodeId)> {
        let is_cut = |member: &&Member| member.lives() && !member.link_up && member.state != MemberState::Suspect;
        let cut = self.members.iter().filter(is_cut).map(|member| member.node);
        let via = |target: NodeId| {
            let linked = |member: &&Member| {
                member.node != self.settings.node && member.link_up && member.links.contains(&target)
            };
            self.members.iter().find(linked).map(|member| (target, member.node))
        };
        cut.filter_map(via).collect()
    }

    /// The living members to which no message finds a way: cut off, and no other member has links to both.
    #[must_use]
    pub fn beyond_reach(&self, detours: &[(NodeId, NodeId)]) -> Vec<NodeId> {
        let is_cut = |member: &&Member| member.state == MemberState::Cut && !member.link_up;
        let cut = self.members.iter().filter(is_cut).map(|member| member.node);
        cut.filter(|node| detours.iter().all(|(target, _)| target != node)).collect()
    }

    /// The living members to which this node has no whole link, and that can be asked by way of others.
    #[must_use]
    pub fn out_of_touch(&self, detours: &[(NodeId, NodeId)]) -> Vec<NodeId> {
        let is_apart = |member: &&Member| match member.state {
            MemberState::Cut => detours.iter().any(|(target, _)| *target == member.node),
            MemberState::Alive => member.link_up && !member.takes_frames,
            MemberState::Suspect | MemberState::Dead => false,
        };
        self.members.iter().filter(is_apart).map(|member| member.node).collect()
    }

    /// Both ends say that they have a link.
    fn are_linked(&self, one: NodeId, other: NodeId) -> bool {
        one == other || (self.says_linked(one, other) && self.says_linked(other, one))
    }

    /// What `node` says of its link to `peer`; of its own links this node knows itself.
    fn says_linked(&self, node: NodeId, peer: NodeId) -> bool {
        if node == self.settings.node {
            self.member(peer).is_some_and(Member::is_linked)
        } else {
            self.member(node).is_some_and(|member| member.links.contains(&peer))
        }
    }
}
