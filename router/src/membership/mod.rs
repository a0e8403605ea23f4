//! Who takes part, who is alive, who holds which redirector in which epoch, and who may be chosen.
//!
//! Told of links, heartbeats, claims and its own interfaces; asked on the way of every frame. After each call the node
//! drains [`Membership::next_change`].

mod candidates;
mod election;
mod member;
mod roles;
mod settings;

use std::collections::VecDeque;

pub use candidates::Candidate;
use election::{Election, Teller};
pub use member::{Member, MemberState};
pub use settings::{RolesMode, Settings};

use crate::event::Event;
use crate::id::{BootId, Epoch, Interface, Mac, NodeId, PerInterface};
use crate::limits::{DETECTION_TIME, HEARTBEAT_INTERVAL, MEMBERS_MAX, START_TIME_MAX};
use crate::mesh::{Claim, Heartbeat, Hello, Message};
use crate::outbox::Outbox;
use crate::time::Instant;

/// State of one of this node's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceState {
    /// It works.
    Up,
    /// It does not.
    Down,
}

/// Whether this node's redirector sessions of an interface are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It has them all, or needs none.
    Complete,
    /// Some may be missing.
    Incomplete,
}

/// What this node is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It takes roles and streams.
    Normal,
    /// It gives them up.
    Draining,
}

/// What a call has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A redirector has another holder, the same one in another epoch, or none.
    HolderChanged {
        /// Which redirector.
        interface: Interface,
    },
    /// Another node stands by for a redirector, or none.
    StandbyChanged {
        /// Which redirector.
        interface: Interface,
    },
    /// What this run of a member owned is gone.
    MemberDied {
        /// The member.
        node: NodeId,
    },
    /// [`Membership::candidates`] differs.
    CandidatesChanged,
}

/// Members, roles and candidates, as this node sees them.
#[derive(Debug)]
pub struct Membership {
    settings: Settings,
    /// Sorted by id, this node included.
    members: Vec<Member>,
    /// While `Some`, this node takes no role before it has heard every peer or this instant has come.
    starting_until: Option<Instant>,
    elections: PerInterface<Election>,
    roles: PerInterface<Option<Epoch>>,
    standbys: PerInterface<Option<NodeId>>,
    told_roles: PerInterface<Option<Epoch>>,
    previous: PerInterface<Option<Previous>>,
    /// The epoch followed, once its holder's own report has come since: what was known of the holder before may be older
    /// than its epoch.
    confirmed: PerInterface<Option<Epoch>>,
    candidates: Vec<Candidate>,
    spare_candidates: Vec<Candidate>,
    candidates_changed: bool,
    changes: VecDeque<Change>,
    heartbeat_at: Instant,
    reported: Option<Heartbeat>,
    /// When the deadlines were last looked at.
    checked: Instant,
}

/// Who held a role until a moment ago.
#[derive(Clone, Copy, Debug)]
struct Previous {
    node: NodeId,
    until: Instant,
}

impl Membership {
    /// The view of a node that has just started and has no links. Its interfaces count as working until told otherwise.
    #[must_use]
    pub fn new(now: Instant, settings: Settings) -> Self {
        let mut members: Vec<_> =
            settings.peers.iter().take(MEMBERS_MAX - 1).map(|node| Member::unheard(*node)).collect();
        members.retain(|member| member.node != settings.node);
        members.push(own_member(now, &settings));
        members.sort_by_key(|member| member.node);
        members.dedup_by_key(|member| member.node);
        let mut membership = Self {
            members,
            starting_until: Some(now + START_TIME_MAX),
            elections: PerInterface::from_fn(|_| Election::new(settings.node, settings.boot)),
            roles: PerInterface::default(),
            standbys: PerInterface::default(),
            told_roles: PerInterface::default(),
            previous: PerInterface::default(),
            confirmed: PerInterface::default(),
            candidates: Vec::new(),
            spare_candidates: Vec::new(),
            candidates_changed: false,
            changes: VecDeque::new(),
            heartbeat_at: now,
            reported: None,
            checked: now,
            settings,
        };
        membership.judge(now);
        membership
    }

