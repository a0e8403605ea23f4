//! One node as a process with a clock of its own, TAP queues and a boot.

use std::collections::VecDeque;
use std::time::Duration;

use herald_core::flow::{FlowKey, HashKey};
use herald_core::id::{BootId, Interface, PerInterface};
use herald_core::membership::{InterfaceState, Preemption, Service};
use herald_core::mesh::resend::Resend;
use herald_core::mesh::{Assign, Hello, Lane, Likeness, Setting};
use herald_core::node::{Node, Settings};
use herald_core::outbox::Outbox;
use herald_core::session::{Bounds, Timeouts};
use herald_core::time::Instant;
use herald_host::Head;
use herald_testing::layout;
pub(crate) use herald_testing::layout::{id, node_mac, place_of, virtual_macs};

use crate::links::ConnectionId;
use crate::recorder::Recorder;
use crate::scenario::Choices;
pub(crate) use crate::scenario::{NODES, Place};
use herald_testing::chance::Chance;

/// Frames that wait in a TAP until the node reads them; more are lost, as in a kernel's queue.
const TAP_FRAMES_MAX: usize = 128;

pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    tcp_established: Duration::from_secs(25),
    tcp_opening: Duration::from_secs(6),
    tcp_closing: Duration::from_secs(6),
    tcp_closed: Duration::from_secs(2),
    udp: Duration::from_secs(5),
    icmp: Duration::from_secs(3),
    other: Duration::from_secs(2),
    provisional: Duration::from_secs(5),
};

/// A clock that runs a little wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    offset: u64,
    /// Millionths too fast.
    drift: i64,
}

impl Clock {
    pub(crate) fn new(place: Place, drift: i64) -> Self {
        Self { offset: 1_000_000_000 * (place as u64 + 1), drift }
    }

    /// What it shows at a true instant.
    pub(crate) fn shows(self, now: Instant) -> Instant {
        let nanos = i128::from(now.as_nanos());
        let shown = nanos + nanos * i128::from(self.drift) / 1_000_000 + i128::from(self.offset);
        Instant::from_nanos(u64::try_from(shown).unwrap_or_default())
    }

    /// The first true instant at which it shows this much.
    pub(crate) fn when_it_shows(self, shown: Instant) -> Instant {
        if shown == Instant::NEVER {
            return shown;
        }
        let nanos = i128::from(shown.as_nanos()) - i128::from(self.offset);
        let scale = 1_000_000 + i128::from(self.drift);
        let true_nanos = nanos.max(0) * 1_000_000 / scale;
        let mut at = Instant::from_nanos(u64::try_from(true_nanos).unwrap_or(u64::MAX));
        while self.shows(at) < shown {
            at = at + Duration::from_nanos(1);
        }
        at
    }
}

/// Whether the node's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// There is none.
    Off,
    /// It runs.
    Running,
    /// It was stopped (SIGSTOP): time passes, it does nothing.
    Stopped,
}

/// What waits for a node beside frames.
#[derive(Debug)]
pub(crate) enum Came {
    /// A connection is open.
    Opened(ConnectionId),
    /// Bytes over a connection.
    Bytes(ConnectionId, Lane, Vec<u8>),
    /// The connection ended.
    Ended(ConnectionId),
    /// Its lane for frames is open.
    FramesOpened(ConnectionId),
    /// Its lane for frames ended.
    FramesEnded(ConnectionId),
    /// Nobody listens at a lost peer's address.
    Refused(Place),
    /// An interface's carrier came or went.
    Carrier(Interface, InterfaceState),
    /// Somebody drains the node, or lets it serve again.
    Serve(Service),
}

/// One node.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) clock: Clock,
    pub(crate) process: Process,
    pub(crate) boot: u64,
    /// Its machine lives, so that its kernel answers for a process that is gone.
    pub(crate) has_kernel: bool,
    /// While a process exists.
    pub(crate) node: Option<Box<Node<Head>>>,
    pub(crate) plugins: Recorder,
    /// The digest of the configuration of this boot.
    pub(crate) configuration: u64,
    pub(crate) out: Outbox,
    pub(crate) taps: PerInterface<VecDeque<Vec<u8>>>,
    pub(crate) inbox: VecDeque<Came>,
    /// The numbered messages of this boot, by peer.
    pub(crate) talks: Vec<Resend>,
    /// The last stream that was given to it by its owner, and by whom.
    pub(crate) given: Option<(Place, Assign)>,
    pub(crate) turn_planned: bool,
    /// The deadline it is woken for.
    pub(crate) wake_at: Instant,
    /// Since when the process is what it is.
    pub(crate) since: Instant,
    /// When it last came back from being stopped or off.
    pub(crate) back_since: Instant,
}

