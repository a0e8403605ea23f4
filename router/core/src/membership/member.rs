//! One member as this node knows it.

use std::net::IpAddr;

use super::Settings;
use super::proof::Proof;
use crate::event::Event;
use crate::id::{BootId, Epoch, Interface, Mac, NodeId, PerInterface};
use crate::limits::{DETECTION_TIME, HEARTBEAT_INTERVAL};
use crate::mesh::{Heartbeat, Hello};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::time::Instant;

/// How alive a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Heard within the detection time, with a link.
    Alive,
    /// Its link is lost; the detection time runs.
    Suspect,
    /// Silent on the mesh for the detection time, but it answers challenges on an interface: it keeps its streams and gets no new
    /// ones.
    Cut,
    /// Silent everywhere, or never heard, or nobody listens at its address any more.
    Dead,
}

impl MemberState {
    /// The name in reports and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Cut => "cut",
            Self::Dead => "dead",
        }
    }
}

/// One member: what it said last, and how alive it is. Of this node itself the same is known.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Its boot; `None` until its first hello.
    pub boot: Option<BootId>,
    /// How alive it is.
    pub state: MemberState,
    /// This node has a link to it. True of this node itself.
    pub link_up: bool,
    /// Frames can be sent to it over the mesh, as far as that matters: always, unless the mesh redirects.
    pub(super) takes_frames: bool,
    /// Its own MACs; `None` until its first hello.
    pub macs: Option<PerInterface<Mac>>,
    /// Its own addresses.
    pub addresses: PerInterface<Vec<IpAddr>>,
    /// Its priorities; `None` until this boot's first heartbeat.
    pub priorities: Option<PerInterface<u8>>,
    /// Its weight for choosing; 0: never.
    pub weight: u16,
    /// It may be chosen and may hold a role.
    pub in_sync: bool,
    /// Its redirector sessions of an interface are complete.
    pub synced: PerInterface<bool>,
    /// It gives up its roles and its streams.
    pub draining: bool,
    /// A plugin of it is suspended, and what it would be asked about ends.
    pub suspended: bool,
    /// It has no room for new streams.
    pub full: bool,
    /// Its interfaces work.
    pub interfaces: PerInterface<bool>,
    /// The epochs it obeys.
    pub epochs: PerInterface<Option<Epoch>>,
    /// The members it hears on an interface.
    pub heard_on: PerInterface<Vec<NodeId>>,
    /// The members it has links to.
    pub links: Vec<NodeId>,
    /// When it was last heard over its link.
    pub(super) heard: Instant,
    /// When it last answered a challenge on an interface.
    pub(super) seen: PerInterface<Option<Instant>>,
    /// The challenges, and what it answered.
    pub(super) proofs: PerInterface<Proof>,
    /// When a frame of its to a group last came on an interface.
    pub(super) heard_in_groups: PerInterface<Option<Instant>>,
    /// [`Member::heard_on`] as places in the list of members, itself left out.
    pub(super) hears: PerInterface<u64>,
    /// Since when nobody has heard it on an interface, or it has heard nobody there.
    pub(super) unheard_since: PerInterface<Option<Instant>>,
    /// Its death is proven: only a new hello makes it live again.
    pub(super) is_proven_dead: bool,
    /// Until then a refusal of its keeps this node from taking roles.
    pub(super) barred_until: Option<Instant>,
}

impl Member {
    /// A configured member that has not been heard yet.
    pub(super) fn unheard(node: NodeId) -> Self {
        Self {
            node,
            boot: None,
            state: MemberState::Dead,
            link_up: false,
            takes_frames: true,
            macs: None,
            addresses: PerInterface::default(),
            priorities: None,
            weight: 0,
            in_sync: false,
            synced: PerInterface::default(),
            draining: false,
            suspended: false,
            full: false,
            interfaces: PerInterface::default(),
            epochs: PerInterface::default(),
            heard_on: PerInterface::default(),
            links: Vec::new(),
            heard: Instant::default(),
            seen: PerInterface::default(),
            proofs: PerInterface::default(),
            heard_in_groups: PerInterface::default(),
            hears: PerInterface::default(),
            unheard_since: PerInterface::default(),
            is_proven_dead: false,
            barred_until: None,
        }
    }

