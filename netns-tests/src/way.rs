//! The way of a stream through the cluster, followed from captures: who had which packet, and who sent it on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Mac, PerInterface};
use herald_core::mesh::Message;
use herald_core::packet::OFFLOAD_HEADER_LEN;
use serde_json::Value;

use crate::capture::{Capture, CapturedFrame, FRAME_LEN_KEPT};
use crate::lab::Lab;
use crate::mesh_talk::{Said, overheard};
use crate::sighting::{Sighting, sightings};

/// A stream that did not take the claimed way.
#[derive(Debug, thiserror::Error)]
#[error("{stream}: {what}")]
pub struct Astray {
    /// Whose way.
    pub stream: String,
    /// What is wrong with it.
    pub what: String,
}

/// Captures at all three bridges of a lab, and what is needed to read them.
#[derive(Debug)]
pub struct Watch {
    captures: PerInterface<Capture>,
    mesh: Capture,
    /// Where the nodes write down the secrets of their links.
    key_logs: Vec<PathBuf>,
    /// Each node's own MACs.
    macs: BTreeMap<String, PerInterface<Mac>>,
    holders: PerInterface<String>,
}

/// What a [`Watch`] has seen so far.
#[derive(Debug)]
pub struct Seen {
    packets: PerInterface<BTreeMap<FlowKey, Vec<Sighting>>>,
    said: Vec<Said>,
    macs: BTreeMap<String, PerInterface<Mac>>,
    holders: PerInterface<String>,
}

/// The claimed way, as a stream took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The node that all packets passed.
    pub chosen: String,
    /// Wire packets from the opener.
    pub from_opener: u64,
    /// Wire packets to the opener.
    pub to_opener: u64,
    /// When the first packet came to the cluster, in nanoseconds since 1970.
    pub arrived_nanos: u64,
    /// When the chosen node sent it on.
    pub left_nanos: u64,
}

/// One direction of a stream, told apart by who sent the frames.
struct Passage<'a> {
    /// From the host, at the interface of arrival.
    arrived: Vec<&'a Sighting>,
    /// From a node, at the same interface.
    redirected: Vec<&'a Sighting>,
    /// At the other interface.
    left: Vec<&'a Sighting>,
}

impl Watch {
    /// Starts to watch.
    ///
    /// # Panics
    ///
    /// When tcpdump or a node does not do its part.
    #[must_use]
    #[track_caller]
    pub fn start(lab: &Lab) -> Self {
        let roles = lab.json("a", &["roles"]);
        let holder = |interface: Interface| field(&roles, &[interface.as_str(), "holder"]);
        let status = lab.status();
        let nodes = || status.get("nodes").and_then(Value::as_array).into_iter().flatten();
        let macs = nodes().map(|node| {
            let node = field(node, &["node"]);
            let status = lab.json(&node, &["status"]);
            let mac = |i: Interface| field(&status, &["interfaces", i.as_str(), "mac"]);
            (node, PerInterface::from_fn(|i| mac(i).parse().unwrap_or_else(|e| panic!("{e} in {status}"))))
        });
        Self {
            macs: macs.collect(),
            holders: PerInterface::from_fn(holder),
            captures: PerInterface::from_fn(|i| lab.capture(i.as_str())),
            mesh: lab.capture("mesh"),
            key_logs: nodes().map(|node| PathBuf::from(field(node, &["log"])).with_file_name("key-log")).collect(),
        }
    }

    /// Everything until now.
    ///
    /// # Panics
    ///
    /// When a capture lost frames.
    #[must_use]
    #[track_caller]
    pub fn seen(&mut self) -> Seen {
        let frames = [self.captures.first.frames(), self.captures.second.frames(), self.mesh.frames()];
        Seen::new(&frames, &self.key_logs, self.macs.clone(), self.holders.clone())
    }
}

/// A text in a JSON object.
#[track_caller]
fn field(value: &Value, path: &[&str]) -> String {
    let found = path.iter().try_fold(value, |value, key| value.get(key)).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {} in {value}", path.join("."))).to_owned()
}

/// The virtual MAC of the lab's cluster (RFC 9568, section 7.3, with 1 and 2 as VRIDs).
fn virtual_mac(flow: &FlowKey) -> Mac {
    let family = if flow.source().is_ipv4() { 1 } else { 2 };
    let vrid = match flow.interface() {
        Interface::First => 1,
        Interface::Second => 2,
    };
    Mac([0, 0, 0x5e, 0, family, vrid])
}