impl Member {
    pub(crate) fn new(place: Place, choices: &Choices) -> Self {
        Self {
            place,
            clock: Clock::new(place, choices.drift[place]),
            process: Process::Off,
            boot: 0,
            has_kernel: true,
            node: None,
            plugins: Recorder::new(0, choices, None),
            configuration: 0,
            out: Outbox::default(),
            taps: PerInterface::default(),
            inbox: VecDeque::new(),
            talks: Vec::new(),
            given: None,
            turn_planned: false,
            wake_at: Instant::NEVER,
            since: Instant::default(),
            back_since: Instant::default(),
        }
    }

    /// It runs and owns a stream that lives, by either of its flows.
    pub(crate) fn serves(&self, flow: &FlowKey) -> bool {
        let has = |node: &Node<Head>| node.markers().find(flow).is_some_and(|(slot, _)| node.markers().at(slot).alive);
        self.runs() && self.node.as_deref().is_some_and(has)
    }

    pub(crate) fn runs(&self) -> bool {
        self.process == Process::Running
    }

    pub(crate) fn boot_id(&self) -> BootId {
        BootId((self.boot << 8) + self.place as u64 + 1)
    }

    /// A new process. Its plugins have a configuration that no other has.
    pub(crate) fn start(&mut self, now: Instant, seed: u64, choices: &Choices) {
        (self.boot, self.has_kernel) = (self.boot + 1, true);
        self.configuration = Chance::new(seed ^ self.boot_id().0 << 32, "configuration").word();
        self.plugins = Recorder::new(self.configuration, choices, self.plugins.failing);
        let settings = settings(self.place, self.boot_id(), choices);
        self.node = Some(Box::new(Node::new(self.clock.shows(now), settings).unwrap()));
        self.given = None;
        self.talks = NODES.map(|_| Resend::new(self.boot_id())).into();
        self.out = Outbox::default();
        (self.process, self.since, self.back_since) = (Process::Running, now, now);
        self.inbox.clear();
        for interface in Interface::BOTH {
            self.taps[interface].clear();
        }
    }

    /// The process is gone.
    pub(crate) fn end(&mut self, now: Instant) {
        (self.process, self.node, self.since) = (Process::Off, None, now);
        self.inbox.clear();
    }

    /// A frame comes to its TAP, if there is room.
    pub(crate) fn offer(&mut self, interface: Interface, frame: Vec<u8>) {
        if self.process != Process::Off && self.taps[interface].len() < TAP_FRAMES_MAX {
            self.taps[interface].push_back(frame);
        }
    }

    /// A stream was perhaps given to it by `by`. One that waits for the fence of another node goes on to do that.
    pub(crate) fn note_given(&mut self, by: Place, assign: Assign) {
        let Some(markers) = self.node.as_ref().map(|node| node.markers()) else { return };
        let fenced = |assign: &Assign| {
            markers.find(&assign.arrival).is_some_and(|(slot, _)| {
                let session = markers.at(slot);
                session.fenced && session.generation == assign.generation.counter
            })
        };
        let waits = |(_, before): (Place, Assign)| before.arrival == assign.arrival && fenced(&before);
        if fenced(&assign) && !self.given.is_some_and(waits) {
            self.given = Some((by, assign));
        }
    }

    pub(crate) fn hello(&self) -> Hello {
        let plugins = Setting { key: "plugins".into(), likeness: Likeness::Should, digest: self.configuration };
        Hello { cluster: "sim".into(), boot: self.boot_id(), configuration: vec![plugins], ..layout::hello(self.place) }
    }
}

/// The same on all nodes but for who they are, as in a lab.
pub(crate) fn settings(place: Place, boot: BootId, choices: &Choices) -> Settings {
    let own_key = HashKey([u8::try_from(place).unwrap() + 1; 16]);
    let mut settings = layout::settings(place, NODES.len());
    settings.membership.boot = boot;
    settings.membership.probes.first_nonce = boot.0.rotate_left(17);
    settings.membership.adverts.preemption =
        choices.preempt_ms.map_or(Preemption::Never, |ms| Preemption::After(Duration::from_millis(ms)));
    settings.forward.hash_key = own_key.derive(1);
    settings.choice.redirectors = choices.redirectors;
    settings.choice.keying = choices.keying;
    settings.hold_max.time = Duration::from_millis(choices.hold_ms);
    settings.hold_max.frames = usize::try_from(choices.hold_frames).unwrap();
    let (midstream, redirecting) = (choices.midstream, choices.redirecting);
    if choices.sessions > 0 {
        settings.bounds = Bounds { markers: choices.sessions, redirector: choices.sessions * 6, ..settings.bounds };
    }
    let buckets = usize::try_from(choices.buckets).unwrap();
    Settings { boot, midstream, redirecting, timeouts: TIMEOUTS, hash_key: own_key, buckets, ..settings }
}
