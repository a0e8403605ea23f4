//! Who takes part, who is alive, who holds which redirector in which epoch, and who may be chosen.
//!
//! Told of links, heartbeats, claims, adverts and its own interfaces; asked on the way of every frame. After each call the
//! node drains [`Membership::next_change`].
//!
//! **Authority is the mesh; adverts are for speed.** A role is taken in an epoch above all that was heard of, and claimed
//! on the mesh before the first advert is written. An advert never makes anybody a holder here. Its absence takes a role away:
//! after three intervals and the skew, unless a linked member still hears the holder, or the holder proves that it lives, so that
//! what is lost is multicast alone. So does, whatever adverts come, the absence of proof.
//!
//! ```text
//! holder:  advert ---- lease: two intervals ----| may not act |---- renews; after three: gives up, waits, hears
//! backup:  advert -------- three intervals and the skew --------------| takes the role, claims it, advertises
//!                  less: one interval, once a reconnect was refused and so the process is dead
//! ```
//!
//! Why two holders that the mesh joins do not both act for longer than the detection time (I5): a holder that sleeps has
//! no lease when it wakes, and before it takes a frame it renews the lease or, where a backup may have acted already, gives
//! the role up. A holder that runs and is not heard on its interface learns of the claim over the mesh, and whoever is in
//! the lower epoch steps down, whatever its priority; if their link is down, it learns of it from any member linked with
//! both, whose heartbeat names the epoch that it obeys. Nodes joined by no path of links may both act; on meeting, a
//! lower claim is answered with the higher epoch, whose holder announces the virtual addresses again.
//!
//! Why epochs come to rest (L6): nobody takes a role from a holder that it, or a member that it is linked with, hears. Who
//! is heard by nobody takes none. Who preempts must be heard by all. The smaller side of a cut mesh gives its roles up, and
//! waits for as long as it hears the other side's holder. What is left is that two nodes without a third do not hear each
//! other: then the holder stays for as long as its link lives.
//!
//! Adverts carry no proof of their sender (RFC 9568, section 9), and so decide nothing by themselves: who lives is said by the
//! mesh, and beyond it by answered challenges (`proof`), which say as well who holds a role there. A host that forges a
//! member's adverts, or whatever else, makes nobody live, hold a role or lose one. It can make a node wait that starts and has
//! met nobody, for [`START_DEFERRED_MAX`](crate::limits::START_DEFERRED_MAX) at most.

mod adverts;
mod apart;
mod candidates;
mod claims;
mod election;
mod foreign;
mod groups;
mod hearing;
mod links;
mod member;
mod own;
mod proof;
mod questions;
mod roles;
mod settings;
mod telling;

use std::collections::VecDeque;

pub use adverts::AdvertCounts;
use adverts::Adverts;
pub use apart::Apart;
pub use candidates::{Candidate, Intake};
use election::{Election, Sight, Standing};
pub use foreign::ForeignRouter;
pub use member::{Member, MemberState};
pub use proof::{ProbeCounts, ProbeSettings};
pub use settings::{AdvertSettings, Preemption, RolesMode, Settings};

use crate::id::{BootId, Epoch, Interface, NodeId, PerInterface};
use crate::limits::{DETECTION_TIME, HEARTBEAT_INTERVAL, MEMBERS_MAX, START_TIME_MAX};
use crate::mesh::Heartbeat;
use crate::mutation::{Mutation, is_on};
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
    /// This node [lingers](Membership::lingers) no more.
    LingeringEnded {
        /// At which redirector.
        interface: Interface,
    },
    /// What this run of a member owned is gone.
    MemberDied {
        /// The member.
        node: NodeId,
    },
    /// Another holder gave way to this node: the network must hear again where the virtual addresses are.
    RoleContested {
        /// Which redirector.
        interface: Interface,
    },
    /// A member's plugins judge no more: what it was chosen for and has not announced, it will not announce.
    MemberSuspended {
        /// The member, which may be this node.
        node: NodeId,
    },
    /// [`Membership::candidates`] differs.
    CandidatesChanged,
    /// This node [is to be heard](Membership::is_admitted) on its interfaces from now on.
    Admitted,
}

