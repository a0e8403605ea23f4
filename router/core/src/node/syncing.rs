//! How redirector sessions are kept complete and true: a new holder, a warm standby and, from time to time, every
//! redirector compares its sessions with each chosen node by digests, and is sent the streams of the buckets that differ.
//!
//! ```text
//!  redirector                                   chosen node
//!   | ---- Compare: digests of what I have -------> |
//!   | <--- Refresh, Refresh, ...: what differs ---- |  as fast as the link takes it
//!   | <--- SyncEnd: that was all ------------------ |  what differs and was not sent is stale
//! ```

use super::Node;
use super::view::{Following, Kept};
use crate::event::{DropReason, Event};
use crate::id::{Epoch, Interface, NodeId, Slot};
use crate::inspector::HostPart;
use crate::limits::{BUCKETS, BULK_SLOTS_MAX, COMPARE_INTERVAL, REFRESH_STREAMS_MAX, SMALL_MESSAGE_LEN_MAX};
use crate::membership::Member;
use crate::mesh::{Announce, Compare, Message, Refresh, SyncEnd};
use crate::mutation::{Mutation, is_on};
use crate::time::Instant;
use crate::turn::Turn;

/// What this node does to keep the sessions of one interface complete; whom it awaits for that, stands in the view.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Members whose answer to a comparison has not ended.
    compared: Vec<NodeId>,
    /// Those of them that are compared with once more, as what they had said before their answer came behind the question.
    repeated: Vec<NodeId>,
    /// Members to compare with when the comparison of the other interface's sessions has ended: a stream that is told
    /// then makes the sessions of both.
    deferred: Vec<NodeId>,
    /// When to compare again.
    again: Instant,
}

/// Streams on their way to a redirector that compares.
#[derive(Debug)]
pub(super) struct Bulk {
    to: NodeId,
    interface: Interface,
    epoch: Epoch,
    round: u32,
    /// The buckets that differ.
    wanted: Vec<bool>,
    /// The next slot to look at; `None` when the last was looked at.
    next: Option<Slot>,
}

impl<H: HostPart> Node<H> {
    /// True if this node keeps sessions of the interface's redirector: it holds it, has just handed it over, or stands by
    /// for it.
    pub(super) fn keeps(&self, interface: Interface) -> bool {
        let steers = self.view.holds(interface) || self.view.lingers(interface);
        steers || self.view.standby(interface) == Some(self.node)
    }

    /// Whether each redirector knows every stream that is announced to it.
    pub(super) fn knows_all(&self, interface: Interface) -> bool {
        self.view.kept(interface).awaited.is_empty()
    }

    /// Another node holds the redirector of an interface, or stands by for it.
    pub(super) fn keeper_changed(&mut self, turn: &mut Turn<'_, H>, following: &Following, interface: Interface) {
        if self.view.lingers(interface) {
            return;
        }
        let keeps = self.keeps(interface);
        let epoch = self.view.epoch(interface).filter(|_| keeps);
        if self.view.kept(interface).epoch == epoch && (keeps || self.redirector.sessions(interface) == 0) {
            return;
        }
        let unfinished = std::mem::take(&mut self.keeping[interface]).compared;
        let Some(epoch) = epoch else {
            *self.change_kept_meanwhile(following, interface) = Kept::default();
            // While nobody holds the role, who stands by for it keeps what it has.
            if !keeps {
                self.redirector.forget(interface);
            }
            for parked in self.redirector.parking.take_all(interface) {
                turn.out.drop(parked.frame, DropReason::NotHolder);
            }
            for node in unfinished {
                self.compare_deferred(turn, interface.other(), node);
            }
            return;
        };
        let in_reach = |member: &&Member| member.lives() && !self.view.is_beyond_reach(member.node);
        let awaited = self.view.members().filter(in_reach).map(|member| member.node).collect();
        if is_on(Mutation::SyncAtOnce) {
            self.keeping[interface].again = turn.now + COMPARE_INTERVAL;
            let kept = Kept { epoch: Some(epoch), awaited: Vec::new() };
            *self.change_kept_meanwhile(following, interface) = kept;
            return;
        }
        *self.change_kept_meanwhile(following, interface) = Kept { epoch: Some(epoch), awaited };
        self.compare(turn, interface);
    }

    fn compare_deferred(&mut self, turn: &mut Turn<'_, H>, interface: Interface, node: NodeId) {
        if let Some(place) = self.keeping[interface].deferred.iter().position(|deferred| *deferred == node) {
            self.keeping[interface].deferred.swap_remove(place);
            self.compare_with(turn, interface, node);
        }
    }

    /// Compares the sessions of an interface with every chosen node.
    fn compare(&mut self, turn: &mut Turn<'_, H>, interface: Interface) {
        self.keeping[interface].again = turn.now + COMPARE_INTERVAL;
        let members: Vec<NodeId> =
            self.view.members().filter(|member| self.is_reached(member)).map(|member| member.node).collect();
        for node in members {
            self.compare_with(turn, interface, node);
        }
    }

