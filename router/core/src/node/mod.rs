//! One node without I/O: the script of the program. Stages return decisions; only the node acts on them.

mod announcing;
mod asking;
mod astray;
mod early;
mod entrance;
mod fragments;
mod inquiring;
mod links;
mod messages;
mod missing;
mod moving;
mod neighbours;
mod questions;
mod relaying;
mod reporting;
mod room;
mod settings;
mod syncing;
mod transit;
mod view;

use std::collections::VecDeque;

use crate::chosen::{self, Chosen};
use crate::event::DropReason;
use crate::flow::{FlowKey, HashKey};
use crate::forward::{self, Forward, HolderState};
use crate::fragments::Fragments;
use crate::id::{BootId, Interface, Mac, NodeId, PerInterface};
use crate::inspector::{HostPart, Inspection, Readiness};
use crate::limits::{ASTRAY_BURST_MAX, ASTRAY_PER_SECOND_MAX, BATCH_PACKETS_MAX};
use crate::membership::{InterfaceState, Membership};
use crate::mesh::{Announce, Answer, Inquiry};
use crate::mistake::take_mistakes;
use crate::mutation::{Mutation, is_on};
use crate::packet::{Arrival, Came, Content, Frame, Headers, Packet, Transport, probe, vrrp};
pub use crate::redirector::Redirecting;
use crate::redirector::{self, Redirector, choice};
use crate::time::{Bucket, Instant};
use crate::turn::Turn;
use early::{Awaited, Early, EarlyFrames};
use entrance::Entrance;
pub use inquiring::Reach;
use missing::Missing;
use moving::Drain;
pub use moving::Remaining;
pub use reporting::{Asked, owner_query};
pub use settings::{Announcing, Settings, Strictness};
use syncing::{Bulk, Keeping};
use view::{Following, View};

/// One node. `H` is what the host of its plugins keeps of each stream.
#[derive(Debug)]
pub struct Node<H> {
    node: NodeId,
    boot: BootId,
    choice: choice::Settings,
    /// Hashes the keys of packets.
    hash_key: HashKey,
    redirecting: Redirecting,
    strictness: Strictness,
    announcing: Announcing,
    macs: PerInterface<Mac>,
    virtual_macs: PerInterface<[Mac; 2]>,
    /// The VLANs of tagged networks.
    vlans: PerInterface<Option<u16>>,
    view: View,
    forward: Forward,
    redirector: Redirector,
    chosen: Chosen<H>,
    candidates: Vec<choice::Candidate>,
    /// The same, and this node, unless it is passed over: others may not know yet what it knows of itself.
    with_own: Vec<choice::Candidate>,
    /// Packets that may still be handed to holders.
    astray: Bucket,
    batch: Vec<Inspection>,
    /// Packets of the last batch whose streams were lost to others of this node.
    anew: Vec<Arrival>,
    early: EarlyFrames,
    /// Datagrams of which some fragments have come.
    fragments: Fragments,
    delayed: VecDeque<(Instant, NodeId, Announce)>,
    answers: Vec<Answer>,
    /// Of the whole cluster's query: what nobody has fetched yet.
    inquiries: Vec<(NodeId, Inquiry)>,
    /// Keys of parked frames that were answered.
    answered: Vec<FlowKey>,
    keeping: PerInterface<Keeping>,
    missing: Missing,
    /// Whether membership was told that an interface's sessions are complete.
    complete: PerInterface<bool>,
    bulks: Vec<Bulk>,
    drain: Option<Drain>,
    /// Peers to which frames can be sent over the mesh.
    frames_to: Vec<NodeId>,
    /// What was told of the room for new streams.
    is_full: bool,
    /// What was told of the memory for redirector sessions.
    redirector_was_short: bool,
    /// Since when a holder is out of reach.
    out_of_reach: Option<Instant>,
    /// What the plugins said last.
    readiness: Readiness,
    /// Interfaces that came up and on which this node has not made itself known yet.
    unannounced: PerInterface<bool>,
}

