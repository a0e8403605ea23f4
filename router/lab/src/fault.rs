//! What is broken in a lab: faults, each on one *lane*, which is one direction between two ends of a network.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::plan::Network;

/// The longest delay of an impaired lane: what is on its way is kept in memory.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// What one end of a network sends to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Where.
    pub network: Network,
    /// The node that sends; `None` is everybody.
    pub from: Option<String>,
    /// The node that is to have it; `None` is everybody.
    pub to: Option<String>,
}

/// What happens to the frames of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// All are lost.
    Cut,
    /// Those to a group address are lost, broadcasts included (IEEE 802.3, I/G bit).
    CutMulticast,
    /// Those that are larger on the wire are lost.
    CutLarger {
        /// Bytes of the largest Ethernet frame that passes, without checksum: the packet and 14.
        than: u16,
    },
    /// They come late, not at all, twice, or out of order.
    Impaired(Impairment),
}

/// How a lane is impaired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impairment {
    /// How late every frame comes, at least.
    pub delay: Delay,
    /// How many are lost.
    pub loss: Share,
    /// How many come twice.
    pub duplicate: Share,
    /// How many are kept until the next one has passed.
    pub reorder: Share,
    /// The same seed makes the same decisions for the same sequence of frames.
    pub seed: u64,
}

/// A share of all frames, written `1%` or `0.25%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share {
    /// Frames in a million.
    pub(crate) millionths: u32,
}

/// A time, written `50ms`, `2s` or `500us`; 10 s at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Delay(pub(crate) Duration);

/// A text that is no [`Share`] or [`Delay`].
#[derive(Debug, thiserror::Error)]
pub enum QuantityError {
    /// No share.
    #[error("{0:?} is no share: 0% to 100% are allowed, with at most four decimals, such as 1% or 0.25%")]
    Share(String),
    /// No delay.
    #[error("{0:?} is no delay: a whole number of us, ms or s up to 10s is expected, such as 50ms")]
    Delay(String),
}

impl FromStr for Share {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError::Share(text.to_owned());
        let (whole, decimals) = {
            let number = text.strip_suffix('%').ok_or_else(error)?;
            number.split_once('.').unwrap_or((number, "0"))
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
            return Err(error());
        }
        let millionths = format!("{whole}{decimals:0<4}").parse().map_err(|_| error())?;
        if millionths > 1_000_000 { Err(error()) } else { Ok(Self { millionths }) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.millionths / 10_000, self.millionths % 10_000);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Delay {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError::Delay(text.to_owned());
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at(unit_at);
        let number: u64 = number.parse().map_err(|_| error())?;
        let delay = match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            _ => return Err(error()),
        };
        if delay > DELAY_MAX { Err(error()) } else { Ok(Self(delay)) }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_micros() {
            micros if micros % 1_000_000 == 0 => write!(f, "{}s", micros / 1_000_000),
            micros if micros % 1_000 == 0 => write!(f, "{}ms", micros / 1_000),
            micros => write!(f, "{micros}us"),
        }
    }
}

impl TryFrom<String> for Share {
    type Error = QuantityError;
    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl TryFrom<String> for Delay {
    type Error = QuantityError;
    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<Delay> for String {
    fn from(delay: Delay) -> Self {
        delay.to_string()
    }
}

impl Impairment {
    /// Whether it does anything.
    fn is_nothing(&self) -> bool {
        Self { seed: 0, ..self.clone() } == Self::default()
    }
}

impl Fault {
    /// Refuses an impairment that does nothing.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        if matches!(self, Self::Impaired(impairment) if impairment.is_nothing()) {
            return Err(LabError::Usage(
                "nothing to impair: --delay, --loss, --duplicate or --reorder is needed; `herald lab heal` mends"
                    .into(),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("cut"),
            Self::CutMulticast => f.write_str("cut for multicast"),
            Self::CutLarger { than } => write!(f, "cut for frames of more than {than} bytes"),
            Self::Impaired(Impairment { delay, loss, duplicate, reorder, seed }) => {
                write!(f, "delay {delay}, loss {loss}, duplicate {duplicate}, reorder {reorder}, seed {seed}")
            }
        }
    }
}

/// Which of the two lanes between two ends is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// Both.
    Both,
    /// What the node that is named first sends.
    Out,
    /// What it is sent.
    In,
}

/// The ends that a command names: a node, and another one or everybody, on a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ends {
    /// The node.
    pub node: String,
    /// The other node; `None` is everybody.
    pub other: Option<String>,
    /// The network. To break something between two nodes it is the mesh where none is said; to heal, all are.
    pub network: Option<Network>,
}

