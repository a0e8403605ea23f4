//! A run as text: choices, and a list of what happens when. A seed makes one; a failure is shrunk to the shortest one and
//! kept in the corpus. The scenarios of `netns-tests` run in the simulator and in a lab: this module is compiled into both.
//!
//! ```text
//! # Comments are lines of their own; statements stand on lines of their own or behind semicolons.
//! seed 17
//! set hold-ms 20
//! at 1200ms open first tcp4 3 4000 9000 close
//! at 3s cut a b --one-way; at 3s impair b c --delay 5000us --loss 2%
//! at 4s cut b --interface second --multicast for ever
//! at 5s stop c; at 6s heal
//! expect holders first a b; expect owners 3 c
//! ```

mod text;

use herald_core::id::Interface;
use herald_core::node::Redirecting;
use herald_core::redirector::choice::{Keying, Redirectors};
use herald_core::session::Midstream;
use herald_host::FaultPolicy;

/// The nodes, by their places.
pub(crate) const NODES: [&str; 3] = ["a", "b", "c"];

/// A node by its number from 0.
pub(crate) type Place = usize;

/// What does not change during a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choices {
    pub(crate) keying: Keying,
    pub(crate) redirectors: Redirectors,
    pub(crate) redirecting: Redirecting,
    pub(crate) midstream: Midstream,
    /// Longest hold in milliseconds.
    pub(crate) hold_ms: u64,
    /// Frames of one hold.
    pub(crate) hold_frames: u64,
    /// Milliseconds after which a higher priority takes its role back, if it may.
    pub(crate) preempt_ms: Option<u64>,
    /// Time in seconds after which switches forget.
    pub(crate) ageing_s: u64,
    /// Longest delay of the mesh in microseconds.
    pub(crate) mesh_us: u64,
    /// Millionths by which each node's clock is too fast.
    pub(crate) drift: [i64; 3],
    /// Digests of a comparison: streams share them.
    pub(crate) buckets: u64,
    /// Percent of messages that come with a forged copy before them.
    pub(crate) forged: u64,
    /// Percent of packets and streams of which a plugin has an opinion.
    pub(crate) opinions: u64,
    /// What becomes of packets on which a plugin fails.
    pub(crate) fault: FaultPolicy,
    /// Marker sessions of a node; 0: as many as a node has by default.
    pub(crate) sessions: usize,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            keying: Keying::PerInterface,
            redirectors: Redirectors::Equal,
            redirecting: Redirecting::Ethernet,
            midstream: Midstream::Drop,
            hold_ms: 20,
            hold_frames: 32,
            preempt_ms: None,
            ageing_s: 300,
            mesh_us: 300,
            drift: [0; 3],
            buckets: 1024,
            forged: 0,
            opinions: 0,
            fault: FaultPolicy::Closed,
            sessions: 0,
        }
    }
}

/// What two hosts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
    /// Echoes and their replies.
    Icmp4,
    Icmp6,
    /// Some protocol that nobody knows, another for each key.
    Other4,
    Other6,
}

/// How a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Reset,
    Idle,
    /// The request takes three seconds, then it is closed.
    Slow,
}

/// A conversation: who opens it, by what, which ports, and how much each end says (bytes; datagrams without TCP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) from: Interface,
    pub(crate) protocol: Protocol,
    /// Number of the ports: equal numbers use a key again.
    pub(crate) key: u16,
    pub(crate) request: u32,
    pub(crate) response: u32,
    pub(crate) ending: Ending,
}

/// Which way a cable is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Both,
    In,
    Out,
}

/// What the hostile host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hostility {
    /// Bytes without sense.
    Garbage,
    /// A transit packet that seems to come from a node's MAC.
    Spoof(Place),
    /// A transit packet to a node's own MAC.
    Direct(Place),
    /// First packets that say they were redirected to a node by the usual holder.
    Redirect(Place),
    /// TCP of a connection that does not exist.
    Midstream,
    /// A reset for the conversation with this key.
    Reset(u16),
    /// A SYN with the key of a conversation.
    Syn(u16),
    /// A SYN from each end at the same time, with the same ports.
    BothOpen(u16),
    /// An ICMP error about nothing.
    Quote,
    /// Hundreds of datagrams of one stream at once.
    Flood,
    /// Many connections that are only half opened.
    Scan,
    /// All signs of a node's life but its adverts: its MAC as a source, and answers to what it is asked, with all that was ever
    /// answered.
    Life(Place),
    /// Adverts of a node that seems to hold the redirector.
    Advert(Place),
}

/// How a plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It panics when a stream starts.
    Start,
    /// It panics at a packet.
    Packet,
    /// It panics when a stream ends.
    End,
    /// It says of a packet what the contract has no meaning for.
    Answer,
}

/// Which plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Its place in the chain, from 0.
    pub(crate) seat: usize,
    pub(crate) failure: Failure,
    /// Percent of its calls.
    pub(crate) percent: u64,
}

