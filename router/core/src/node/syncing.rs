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
use crate::event::{DropReason, Event};
use crate::id::{Epoch, Interface, NodeId};
use crate::inspector::Inspector;
use crate::limits::{BUCKETS, BULK_SLOTS_MAX, COMPARE_INTERVAL, REFRESH_STREAMS_MAX, SMALL_MESSAGE_LEN_MAX};
use crate::membership::{Member, Sync};
use crate::mesh::{Announce, Compare, Message, Refresh, SyncEnd};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::session::bucket_of;
use crate::time::Instant;

/// What this node does to keep the sessions of one interface complete.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// The epoch in which it holds the redirector or stands by for it.
    epoch: Option<Epoch>,
    /// Members that have not sent all of their streams in this epoch.
    awaited: Vec<NodeId>,
    /// Members whose answer to a comparison has not ended.
    compared: Vec<NodeId>,
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
    /// The next slot to look at.
    next: u32,
}

impl Node {
    /// True if this node keeps sessions of the interface's redirector: it holds it, has just handed it over, or stands by
    /// for it.
    pub(super) fn keeps(&self, interface: Interface) -> bool {
        let steers = self.membership.holds(interface) || self.membership.lingers(interface);
        steers || self.membership.standby(interface) == Some(self.node)
    }

    /// Whether each redirector knows every stream that is announced to it.
    pub(super) fn knows_all(&self, interface: Interface) -> bool {
        self.keeping[interface].awaited.is_empty()
    }

    /// Another node holds the redirector of an interface, or stands by for it.
    pub(super) fn keeper_changed(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        if self.membership.lingers(interface) {
            return;
        }
        let keeps = self.keeps(interface);
        let epoch = self.membership.epoch(interface).filter(|_| keeps);
        if self.keeping[interface].epoch == epoch && (keeps || self.redirector.sessions(interface) == 0) {
            return;
        }
        let unfinished = std::mem::take(&mut self.keeping[interface]).compared;
        let Some(epoch) = epoch else {
            // While nobody holds the role, who stands by for it keeps what it has.
            if !keeps {
                self.redirector.forget(interface);
            }
            for parked in self.redirector.parking.take_all(interface) {
                out.drop(parked.frame, DropReason::NotHolder);
            }
            for node in unfinished {
                self.compare_deferred(now, interface.other(), node, out);
            }
            return;
        };
        let living = self.membership.members().filter(|member| member.lives()).map(|member| member.node);
        if is_on(Mutation::SyncAtOnce) {
            let again = now + COMPARE_INTERVAL;
            self.keeping[interface] = Keeping { epoch: Some(epoch), again, ..Keeping::default() };
            return;
        }
        self.keeping[interface] = Keeping { epoch: Some(epoch), awaited: living.collect(), ..Keeping::default() };
        self.compare(now, interface, out);
    }

    fn compare_deferred(&mut self, now: Instant, interface: Interface, node: NodeId, out: &mut Outbox) {
        if let Some(place) = self.keeping[interface].deferred.iter().position(|deferred| *deferred == node) {
            self.keeping[interface].deferred.swap_remove(place);
            self.compare_with(now, interface, node, out);
        }
    }

    /// Compares the sessions of an interface with every chosen node.
    fn compare(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        self.keeping[interface].again = now + COMPARE_INTERVAL;
        let members: Vec<NodeId> =
            self.membership.members().filter(|member| self.is_reached(member)).map(|member| member.node).collect();
        for node in members {
            self.compare_with(now, interface, node, out);
        }
    }

    /// True for a member to which messages find a way.
    fn is_reached(&self, member: &Member) -> bool {
        member.link_up || self.way_to(member.node) != member.node
    }

    fn compare_with(&mut self, now: Instant, interface: Interface, node: NodeId, out: &mut Outbox) {
        let Some(epoch) = self.keeping[interface].epoch else { return };
        if self.keeping[interface.other()].compared.contains(&node) {
            return add(&mut self.keeping[interface].deferred, node);
        }
        add(&mut self.keeping[interface].compared, node);
        let round = self.redirector.begin_round(node, interface);
        let digests = self.redirector.digests(node, interface).as_slice().to_vec();
        let compare = Compare { interface, epoch, round, digests };
        if node == self.node {
            self.compare_arrived(now, node, &compare, out);
        } else {
            out.send(node, Message::Compare(compare));
        }
    }

