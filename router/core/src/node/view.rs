//! The node's view of members, roles and whose sessions it awaits, and the one way to change each: what follows from a change
//! cannot be forgotten.

use std::ops::Deref;

use super::Node;
use crate::event::Event;
use crate::id::{Epoch, Interface, NodeId, PerInterface};
use crate::inspector::HostPart;
use crate::membership::{Change, Membership, Sync};
use crate::outbox::Outbox;
use crate::redirector::choice;
use crate::time::Instant;
use crate::turn::Turn;

/// Members and roles. Anybody may read it; changed it is only by [`Node::change_view`] and [`Node::change_kept`].
#[derive(Debug)]
pub(super) struct View {
    membership: Membership,
    /// Members out of reach, each with one that reaches it.
    detours: Vec<(NodeId, NodeId)>,
    /// Living members to which no message finds a way.
    beyond_reach: Vec<NodeId>,
    /// Living members with an interface that is out of order.
    out_of_order: Vec<NodeId>,
    /// Living members without a whole link to this node, which can be asked all the same.
    out_of_touch: Vec<NodeId>,
    kept: PerInterface<Kept>,
    /// What follows from changes is being done.
    is_followed: bool,
}

/// The sessions of one interface that this node keeps: membership hears when they are complete, and when they are not.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The epoch in which it holds the redirector or stands by for it.
    pub(super) epoch: Option<Epoch>,
    /// Members in reach that have not sent all of their streams in this epoch.
    pub(super) awaited: Vec<NodeId>,
}

/// Proof that what follows from a change is being done.
pub(super) struct Following(());

impl View {
    pub(super) fn new(membership: Membership) -> Self {
        let (detours, beyond_reach, out_of_order, out_of_touch) = Default::default();
        let kept = PerInterface::default();
        Self { membership, detours, beyond_reach, out_of_order, out_of_touch, kept, is_followed: false }
    }

    /// What this node keeps of an interface's sessions.
    pub(super) fn kept(&self, interface: Interface) -> &Kept {
        &self.kept[interface]
    }

    /// Members out of reach, each with one that reaches it.
    pub(super) fn detours(&self) -> &[(NodeId, NodeId)] {
        &self.detours
    }

    /// True for a living member to which no message finds a way: nothing can be asked of it, nor expected.
    pub(super) fn is_beyond_reach(&self, node: NodeId) -> bool {
        self.beyond_reach.contains(&node)
    }
}

impl Deref for View {
    type Target = Membership;

    fn deref(&self) -> &Membership {
        &self.membership
    }
}

impl<H: HostPart> Node<H> {
    /// Changes the view; what follows from that is done when this returns.
    pub(super) fn change_view(
        &mut self,
        turn: &mut Turn<'_, H>,
        change: impl FnOnce(&mut Membership, Instant, &mut Outbox),
    ) {
        change(&mut self.view.membership, turn.now, turn.out);
        self.follow_changes(turn);
    }

    /// Changes what this node awaits of an interface's sessions; what follows from that is done when this returns.
    pub(super) fn change_kept(&mut self, turn: &mut Turn<'_, H>, interface: Interface, change: impl FnOnce(&mut Kept)) {
        change(&mut self.view.kept[interface]);
        self.follow_changes(turn);
    }

    /// The same as a part of what follows from another change: membership hears of it when that part is done.
    pub(super) fn change_kept_meanwhile(&mut self, _: &Following, interface: Interface) -> &mut Kept {
        &mut self.view.kept[interface]
    }