impl<H: HostPart> Node<H> {
    /// A node that knows only itself.
    ///
    /// # Errors
    /// Routes that contradict the addresses.
    pub fn new(now: Instant, settings: Settings) -> Result<Self, forward::SettingsError> {
        let interfaces = &settings.forward.interfaces;
        let redirector = redirector::Settings {
            node: settings.node,
            choice: settings.choice,
            midstream: settings.midstream,
            redirecting: settings.redirecting,
            timeouts: settings.timeouts,
            sessions_max: settings.bounds.redirector,
            hash_key: settings.hash_key,
            buckets: settings.buckets,
        };
        let chosen = chosen::Settings {
            node: settings.node,
            timeouts: settings.timeouts,
            hold_max: settings.hold_max,
            midstream: settings.midstream,
            bounds: settings.bounds,
            hash_key: settings.hash_key,
            buckets: settings.buckets,
        };
        Ok(Self {
            node: settings.node,
            boot: settings.boot,
            choice: settings.choice,
            hash_key: settings.hash_key,
            redirecting: settings.redirecting,
            strictness: settings.strictness,
            announcing: settings.announcing,
            macs: PerInterface::from_fn(|i| interfaces[i].mac),
            virtual_macs: PerInterface::from_fn(|i| [interfaces[i].virtual_mac_v4, interfaces[i].virtual_mac_v6]),
            vlans: PerInterface::from_fn(|i| interfaces[i].vlan),
            view: View::new(Membership::new(now, settings.membership).out_of_sync()),
            forward: Forward::new(now, &settings.forward)?,
            redirector: Redirector::new(now, redirector),
            chosen: Chosen::new(chosen),
            candidates: Vec::new(),
            with_own: Vec::new(),
            astray: Bucket::new(now, ASTRAY_PER_SECOND_MAX, ASTRAY_BURST_MAX),
            batch: Vec::with_capacity(BATCH_PACKETS_MAX),
            anew: Vec::new(),
            early: EarlyFrames::default(),
            fragments: Fragments::new(settings.hash_key),
            delayed: VecDeque::new(),
            answers: Vec::new(),
            inquiries: Vec::new(),
            answered: Vec::new(),
            keeping: PerInterface::default(),
            missing: Missing::default(),
            complete: PerInterface::default(),
            bulks: Vec::new(),
            drain: None,
            frames_to: Vec::new(),
            is_full: false,
            redirector_was_short: false,
            out_of_reach: None,
            readiness: Readiness::default(),
            unannounced: PerInterface::default(),
        })
    }

    /// A frame came in at an interface. Packets for the plugins wait for [`batch_ended`](Self::batch_ended).
    pub fn frame_arrived(&mut self, turn: &mut Turn<'_, H>, interface: Interface, mut frame: Frame) {
        turn.out.ledger.arrived[interface] += 1;
        turn.out.arriving = Some(interface);
        if let Some(vlan) = self.vlans[interface]
            && !is_of(vlan, &mut frame)
        {
            return turn.out.drop(frame, DropReason::WrongVlan);
        }
        self.take_frame(turn, interface, frame);
    }

    /// Takes a frame that is counted and is of this network.
    #[inline]
    fn take_frame(&mut self, turn: &mut Turn<'_, H>, interface: Interface, frame: Frame) {
        if self.view.is_lease_over(turn.now) {
            if !self.view.is_admitted() {
                return self.overhear(turn, interface, frame);
            }
            self.change_view(turn, |membership, now, out| membership.deadline_reached(now, out));
        }
        // Looked at where it was parsed to: copies of it would be a tenth of what a packet costs.
        let parsed = Packet::parse(&frame);
        let packet = match &parsed {
            Ok(packet) => packet,
            Err(reason) => return self.unparsed(turn, interface, frame, *reason),
        };
        match &packet.content {
            Content::Arp(arp) => {
                self.group_heard(turn, interface, packet);
                self.forward.arp_arrived(turn.now, interface, arp, frame, turn.out);
            }
            Content::Ip(headers) if vrrp::is_advert(headers) => {
                self.change_view(turn, |membership, now, out| {
                    membership.advert_arrived(now, interface, (packet.source, headers), frame, out)
                });
            }
            Content::Ip(headers) if matches!(headers.transport, Transport::Discovery { .. }) => {
                self.group_heard(turn, interface, packet);
                self.forward.discovery_arrived(turn.now, interface, headers, frame, turn.out);
            }
            Content::Ip(headers) => self.packet_arrived(turn, interface, packet, headers, frame),
            Content::Fragment(fragment) => self.fragment_arrived(turn, interface, packet, *fragment, frame),
        }
    }