    /// True for a member to which messages find a way.
    fn is_reached(&self, member: &Member) -> bool {
        member.link_up || self.way_to(member.node) != member.node
    }

    fn compare_with(&mut self, turn: &mut Turn<'_, H>, interface: Interface, node: NodeId) {
        let Some(epoch) = self.view.kept(interface).epoch else { return };
        if self.keeping[interface.other()].compared.contains(&node) {
            return add(&mut self.keeping[interface].deferred, node);
        }
        add(&mut self.keeping[interface].compared, node);
        let round = self.redirector.begin_round(node, interface);
        let digests = self.redirector.digests(node, interface).as_slice().to_vec();
        let compare = Compare { interface, epoch, round, digests };
        if node == self.node {
            self.compare_arrived(turn, node, &compare);
        } else {
            turn.out.send(node, Message::Compare(compare));
        }
    }

    /// A chosen node's announcements went unanswered: this redirector is not in sync until they have been compared.
    pub(super) fn was_unheard(&mut self, turn: &mut Turn<'_, H>, from: NodeId, interface: Interface) {
        if self.view.kept(interface).epoch.is_none() {
            turn.out.ledger.messages_stale += 1;
            return;
        }
        self.compare_with(turn, interface, from);
        self.change_kept(turn, interface, |kept| add(&mut kept.awaited, from));
    }

    /// A link is up: what was said while it was down may be lost.
    pub(super) fn compare_after_reconnect(&mut self, turn: &mut Turn<'_, H>, peer: NodeId) {
        self.forget_comparisons(peer);
        for interface in Interface::BOTH {
            self.compare_with(turn, interface, peer);
        }
    }

    /// Sessions may be missing: they are compared as soon as deadlines are looked at.
    pub(super) fn compare_soon(&mut self, now: Instant, interface: Interface) {
        self.compare_by(interface, now);
    }

    /// The same, at this time at the latest.
    pub(super) fn compare_by(&mut self, interface: Interface, at: Instant) {
        let again = &mut self.keeping[interface].again;
        *again = at.min(*again);
    }

    /// Compares again where it is time.
    pub(super) fn compare_due(&mut self, turn: &mut Turn<'_, H>) {
        for interface in Interface::BOTH {
            if self.view.kept(interface).epoch.is_some() && self.keeping[interface].again <= turn.now {
                self.compare(turn, interface);
            }
        }
    }

    /// When [`compare_due`](Self::compare_due) has something to do.
    pub(super) fn next_compare(&self) -> Option<Instant> {
        let of = |interface| self.view.kept(interface).epoch.map(|_| self.keeping[interface].again);
        Interface::BOTH.into_iter().filter_map(of).min()
    }

