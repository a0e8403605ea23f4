//! One node without I/O: the script of the program. Stages return decisions; only the node acts on them.

mod announcing;
mod asking;
mod early;
mod entrance;
mod links;
mod messages;
mod moving;
mod relaying;
mod settings;
mod syncing;
mod transit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::chosen::{self, Arrival, Came, Chosen};
use crate::flow::FlowKey;
use crate::forward::{self, Forward, HolderState};
use crate::id::{BootId, Interface, Mac, NodeId, PerInterface};
use crate::inspector::{Inspection, Inspector};
use crate::limits::{BATCH_PACKETS_MAX, MEMBERS_MAX};
use crate::membership::{Change, InterfaceState, Membership};
use crate::mesh::{Announce, Answer};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::{Content, Frame, Packet, Transport, vrrp};
use crate::redirector::{self, Redirector, choice};
use crate::session::Tables;
use crate::time::Instant;
use early::{Awaited, Early, EarlyFrames};
use entrance::Entrance;
use moving::Drain;
pub use moving::Remaining;
pub use settings::{Announcing, Redirecting, Settings};
use syncing::{Bulk, Keeping};

/// One node.
#[derive(Debug)]
pub struct Node {
    node: NodeId,
    boot: BootId,
    choice: choice::Settings,
    redirecting: Redirecting,
    announcing: Announcing,
    macs: PerInterface<Mac>,
    virtual_macs: PerInterface<[Mac; 2]>,
    membership: Membership,
    forward: Forward,
    redirector: Redirector,
    chosen: Chosen,
    tables: Arc<Tables>,
    candidates: Vec<choice::Candidate>,
    batch: Vec<Inspection>,
    /// Packets of the last batch whose streams were lost to others of this node.
    anew: Vec<Arrival>,
    early: EarlyFrames,
    delayed: VecDeque<(Instant, NodeId, Announce)>,
    answers: Vec<Answer>,
    /// Keys of parked frames that were answered.
    answered: Vec<FlowKey>,
    keeping: PerInterface<Keeping>,
    /// Whether membership was told that an interface's sessions are complete.
    complete: PerInterface<bool>,
    bulks: Vec<Bulk>,
    drain: Option<Drain>,
    /// Members out of reach, each with one that reaches it.
    detours: Vec<(NodeId, NodeId)>,
    /// Since when a holder is out of reach.
    out_of_reach: Option<Instant>,
}

/// Answers that nobody has fetched yet.
const ANSWERS_MAX: usize = MEMBERS_MAX * 16;

impl Node {
    /// A node that knows only itself. `state_len`: bytes that the plugins keep for each stream.
    ///
    /// # Errors
    /// Routes that contradict the addresses.
    pub fn new(now: Instant, settings: Settings, state_len: usize) -> Result<Self, forward::SettingsError> {
        let tables = Tables::new(settings.hash_key);
        let interfaces = &settings.forward.interfaces;
        let redirector = redirector::Settings {
            node: settings.node,
            choice: settings.choice,
            midstream: settings.midstream,
            timeouts: settings.timeouts,
            hash_key: settings.hash_key,
        };
        let chosen = chosen::Settings {
            node: settings.node,
            timeouts: settings.timeouts,
            hold_max: settings.hold_max,
            midstream: settings.midstream,
            hash_key: settings.hash_key,
        };
        Ok(Self {
            node: settings.node,
            boot: settings.boot,
            choice: settings.choice,
            redirecting: settings.redirecting,
            announcing: settings.announcing,
            macs: PerInterface::from_fn(|i| interfaces[i].mac),
            virtual_macs: PerInterface::from_fn(|i| [interfaces[i].virtual_mac_v4, interfaces[i].virtual_mac_v6]),
            membership: Membership::new(now, settings.membership).out_of_sync(),
            forward: Forward::new(now, &settings.forward)?,
            redirector: Redirector::new(now, redirector, Arc::clone(&tables)),
            chosen: Chosen::new(chosen, Arc::clone(&tables), state_len),
            tables,
            candidates: Vec::new(),
            batch: Vec::with_capacity(BATCH_PACKETS_MAX),
            anew: Vec::new(),
            early: EarlyFrames::default(),
            delayed: VecDeque::new(),
            answers: Vec::new(),
            answered: Vec::new(),
            keeping: PerInterface::default(),
            complete: PerInterface::default(),
            bulks: Vec::new(),
            drain: None,
            detours: Vec::new(),
            out_of_reach: None,
        })
    }

