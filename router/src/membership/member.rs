//! One member as this node knows it.

use std::net::IpAddr;

use crate::id::{BootId, Epoch, Interface, Mac, NodeId, PerInterface};
use crate::mesh::{Heartbeat, Hello};
use crate::time::Instant;

/// How alive a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Heard within the detection time, with a link.
    Alive,
    /// Its link is lost; the detection time runs.
    Suspect,
    /// Not heard for the detection time, or never.
    Dead,
}

impl MemberState {
    /// The name in reports and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
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
}

impl Member {
    /// A configured member that has not been heard yet.
    pub(super) fn unheard(node: NodeId) -> Self {
        Self {
            node,
            boot: None,
            state: MemberState::Dead,
            link_up: false,
            macs: None,
            addresses: PerInterface::default(),
            priorities: None,
            weight: 0,
            in_sync: false,
            synced: PerInterface::default(),
            draining: false,
            interfaces: PerInterface::default(),
            epochs: PerInterface::default(),
            heard_on: PerInterface::default(),
            links: Vec::new(),
            heard: Instant::default(),
        }
    }

    /// Its link is up. What an older boot said is forgotten.
    pub(super) fn greeted(&mut self, now: Instant, hello: &Hello) {
        if self.boot != Some(hello.boot) {
            *self = Self::unheard(self.node);
        }
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
        self.interfaces = heartbeat.interfaces;
        self.heard_on.clone_from(&heartbeat.heard);
        self.epochs = heartbeat.epochs;
        self.links.clone_from(&heartbeat.links);
    }

    /// True if it is not dead.
    #[must_use]
    pub fn lives(&self) -> bool {
        match self.state {
            MemberState::Alive | MemberState::Suspect => true,
            MemberState::Dead => false,
        }
    }

    /// Its rank for holding a redirector: higher priority first, then lower id. `None` while its priority is unknown.
    pub(super) fn rank(&self, interface: Interface) -> Option<(u8, std::cmp::Reverse<NodeId>)> {
        self.priorities.map(|priorities| (priorities[interface], std::cmp::Reverse(self.node)))
    }
}