    /// A packet came in that is no message among neighbours.
    #[inline(always)]
    fn packet_arrived(
        &mut self,
        turn: &mut Turn<'_, H>,
        interface: Interface,
        packet: &Packet,
        headers: &Headers,
        frame: Frame,
    ) {
        let arrival = |came, frame| Arrival { interface, headers: *headers, frame, came };
        match self.entrance(turn.now, interface, packet, headers.destination) {
            Entrance::Ingress => self.steer(turn, arrival(Came::Directly, frame)),
            Entrance::Straight => {
                turn.out.ledger.straight += 1;
                self.accept(turn, arrival(Came::Straight, frame));
            }
            Entrance::Redirected => self.accept(turn, arrival(Came::Redirected, frame)),
            Entrance::Early(from) => {
                let awaited = Awaited::Claim(from, interface);
                self.early.keep(turn.now, Early { awaited, arrival: arrival(Came::Redirected, frame) }, turn.out);
            }
            Entrance::Local => self.forward.local_arrived(turn.now, interface, headers, frame, turn.out),
            Entrance::Refused(reason) => turn.out.drop(frame, reason),
        }
    }

    /// A frame that is neither ARP nor IP is a challenge or an answer, or ends here as any that is not right. One whose tag tells
    /// a priority alone is an untagged one (IEEE 802.1Q, section 6.9.1). Kept off the way of all others.
    #[cold]
    #[inline(never)]
    fn unparsed(&mut self, turn: &mut Turn<'_, H>, interface: Interface, mut frame: Frame, reason: DropReason) {
        if frame.inner_tag().is_some_and(|tag| tag.vlan() == 0) && frame.untag() {
            return self.take_frame(turn, interface, frame);
        }
        if reason != DropReason::EtherType || !probe::is_probe(&frame) {
            turn.out.drop(frame, reason);
        } else if self.view.is_admitted() {
            self.change_view(turn, |membership, now, out| membership.probe_arrived(now, interface, frame, out));
        } else {
            turn.out.drop(frame, DropReason::NotAdmitted);
        }
    }

    /// A frame came that neighbours exchange, perhaps a member's to all of them.
    fn group_heard(&mut self, turn: &mut Turn<'_, H>, interface: Interface, packet: &Packet) {
        if packet.destination.is_multicast() && self.view.member_by_mac(interface, packet.source).is_some() {
            self.change_view(turn, |membership, now, _| membership.group_heard(now, interface, packet.source));
        }
    }

    /// The packets that came in since the last call, and those that waited for an answer, pass the plugins, in order.
    pub fn batch_ended(&mut self, turn: &mut Turn<'_, H>) {
        self.release_answered(turn);
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() && !is_on(Mutation::SkipChain) {
            turn.plugins.inspect(turn.now, &mut batch, &mut self.chosen.markers);
        }
        for inspection in batch.drain(..) {
            self.judged(turn, inspection);
        }
        turn.plugins.take_injected(&mut batch);
        for inspection in batch.drain(..) {
            turn.out.ledger.injected += 1;
            self.judged(turn, inspection);
        }
        self.batch = batch;
        self.watch_plugins(turn);
        self.tell_closed(turn);
        self.tell_room(turn);
        self.take_detours(turn.out);
        turn.out.count_mistakes(take_mistakes());
        if !self.anew.is_empty() {
            for arrival in std::mem::take(&mut self.anew) {
                self.accept(turn, arrival);
            }
            self.batch_ended(turn);
        }
    }