/// The packets that were redirected over the mesh, as sightings of frames with the MACs that `redirect = "ethernet"` gives
/// them.
fn redirected(interface: Interface, said: &[Said], macs: &BTreeMap<String, PerInterface<Mac>>) -> Vec<Sighting> {
    let sighting = |said: &Said| {
        let Message::Redirect(redirect) = &said.message else { return None };
        let frame = redirect.wire.get(OFFLOAD_HEADER_LEN..).filter(|_| redirect.interface == interface)?;
        let mut bytes = frame.get(..frame.len().min(FRAME_LEN_KEPT))?.to_vec();
        bytes.get_mut(..6)?.copy_from_slice(&macs.get(&said.to)?[interface].0);
        bytes.get_mut(6..12)?.copy_from_slice(&macs.get(&said.from)?[interface].0);
        sightings(interface, &[CapturedFrame { at_nanos: said.at_nanos, len: frame.len(), bytes }]).pop()
    };
    said.iter().filter_map(sighting).collect()
}

impl Seen {
    fn new(
        [first, second, mesh]: &[Vec<CapturedFrame>; 3],
        key_logs: &[PathBuf],
        macs: BTreeMap<String, PerInterface<Mac>>,
        holders: PerInterface<String>,
    ) -> Self {
        let said = overheard(mesh, key_logs);
        let packets = PerInterface::from_fn(|interface| {
            let frames = match interface {
                Interface::First => first,
                Interface::Second => second,
            };
            let mut flows: BTreeMap<FlowKey, Vec<Sighting>> = BTreeMap::new();
            for sighting in sightings(interface, frames).into_iter().chain(redirected(interface, &said, &macs)) {
                flows.entry(sighting.flow).or_default().push(sighting);
            }
            flows
        });
        Self { packets, said, macs, holders }
    }

    /// The node with this MAC.
    fn node(&self, interface: Interface, mac: Mac) -> Option<&str> {
        self.macs.iter().find(|(_, macs)| macs[interface] == mac).map(|(node, _)| node.as_str())
    }

