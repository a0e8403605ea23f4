//! What follows from a call: conclusions, then what the node, the members and the network are told of them.

use super::{Change, Membership, Previous};
use crate::event::Event;
use crate::id::{Epoch, Interface};
use crate::limits::{DETECTION_TIME, PADDING_INTERVAL};
use crate::mesh::{Claim, Heartbeat, Message, Padding};
use crate::outbox::Outbox;
use crate::time::Instant;

impl Membership {
    pub(super) fn note(&mut self, change: Change) {
        // One of each is enough, which also bounds the list.
        if !self.changes.contains(&change) {
            self.changes.push_back(change);
        }
    }

    /// Draws the conclusions, then tells what has changed.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Outbox) {
        let were_all_suspended = self.are_all_suspended;
        self.judge(now);
        for interface in Interface::BOTH {
            self.tell_role(now, interface, out);
        }
        self.tell_unheard(out);
        if self.are_all_suspended != were_all_suspended {
            out.tell(Event::AllSuspended { suspended: self.are_all_suspended });
        }
        // Before all others: what follows from them chooses by it.
        if std::mem::take(&mut self.candidates_changed) && !self.changes.contains(&Change::CandidatesChanged) {
            self.changes.push_front(Change::CandidatesChanged);
        }
        self.report(now, out);
        self.renew_lease();
    }

    fn tell_role(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let epoch = self.roles[interface];
        let before = std::mem::replace(&mut self.told_roles[interface], epoch);
        if before == epoch {
            return;
        }
        if let Some(before) = before.filter(|before| Some(before.node) != self.holder(interface)) {
            self.previous[interface] = Some(Previous { node: before.node, until: now + DETECTION_TIME });
        }
        let succeeded = before.zip(epoch).is_some_and(|(before, epoch)| {
            self.has_succeeded(before, epoch) && !self.adverts[interface].has_turned_to(now, epoch.node)
        });
        self.lingers_until[interface] = succeeded.then(|| self.adverts[interface].lease_until());
        if let Some(epoch) = self.elections[interface].held() {
            self.send_to_all(&Message::Claim(Claim { interface, epoch }), out);
        }
        let own = self.settings.node;
        self.note_loss(interface, before, epoch);
        let lapsed = std::mem::take(&mut self.has_lapsed[interface]);
        if epoch.is_some_and(|epoch| epoch.node == own) {
            self.advertise(now, interface, out);
        } else if epoch.is_none() && before.is_some_and(|before| before.node == own) && !lapsed {
            self.advertise_resignation(interface, out);
        }
        out.tell(Event::HolderChanged { interface, epoch });
        self.note(Change::HolderChanged { interface });
    }

    /// Whether this node has lost the role: it takes it back from a living holder only when it has been fit for long.
    fn note_loss(&mut self, interface: Interface, before: Option<Epoch>, epoch: Option<Epoch>) {
        let own = self.settings.node;
        let is_own = |epoch: Option<Epoch>| epoch.is_some_and(|epoch| epoch.node == own);
        let drains = self.member(own).is_some_and(|own| own.draining);
        let adverts = &mut self.adverts[interface];
        adverts.is_lost = !is_own(epoch) && (adverts.is_lost || is_own(before) && !drains);
    }

    /// True if another node has taken this node's role: from this very epoch, and over the mesh.
    fn has_succeeded(&self, before: Epoch, epoch: Epoch) -> bool {
        let successor = self.member(epoch.node).filter(|member| member.is_joined());
        before.node == self.settings.node
            && epoch.node != before.node
            && epoch.counter == before.counter.saturating_add(1)
            && successor.is_some()
    }

    /// Nothing more comes to this node that was on its way to the holder.
    pub(super) fn end_lingering(&mut self, interface: Interface) {
        if self.lingers_until[interface].take().is_some() {
            self.note(Change::LingeringEnded { interface });
        }
    }

    /// Sends this node's view to all if it differs from what was sent last; [`Membership::deadline_reached`] forgets
    /// that every heartbeat interval. Now and then the heartbeat is padded.
    fn report(&mut self, now: Instant, out: &mut Outbox) {
        let Some(own) = self.member(self.settings.node) else { return };
        let heartbeat = Heartbeat {
            priorities: self.settings.priorities,
            epochs: self.roles,
            weight: own.weight,
            in_sync: own.in_sync,
            synced: own.synced,
            draining: own.draining,
            suspended: own.suspended,
            full: own.full,
            interfaces: own.interfaces,
            heard: own.heard_on.clone(),
            links: own.links.clone(),
            padding: Padding::default(),
        };
        if self.reported.as_ref() != Some(&heartbeat) {
            let mut padding = Padding::default();
            if now >= self.padded_at {
                self.padded_at = now + PADDING_INTERVAL;
                padding = Padding::whole();
            }
            self.send_to_all(&Message::Heartbeat(Heartbeat { padding, ..heartbeat.clone() }), out);
            self.reported = Some(heartbeat);
        }
    }

    fn send_to_all(&self, message: &Message, out: &mut Outbox) {
        for member in self.members.iter().filter(|member| member.link_up && member.node != self.settings.node) {
            out.send(member.node, message.clone());
        }
    }
}
