//! What was recorded of a run, joined from all who saw something of it. All times are of one clock: nanoseconds since 1970.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use etherparse::EtherType;
use herald::io::clock;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Mac, PerInterface};
use herald_core::mesh::Message;
use herald_core::mesh::codec::decode_message;
use herald_core::packet::{ETHERNET_LEN, Frame};
use serde::Deserialize;

use super::conversations::Talk;
use super::part::{Part, name, number, place};
use super::ports::{Crossed, Ports};
use crate::books::Books;
use crate::capture::CapturedFrame;
use crate::lab::{Lab, binary};
use crate::mesh_talk::overheard;
use crate::scenario::{Action, Expected, NODES, Place};
use crate::sighting::{Sighting, direction, sightings};

/// A packet at a node: at its port, or in its chain. Its flow has the interface where that was.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) node: Place,
    pub(super) packet: Sighting,
}

/// A frame that went from node to node in a message.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) to: Place,
    /// Redirected; otherwise handed over.
    pub(super) redirected: bool,
    pub(super) packet: Sighting,
}

/// A message as it came to the node that it was for; what took a detour, at its end.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at_nanos: u64,
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) message: Message,
}

/// An event that a node told. Its time is that of the beginning of the node's turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) node: Place,
    pub(super) at_nanos: u64,
    /// As in `herald events`.
    pub(super) event: String,
    /// The other party.
    pub(super) about: Option<Place>,
    pub(super) interface: Option<Interface>,
    /// The flow, as it is displayed.
    pub(super) flow: String,
    /// Of an epoch or a generation.
    pub(super) counter: u64,
}

/// Something that the scenario did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub(super) at_nanos: u64,
    pub(super) action: Action,
}

/// The whole run.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Packets that came to nodes, whoever sent them.
    pub(super) delivered: Vec<Seen>,
    /// Packets that nodes sent.
    pub(super) sent: Vec<Seen>,
    /// Packets that chains saw.
    pub(super) inspected: Vec<Seen>,
    pub(super) carried: Vec<Carried>,
    /// Packets that nodes handed to the holder of their interface, which redirects them once more.
    pub(super) astray: Vec<Seen>,
    pub(super) heard: Vec<Heard>,
    pub(super) told: Vec<Told>,
    pub(super) acts: Vec<Act>,
    pub(super) talks: Vec<Talk>,
    /// Each node's own MACs.
    pub(super) macs: Vec<PerInterface<Mac>>,
    /// The books of the nodes that ran at the end.
    pub(super) books: Vec<(Place, Books)>,
    pub(super) drops: BTreeMap<String, u64>,
    /// What the scenario expects of it.
    pub(super) expected: Vec<Expected>,
}

impl Record {
    #[track_caller]
    pub(super) fn of(lab: &Lab, ports: Ports, part: Part, talks: Vec<Talk>) -> Self {
        let (macs, folders) = (ports.macs.clone(), ports.folders.clone());
        let books = part.running().map(|node| (node, lab.books(name(node)))).collect();
        let Part { acts, told, drops, .. } = part;
        let mut record = Self { told, acts, talks, macs, books, drops, ..Self::default() };
        let mut mesh = Vec::new();
        for (node, crossed) in ports.crossed().into_iter().enumerate() {
            record.take_frames(node, &crossed);
            let address = 11 + u8::try_from(node).unwrap_or_default();
            mesh.extend(crossed.mesh.into_iter().filter(|frame| is_for(frame, address)));
            record.inspected.extend(inspected(node, folders.get(node).map_or(Path::new(""), |f| f)));
        }
        mesh.sort_by_key(|frame| frame.at_nanos);
        let logs: Vec<_> = folders.iter().map(|folder| folder.join("key-log")).collect();
        for said in overheard(&mesh, &logs) {
            let (Some(from), Some(to)) = (place(&said.from), place(&said.to)) else { continue };
            record.take_message(Heard { at_nanos: said.at_nanos, from, to, message: said.message });
        }
        record.sort();
        record
    }

    fn take_frames(&mut self, node: Place, crossed: &Crossed) {
        for interface in Interface::BOTH {
            let own = self.macs.get(node).map(|macs| macs[interface]);
            for packet in sightings(interface, &crossed.data[interface]) {
                let is_own = Some(packet.frame_source) == own;
                let seen = Seen { node, packet };
                if is_own { self.sent.push(seen) } else { self.delivered.push(seen) }
            }
        }
    }