    /// A chosen node's announcements went unanswered: this redirector is not in sync until they have been compared.
    pub(super) fn was_unheard(&mut self, now: Instant, from: NodeId, interface: Interface, out: &mut Outbox) {
        let keeping = &mut self.keeping[interface];
        if keeping.epoch.is_none() {
            out.ledger.messages_stale += 1;
            return;
        }
        add(&mut keeping.awaited, from);
        self.compare_with(now, interface, from, out);
        self.tell_sync(now, out);
    }

    /// A link is up: what was said while it was down may be lost.
    pub(super) fn compare_after_reconnect(&mut self, now: Instant, peer: NodeId, out: &mut Outbox) {
        self.forget_comparisons(peer);
        for interface in Interface::BOTH {
            self.compare_with(now, interface, peer, out);
        }
    }

    /// Compares again where it is time.
    pub(super) fn compare_due(&mut self, now: Instant, out: &mut Outbox) {
        for interface in Interface::BOTH {
            if self.keeping[interface].epoch.is_some() && self.keeping[interface].again <= now {
                self.compare(now, interface, out);
            }
        }
    }

    /// When [`compare_due`](Self::compare_due) has something to do.
    pub(super) fn next_compare(&self) -> Option<Instant> {
        let of = |interface| {
            let keeping: &Keeping = &self.keeping[interface];
            keeping.epoch.map(|_| keeping.again)
        };
        Interface::BOTH.into_iter().filter_map(of).min()
    }

    /// A redirector asks for this node's streams in the buckets that differ.
    pub(super) fn compare_arrived(&mut self, now: Instant, from: NodeId, compare: &Compare, out: &mut Outbox) {
        let Compare { interface, epoch, round, .. } = *compare;
        if self.membership.epoch(interface).is_some_and(|own| own > epoch) {
            out.ledger.messages_stale += 1;
            return;
        }
        let wanted = self.chosen.digests.differing(&compare.digests);
        self.bulks.retain(|bulk| (bulk.to, bulk.interface) != (from, interface));
        let bulk = Bulk { to: from, interface, epoch, round, wanted, next: 0 };
        if bulk.wanted.contains(&true) {
            self.bulks.push(bulk);
        } else {
            self.end_bulk(now, &bulk, out);
        }
    }

    /// Sends streams to the redirectors that compare, as far as `room`, in bytes for each link, goes. True if there is
    /// more to send at once.
    pub fn send_bulk(
        &mut self,
        now: Instant,
        room: &dyn Fn(NodeId) -> usize,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) -> bool {
        let mut bulks = std::mem::take(&mut self.bulks);
        let mut more = false;
        for bulk in &mut bulks {
            let room = if bulk.to == self.node { usize::MAX } else { room(self.way_to(bulk.to)) };
            more |= room >= SMALL_MESSAGE_LEN_MAX && self.send_some(now, bulk, room, out);
        }
        bulks.retain(|bulk| bulk.next != u32::MAX);
        // The end of a comparison with this node itself may have begun the one that waited for it.
        more |= !self.bulks.is_empty();
        bulks.append(&mut self.bulks);
        self.bulks = bulks;
        self.take_changes(now, plugins, out);
        more
    }

    /// True while streams are on their way to a redirector.
    #[must_use]
    pub fn has_bulk(&self) -> bool {
        !self.bulks.is_empty()
    }