    /// An interface came up or went down.
    pub fn interface_changed(&mut self, turn: &mut Turn<'_, H>, interface: Interface, state: InterfaceState) {
        self.change_view(turn, |membership, now, out| membership.interface_changed(now, interface, state, out));
        self.unannounced[interface] = state == InterfaceState::Up;
        if self.view.is_admitted() {
            self.appear(turn);
        }
    }

    /// Makes itself known on the interfaces that came up.
    fn appear(&mut self, turn: &mut Turn<'_, H>) {
        for interface in Interface::BOTH {
            if std::mem::take(&mut self.unannounced[interface]) {
                self.forward.interface_up(turn.now, interface, turn.out);
            }
        }
    }

    /// A frame came before this node takes part: it answers nobody, and only listens whether somebody holds the role.
    fn overhear(&mut self, turn: &mut Turn<'_, H>, interface: Interface, frame: Frame) {
        let packet = match Packet::parse(&frame) {
            Ok(packet) => packet,
            Err(reason) => return self.unparsed(turn, interface, frame, reason),
        };
        match packet.content {
            Content::Ip(headers) if vrrp::is_advert(&headers) => {
                self.change_view(turn, |membership, now, out| {
                    membership.advert_arrived(now, interface, (packet.source, &headers), frame, out)
                });
            }
            Content::Ip(_) | Content::Fragment(_) | Content::Arp(_) => turn.out.drop(frame, DropReason::NotAdmitted),
        }
    }

    /// A deadline has come.
    pub fn deadline_reached(&mut self, turn: &mut Turn<'_, H>) {
        self.change_view(turn, |membership, now, out| membership.deadline_reached(now, out));
        self.watch_reach(turn.now);
        self.forward.deadline_reached(turn.now, turn.out);
        self.tell_changed(turn);
        self.redirector.deadline_reached(turn.now);
        self.parked_in_vain(turn);
        // Of a node that was stopped for long, tombstones end that must still send their fences.
        self.send_fences(turn);
        self.chosen.deadline_reached(turn);
        self.holds_ran_out(turn);
        self.drain_on(turn);
        self.unfence(turn);
        self.compare_due(turn);
        self.early.deadline_reached(turn.now, turn.out);
        self.fragments_overdue(turn);
        self.send_delayed(turn);
        self.tell_closed(turn);
        self.tell_room(turn);
    }

    /// When the node wants [`deadline_reached`](Self::deadline_reached) at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let membership = Some(self.view.next_deadline());
        let delayed = self.delayed.front().map(|(at, _, _)| *at);
        let parts = [
            membership,
            self.forward.next_deadline(),
            self.redirector.next_deadline(),
            self.chosen.next_deadline(),
            self.early.next_deadline(),
            self.fragments.next_deadline(),
            delayed,
            self.next_drain(),
            self.next_compare(),
        ];
        parts.into_iter().flatten().min()
    }

    fn holder_changed(&mut self, turn: &mut Turn<'_, H>, following: &Following, interface: Interface) {
        if self.view.holds(interface) {
            self.forward.holder_changed(turn.now, interface, HolderState::Holds, turn.out);
        } else {
            self.forward.holder_changed(turn.now, interface, HolderState::DoesNot, turn.out);
        }
        self.keeper_changed(turn, following, interface);
        self.announce_held_again(turn, interface);
        if let Some(holder) = self.view.holder(interface) {
            self.accept_early(turn, &[Awaited::Claim(holder, interface)]);
        }
    }
}

/// True for a frame with the tag of this VLAN, which is taken out.
#[cold]
#[inline(never)]
fn is_of(vlan: u16, frame: &mut Frame) -> bool {
    let tag = frame.tag().or_else(|| frame.inner_tag());
    tag.is_some_and(|tag| tag.vlan() == vlan) && (frame.tag().is_some() || frame.untag())
}