impl Ends {
    /// The lanes between these ends.
    ///
    /// # Errors
    ///
    /// When the two are one, or the network is not clear.
    pub(crate) fn lanes(&self, ways: Ways) -> Result<Vec<Lane>, LabError> {
        self.check()?;
        let network = match (&self.other, self.network) {
            (_, Some(network)) => network,
            (Some(_), None) => Network::Mesh,
            (None, None) => {
                return Err(LabError::Usage(format!(
                    "which network of {}? --interface first, --interface second or --mesh is needed, or a second node",
                    self.node
                )));
            }
        };
        let out = Lane { network, from: Some(self.node.clone()), to: self.other.clone() };
        let back = Lane { network, from: self.other.clone(), to: Some(self.node.clone()) };
        Ok(match ways {
            Ways::Both => vec![out, back],
            Ways::Out => vec![out],
            Ways::In => vec![back],
        })
    }

    /// Refuses a node that is named twice.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        if self.other.as_ref() == Some(&self.node) {
            return Err(LabError::Usage(format!("{0} and {0} are one node: two are needed", self.node)));
        }
        Ok(())
    }

    /// Whether a lane names these nodes, on this network.
    fn cover(&self, lane: &Lane) -> bool {
        let named = |node: &String| lane.from.as_ref() == Some(node) || lane.to.as_ref() == Some(node);
        named(&self.node) && self.other.as_ref().is_none_or(named) && self.network.is_none_or(|n| n == lane.network)
    }
}

/// Where the port of a node on a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the network's bridge.
    Bridge,
    /// With the relay.
    Relay,
    /// Nowhere: nothing comes and nothing goes.
    Nowhere,
}

/// All faults of a lab, at most one on each lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Vec<(Lane, Fault)>);

impl Faults {
    /// These faults, and this one on some lanes, in place of what was there.
    pub(crate) fn with(&self, lanes: &[Lane], fault: &Fault) -> Result<Self, LabError> {
        fault.check()?;
        let mut faults = self.0.clone();
        faults.retain(|(lane, _)| !lanes.contains(lane));
        faults.extend(lanes.iter().map(|lane| (lane.clone(), fault.clone())));
        Ok(Self(faults))
    }

    /// These faults without those between some ends, or without all.
    pub(crate) fn without(&self, ends: Option<&Ends>) -> Result<Self, LabError> {
        let Some(ends) = ends else { return Ok(Self::default()) };
        ends.check()?;
        let mut faults = self.0.clone();
        faults.retain(|(lane, _)| !ends.cover(lane));
        if faults.len() == self.0.len() {
            let other = ends.other.as_ref().map(|other| format!(" and {other}")).unwrap_or_default();
            return Err(LabError::Configuration(format!(
                "nothing is broken at {}{other} there; `herald lab status` shows what is",
                ends.node
            )));
        }
        Ok(Self(faults))
    }

    /// The faults of a network.
    pub(crate) fn on(&self, network: Network) -> impl Iterator<Item = &(Lane, Fault)> {
        self.0.iter().filter(move |(lane, _)| lane.network == network)
    }

    /// Where a node's port belongs. A cable that is cut in both directions needs no relay.
    pub(crate) fn place(&self, network: Network, node: &str) -> Place {
        let named = |end: &Option<String>| end.as_deref() == Some(node);
        let mut of_node = self.on(network).filter(|(lane, _)| named(&lane.from) || named(&lane.to)).peekable();
        if of_node.peek().is_none() {
            return Place::Bridge;
        }
        let cuts: Vec<&Lane> = of_node.filter(|(_, fault)| *fault == Fault::Cut).map(|(lane, _)| lane).collect();
        let out = cuts.iter().any(|lane| named(&lane.from) && lane.to.is_none());
        let back = cuts.iter().any(|lane| named(&lane.to) && lane.from.is_none());
        if out && back { Place::Nowhere } else { Place::Relay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(node: &str, other: Option<&str>, network: Option<Network>) -> Ends {
        Ends { node: node.into(), other: other.map(str::to_owned), network }
    }

    fn cut(faults: &Faults, ends: &Ends, ways: Ways) -> Faults {
        faults.with(&ends.lanes(ways).unwrap(), &Fault::Cut).unwrap()
    }

    #[test]
    fn shares_and_delays_are_read_and_shown() {
        for (text, millionths) in
            [("0%", 0), ("1%", 10_000), ("0.25%", 2_500), ("100%", 1_000_000), ("99.9999%", 999_999)]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.millionths, share.to_string().as_str()), (millionths, text));
        }
        for bad in ["", "%", "1", "101%", "-1%", "1.%", ".5%", "1.00001%", "1 %", "1e1%", "99999999999%", "100.0001%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
        for (text, micros) in [("0s", 0), ("50ms", 50_000), ("10s", 10_000_000), ("1500us", 1_500)] {
            let delay: Delay = text.parse().unwrap();
            assert_eq!((delay.0.as_micros(), delay.to_string().as_str()), (micros, text));
        }
        for bad in ["", "5", "ms", "-1ms", "1.5s", "11s", "99999999999999999999s", "5 ms", "5m"] {
            assert!(bad.parse::<Delay>().is_err(), "{bad}");
        }
    }