    /// The same view, but this node's redirector sessions count as incomplete until [`Membership::sync_changed`].
    #[must_use]
    pub fn out_of_sync(mut self) -> Self {
        let node = self.settings.node;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == node) {
            (own.synced, own.in_sync) = (PerInterface::default(), false);
        }
        self
    }

    /// A link is up and its peer has said hello. A new boot ends what the old one was, without a wait.
    pub fn link_up(&mut self, now: Instant, hello: &Hello, out: &mut Outbox) {
        let node = hello.node;
        let Some(member) = self.peer_mut(node) else { return };
        let replaced = member.lives() && member.boot.is_some_and(|boot| boot != hello.boot);
        if replaced {
            self.died(node, out);
        }
        if let Some(member) = self.peer_mut(node) {
            member.greeted(now, hello);
            out.tell(Event::LinkUp { peer: node });
        }
        self.settle(now, out);
    }

    /// A link is lost: its peer is suspect until it has been silent for the detection time.
    pub fn link_lost(&mut self, now: Instant, peer: NodeId, out: &mut Outbox) {
        let Some(member) = self.peer_mut(peer).filter(|member| member.link_up) else { return };
        member.link_up = false;
        if member.state == MemberState::Alive {
            member.state = MemberState::Suspect;
        }
        out.tell(Event::LinkLost { peer });
        self.settle(now, out);
    }

    /// A peer told its view.
    pub fn heartbeat_arrived(&mut self, now: Instant, from: NodeId, heartbeat: &Heartbeat, out: &mut Outbox) {
        let Some(boot) = self.heard_from(now, from) else { return };
        if let Some(member) = self.peer_mut(from) {
            member.reported(heartbeat);
        }
        for interface in Interface::BOTH {
            if let Some(epoch) = heartbeat.epochs[interface] {
                self.epoch_heard(interface, epoch, (from, boot), out);
            }
            let followed = self.elections[interface].followed().filter(|epoch| epoch.node == from);
            self.confirmed[interface] = followed.or(self.confirmed[interface]);
        }
        self.settle(now, out);
    }

    /// A peer says that it holds a redirector, or who does.
    pub fn claim_arrived(&mut self, now: Instant, from: NodeId, claim: &Claim, out: &mut Outbox) {
        let Some(boot) = self.heard_from(now, from) else { return };
        self.epoch_heard(claim.interface, claim.epoch, (from, boot), out);
        self.settle(now, out);
    }

    /// One of this node's own interfaces works, or does not.
    pub fn interface_changed(&mut self, now: Instant, interface: Interface, state: InterfaceState, out: &mut Outbox) {
        let node = self.settings.node;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == node) {
            own.interfaces[interface] = state == InterfaceState::Up;
        }
        self.settle(now, out);
    }

    /// This node's redirector sessions of an interface are complete, or no longer. It comes into sync once they are for
    /// both, and stays so.
    pub fn sync_changed(&mut self, now: Instant, interface: Interface, sync: Sync, out: &mut Outbox) {
        let node = self.settings.node;
        let Some(own) = self.members.iter_mut().find(|member| member.node == node) else { return };
        let before = std::mem::replace(&mut own.synced[interface], sync == Sync::Complete);
        if before != own.synced[interface] {
            self.settle(now, out);
        }
    }

    /// This node is to be drained, or to serve again.
    pub fn service_changed(&mut self, now: Instant, service: Service, out: &mut Outbox) {
        let node = self.settings.node;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == node) {
            own.draining = service == Service::Draining;
        }
        self.settle(now, out);
    }

    /// Sends what is due, counts the silent as dead. To be called after what has arrived until `now` was told.
    pub fn deadline_reached(&mut self, now: Instant, out: &mut Outbox) {
        // Where this node itself did not run for so long, the silence was its own.
        let paused = now.since(self.checked) > DETECTION_TIME;
        self.checked = now;
        for index in 0..self.members.len() {
            let Some(member) = self.members.get_mut(index).filter(|member| member.node != self.settings.node) else {
                continue;
            };
            if paused {
                member.heard = now;
            }
            if member.lives() && now >= member.heard + DETECTION_TIME {
                let node = member.node;
                self.died(node, out);
            }
        }
        if now >= self.heartbeat_at {
            self.heartbeat_at = now + HEARTBEAT_INTERVAL;
            self.reported = None;
        }
        self.settle(now, out);
    }

    /// When [`Membership::deadline_reached`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let peers = self.members.iter().filter(|member| member.node != self.settings.node && member.lives());
        let deaths = peers.map(|member| member.heard + DETECTION_TIME);
        deaths.chain(self.starting_until).fold(self.heartbeat_at, Instant::min)
    }

    /// What has changed, in order; `None` when everything was taken.
    pub fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

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

    fn peer_mut(&mut self, node: NodeId) -> Option<&mut Member> {
        let own = self.settings.node;
        self.members.iter_mut().find(|member| member.node == node && node != own)
    }

    /// A sign of life over a link; the boot it comes from.
    fn heard_from(&mut self, now: Instant, from: NodeId) -> Option<BootId> {
        let member = self.peer_mut(from).filter(|member| member.link_up)?;
        (member.heard, member.state) = (now, MemberState::Alive);
        member.boot
    }

    /// A peer named an epoch: its own, which must be of its present boot, or one that it obeys.
    fn epoch_heard(&mut self, interface: Interface, epoch: Epoch, from: (NodeId, BootId), out: &mut Outbox) {
        let (node, boot) = from;
        let teller = if epoch.node == node { Teller::Holder } else { Teller::Member };
        if teller == Teller::Holder && epoch.boot != boot {
            return;
        }
        if let Some(epoch) = self.elections[interface].heard(epoch, teller) {
            out.send(node, Message::Claim(Claim { interface, epoch }));
        }
    }

    fn died(&mut self, node: NodeId, out: &mut Outbox) {
        if let Some(member) = self.peer_mut(node) {
            member.state = MemberState::Dead;
            out.tell(Event::MemberDied { node });
            self.note(Change::MemberDied { node });
        }
    }

    fn note(&mut self, change: Change) {
        // One of each is enough, which also bounds the list.
        if !self.changes.contains(&change) {
            self.changes.push_back(change);
        }
    }

    /// Draws the conclusions, then tells what has changed.
    fn settle(&mut self, now: Instant, out: &mut Outbox) {
        self.judge(now);
        for interface in Interface::BOTH {
            self.tell_role(now, interface, out);
        }
        if std::mem::take(&mut self.candidates_changed) {
            self.note(Change::CandidatesChanged);
        }
        self.report(out);
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
        if let Some(epoch) = self.elections[interface].held() {
            self.send_to_all(&Message::Claim(Claim { interface, epoch }), out);
        }
        out.tell(Event::HolderChanged { interface, epoch });
        self.note(Change::HolderChanged { interface });
    }

    /// Sends this node's view to all if it differs from what was sent last; [`Membership::deadline_reached`] forgets
    /// that every heartbeat interval.
    fn report(&mut self, out: &mut Outbox) {
        let Some(own) = self.member(self.settings.node) else { return };
        let heartbeat = Heartbeat {
            priorities: self.settings.priorities,
            epochs: self.roles,
            weight: own.weight,
            in_sync: own.in_sync,
            synced: own.synced,
            draining: own.draining,
            interfaces: own.interfaces,
            heard: own.heard_on.clone(),
            links: own.links.clone(),
        };
        if self.reported.as_ref() != Some(&heartbeat) {
            let message = Message::Heartbeat(heartbeat.clone());
            self.send_to_all(&message, out);
            self.reported = Some(heartbeat);
        }
    }

    fn send_to_all(&self, message: &Message, out: &mut Outbox) {
        for member in self.members.iter().filter(|member| member.link_up && member.node != self.settings.node) {
            out.send(member.node, message.clone());
        }
    }
}

fn own_member(now: Instant, settings: &Settings) -> Member {
    Member {
        boot: Some(settings.boot),
        state: MemberState::Alive,
        link_up: true,
        macs: Some(settings.macs),
        addresses: settings.addresses.clone(),
        priorities: Some(settings.priorities),
        weight: settings.weight,
        synced: PerInterface { first: true, second: true },
        interfaces: PerInterface { first: true, second: true },
        heard: now,
        ..Member::unheard(settings.node)
    }
}

#[cfg(test)]
mod tests;