    /// This node itself.
    pub(super) fn own(now: Instant, settings: &Settings) -> Self {
        Self {
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
            ..Self::unheard(settings.node)
        }
    }

    /// Its link is up. What an older boot said is forgotten. It counts as heard on the interfaces until the first probes
    /// must have come.
    pub(super) fn greeted(&mut self, now: Instant, hello: &Hello) {
        if self.boot != Some(hello.boot) {
            let (seen, takes_frames) = (PerInterface::from_fn(|_| Some(now)), self.takes_frames);
            *self = Self { seen, heard_in_groups: seen, takes_frames, ..Self::unheard(self.node) };
        }
        // What it said over an older link may be long over.
        self.hears = PerInterface::default();
        (self.is_proven_dead, self.barred_until) = (false, None);
        self.boot = Some(hello.boot);
        self.macs = Some(hello.macs);
        self.addresses.clone_from(&hello.addresses);
        (self.state, self.link_up, self.heard) = (MemberState::Alive, true, now);
    }

    /// It told its view.
    pub(super) fn reported(&mut self, heartbeat: &Heartbeat) {
        self.priorities = Some(heartbeat.priorities);
        self.weight = heartbeat.weight;
        self.in_sync = heartbeat.in_sync;
        self.synced = heartbeat.synced;
        self.draining = heartbeat.draining;
        self.full = heartbeat.full;
        self.interfaces = heartbeat.interfaces;
        self.heard_on.clone_from(&heartbeat.heard);
        self.epochs = heartbeat.epochs;
        self.links.clone_from(&heartbeat.links);
        Interface::BOTH.into_iter().for_each(|interface| self.proofs[interface].reported());
    }

    /// It is silent on the mesh, and lives on an interface.
    pub(super) fn cut_off(&mut self, out: &mut Outbox) {
        self.state = MemberState::Cut;
        out.tell(Event::MemberCut { node: self.node });
    }

    /// True if it is not dead.
    #[must_use]
    pub fn lives(&self) -> bool {
        match self.state {
            MemberState::Alive | MemberState::Suspect | MemberState::Cut => true,
            MemberState::Dead => false,
        }
    }

    /// True if what it says over its link is its present word.
    pub(super) fn is_joined(&self) -> bool {
        self.state == MemberState::Alive && self.link_up
    }

    /// True if this node has a whole link to it: one that carries frames, too, where they go over the mesh.
    pub(super) fn is_linked(&self) -> bool {
        self.is_joined() && (self.takes_frames || is_on(Mutation::IgnoreLostFrames))
    }

    /// True if it is expected on the mesh: alive, or suspect until the detection time is over.
    pub(super) fn is_expected(&self) -> bool {
        match self.state {
            MemberState::Alive | MemberState::Suspect => true,
            MemberState::Cut | MemberState::Dead => false,
        }
    }

    /// True if it has a link that it spoke over within the last two heartbeat intervals.
    pub(crate) fn was_just_heard(&self, now: Instant) -> bool {
        self.link_up && now < self.heard + HEARTBEAT_INTERVAL * 2
    }

    /// True if it answered a challenge on the interface within the detection time.
    pub(super) fn is_seen(&self, now: Instant, interface: Interface) -> bool {
        self.seen[interface].is_some_and(|seen| now < seen + DETECTION_TIME)
    }

    /// True if it is heard on the interface, and what it sends to groups as well.
    pub(super) fn is_heard(&self, now: Instant, interface: Interface) -> bool {
        let in_groups = self.heard_in_groups[interface].is_some_and(|heard| now < heard + DETECTION_TIME);
        self.is_seen(now, interface) && (in_groups || is_on(Mutation::IgnoreLostGroups))
    }

    /// Its report says that it holds the redirector.
    pub(super) fn says_it_holds(&self, interface: Interface) -> bool {
        self.epochs[interface].is_some_and(|epoch| epoch.node == self.node)
    }

    /// Its rank for holding a redirector: higher priority first, then lower id. `None` while its priority is unknown.
    pub(super) fn rank(&self, interface: Interface) -> Option<(u8, std::cmp::Reverse<NodeId>)> {
        self.priorities.map(|priorities| (priorities[interface], std::cmp::Reverse(self.node)))
    }
}