    /// A frame came in at an interface. Packets for the plugins wait for [`batch_ended`](Self::batch_ended).
    pub fn frame_arrived(
        &mut self,
        now: Instant,
        interface: Interface,
        frame: Frame,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        out.ledger.arrived[interface] += 1;
        if self.membership.is_lease_over(now) {
            self.membership.deadline_reached(now, out);
            self.take_changes(now, plugins, out);
        }
        let packet = match Packet::parse(&frame) {
            Ok(packet) => packet,
            Err(reason) => return out.drop(frame, reason),
        };
        match packet.content {
            Content::Arp(arp) => {
                self.membership.neighbour_heard(now, interface, packet.source);
                self.forward.arp_arrived(now, interface, &arp, frame, out);
            }
            Content::Ip(headers) if vrrp::is_advert(&headers) => {
                self.membership.advert_arrived(now, interface, (packet.source, &headers), frame, out);
                self.take_changes(now, plugins, out);
            }
            Content::Ip(headers) if matches!(headers.transport, Transport::Discovery { .. }) => {
                self.membership.neighbour_heard(now, interface, packet.source);
                self.forward.discovery_arrived(now, interface, &headers, frame, out);
            }
            Content::Ip(headers) => match self.entrance(now, interface, &packet, &headers) {
                Entrance::Ingress => {
                    self.steer(now, Arrival { interface, headers, frame, came: Came::Directly }, plugins, out);
                }
                Entrance::Redirected => {
                    self.accept(now, Arrival { interface, headers, frame, came: Came::Directly }, plugins, out);
                }
                Entrance::Early(from) => {
                    let awaited = Awaited::Claim(from, interface);
                    self.early.keep(now, Early { awaited, interface, hops: 0, frame }, out);
                }
                Entrance::Local => self.forward.local_arrived(now, interface, &headers, frame, out),
                Entrance::Refused(reason) => out.drop(frame, reason),
            },
        }
    }

    /// The packets that came in since the last call, and those that waited for an answer, pass the plugins, in order.
    pub fn batch_ended(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.release_answered(now, plugins, out);
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() && !is_on(Mutation::SkipChain) {
            plugins.inspect(now, &mut batch, self.chosen.markers.states());
        }
        for inspection in batch.drain(..) {
            self.judged(now, inspection, out);
        }
        self.batch = batch;
        self.tell_closed(now, out);
        self.take_detours(out);
        if !self.anew.is_empty() {
            for arrival in std::mem::take(&mut self.anew) {
                self.accept(now, arrival, plugins, out);
            }
            self.batch_ended(now, plugins, out);
        }
    }

    /// An interface came up or went down.
    pub fn interface_changed(
        &mut self,
        now: Instant,
        interface: Interface,
        state: InterfaceState,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        self.membership.interface_changed(now, interface, state, out);
        match state {
            InterfaceState::Up => self.forward.interface_up(now, interface, out),
            InterfaceState::Down => {}
        }
        self.take_changes(now, plugins, out);
    }

    /// A deadline has come.
    pub fn deadline_reached(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.membership.deadline_reached(now, out);
        self.find_detours();
        self.watch_reach(now);
        self.take_changes(now, plugins, out);
        self.forward.deadline_reached(now, out);
        self.redirector.deadline_reached(now);
        self.parked_in_vain(now, out);
        self.chosen.deadline_reached(now, plugins, out);
        self.holds_ran_out(now, out);
        self.drain_on(now, plugins, out);
        self.send_fences(now, out);
        self.unfence(now, plugins, out);
        self.compare_due(now, out);
        self.early.deadline_reached(now, out);
        self.send_delayed(now, out);
        self.tell_closed(now, out);
    }