/// Members, roles and candidates, as this node sees them.
#[derive(Debug)]
pub struct Membership {
    settings: Settings,
    /// Sorted by id, this node included.
    members: Vec<Member>,
    /// When this view began.
    made: Instant,
    /// While `Some`, this node takes no role before it has heard every peer or this instant has come.
    starting_until: Option<Instant>,
    /// It is to be heard on its interfaces.
    admitted: bool,
    /// Others' routers that share a virtual router with the cluster.
    foreign: PerInterface<Vec<ForeignRouter>>,
    elections: PerInterface<Election>,
    roles: PerInterface<Option<Epoch>>,
    standbys: PerInterface<Option<NodeId>>,
    told_roles: PerInterface<Option<Epoch>>,
    previous: PerInterface<Option<Previous>>,
    /// Until when at most this node steers what is still on its way to it, after another took its role: the rest of its
    /// lease.
    lingers_until: PerInterface<Option<Instant>>,
    /// The epoch followed, once its holder's own report has come since: what was known of the holder before may be older
    /// than its epoch.
    confirmed: PerInterface<Option<Epoch>>,
    /// The epoch followed, once its holder itself has named it: when its next report does not, it has given the role up.
    named: PerInterface<Option<Epoch>>,
    adverts: PerInterface<Adverts>,
    /// The number of the next challenge.
    next_nonce: u64,
    /// When those are challenged again that have not answered the last challenge.
    probed_again_at: Instant,
    probe_counts: PerInterface<ProbeCounts>,
    /// When the first lease of a held role runs out.
    lease_until: Instant,
    /// A role was given up because this node did not run, which it is too late to advertise.
    has_lapsed: PerInterface<bool>,
    /// Members that nobody hears on an interface, or that hear nobody there, by their places.
    unheard: PerInterface<u64>,
    told_as_unheard: PerInterface<u64>,
    stopping: bool,
    candidates: Vec<Candidate>,
    spare_candidates: Vec<Candidate>,
    candidates_changed: bool,
    /// Nobody else may be chosen than members whose plugins judge no more.
    are_all_suspended: bool,
    changes: VecDeque<Change>,
    heartbeat_at: Instant,
    reported: Option<Heartbeat>,
    /// When the next heartbeat is to be padded.
    padded_at: Instant,
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
        members.push(Member::own(now, &settings));
        members.sort_by_key(|member| member.node);
        members.dedup_by_key(|member| member.node);
        let mut membership = Self {
            members,
            made: now,
            starting_until: Some(now + START_TIME_MAX),
            admitted: false,
            foreign: PerInterface::default(),
            elections: PerInterface::from_fn(|_| Election::new(settings.node, settings.boot)),
            roles: PerInterface::default(),
            standbys: PerInterface::default(),
            told_roles: PerInterface::default(),
            previous: PerInterface::default(),
            lingers_until: PerInterface::default(),
            confirmed: PerInterface::default(),
            named: PerInterface::default(),
            adverts: PerInterface::from_fn(|interface| Adverts::new(&settings, interface)),
            next_nonce: settings.probes.first_nonce,
            probed_again_at: Instant::NEVER,
            probe_counts: PerInterface::default(),
            lease_until: Instant::NEVER,
            has_lapsed: PerInterface::default(),
            unheard: PerInterface::default(),
            told_as_unheard: PerInterface::default(),
            stopping: false,
            candidates: Vec::new(),
            spare_candidates: Vec::new(),
            candidates_changed: false,
            are_all_suspended: false,
            changes: VecDeque::new(),
            heartbeat_at: now,
            reported: None,
            padded_at: now,
            checked: now,
            settings,
        };
        membership.judge(now);
        membership.renew_lease();
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

    /// One of this node's own interfaces works, or does not.
    pub fn interface_changed(&mut self, now: Instant, interface: Interface, state: InterfaceState, out: &mut Outbox) {
        let node = self.settings.node;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == node) {
            own.interfaces[interface] = state == InterfaceState::Up;
        }
        self.settle(now, out);
    }

    /// Sends what is due, counts the silent as dead. To be called after what has arrived until `now` was told.
    pub fn deadline_reached(&mut self, now: Instant, out: &mut Outbox) {
        // A heartbeat is due at least that often: for the rest this node did not run.
        let paused = now.since(self.checked).saturating_sub(HEARTBEAT_INTERVAL);
        self.checked = now;
        if !paused.is_zero() {
            self.forgive_silence(now, paused);
        }
        self.judge_silent(now, out);
        self.end_lapsed_roles(now);
        for interface in Interface::BOTH {
            if self.lingers_until[interface].is_some_and(|until| until <= now) {
                self.end_lingering(interface);
            }
        }
        if now >= self.heartbeat_at {
            self.heartbeat_at = now + HEARTBEAT_INTERVAL;
            self.reported = None;
            self.probe(now, out);
            self.call_groups(out);
            if is_on(Mutation::RestlessHolder) {
                self.elections.first.judged(Standing::Unfit, Sight::Gone);
            }
        }
        self.probe_again(now, out);
        self.probe_overdue_holders(now, out);
        self.settle(now, out);
        self.tell_lost_multicast(now, out);
        self.advertise_due(now, out);
        self.renew_lease();
    }

    /// This node stops: it gives up its roles, on the mesh and by priority 0, and takes none any more.
    pub fn stop(&mut self, now: Instant, out: &mut Outbox) {
        self.stopping = true;
        self.service_changed(now, Service::Draining, out);
    }

    /// When [`Membership::deadline_reached`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let peers = self.members.iter().filter(|member| member.node != self.settings.node && member.is_expected());
        let deaths = peers.map(|member| member.heard + DETECTION_TIME);
        let roles = Interface::BOTH.into_iter().flat_map(|interface| self.role_deadlines(interface));
        deaths
            .chain(self.start_deadline())
            .chain(self.retry_deadline())
            .chain(roles)
            .fold(self.heartbeat_at, Instant::min)
    }

    /// What has changed, in order; `None` when everything was taken.
    pub fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
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
}

#[cfg(test)]
mod tests;
