//! Scenarios as text, in both directions.

use std::fmt;
use std::str::FromStr;

use herald_core::id::Interface;
use herald_core::node::Redirecting;
use herald_core::redirector::choice::{Keying, Redirectors};
use herald_core::session::Midstream;
use herald_host::FaultPolicy;

use super::{
    Action, Choices, Ending, Expected, Failing, Failure, Hostility, Impairment, Lasts, NODES, Open, Place, Protocol,
    Scenario, Step, Way,
};

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.choices;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "set keying {}", if c.keying == Keying::Shared { "shared" } else { "per-interface" })?;
        let redirectors = if c.redirectors == Redirectors::Equal { "equal" } else { "last-resort" };
        writeln!(f, "set redirectors {redirectors}")?;
        let redirecting = if c.redirecting == Redirecting::Mesh { "mesh" } else { "ethernet" };
        let midstream = match c.midstream {
            Midstream::Drop => "drop",
            Midstream::Reset => "reset",
            Midstream::PickUp => "pick-up",
        };
        writeln!(f, "set redirecting {redirecting}\nset midstream {midstream}")?;
        writeln!(f, "set hold-ms {}\nset hold-frames {}", c.hold_ms, c.hold_frames)?;
        let preempt = c.preempt_ms.map_or_else(|| "never".to_owned(), |ms| ms.to_string());
        writeln!(f, "set preempt-ms {preempt}")?;
        writeln!(f, "set ageing-s {}\nset mesh-us {}\nset forged {}", c.ageing_s, c.mesh_us, c.forged)?;
        writeln!(f, "set buckets {}\nset sessions {}", c.buckets, c.sessions)?;
        writeln!(f, "set opinions {}\nset fault {}", c.opinions, lower(&c.fault))?;
        let [a, b, c] = c.drift;
        writeln!(f, "set drift {a} {b} {c}")?;
        for step in &self.steps {
            let lasts = if step.lasts == Lasts::ForEver { " for ever" } else { "" };
            writeln!(f, "at {}ms {}{lasts}", step.at_ms, step.action)?;
        }
        self.expected.iter().try_for_each(|expected| writeln!(f, "{expected}"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = match self {
            Self::Holders { interface, nodes } => {
                write!(f, "expect holders {interface}")?;
                nodes
            }
            Self::Owners { key, nodes } => {
                write!(f, "expect owners {key}")?;
                nodes
            }
        };
        nodes.iter().try_for_each(|node| write!(f, " {}", name(node)))
    }
}

fn name(place: &Place) -> &'static str {
    NODES.get(*place).copied().unwrap_or_default()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            Self::CutFrames { from, to, ms } => write!(f, "cut-frames {} {} {ms}", name(from), name(to)),
            Self::CutLarger { from, to, than, way } => {
                write!(f, "cut {} {} --larger-than {than}{}", name(from), name(to), way_text(*way))
            }
            Self::CutMulticast { node, interface, way } => {
                write!(f, "cut {} --interface {interface} --multicast{}", name(node), way_text(*way))
            }
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
                write!(f, "impair {interface} --loss {}% --duplicate {}%", i.loss, i.duplicate)?;
                write!(f, " --reorder {}% --delay {}us", i.reorder, i.delay_us)
            }
            Self::ImpairMesh { from, to, delay_us, loss } => {
                write!(f, "impair {} {} --delay {delay_us}us --loss {loss}%", name(from), name(to))
            }
            Self::Hostile { interface, what } => write!(f, "hostile {interface} {what}"),
            Self::Unknown { from, to } => write!(f, "unknown {} {}", name(from), name(to)),
            Self::Fail { node, failing: Failing { seat, failure, percent } } => {
                write!(f, "fail {} {seat} {} {percent}%", name(node), lower(failure))
            }
            Self::Heal => write!(f, "heal"),
        }
    }
}

impl fmt::Display for Hostility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage => write!(f, "garbage"),
            Self::Spoof(node) => write!(f, "spoof {}", name(node)),
            Self::Direct(node) => write!(f, "direct {}", name(node)),
            Self::Redirect(node) => write!(f, "redirect {}", name(node)),
            Self::Midstream => write!(f, "midstream"),
            Self::Syn(key) => write!(f, "syn {key}"),
            Self::Reset(key) => write!(f, "reset {key}"),
            Self::BothOpen(key) => write!(f, "both-open {key}"),
            Self::Quote => write!(f, "quote"),
            Self::Flood => write!(f, "flood"),
            Self::Scan => write!(f, "scan"),
            Self::Life(node) => write!(f, "life {}", name(node)),
            Self::Advert(node) => write!(f, "advert {}", name(node)),
        }
    }
}

