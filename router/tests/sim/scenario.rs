//! A run as text: choices, and a list of what happens when. A seed makes one ([`crate::swarm`]); a failure is shrunk to
//! the shortest one ([`crate::shrink`]) and kept in the corpus.
//!
//! ```text
//! seed 17
//! set hold-ms 20
//! at 1200ms open first tcp4 3 4000 9000 close
//! at 3000ms cut a b one-way
//! at 5000ms stop c
//! ```

use std::fmt;
use std::str::FromStr;

use herald::id::Interface;
use herald::node::Redirecting;
use herald::redirector::choice::{Keying, Redirectors};
use herald::session::Midstream;

use crate::member::{NODES, Place};
use crate::switch::Impairment;

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
    /// Time in seconds after which switches forget.
    pub(crate) ageing_s: u64,
    /// Longest delay of the mesh in microseconds.
    pub(crate) mesh_us: u64,
    /// Millionths by which each node's clock is too fast.
    pub(crate) drift: [i64; 3],
    /// Percent of messages that come with a forged copy before them.
    pub(crate) forged: u64,
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
            ageing_s: 300,
            mesh_us: 300,
            drift: [0; 3],
            forged: 0,
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

/// A conversation: who opens it, by what, which ports, and how much each end says (bytes; datagrams for UDP).
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
    /// TCP of a connection that does not exist.
    Midstream,
    /// A reset for the conversation with this key.
    Reset(u16),
    /// A SYN from each end at the same time, with the same ports.
    BothOpen(u16),
    /// An ICMP error about nothing.
    Quote,
    /// Hundreds of datagrams of one stream at once.
    Flood,
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
    Hostile {
        interface: Interface,
        what: Hostility,
    },
    /// A message of a kind that nobody knows.
    Unknown {
        from: Place,
        to: Place,
    },
    /// Everything works again, everybody runs.
    Heal,
}

/// An action and its time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at_ms: u64,
    pub(crate) action: Action,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) choices: Choices,
    pub(crate) steps: Vec<Step>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.choices;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "set keying {}", if c.keying == Keying::Shared { "shared" } else { "per-interface" })?;
        let redirectors = if c.redirectors == Redirectors::Equal { "equal" } else { "last-resort" };
        writeln!(f, "set redirectors {redirectors}")?;
        let redirecting = if c.redirecting == Redirecting::Mesh { "mesh" } else { "ethernet" };
        let midstream = if c.midstream == Midstream::Drop { "drop" } else { "pick-up" };
        writeln!(f, "set redirecting {redirecting}\nset midstream {midstream}")?;
        writeln!(f, "set hold-ms {}\nset hold-frames {}", c.hold_ms, c.hold_frames)?;
        writeln!(f, "set ageing-s {}\nset mesh-us {}\nset forged {}", c.ageing_s, c.mesh_us, c.forged)?;
        writeln!(f, "set drift {} {} {}", c.drift[0], c.drift[1], c.drift[2])?;
        for step in &self.steps {
            writeln!(f, "at {}ms {}", step.at_ms, step.action)?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |place: &Place| NODES[*place];
        match self {
            Self::Open(o) => write!(
                f,
                "open {} {} {} {} {} {}",
                o.from,
                lower(&o.protocol),
                o.key,
                o.request,
                o.response,
                lower(&o.ending)
            ),
            Self::CutMesh { from, to, way } => write!(f, "cut {} {}{}", name(from), name(to), way_text(*way)),
            Self::Break { from, to } => write!(f, "break {} {}", name(from), name(to)),
            Self::Stall { from, to, ms } => write!(f, "stall {} {} {ms}", name(from), name(to)),
            Self::CutInterface { node, interface, way } => {
                write!(f, "cut {} --interface {interface}{}", name(node), way_text(*way))
            }
            Self::Unplug { node, interface } => write!(f, "unplug {} --interface {interface}", name(node)),
            Self::Kill(node) => write!(f, "kill {}", name(node)),
            Self::PowerOff(node) => write!(f, "power-off {}", name(node)),
            Self::Stop(node) => write!(f, "stop {}", name(node)),
            Self::Continue(node) => write!(f, "continue {}", name(node)),
            Self::Start(node) => write!(f, "start {}", name(node)),
            Self::Drain(node) => write!(f, "drain {}", name(node)),
            Self::Undrain(node) => write!(f, "undrain {}", name(node)),
            Self::Impair { interface, impairment: i } => {
                write!(f, "impair {interface} {} {} {} {}", i.loss, i.duplicate, i.reorder, i.delay_us)
            }
            Self::Hostile { interface, what } => write!(f, "hostile {interface} {what}"),
            Self::Unknown { from, to } => write!(f, "unknown {} {}", name(from), name(to)),
            Self::Heal => write!(f, "heal"),
        }
    }
}

impl fmt::Display for Hostility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage => write!(f, "garbage"),
            Self::Spoof(node) => write!(f, "spoof {}", NODES[*node]),
            Self::Direct(node) => write!(f, "direct {}", NODES[*node]),
            Self::Midstream => write!(f, "midstream"),
            Self::Reset(key) => write!(f, "reset {key}"),
            Self::BothOpen(key) => write!(f, "both-open {key}"),
            Self::Quote => write!(f, "quote"),
            Self::Flood => write!(f, "flood"),
        }
    }
}