    fn passage(&self, flow: &FlowKey) -> Passage<'_> {
        let (here, there) = (flow.interface(), flow.interface().other());
        let moved = flow.reversed(here).reversed(there);
        let at = |interface: Interface, flow: &FlowKey| self.packets[interface].get(flow).into_iter().flatten();
        let (redirected, arrived) = at(here, flow).partition(|s| self.node(here, s.frame_source).is_some());
        Passage { arrived, redirected, left: at(there, &moved).collect() }
    }

    /// The nodes that packets of this direction were steered to, or that sent them on.
    #[must_use]
    pub fn nodes(&self, flow: &FlowKey) -> BTreeSet<String> {
        let (here, there) = (flow.interface(), flow.interface().other());
        let passage = self.passage(flow);
        let steered = passage.redirected.iter().map(|s| self.node(here, s.frame_destination));
        let sent = passage.left.iter().map(|s| self.node(there, s.frame_source));
        steered.chain(sent).map(|node| node.unwrap_or("nobody").to_owned()).collect()
    }

    /// Wire packets of this direction that nodes sent on.
    #[must_use]
    pub fn sent_on(&self, flow: &FlowKey) -> u64 {
        self.passage(flow).left.iter().map(|s| s.wire_packets).sum()
    }

    /// Follows a stream that is over, and checks every packet of it by `cluster.md`: it came to the virtual MAC, the holder
    /// sent it by MAC to the chosen node (unless that is itself), and the chosen node sent it on by its own MAC with
    /// the hop limit less by one, in both directions. And that the other redirector had acknowledged the stream's
    /// announcement before the first packet left.
    ///
    /// # Errors
    ///
    /// What was otherwise.
    pub fn follow(&self, opener: &FlowKey) -> Result<Way, Astray> {
        let astray = |what: String| Astray { stream: format!("{opener:?}"), what };
        let back = opener.reversed(opener.interface().other());
        let nodes: Vec<String> = self.nodes(opener).union(&self.nodes(&back)).cloned().collect();
        let [chosen] = nodes.as_slice() else {
            return Err(astray(format!("its packets passed {nodes:?}, not one node")));
        };
        let mut counts = [0; 2];
        for (flow, count) in [*opener, back].iter().zip(&mut counts) {
            *count = self.check_passage(chosen, flow).map_err(|what| astray(format!("{flow:?}: {what}")))?;
        }
        let passage = self.passage(opener);
        let (Some(arrived), Some(left)) = (passage.arrived.first(), passage.left.first()) else {
            return Err(astray("nothing arrived, or nothing left".into()));
        };
        if !arrived.opens() {
            return Err(astray("the first packet does not open a stream".into()));
        }
        self.check_announcement(chosen, &back, left.at_nanos).map_err(astray)?;
        let [from_opener, to_opener] = counts;
        let (arrived_nanos, left_nanos) = (arrived.at_nanos, left.at_nanos);
        Ok(Way { chosen: chosen.clone(), from_opener, to_opener, arrived_nanos, left_nanos })
    }

    /// Checks one direction; returns its wire packets.
    fn check_passage(&self, chosen: &str, flow: &FlowKey) -> Result<u64, String> {
        let (here, there) = (flow.interface(), flow.interface().other());
        let Passage { arrived, redirected, left } = self.passage(flow);
        let holder = &self.holders[here];
        let first = arrived.first().ok_or("no packet arrived")?;
        let host = first.frame_source;
        let of = |node: &str, interface: Interface| self.macs.get(node).map(|macs| macs[interface]);
        let unlike = |seen: &[&Sighting], from: Option<Mac>, to: Option<Mac>| {
            let to_host = |s: &Sighting| {
                to.map_or(self.node(there, s.frame_destination).is_none(), |to| s.frame_destination == to)
            };
            seen.iter().find(|s| Some(s.frame_source) != from || !to_host(s)).map(|s| (*s).clone())
        };
        if let Some(odd) = unlike(&arrived, Some(host), Some(virtual_mac(flow))) {
            return Err(format!("not from {host} to the virtual MAC: {odd:?}"));
        }
        if let Some(odd) = unlike(&redirected, of(holder, here), of(chosen, here)) {
            return Err(format!("not redirected by {holder} to {chosen}: {odd:?}"));
        }
        if let Some(odd) = unlike(&left, of(chosen, there), None) {
            return Err(format!("not sent to a host by {chosen}: {odd:?}"));
        }
        let expected = if holder == chosen { Vec::new() } else { contents(&arrived, 0) };
        if contents(&redirected, 0) != expected {
            return Err(format!("{} packets arrived, {} were redirected", arrived.len(), redirected.len()));
        }
        if contents(&left, 0) != contents(&arrived, 1) {
            return Err(format!("what left is not what arrived: {arrived:?}\nleft: {left:?}"));
        }
        Ok(arrived.iter().map(|s| s.wire_packets).sum())
    }

    /// Checks that the holder of the return packets' redirector acknowledged the stream before its first packet left.
    ///
    /// Both times are the kernel's, taken when the frames came to their bridges: the acknowledgement's before the chosen
    /// node could read it, the packet's while the chosen node wrote it to its TAP. So, by one clock, the order is that
    /// of cause and effect; the nodes' own word is not needed. (Their events have the time at which the loop's turn
    /// began, which is before either.)
    fn check_announcement(&self, chosen: &str, back: &FlowKey, left_nanos: u64) -> Result<(), String> {
        let holder = &self.holders[back.interface()];
        if holder == chosen {
            return Ok(());
        }
        let said = |from: &str, to: &str, is_it: fn(&Message, &FlowKey) -> bool| {
            let mut all = self.said.iter().filter(|s| s.from == from && s.to == to);
            all.find(|s| is_it(&s.message, back)).map(|s| s.at_nanos)
        };
        let announced = said(chosen, holder, |m, back| matches!(m, Message::Announce(a) if a.return_key == *back));
        let acknowledged =
            said(holder, chosen, |m, back| matches!(m, Message::Acknowledge(a) if a.return_key == *back));
        match (announced, acknowledged) {
            (Some(announced), Some(acknowledged)) if announced < acknowledged && acknowledged < left_nanos => Ok(()),
            (announced, acknowledged) => Err(format!(
                "{chosen} announced to {holder} at {announced:?}, which acknowledged at {acknowledged:?}; the first \
                 packet left at {left_nanos}"
            )),
        }
    }
}

/// What must stay the same on the way, in an order of its own; `hops` are taken off.
fn contents<'a>(seen: &[&'a Sighting], hops: u8) -> Vec<(u8, u64, &'a [u8])> {
    let content = |s: &&'a Sighting| (s.hop_limit.saturating_sub(hops), s.wire_packets, s.content.as_slice());
    let mut all: Vec<_> = seen.iter().map(content).collect();
    all.sort_unstable();
    all
}