fn lower(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn way_text(way: Way) -> &'static str {
    match way {
        Way::Both => "",
        Way::In => " --one-way=in",
        Way::Out => " --one-way",
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut scenario = Self { seed: 0, choices: Choices::default(), steps: Vec::new(), expected: Vec::new() };
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        for statement in lines.flat_map(|line| line.split(';')).map(str::trim).filter(|said| !said.is_empty()) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            scenario.take(&words).ok_or_else(|| format!("not understood: {statement}"))?;
        }
        scenario.steps.sort_by_key(|step| step.at_ms);
        Ok(scenario)
    }
}

impl Scenario {
    fn take(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["seed", seed] => self.seed = seed.parse().ok()?,
            ["set", "drift", a, b, c] => self.choices.drift = [a.parse().ok()?, b.parse().ok()?, c.parse().ok()?],
            ["set", what, value] => self.choices.set(what, value)?,
            ["at", at, action @ .., "for", "ever"] => {
                let lasts = Lasts::ForEver;
                self.steps.push(Step { lasts, ..Step::new(parse_micros(at)? / 1_000, parse_action(action)?) });
            }
            ["at", at, action @ ..] => self.steps.push(Step::new(parse_micros(at)? / 1_000, parse_action(action)?)),
            ["expect", "holders", interface, nodes @ ..] => {
                let (interface, nodes) = (parse_interface(interface)?, parse_nodes(nodes)?);
                self.expected.push(Expected::Holders { interface, nodes });
            }
            ["expect", "owners", key, nodes @ ..] => {
                self.expected.push(Expected::Owners { key: key.parse().ok()?, nodes: parse_nodes(nodes)? });
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
            ("midstream", "reset") => self.midstream = Midstream::Reset,
            ("midstream", "pick-up") => self.midstream = Midstream::PickUp,
            ("hold-ms", number) => self.hold_ms = number.parse().ok()?,
            ("hold-frames", number) => self.hold_frames = number.parse().ok()?,
            ("preempt-ms", "never") => self.preempt_ms = None,
            ("preempt-ms", number) => self.preempt_ms = Some(number.parse().ok()?),
            ("ageing-s", number) => self.ageing_s = number.parse().ok()?,
            ("mesh-us", number) => self.mesh_us = number.parse().ok()?,
            ("buckets", number) => self.buckets = number.parse().ok()?,
            ("forged", number) => self.forged = number.parse().ok()?,
            ("sessions", number) => self.sessions = number.parse().ok()?,
            ("opinions", number) => self.opinions = number.parse().ok()?,
            ("fault", policy) => self.fault = one_of(&[FaultPolicy::Open, FaultPolicy::Closed], policy)?,
            _ => return None,
        }
        Some(())
    }
}

const PROTOCOLS: &[Protocol] = &[
    Protocol::Tcp4,
    Protocol::Tcp6,
    Protocol::Udp4,
    Protocol::Udp6,
    Protocol::Icmp4,
    Protocol::Icmp6,
    Protocol::Other4,
    Protocol::Other6,
];

fn parse_node(name: &str) -> Option<Place> {
    NODES.iter().position(|node| *node == name)
}

fn parse_nodes(names: &[&str]) -> Option<Vec<Place>> {
    names.iter().map(|name| parse_node(name)).collect()
}