    fn take_message(&mut self, heard: Heard) {
        let (at_nanos, to) = (heard.at_nanos, heard.to);
        if let Message::Redirect(redirect) = &heard.message {
            let packets = packets_of(at_nanos, redirect.interface, &redirect.wire).into_iter();
            self.carried.extend(packets.map(|packet| Carried { to, redirected: true, packet }));
        } else if let Message::Handover(handover) = &heard.message {
            let packets = packets_of(at_nanos, handover.interface, &handover.wire).into_iter();
            self.carried.extend(packets.map(|packet| Carried { to, redirected: false, packet }));
        } else if let Message::Astray(astray) = &heard.message {
            let packets = packets_of(at_nanos, astray.interface, &astray.wire).into_iter();
            self.astray.extend(packets.map(|packet| Seen { node: to, packet }));
        } else if let Message::Relay(relay) = &heard.message {
            let is_its_end = place(relay.target.as_str()) == Some(to);
            let said = place(relay.source.as_str()).zip(decode_message(&relay.bytes)).filter(|_| is_its_end);
            if let Some((from, message)) = said {
                self.take_message(Heard { from, message, ..heard });
            }
        } else {
            self.heard.push(heard);
        }
    }

    fn sort(&mut self) {
        for seen in [&mut self.delivered, &mut self.sent, &mut self.inspected] {
            seen.sort_by_key(|seen| seen.packet.at_nanos);
        }
        self.heard.sort_by_key(|heard| heard.at_nanos);
        self.told.sort_by_key(|told| told.at_nanos);
    }

    /// The node with this MAC.
    pub(super) fn node(&self, interface: Interface, mac: Mac) -> Option<Place> {
        self.macs.iter().position(|macs| macs[interface] == mac)
    }

    /// True for what came to a node by its own address.
    pub(super) fn is_to_itself(&self, seen: &Seen) -> bool {
        self.node(seen.packet.flow.interface(), seen.packet.frame_destination) == Some(seen.node)
    }

    /// What a node sent to another node: redirected packets.
    pub(super) fn redirected(&self) -> impl Iterator<Item = (&Seen, Place)> {
        let to = |seen: &Seen| self.node(seen.packet.flow.interface(), seen.packet.frame_destination);
        self.sent.iter().filter_map(move |seen| Some((seen, to(seen)?)))
    }

    /// What a node sent to a host.
    pub(super) fn left(&self) -> impl Iterator<Item = &Seen> {
        let to = |seen: &Seen| self.node(seen.packet.flow.interface(), seen.packet.frame_destination);
        self.sent.iter().filter(move |seen| to(seen).is_none())
    }

    /// What came from a host.
    pub(super) fn arrived(&self) -> impl Iterator<Item = &Seen> {
        let from = |seen: &Seen| self.node(seen.packet.flow.interface(), seen.packet.frame_source);
        self.delivered.iter().filter(move |seen| from(seen).is_none())
    }