/// What happens to frames on their way through a network, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Impairment {
    /// Percent that are lost.
    pub(crate) loss: u64,
    /// Percent that come twice.
    pub(crate) duplicate: u64,
    /// Percent that are overtaken by others.
    pub(crate) reorder: u64,
    /// Longest delay in microseconds.
    pub(crate) delay_us: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Open(Open),
    /// Bytes from one node to another do not come through.
    CutMesh {
        from: Place,
        to: Place,
        way: Way,
    },
    /// A connection breaks, at any byte.
    Break {
        from: Place,
        to: Place,
    },
    /// The mesh is slow for a while, in milliseconds.
    Stall {
        from: Place,
        to: Place,
        ms: u64,
    },
    /// The connection for frames alone breaks, and there is none for so many milliseconds.
    CutFrames {
        from: Place,
        to: Place,
        ms: u64,
    },
    /// Longer pieces of a node's messages to another do not come through.
    CutLarger {
        from: Place,
        to: Place,
        /// Bytes of the longest piece that passes; in a lab, of the largest frame.
        than: u16,
        way: Way,
    },
    /// A node's cable carries no frames to group addresses.
    CutMulticast {
        node: Place,
        interface: Interface,
        way: Way,
    },
    /// A node's cable is cut; it does not notice.
    CutInterface {
        node: Place,
        interface: Interface,
        way: Way,
    },
    /// A node's cable is pulled; it notices.
    Unplug {
        node: Place,
        interface: Interface,
    },
    /// The process dies; its kernel resets its connections.
    Kill(Place),
    /// The machine dies without a word.
    PowerOff(Place),
    /// SIGSTOP.
    Stop(Place),
    /// SIGCONT.
    Continue(Place),
    Start(Place),
    /// The node gives away what it has.
    Drain(Place),
    /// It serves again.
    Undrain(Place),
    Impair {
        interface: Interface,
        impairment: Impairment,
    },
    /// What two nodes say to each other is late, and some packets of their connections are lost.
    ImpairMesh {
        from: Place,
        to: Place,
        delay_us: u64,
        /// Percent.
        loss: u64,
    },
    Hostile {
        interface: Interface,
        what: Hostility,
    },
    /// A message of a kind that nobody knows.
    Unknown {
        from: Place,
        to: Place,
    },
    /// A plugin of a node fails now and then.
    Fail {
        node: Place,
        failing: Failing,
    },
    /// Everything works again, everybody runs.
    Heal,
}

/// Whether healing ends what an action broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasts {
    UntilHealed,
    /// It stands; what it broke is healed by nobody.
    ForEver,
}

/// An action and its time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at_ms: u64,
    pub(crate) action: Action,
    pub(crate) lasts: Lasts,
}

impl Step {
    /// What it breaks is there until everything is healed.
    pub(crate) fn new(at_ms: u64, action: Action) -> Self {
        Self { at_ms, action, lasts: Lasts::UntilHealed }
    }
}

impl Open {
    /// True for a connection.
    pub(crate) fn is_tcp(&self) -> bool {
        match self.protocol {
            Protocol::Tcp4 | Protocol::Tcp6 => true,
            Protocol::Udp4
            | Protocol::Udp6
            | Protocol::Icmp4
            | Protocol::Icmp6
            | Protocol::Other4
            | Protocol::Other6 => false,
        }
    }

    /// The number of its protocol.
    pub(crate) fn protocol_number(&self) -> u8 {
        match self.protocol {
            Protocol::Tcp4 | Protocol::Tcp6 => 6,
            Protocol::Udp4 | Protocol::Udp6 => 17,
            Protocol::Icmp4 => 1,
            Protocol::Icmp6 => 58,
            // Of those that have no name.
            Protocol::Other4 | Protocol::Other6 => 147 + u8::try_from(self.key % 100).unwrap_or_default(),
        }
    }

    /// What stands for the ports in the opener's flow: those, or twice the identifier, or nothing.
    pub(crate) fn flow_ports(&self) -> (u16, u16) {
        let (source, destination) = ports(self.key);
        match self.protocol {
            Protocol::Tcp4 | Protocol::Tcp6 | Protocol::Udp4 | Protocol::Udp6 => (source, destination),
            Protocol::Icmp4 | Protocol::Icmp6 => (source, source),
            Protocol::Other4 | Protocol::Other6 => (0, 0),
        }
    }

    /// True of IPv6.
    pub(crate) fn is_ipv6(&self) -> bool {
        match self.protocol {
            Protocol::Tcp6 | Protocol::Udp6 | Protocol::Icmp6 | Protocol::Other6 => true,
            Protocol::Tcp4 | Protocol::Udp4 | Protocol::Icmp4 | Protocol::Other4 => false,
        }
    }
}

/// What a run must come to, in whichever world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The holders of a redirector, in the order of their epochs.
    Holders { interface: Interface, nodes: Vec<Place> },
    /// The nodes whose chains see the conversation with this key, one after the other.
    Owners { key: u16, nodes: Vec<Place> },
}

impl Expected {
    /// What is wrong if it came to this instead; nothing if it is as expected.
    pub(crate) fn differs(&self, nodes: &[Place]) -> Option<String> {
        let (Self::Holders { nodes: expected, .. } | Self::Owners { nodes: expected, .. }) = self;
        let found: Vec<&str> = nodes.iter().filter_map(|node| NODES.get(*node).copied()).collect();
        (nodes != expected).then(|| format!("{self}, but it was {}", found.join(" ")))
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) choices: Choices,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Vec<Expected>,
}

/// The source port of the conversation with this key, and the port it goes to.
pub(crate) fn ports(key: u16) -> (u16, u16) {
    (40_000 + key, 1_000 + key)
}