fn parse_action(words: &[&str]) -> Option<Action> {
    Some(match words {
        ["open", from, protocol, key, request, response, ending] => Action::Open(Open {
            from: parse_interface(from)?,
            protocol: one_of(PROTOCOLS, protocol)?,
            key: key.parse().ok()?,
            request: request.parse().ok()?,
            response: response.parse().ok()?,
            ending: one_of(&[Ending::Close, Ending::Reset, Ending::Idle, Ending::Slow], ending)?,
        }),
        ["cut", name, "--interface", interface, "--multicast", way @ ..] => Action::CutMulticast {
            node: parse_node(name)?,
            interface: parse_interface(interface)?,
            way: parse_way(way)?,
        },
        ["cut", from, to, "--larger-than", than, way @ ..] => Action::CutLarger {
            from: parse_node(from)?,
            to: parse_node(to)?,
            than: than.parse().ok()?,
            way: parse_way(way)?,
        },
        ["cut", name, "--interface", interface, way @ ..] => Action::CutInterface {
            node: parse_node(name)?,
            interface: parse_interface(interface)?,
            way: parse_way(way)?,
        },
        ["cut", from, to, way @ ..] => {
            Action::CutMesh { from: parse_node(from)?, to: parse_node(to)?, way: parse_way(way)? }
        }
        ["break", from, to] => Action::Break { from: parse_node(from)?, to: parse_node(to)? },
        ["stall", from, to, ms] => Action::Stall { from: parse_node(from)?, to: parse_node(to)?, ms: ms.parse().ok()? },
        ["cut-frames", from, to, ms] => {
            Action::CutFrames { from: parse_node(from)?, to: parse_node(to)?, ms: ms.parse().ok()? }
        }
        ["unplug", name, "--interface", interface] => {
            Action::Unplug { node: parse_node(name)?, interface: parse_interface(interface)? }
        }
        ["kill", name] => Action::Kill(parse_node(name)?),
        ["power-off", name] => Action::PowerOff(parse_node(name)?),
        ["stop", name] => Action::Stop(parse_node(name)?),
        ["continue", name] => Action::Continue(parse_node(name)?),
        ["start", name] => Action::Start(parse_node(name)?),
        ["drain", name] => Action::Drain(parse_node(name)?),
        ["undrain", name] => Action::Undrain(parse_node(name)?),
        ["impair", from, to, options @ ..] if parse_node(from).is_some() => {
            let Impairment { loss, duplicate: 0, reorder: 0, delay_us } = parse_impairment(options)? else {
                return None;
            };
            Action::ImpairMesh { from: parse_node(from)?, to: parse_node(to)?, delay_us, loss }
        }
        ["impair", interface, options @ ..] => {
            Action::Impair { interface: parse_interface(interface)?, impairment: parse_impairment(options)? }
        }
        ["hostile", interface, what @ ..] => {
            Action::Hostile { interface: parse_interface(interface)?, what: parse_hostility(what)? }
        }
        ["unknown", from, to] => Action::Unknown { from: parse_node(from)?, to: parse_node(to)? },
        ["fail", node, seat, failure, share] => Action::Fail {
            node: parse_node(node)?,
            failing: Failing {
                seat: seat.parse().ok()?,
                failure: one_of(&[Failure::Start, Failure::Packet, Failure::End, Failure::Answer], failure)?,
                percent: parse_percent(share)?,
            },
        },
        ["heal"] => Action::Heal,
        _ => return None,
    })
}

fn parse_hostility(words: &[&str]) -> Option<Hostility> {
    Some(match words {
        ["garbage"] => Hostility::Garbage,
        ["spoof", name] => Hostility::Spoof(parse_node(name)?),
        ["direct", name] => Hostility::Direct(parse_node(name)?),
        ["redirect", name] => Hostility::Redirect(parse_node(name)?),
        ["midstream"] => Hostility::Midstream,
        ["reset", key] => Hostility::Reset(key.parse().ok()?),
        ["syn", key] => Hostility::Syn(key.parse().ok()?),
        ["both-open", key] => Hostility::BothOpen(key.parse().ok()?),
        ["quote"] => Hostility::Quote,
        ["flood"] => Hostility::Flood,
        ["scan"] => Hostility::Scan,
        ["life", name] => Hostility::Life(parse_node(name)?),
        ["advert", name] => Hostility::Advert(parse_node(name)?),
        _ => return None,
    })
}

fn parse_impairment(options: &[&str]) -> Option<Impairment> {
    let mut impairment = Impairment::default();
    for option in options.chunks(2) {
        match option {
            ["--loss", share] => impairment.loss = parse_percent(share)?,
            ["--duplicate", share] => impairment.duplicate = parse_percent(share)?,
            ["--reorder", share] => impairment.reorder = parse_percent(share)?,
            ["--delay", time] => impairment.delay_us = parse_micros(time)?,
            _ => return None,
        }
    }
    Some(impairment)
}

fn parse_percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.parse().ok()
}

/// A whole number of seconds, milliseconds or microseconds, in microseconds.
fn parse_micros(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let micros = match unit {
        "s" => 1_000_000,
        "ms" => 1_000,
        "us" => 1,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(micros)
}

fn parse_interface(name: &str) -> Option<Interface> {
    Interface::BOTH.into_iter().find(|interface| interface.as_str() == name)
}

fn parse_way(words: &[&str]) -> Option<Way> {
    match words {
        [] => Some(Way::Both),
        ["--one-way=in"] => Some(Way::In),
        ["--one-way" | "--one-way=out"] => Some(Way::Out),
        _ => None,
    }
}

fn one_of<T: Copy + fmt::Debug>(among: &[T], name: &str) -> Option<T> {
    among.iter().copied().find(|value| lower(value) == name)
}