    #[test]
    fn where_a_port_belongs() {
        let none = Faults::default();
        let interface = ends("a", None, Some(Network::First));
        let pair = ends("a", Some("b"), None);
        let both = cut(&none, &interface, Ways::Both);
        for (name, faults, expected) in [
            ("nothing", none.clone(), [Place::Bridge; 4]),
            ("whole interface", both.clone(), [Place::Nowhere, Place::Bridge, Place::Bridge, Place::Bridge]),
            ("one way", cut(&none, &interface, Ways::Out), [Place::Relay, Place::Bridge, Place::Bridge, Place::Bridge]),
            (
                "one way after the other",
                cut(&cut(&none, &interface, Ways::Out), &interface, Ways::In),
                [Place::Nowhere, Place::Bridge, Place::Bridge, Place::Bridge],
            ),
            (
                "whole interface for some frames",
                none.with(&interface.lanes(Ways::Both).unwrap(), &Fault::CutMulticast).unwrap(),
                [Place::Relay, Place::Bridge, Place::Bridge, Place::Bridge],
            ),
            ("pair", cut(&none, &pair, Ways::Both), [Place::Bridge, Place::Bridge, Place::Relay, Place::Relay]),
            ("all", cut(&both, &pair, Ways::In), [Place::Nowhere, Place::Bridge, Place::Relay, Place::Relay]),
        ] {
            let found = [(Network::First, "a"), (Network::First, "b"), (Network::Mesh, "a"), (Network::Mesh, "b")]
                .map(|(network, node)| faults.place(network, node));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn healing_takes_what_names_the_ends() {
        let faults = cut(&Faults::default(), &ends("a", Some("b"), None), Ways::Both);
        let faults = cut(&faults, &ends("a", None, Some(Network::First)), Ways::Both);
        let faults = cut(&faults, &ends("b", Some("c"), Some(Network::Second)), Ways::Out);
        for (healed, left) in [
            (ends("b", Some("a"), None), 3),
            (ends("a", None, Some(Network::First)), 3),
            (ends("a", None, None), 1),
            (ends("b", None, None), 2),
            (ends("c", Some("b"), Some(Network::Second)), 4),
        ] {
            assert_eq!(faults.without(Some(&healed)).unwrap().0.len(), left, "{healed:?}");
        }
        assert_eq!(faults.without(None).unwrap().0.len(), 0);
        for nothing in
            [ends("c", Some("a"), None), ends("a", Some("b"), Some(Network::First)), ends("a", Some("a"), None)]
        {
            assert!(faults.without(Some(&nothing)).is_err(), "{nothing:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(ends("a", Some("a"), None).lanes(Ways::Both).is_err());
        assert!(ends("a", None, None).lanes(Ways::Both).is_err());
        let seeded = Fault::Impaired(Impairment { seed: 7, ..Impairment::default() });
        assert!(Faults::default().with(&ends("a", Some("b"), None).lanes(Ways::Both).unwrap(), &seeded).is_err());
    }

    #[test]
    fn the_last_fault_of_a_lane_counts() {
        let lanes = ends("a", Some("b"), None).lanes(Ways::Both).unwrap();
        let late = Fault::Impaired(Impairment { delay: "5ms".parse().unwrap(), ..Impairment::default() });
        let faults = Faults::default().with(&lanes, &late).unwrap().with(&lanes, &Fault::Cut).unwrap();
        assert!(faults.0.len() == 2 && faults.0.iter().all(|(_, fault)| *fault == Fault::Cut));
    }
}