fn lower(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn way_text(way: Way) -> &'static str {
    match way {
        Way::Both => "",
        Way::In => " one-way-in",
        Way::Out => " one-way",
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut scenario = Self { seed: 0, choices: Choices::default(), steps: Vec::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            scenario.take_line(&words).ok_or_else(|| format!("not understood: {line}"))?;
        }
        scenario.steps.sort_by_key(|step| step.at_ms);
        Ok(scenario)
    }
}

impl Scenario {
    fn take_line(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["seed", seed] => self.seed = seed.parse().ok()?,
            ["set", "drift", a, b, c] => self.choices.drift = [a.parse().ok()?, b.parse().ok()?, c.parse().ok()?],
            ["set", what, value] => self.choices.set(what, value)?,
            ["at", at, action @ ..] => {
                let at_ms = at.strip_suffix("ms")?.parse().ok()?;
                self.steps.push(Step { at_ms, action: parse_action(action)? });
            }
            _ => return None,
        }
        Some(())
    }
}

impl Choices {
    fn set(&mut self, what: &str, value: &str) -> Option<()> {
        match (what, value) {
            ("keying", "shared") => self.keying = Keying::Shared,
            ("keying", "per-interface") => self.keying = Keying::PerInterface,
            ("redirectors", "equal") => self.redirectors = Redirectors::Equal,
            ("redirectors", "last-resort") => self.redirectors = Redirectors::LastResort,
            ("redirecting", "ethernet") => self.redirecting = Redirecting::Ethernet,
            ("redirecting", "mesh") => self.redirecting = Redirecting::Mesh,
            ("midstream", "drop") => self.midstream = Midstream::Drop,
            ("midstream", "pick-up") => self.midstream = Midstream::PickUp,
            ("hold-ms", number) => self.hold_ms = number.parse().ok()?,
            ("hold-frames", number) => self.hold_frames = number.parse().ok()?,
            ("ageing-s", number) => self.ageing_s = number.parse().ok()?,
            ("mesh-us", number) => self.mesh_us = number.parse().ok()?,
            ("forged", number) => self.forged = number.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

fn parse_action(words: &[&str]) -> Option<Action> {
    let node = |name: &str| NODES.iter().position(|n| *n == name);
    Some(match words {
        ["open", from, protocol, key, request, response, ending] => Action::Open(Open {
            from: parse_interface(from)?,
            protocol: one_of(&[Protocol::Tcp4, Protocol::Tcp6, Protocol::Udp4, Protocol::Udp6], protocol)?,
            key: key.parse().ok()?,
            request: request.parse().ok()?,
            response: response.parse().ok()?,
            ending: one_of(&[Ending::Close, Ending::Reset, Ending::Idle, Ending::Slow], ending)?,
        }),
        ["cut", name, "--interface", interface, way @ ..] => {
            Action::CutInterface { node: node(name)?, interface: parse_interface(interface)?, way: parse_way(way)? }
        }
        ["cut", from, to, way @ ..] => Action::CutMesh { from: node(from)?, to: node(to)?, way: parse_way(way)? },
        ["break", from, to] => Action::Break { from: node(from)?, to: node(to)? },
        ["stall", from, to, ms] => Action::Stall { from: node(from)?, to: node(to)?, ms: ms.parse().ok()? },
        ["unplug", name, "--interface", interface] => {
            Action::Unplug { node: node(name)?, interface: parse_interface(interface)? }
        }
        ["kill", name] => Action::Kill(node(name)?),
        ["power-off", name] => Action::PowerOff(node(name)?),
        ["stop", name] => Action::Stop(node(name)?),
        ["continue", name] => Action::Continue(node(name)?),
        ["start", name] => Action::Start(node(name)?),
        ["drain", name] => Action::Drain(node(name)?),
        ["undrain", name] => Action::Undrain(node(name)?),
        ["impair", interface, loss, duplicate, reorder, delay] => Action::Impair {
            interface: parse_interface(interface)?,
            impairment: Impairment {
                loss: loss.parse().ok()?,
                duplicate: duplicate.parse().ok()?,
                reorder: reorder.parse().ok()?,
                delay_us: delay.parse().ok()?,
            },
        },
        ["hostile", interface, what @ ..] => {
            Action::Hostile { interface: parse_interface(interface)?, what: parse_hostility(what)? }
        }
        ["unknown", from, to] => Action::Unknown { from: node(from)?, to: node(to)? },
        ["heal"] => Action::Heal,
        _ => return None,
    })
}

fn parse_hostility(words: &[&str]) -> Option<Hostility> {
    let node = |name: &str| NODES.iter().position(|n| *n == name);
    Some(match words {
        ["garbage"] => Hostility::Garbage,
        ["spoof", name] => Hostility::Spoof(node(name)?),
        ["direct", name] => Hostility::Direct(node(name)?),
        ["midstream"] => Hostility::Midstream,
        ["reset", key] => Hostility::Reset(key.parse().ok()?),
        ["both-open", key] => Hostility::BothOpen(key.parse().ok()?),
        ["quote"] => Hostility::Quote,
        ["flood"] => Hostility::Flood,
        _ => return None,
    })
}

fn parse_interface(name: &str) -> Option<Interface> {
    Interface::BOTH.into_iter().find(|interface| interface.as_str() == name)
}

fn parse_way(words: &[&str]) -> Option<Way> {
    match words {
        [] => Some(Way::Both),
        ["one-way-in"] => Some(Way::In),
        ["one-way"] => Some(Way::Out),
        _ => None,
    }
}

fn one_of<T: Copy + fmt::Debug>(among: &[T], name: &str) -> Option<T> {
    among.iter().copied().find(|value| lower(value) == name)
}