    /// When the node wants [`deadline_reached`](Self::deadline_reached) at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let membership = Some(self.membership.next_deadline());
        let delayed = self.delayed.front().map(|(at, _, _)| *at);
        let parts = [
            membership,
            self.forward.next_deadline(),
            self.redirector.next_deadline(),
            self.chosen.next_deadline(),
            self.early.next_deadline(),
            delayed,
            self.next_drain(),
            self.next_compare(),
        ];
        parts.into_iter().flatten().min()
    }

    /// What changed among members and roles takes effect.
    fn take_changes(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.tell_sync(now, out);
        let mut died = Vec::new();
        while let Some(change) = self.membership.next_change() {
            match change {
                Change::HolderChanged { interface } => self.holder_changed(now, interface, plugins, out),
                Change::StandbyChanged { interface } | Change::LingeringEnded { interface } => {
                    self.keeper_changed(now, interface, out);
                }
                Change::MemberDied { node } => {
                    self.redirector.member_left(now, node);
                    self.nothing_more_from(node);
                    self.no_answer_from(now, node, plugins, out);
                    died.push(node);
                }
                Change::RoleContested { interface } => self.forward.announce_again(now, interface, out),
                Change::CandidatesChanged => {
                    self.candidates.clear();
                    self.candidates.extend(self.membership.candidates().iter().map(|c| choice::Candidate {
                        node: c.node,
                        weight: c.weight,
                        is_holder: c.is_holder,
                    }));
                }
            }
            // What this node knows of its own sessions now may change the view again.
            self.tell_sync(now, out);
        }
        for node in died {
            self.give_anew(now, node, plugins, out);
        }
        self.note_returned_members();
    }

    /// Sessions of members that live again count again.
    fn note_returned_members(&mut self) {
        let membership = &self.membership;
        let boot_of = |node| membership.member(node).filter(|member| member.lives()).and_then(|member| member.boot);
        self.redirector.members_returned(boot_of);
    }

    fn holder_changed(&mut self, now: Instant, interface: Interface, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.tables.held[interface].store(self.membership.holds(interface), Ordering::Relaxed);
        if self.membership.holds(interface) {
            self.forward.holder_changed(now, interface, HolderState::Holds, out);
        } else {
            self.forward.holder_changed(now, interface, HolderState::DoesNot, out);
        }
        self.keeper_changed(now, interface, out);
        self.announce_held_again(now, interface, out);
        if let Some(holder) = self.membership.holder(interface) {
            self.accept_early(now, &[Awaited::Claim(holder, interface)], plugins, out);
        }
    }

    /// Who is alive and who holds what.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Routes and neighbours.
    #[must_use]
    pub fn forward(&self) -> &Forward {
        &self.forward
    }

    /// Sessions of the redirectors that this node holds.
    #[must_use]
    pub fn redirector_sessions(&self) -> usize {
        Interface::BOTH.iter().filter(|i| self.membership.holds(**i)).map(|i| self.redirector.sessions(*i)).sum()
    }

    /// The session tables, for readers in other threads.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables)
    }

    /// Frames that wait here: in holds, for answers, fences, claims and assignments, for neighbours, for the plugins.
    #[must_use]
    pub fn frames_kept(&self) -> usize {
        let waiting = self.redirector.parking.frames() + self.chosen.fenced.frames() + self.early.frames();
        self.chosen.hold.frames() + waiting + self.forward.frames_queued() + self.batch.len()
    }

    /// Frames among these that are held until an announcement is acknowledged.
    #[must_use]
    pub fn frames_held(&self) -> usize {
        self.chosen.hold.frames()
    }

    /// Whom the redirector of the key's interface believes to be chosen: at once if this node knows, else as one of
    /// [`take_answers`](Self::take_answers) under the same id.
    pub fn ask(&mut self, id: u64, key: FlowKey, out: &mut Outbox) -> Option<Answer> {
        match self.membership.holder(key.interface()) {
            Some(holder) if holder == self.node => {
                Some(Answer { id, key, believed: self.redirector.belief(&key), owned: None })
            }
            Some(holder) => {
                out.send(holder, crate::mesh::Message::Query(crate::mesh::Query { id, key }));
                None
            }
            None => Some(Answer { id, key, believed: None, owned: None }),
        }
    }

    fn keep_answer(&mut self, answer: Answer) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push(answer);
        }
    }

    /// Answers that came since the last call.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }
}