    /// What changed among members and roles takes effect, and what this node knows of its own sessions now.
    fn follow_changes(&mut self, turn: &mut Turn<'_, H>) {
        self.tell_sync(turn);
        if std::mem::replace(&mut self.view.is_followed, true) {
            return;
        }
        let following = &Following(());
        self.view.detours = self.view.membership.detours();
        self.note_reach(turn, following);
        self.tell_sync(turn);
        let mut died = Vec::new();
        while let Some(change) = self.view.membership.next_change() {
            match change {
                Change::HolderChanged { interface } => self.holder_changed(turn, following, interface),
                Change::StandbyChanged { interface } => self.standby_changed(turn, following, interface),
                Change::LingeringEnded { interface } => self.keeper_changed(turn, following, interface),
                Change::MemberDied { node } => {
                    self.redirector.member_left(turn.now, node);
                    self.nothing_more_from(following, node);
                    self.no_answer_from(turn, node);
                    died.push(node);
                }
                Change::Admitted => self.appear(turn),
                Change::MemberSuspended { node } => {
                    self.redirector.member_suspended(turn.now, node);
                    self.count_itself_in();
                }
                Change::RoleContested { interface } => self.forward.announce_again(turn.now, interface, turn.out),
                Change::CandidatesChanged => {
                    self.candidates.clear();
                    self.candidates.extend(self.view.candidates().iter().map(|c| choice::Candidate {
                        node: c.node,
                        weight: c.weight,
                        is_holder: c.is_holder,
                        is_full: c.is_full,
                    }));
                    self.count_itself_in();
                }
            }
            // What this node knows of its own sessions now may change the view again.
            self.tell_sync(turn);
        }
        for node in died {
            self.give_anew(turn, node);
        }
        self.note_returned_members(turn.now);
        self.view.is_followed = false;
    }

    /// Members that came out of reach are waited for no more; of those that came back everything is to be told.
    fn note_reach(&mut self, turn: &mut Turn<'_, H>, following: &Following) {
        let out_of_order = self.view.membership.out_of_order();
        if out_of_order != self.view.out_of_order {
            self.redirector.order_changed(&out_of_order);
            self.view.out_of_order = out_of_order;
        }
        let out_of_touch = self.view.membership.out_of_touch(&self.view.detours);
        if out_of_touch != self.view.out_of_touch {
            self.redirector.touch_changed(&out_of_touch);
            self.view.out_of_touch = out_of_touch;
        }
        let beyond = self.view.membership.beyond_reach(&self.view.detours);
        if beyond == self.view.beyond_reach {
            return;
        }
        let before = std::mem::replace(&mut self.view.beyond_reach, beyond.clone());
        self.redirector.reach_changed(&beyond);
        for node in beyond.iter().filter(|node| !before.contains(node)) {
            self.nothing_more_from(following, *node);
            self.no_answer_from(turn, *node);
        }
        for node in before.iter().filter(|node| !beyond.contains(node)) {
            self.came_into_reach(turn, following, *node);
        }
    }

    /// Who might be chosen by a holder that does not know yet that this node may not be.
    fn count_itself_in(&mut self) {
        self.with_own.clone_from(&self.candidates);
        let own = self.view.member(self.node).filter(|_| !self.view.is_passed_over());
        if let Some((weight, is_full)) = own.map(|own| (own.weight, own.full))
            && !self.candidates.iter().any(|candidate| candidate.node == self.node)
        {
            let is_holder = Interface::BOTH.into_iter().any(|interface| self.view.holds(interface));
            self.with_own.push(choice::Candidate { node: self.node, weight, is_holder, is_full });
        }
    }

    /// Sessions of members that live again count again. In the place of one that ends with an older boot there may be another
    /// member's by now, which stood back behind it while this node had not yet heard of the death.
    fn note_returned_members(&mut self, now: Instant) {
        let before = Interface::BOTH.map(|interface| self.redirector.sessions(interface));
        let view = &self.view;
        let boot_of = |node| view.member(node).filter(|member| member.lives()).and_then(|member| member.boot);
        self.redirector.members_returned(boot_of);
        for (interface, before) in Interface::BOTH.into_iter().zip(before) {
            if self.redirector.sessions(interface) < before {
                self.compare_soon(now, interface);
            }
        }
    }

    /// Tells membership whether this node's sessions are complete.
    fn tell_sync(&mut self, turn: &mut Turn<'_, H>) {
        for interface in Interface::BOTH {
            let complete = self.view.has_started() && self.knows_all(interface);
            if std::mem::replace(&mut self.complete[interface], complete) == complete {
                continue;
            }
            let sync = if complete { Sync::Complete } else { Sync::Incomplete };
            if complete && self.view.kept(interface).epoch.is_some() {
                turn.out.tell(Event::InSync { interface });
            }
            self.view.membership.sync_changed(turn.now, interface, sync, turn.out);
        }
    }
}