    /// A redirector asks for this node's streams in the buckets that differ.
    pub(super) fn compare_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, compare: &Compare) {
        let Compare { interface, epoch, round, .. } = *compare;
        if self.view.epoch(interface).is_some_and(|own| own > epoch) {
            turn.out.ledger.messages_stale += 1;
            return;
        }
        self.missing.compared(interface, from);
        let wanted = self.chosen.digests[interface].differing(&compare.digests);
        self.bulks.retain(|bulk| (bulk.to, bulk.interface) != (from, interface));
        let bulk = Bulk { to: from, interface, epoch, round, wanted, next: Some(Slot::FIRST) };
        if bulk.wanted.contains(&true) {
            self.bulks.push(bulk);
        } else {
            self.end_bulk(turn, &bulk);
        }
    }

    /// Sends streams to the redirectors that compare, as far as `room`, in bytes for each link, goes. True if there is
    /// more to send at once.
    pub fn send_bulk(&mut self, turn: &mut Turn<'_, H>, room: &dyn Fn(NodeId) -> usize) -> bool {
        let mut bulks = std::mem::take(&mut self.bulks);
        let mut more = false;
        for bulk in &mut bulks {
            let room = if bulk.to == self.node { usize::MAX } else { room(self.way_to(bulk.to)) };
            more |= room >= SMALL_MESSAGE_LEN_MAX && self.send_some(turn, bulk, room);
        }
        bulks.retain(|bulk| bulk.next.is_some());
        // The end of a comparison with this node itself may have begun the one that waited for it.
        more |= !self.bulks.is_empty();
        bulks.append(&mut self.bulks);
        self.bulks = bulks;
        more
    }

    /// True while streams are on their way to a redirector.
    #[must_use]
    pub fn has_bulk(&self) -> bool {
        !self.bulks.is_empty()
    }

    /// Sends a turn's worth of one bulk. True if more could go at once.
    fn send_some(&mut self, turn: &mut Turn<'_, H>, bulk: &mut Bulk, room: usize) -> bool {
        let mut streams = Vec::new();
        let (mut looked, mut left) = (0, room);
        while looked < BULK_SLOTS_MAX && left >= SMALL_MESSAGE_LEN_MAX {
            looked += 1;
            let Some(slot) = bulk.next.and_then(|next| self.chosen.markers.slot_from(next)) else {
                self.pass_on(turn, bulk.to, streams);
                self.end_bulk(turn, bulk);
                bulk.next = None;
                return false;
            };
            bulk.next = Some(slot.next());
            if let Some(announce) = self.wanted(bulk, slot) {
                streams.push(announce);
                left -= ANNOUNCE_LEN.min(left);
            }
            if streams.len() == REFRESH_STREAMS_MAX {
                self.pass_on(turn, bulk.to, std::mem::take(&mut streams));
            }
        }
        self.pass_on(turn, bulk.to, streams);
        left >= SMALL_MESSAGE_LEN_MAX
    }

    fn wanted(&self, bulk: &Bulk, slot: Slot) -> Option<Announce> {
        let session = self.chosen.markers.at(slot);
        session.told?;
        let wanted = bulk.wanted.get(self.chosen.digests[bulk.interface].bucket_of(session.identity)) == Some(&true);
        let is_of = |announce: &Announce| {
            [announce.arrival, announce.return_key].iter().any(|key| key.interface() == bulk.interface)
        };
        self.chosen.announcement(slot, self.boot).filter(|announce| wanted && is_of(announce))
    }

    fn pass_on(&mut self, turn: &mut Turn<'_, H>, to: NodeId, streams: Vec<Announce>) {
        if streams.is_empty() {
            return;
        }
        if to == self.node {
            self.refreshed(turn, to, Refresh { streams });
        } else {
            turn.out.send(to, Message::Refresh(Refresh { streams }));
        }
    }

    fn end_bulk(&mut self, turn: &mut Turn<'_, H>, bulk: &Bulk) {
        let numbers = (0..BUCKETS).zip(&bulk.wanted).filter(|(_, wanted)| **wanted);
        let sent = numbers.filter_map(|(bucket, _)| u16::try_from(bucket).ok()).collect();
        let digests = self.chosen.digests[bulk.interface].as_slice().to_vec();
        let end = SyncEnd { interface: bulk.interface, epoch: bulk.epoch, round: bulk.round, sent, digests };
        if bulk.to == self.node {
            self.sync_ended(turn, self.node, &end);
        } else {
            turn.out.send(bulk.to, Message::SyncEnd(end));
        }
    }

    /// A chosen node has sent all of its streams that were asked for.
    pub(super) fn sync_ended(&mut self, turn: &mut Turn<'_, H>, from: NodeId, end: &SyncEnd) {
        if self.view.kept(end.interface).epoch != Some(end.epoch) || !self.redirector.is_last_round(from, end) {
            turn.out.ledger.messages_stale += 1;
            return;
        }
        let keeping = &mut self.keeping[end.interface];
        keeping.compared.retain(|node| *node != from);
        let is_first = !keeping.repeated.contains(&from);
        keeping.repeated.retain(|node| *node != from);
        let sessions = self.redirector.end_stale(from, end);
        if sessions > 0 {
            turn.out.tell(Event::Mended { peer: from, sessions });
        }
        // After a reconnect what a member says again comes between the question and its answer, which has not looked at it.
        if is_first && self.redirector.differs_elsewhere(from, end) {
            add(&mut self.keeping[end.interface].repeated, from);
            self.compare_with(turn, end.interface, from);
        } else {
            self.compare_deferred(turn, end.interface.other(), from);
        }
        self.change_kept(turn, end.interface, |kept| kept.awaited.retain(|node| *node != from));
    }

    fn forget_comparisons(&mut self, node: NodeId) {
        for interface in Interface::BOTH {
            self.keeping[interface].compared.retain(|compared| *compared != node);
            self.keeping[interface].repeated.retain(|repeated| *repeated != node);
            self.keeping[interface].deferred.retain(|deferred| *deferred != node);
        }
    }

    /// A member is in reach again: until it has sent all of its streams, some may be unknown here.
    pub(super) fn came_into_reach(&mut self, turn: &mut Turn<'_, H>, following: &Following, node: NodeId) {
        if !self.view.member(node).is_some_and(Member::lives) {
            return;
        }
        for interface in Interface::BOTH {
            if self.view.kept(interface).epoch.is_some() {
                add(&mut self.change_kept_meanwhile(following, interface).awaited, node);
                self.compare_with(turn, interface, node);
            }
        }
    }

    /// A member died or came out of reach: nothing more is to be expected of it.
    pub(super) fn nothing_more_from(&mut self, following: &Following, node: NodeId) {
        for interface in Interface::BOTH {
            self.change_kept_meanwhile(following, interface).awaited.retain(|awaited| *awaited != node);
        }
        self.forget_comparisons(node);
        self.bulks.retain(|bulk| bulk.to != node);
    }
}

/// Adds a node that is not in the list.
fn add(nodes: &mut Vec<NodeId>, node: NodeId) {
    if !nodes.contains(&node) {
        nodes.push(node);
    }
}

/// Bytes of one stream in a refresh, at most.
const ANNOUNCE_LEN: usize = 138;
