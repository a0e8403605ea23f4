//! One node as a process with a clock of its own, TAP queues and a boot.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use herald_core::chosen::HoldMax;
use herald_core::flow::{FlowKey, HashKey};
use herald_core::forward;
use herald_core::id::{BootId, Interface, Mac, NodeId, PerInterface};
use herald_core::membership::{self, InterfaceState, Preemption, RolesMode, Service};
use herald_core::mesh::resend::Resend;
use herald_core::mesh::{Hello, Lane};
use herald_core::node::{Announcing, Node, Settings};
use herald_core::outbox::Outbox;
use herald_core::redirector::choice;
use herald_core::session::Timeouts;
use herald_core::time::Instant;
use herald_host::Head;

use crate::chance::Chance;
use crate::links::ConnectionId;
use crate::recorder::Recorder;
use crate::scenario::Choices;
pub(crate) use crate::scenario::{NODES, Place};

/// Frames that wait in a TAP until the node reads them; more are lost, as in a kernel's queue.
const TAP_FRAMES_MAX: usize = 128;

pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    tcp_established: Duration::from_secs(25),
    tcp_opening: Duration::from_secs(6),
    tcp_closing: Duration::from_secs(6),
    tcp_closed: Duration::from_secs(2),
    udp: Duration::from_secs(5),
    icmp: Duration::from_secs(2),
    other: Duration::from_secs(2),
    provisional: Duration::from_secs(5),
};

pub(crate) fn id(place: Place) -> NodeId {
    NODES[place].parse().unwrap()
}

pub(crate) fn place_of(node: NodeId) -> Option<Place> {
    NODES.iter().position(|name| *name == node.as_str())
}

fn net(interface: Interface) -> u8 {
    match interface {
        Interface::First => 1,
        Interface::Second => 2,
    }
}

fn number(place: Place) -> u8 {
    u8::try_from(place).unwrap() + 1
}

pub(crate) fn node_mac(interface: Interface, place: Place) -> Mac {
    Mac([2, 0, 0, 0, net(interface), number(place)])
}

pub(crate) fn virtual_macs(interface: Interface) -> [Mac; 2] {
    [1, 2].map(|family| Mac([0, 0, 0x5e, 0, family, net(interface)]))
}

/// A host's addresses: 10.N.0.x and fd00:N::x.
pub(crate) fn host_address(interface: Interface, last: u8) -> (Ipv4Addr, Ipv6Addr) {
    let (net, last) = (net(interface), last);
    (Ipv4Addr::new(10, net, 0, last), Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, last.into()))
}

/// A clock that runs a little wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    offset: u64,
    /// Millionths too fast.
    drift: i64,
}

impl Clock {
    pub(crate) fn new(place: Place, drift: i64) -> Self {
        Self { offset: 1_000_000_000 * u64::from(number(place)), drift }
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
        BootId(self.boot << 8 | u64::from(number(self.place)))
    }

    /// A new process. Its plugins have a configuration that no other has.
    pub(crate) fn start(&mut self, now: Instant, seed: u64, choices: &Choices) {
        (self.boot, self.has_kernel) = (self.boot + 1, true);
        self.configuration = Chance::new(seed ^ self.boot_id().0 << 32, "configuration").next();
        self.plugins = Recorder::new(self.configuration, choices, self.plugins.failing);
        let settings = settings(self.place, self.boot_id(), choices);
        self.node = Some(Box::new(Node::new(self.clock.shows(now), settings).unwrap()));
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

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version_min: 1,
            version_max: 1,
            cluster: "sim".into(),
            node: id(self.place),
            boot: self.boot_id(),
            macs: PerInterface::from_fn(|i| node_mac(i, self.place)),
            addresses: PerInterface::from_fn(|i| own_addresses(i, self.place).to_vec()),
            config_digest: self.configuration,
        }
    }
}

fn own_addresses(interface: Interface, place: Place) -> [IpAddr; 2] {
    let (v4, v6) = host_address(interface, 10 + number(place));
    [v4.into(), v6.into()]
}

/// The same on all nodes but for who they are, as in a lab.
fn settings(place: Place, boot: BootId, choices: &Choices) -> Settings {
    let node = id(place);
    let networks = |i: Interface| {
        let [v4, v6] = own_addresses(i, place);
        vec![format!("{v4}/24").parse().unwrap(), format!("{v6}/64").parse().unwrap()]
    };
    let own_key = HashKey([number(place); 16]);
    let nodes = u8::try_from(NODES.len()).unwrap();
    let priority = |first: Place| 100 - (number(place) + nodes - number(first)) % nodes;
    Settings {
        node,
        boot,
        membership: membership::Settings {
            node,
            boot,
            macs: PerInterface::from_fn(|i| node_mac(i, place)),
            addresses: PerInterface::from_fn(|i| own_addresses(i, place).to_vec()),
            peers: (0..NODES.len()).filter(|other| *other != place).map(id).collect(),
            priorities: PerInterface { first: priority(0), second: priority(1) },
            weight: 100,
            roles: RolesMode::Priority,
            adverts: membership::AdvertSettings {
                preemption: choices
                    .preempt_ms
                    .map_or(Preemption::Never, |ms| Preemption::After(Duration::from_millis(ms))),
                virtual_addresses: PerInterface::from_fn(|i| {
                    let (v4, v6) = host_address(i, 1);
                    vec![v4.into(), v6.into()]
                }),
                ..membership::AdvertSettings::default()
            },
        },
        forward: forward::Settings {
            interfaces: PerInterface::from_fn(|i| {
                let [virtual_mac_v4, virtual_mac_v6] = virtual_macs(i);
                let (v4, v6) = host_address(i, 1);
                forward::InterfaceSettings {
                    mac: node_mac(i, place),
                    virtual_mac_v4,
                    virtual_mac_v6,
                    addresses: networks(i),
                    virtual_addresses: vec![v4.into(), v6.into()],
                    mtu: 1500,
                }
            }),
            routes: Vec::new(),
            hash_key: own_key.derive(1),
        },
        choice: choice::Settings { key: HashKey([9; 16]), redirectors: choices.redirectors, keying: choices.keying },
        midstream: choices.midstream,
        redirecting: choices.redirecting,
        hold_max: HoldMax {
            time: Duration::from_millis(choices.hold_ms),
            frames: usize::try_from(choices.hold_frames).unwrap(),
            bytes: 1 << 20,
        },
        timeouts: TIMEOUTS,
        announcing: Announcing::On(Duration::ZERO),
        hash_key: own_key,
    }
}