    /// Sends a turn's worth of one bulk. True if more could go at once.
    fn send_some(&mut self, now: Instant, bulk: &mut Bulk, room: usize, out: &mut Outbox) -> bool {
        let mut streams = Vec::new();
        let (mut looked, mut left) = (0, room);
        while looked < BULK_SLOTS_MAX && left >= SMALL_MESSAGE_LEN_MAX {
            looked += 1;
            let Some(slot) = self.chosen.markers.slot_from(bulk.next) else {
                self.pass_on(now, bulk.to, streams, out);
                self.end_bulk(now, bulk, out);
                bulk.next = u32::MAX;
                return false;
            };
            bulk.next = slot + 1;
            if let Some(announce) = self.wanted(bulk, slot) {
                streams.push(announce);
                left -= ANNOUNCE_LEN.min(left);
            }
            if streams.len() == REFRESH_STREAMS_MAX {
                self.pass_on(now, bulk.to, std::mem::take(&mut streams), out);
            }
        }
        self.pass_on(now, bulk.to, streams, out);
        left >= SMALL_MESSAGE_LEN_MAX
    }

    fn wanted(&self, bulk: &Bulk, slot: u32) -> Option<Announce> {
        let session = self.chosen.markers.at(slot).filter(|session| session.told.is_some())?;
        let wanted = bulk.wanted.get(bucket_of(session.identity)) == Some(&true);
        self.chosen.announcement(slot, self.boot).filter(|_| wanted)
    }

    fn pass_on(&mut self, now: Instant, to: NodeId, streams: Vec<Announce>, out: &mut Outbox) {
        if streams.is_empty() {
            return;
        }
        if to == self.node {
            self.refreshed(now, to, Refresh { streams }, out);
        } else {
            out.send(to, Message::Refresh(Refresh { streams }));
        }
    }

    fn end_bulk(&mut self, now: Instant, bulk: &Bulk, out: &mut Outbox) {
        let numbers = (0..BUCKETS).zip(&bulk.wanted).filter(|(_, wanted)| **wanted);
        let sent = numbers.filter_map(|(bucket, _)| u16::try_from(bucket).ok()).collect();
        let digests = self.chosen.digests.as_slice().to_vec();
        let end = SyncEnd { interface: bulk.interface, epoch: bulk.epoch, round: bulk.round, sent, digests };
        if bulk.to == self.node {
            self.sync_ended(now, self.node, &end, out);
        } else {
            out.send(bulk.to, Message::SyncEnd(end));
        }
    }

    /// A chosen node has sent all of its streams that were asked for.
    pub(super) fn sync_ended(&mut self, now: Instant, from: NodeId, end: &SyncEnd, out: &mut Outbox) {
        let keeping = &mut self.keeping[end.interface];
        if keeping.epoch != Some(end.epoch) || !self.redirector.is_last_round(from, end) {
            out.ledger.messages_stale += 1;
            return;
        }
        keeping.awaited.retain(|node| *node != from);
        keeping.compared.retain(|node| *node != from);
        let sessions = self.redirector.end_stale(from, end);
        if sessions > 0 {
            out.tell(Event::Mended { peer: from, sessions });
        }
        self.compare_deferred(now, end.interface.other(), from, out);
        self.tell_sync(now, out);
    }

    fn forget_comparisons(&mut self, node: NodeId) {
        for interface in Interface::BOTH {
            self.keeping[interface].compared.retain(|compared| *compared != node);
            self.keeping[interface].deferred.retain(|deferred| *deferred != node);
        }
    }

    /// A member died: nothing more is to be expected of it.
    pub(super) fn nothing_more_from(&mut self, node: NodeId) {
        for interface in Interface::BOTH {
            self.keeping[interface].awaited.retain(|awaited| *awaited != node);
        }
        self.forget_comparisons(node);
        self.bulks.retain(|bulk| bulk.to != node);
    }

    /// Tells membership whether this node's sessions are complete.
    pub(super) fn tell_sync(&mut self, now: Instant, out: &mut Outbox) {
        for interface in Interface::BOTH {
            let complete = self.membership.has_started() && self.knows_all(interface);
            if std::mem::replace(&mut self.complete[interface], complete) == complete {
                continue;
            }
            let sync = if complete { Sync::Complete } else { Sync::Incomplete };
            if complete && self.keeping[interface].epoch.is_some() {
                out.tell(Event::InSync { interface });
            }
            self.membership.sync_changed(now, interface, sync, out);
        }
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