    /// What the run was like, in a few lines: holders, owners, drops, messages.
    pub(super) fn account(&self) -> String {
        let mut text = String::new();
        for interface in Interface::BOTH {
            let holders: Vec<&str> = self.holders(interface).into_iter().map(name).collect();
            let _infallible = writeln!(text, "  {interface} redirector held by: {}", holders.join(", then "));
        }
        for talk in &self.talks {
            let owners: Vec<&str> = self.owners(&talk.flow).into_iter().map(name).collect();
            let how = match (&talk.failed, talk.answered) {
                (Some(why), _) => why.clone(),
                (None, Some((heard, of))) => format!("{heard} of {of} answered"),
                (None, None) => "well".to_owned(),
            };
            let _infallible = writeln!(text, "  {} by {}: {how}", talk.flow, owners.join(", then "));
        }
        let _infallible = writeln!(text, "  drops: {:?}", self.drops);
        let mut messages: BTreeMap<String, usize> = BTreeMap::new();
        for heard in &self.heard {
            let kind = format!("{:?}", heard.message);
            *messages.entry(kind.split(['(', ' ']).next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        for carried in &self.carried {
            let kind = if carried.redirected { "Redirect" } else { "Handover" };
            *messages.entry(kind.to_owned()).or_default() += 1;
        }
        let _infallible = writeln!(text, "  messages: {messages:?}");
        text
    }

    /// The holders of a redirector, in the order of their epochs.
    pub(super) fn holders(&self, interface: Interface) -> Vec<Place> {
        let changes = self.told.iter().filter(|told| told.event == "holder-changed");
        let changes = changes.filter(|told| told.interface == Some(interface));
        let epochs: BTreeSet<_> = changes.filter_map(|told| Some((told.counter, told.about?))).collect();
        epochs.into_iter().map(|(_, node)| node).collect()
    }

    /// The nodes whose chains saw a stream, in the order of their turns.
    pub(super) fn owners(&self, opener: &FlowKey) -> Vec<Place> {
        let [there, back] = [direction(opener), direction(&opener.reversed(opener.interface()))];
        let mut owners: Vec<Place> = self
            .inspected
            .iter()
            .filter(|seen| [there, back].contains(&direction(&seen.packet.flow)))
            .map(|seen| seen.node)
            .collect();
        owners.dedup();
        owners
    }
}

/// The packet of a frame that a message carries, if it is one of TCP or UDP.
fn packets_of(at_nanos: u64, interface: Interface, wire: &[u8]) -> Vec<Sighting> {
    let frame = Frame::from_wire(wire);
    let frame = frame.map(|f| CapturedFrame { at_nanos, len: f.bytes().len(), bytes: f.bytes().to_vec() });
    frame.map(|frame| sightings(interface, &[frame])).unwrap_or_default()
}

/// True for the MAC of a virtual router (RFC 9568, section 7.3).
pub(super) fn is_virtual(mac: Mac) -> bool {
    matches!(mac.0, [0, 0, 0x5e, 0, 1 | 2, _])
}

/// True for a packet to a node's mesh address: so the port delivers it, and does not bring it.
fn is_for(frame: &CapturedFrame, address: u8) -> bool {
    // The last byte of the destination in an IPv4 header (RFC 791, section 3.1).
    const DESTINATION_END: usize = ETHERNET_LEN + 19;
    frame.bytes.get(DESTINATION_END) == Some(&address)
}

/// The lines that a node's plugin has written.
#[track_caller]
fn inspected(node: Place, folder: &Path) -> Vec<Seen> {
    let text = fs::read_to_string(folder.join("flows.json.packets")).unwrap_or_default();
    let lines = text.lines().map(|line| packet_of(line).unwrap_or_else(|| panic!("this is no packet's line: {line}")));
    lines.flatten().map(|packet| Seen { node, packet }).collect()
}

#[derive(Deserialize)]
struct PacketLine {
    at_ns: u64,
    interface: Interface,
    len: usize,
    head: String,
}

/// The packet of a line; none inside if it is neither TCP nor UDP.
fn packet_of(line: &str) -> Option<Option<Sighting>> {
    let PacketLine { at_ns, interface, len, head } = serde_json::from_str(line).ok()?;
    let digits = |at: usize| u8::from_str_radix(head.get(at..at + 2)?, 16).ok();
    let head: Vec<u8> = (0..head.len()).step_by(2).map(digits).collect::<Option<_>>()?;
    let kind = if head.first()? >> 4 == 4 { EtherType::IPV4 } else { EtherType::IPV6 };
    let ethernet = [[0; ETHERNET_LEN - 2].as_slice(), &kind.0.to_be_bytes()].concat();
    let frame = CapturedFrame { at_nanos: at_ns, len: len + ETHERNET_LEN, bytes: [ethernet, head].concat() };
    Some(sightings(interface, &[frame]).pop())
}

/// What a node has told since it started.
#[track_caller]
pub(super) fn told(lab: &Lab, node: Place) -> Vec<Told> {
    let program = binary().display().to_string();
    let lines = lab.exec(name(node), &[program.as_str(), "events"]).ok();
    let since_1970 = clock::wall().saturating_sub(std::time::Duration::from_nanos(clock::now().as_nanos()));
    let offset = u64::try_from(since_1970.as_nanos()).unwrap_or_default();
    let events = lines.lines().filter_map(|line| told_of(line, node));
    events.map(|told| Told { at_nanos: told.at_nanos + offset, ..told }).collect()
}

fn told_of(line: &str, node: Place) -> Option<Told> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let interface = Interface::BOTH.into_iter().find(|interface| interface.as_str() == text("interface"));
    Some(Told {
        node,
        at_nanos: number(&value, "at_ns")?,
        event: text("event").to_owned(),
        about: NODES.iter().position(|node| *node == text("node")),
        interface,
        flow: [text("protocol"), text("source"), text("destination")].join(" "),
        counter: number(&value, "counter").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_plugin_is_the_packet_that_a_capture_shows() {
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 1, 0, 1], [10, 2, 0, 1], 63);
        let mut bytes = Vec::new();
        builder.udp(1000, 80).write(&mut bytes, &[9; 300]).unwrap();
        let head: String = bytes.iter().skip(ETHERNET_LEN).take(256).map(|byte| format!("{byte:02x}")).collect();
        let line = format!(
            r#"{{"event_type":"packet","at_ns":8,"flow_id":1,"interface":"first","wire_packets":1,"len":328,"head":"{head}"}}"#
        );
        let line = packet_of(&line).unwrap().unwrap();
        let frame = CapturedFrame { at_nanos: 5, len: bytes.len(), bytes };
        let [captured] = sightings(Interface::First, &[frame]).try_into().unwrap();
        assert_eq!((line.mark(), line.hop_limit, line.at_nanos), (captured.mark(), 63, 8));
        assert!(packet_of("{}").is_none());
    }
}
