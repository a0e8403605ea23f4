//! What commands show: plain data in the stable JSON shapes. Fields may be added, none renamed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use herald_core::event::{Event, Step};
use herald_core::flow::{FlowKey, protocol_name};
use herald_core::id::{Interface, Mac, NodeId, PerInterface};
use herald_core::session::{Kind, Row};
use herald_core::time::Instant;

/// `herald roles`: who holds each redirector; `null` while nobody does.
pub type Roles = PerInterface<Option<Role>>;

/// `herald drops`: how often each reason ended a frame.
pub type Drops = BTreeMap<&'static str, u64>;

/// A held role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Role {
    /// The holder.
    pub holder: NodeId,
    /// The counter of its epoch.
    pub epoch: u64,
}

/// One line of `herald members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberRow {
    /// The member.
    pub node: NodeId,
    /// `alive`, `suspect`, `cut` or `dead`.
    pub state: &'static str,
    /// `up` or `down`; a node's link to itself is always up.
    pub link: &'static str,
    /// It may be chosen and may hold a role.
    pub in_sync: bool,
    /// Its share of the streams.
    pub weight: u16,
}

/// One line of `herald sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionRow {
    /// `redirector` or `marker`.
    pub kind: &'static str,
    /// The redirector's interface, or where a marker session's stream opened.
    pub interface: Interface,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or the number.
    pub protocol: String,
    /// The opener's address and port.
    pub source: String,
    /// The other end's address and port.
    pub destination: String,
    /// The chosen node.
    pub chosen: NodeId,
    /// Counter of the generation.
    pub generation: u32,
    /// State of the stream, or standing of the redirector session.
    pub state: &'static str,
    /// Whom the rest of the stream still interests: `plugins`, `from-opener` or `to-opener` (plugins, of that direction
    /// alone) or `nobody`; `null` for a redirector session.
    pub interest: Option<&'static str>,
    /// Milliseconds since it started.
    pub age_ms: u64,
    /// Milliseconds since its last packet.
    pub idle_ms: u64,
    /// Wire packets.
    pub packets: u64,
    /// Ethernet bytes.
    pub bytes: u64,
}

impl SessionRow {
    /// The row as it is shown at `now`.
    #[must_use]
    pub fn at(now: Instant, row: &Row) -> Self {
        Self {
            kind: match row.kind {
                Kind::Redirector => "redirector",
                Kind::Marker => "marker",
            },
            interface: row.interface,
            protocol: protocol_name(row.opener.protocol()),
            source: row.opener.source().to_string(),
            destination: row.opener.destination().to_string(),
            chosen: row.chosen,
            generation: row.generation,
            state: row.state,
            interest: row.interest,
            age_ms: millis_between(row.started, now),
            idle_ms: millis_between(row.seen, now),
            packets: row.packets,
            bytes: row.bytes,
        }
    }
}

/// `herald who`: the chosen node of a stream, and what each redirector believes; `null`: it knows of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The chosen node.
    pub chosen: Option<NodeId>,
    /// As the first redirector believes.
    pub first: Option<NodeId>,
    /// As the second redirector believes.
    pub second: Option<NodeId>,
}

/// One line of `herald neighbours`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeighbourRow {
    /// Where it is.
    pub interface: Interface,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC, once known.
    pub mac: Option<Mac>,
    /// `incomplete`, `reachable`, `stale` or `probe`.
    pub state: &'static str,
    /// Frames that wait for it.
    pub frames: usize,
}

/// One line of `herald routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteRow {
    /// Destination network.
    pub to: String,
    /// The interface it is reached by.
    pub interface: Interface,
    /// The gateway; `null` for a connected network.
    pub via: Option<IpAddr>,
}

/// `herald status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: String,
    /// Herald's version.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// The interfaces.
    pub interfaces: PerInterface<InterfaceStatus>,
    /// As `herald roles`.
    pub roles: Roles,
    /// As `herald members`.
    pub members: Vec<MemberRow>,
    /// Sessions in the tables.
    pub sessions: SessionCounts,
    /// Frames since the start.
    pub frames: FrameCounts,
    /// As `herald drops`.
    pub drops: Drops,
    /// Connections of peers that were refused, by reason.
    pub refusals: Drops,
    /// Messages of members that were refused.
    pub messages: MessageCounts,
}

/// Messages of members that changed nothing, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageCounts {
    /// They named an old epoch, boot or generation, or one that is not there yet.
    pub stale: u64,
    /// Their sender may not speak for what they were about.
    pub unauthorised: u64,
}

/// One interface of `herald status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterfaceStatus {
    /// The TAP device.
    pub tap: String,
    /// `up` or `down`.
    pub state: &'static str,
    /// The node's own MAC.
    pub mac: Mac,
    /// Offloads that the kernel took.
    pub offloads: &'static str,
    /// VRRP adverts of both families.
    pub adverts: AdvertStatus,
}

/// VRRP adverts since the start; those that were refused are among the drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AdvertStatus {
    /// Sent by this node.
    pub sent: u64,
    /// Heard of members.
    pub heard: u64,
}

/// How many sessions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SessionCounts {
    /// Redirector sessions, tombstones included.
    pub redirector: usize,
    /// Marker sessions; each has two keys.
    pub marker: usize,
}

/// The books of frames: everything that arrived is forwarded, redirected, handed over, consumed, dropped (but for
/// `generated_dropped`) or kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameCounts {
    /// Arrived at the first interface.
    pub arrived_first: u64,
    /// Arrived at the second interface.
    pub arrived_second: u64,
    /// Arrived over the mesh.
    pub arrived_mesh: u64,
    /// Sent on by this node as chosen node.
    pub forwarded: u64,
    /// Sent to the chosen node.
    pub redirected: u64,
    /// Sent over the mesh to the node that won the stream.
    pub handed_over: u64,
    /// Were for this node.
    pub consumed: u64,
    /// Ended here, all reasons together.
    pub dropped: u64,
    /// Wait in holds and for neighbours at this moment.
    pub kept: u64,
    /// Made by this node; counted apart.
    pub generated: u64,
    /// Of the dropped: made by this node, so they never arrived.
    pub generated_dropped: u64,
    /// Buffers of the pool that are on their way at this moment.
    pub buffers_taken: u64,
}

/// One line of `herald events`: what happened, when, and of what. Fields that an event has not are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// Counts a node's events from 1.
    pub number: u64,
    /// Nanoseconds on the machine's monotonic clock, which all nodes of one machine share.
    pub at_ns: u64,
    /// Which event.
    pub event: &'static str,
    /// The step of the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<&'static str>,
    /// The other party, or the node the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The interface of the flow or role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The flow's protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The flow's source address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The flow's destination address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The counter of a role's epoch or of a generation, or how many sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// `drain` and `undrain`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Draining {
    /// The node gives up its roles and streams.
    pub draining: bool,
    /// Redirectors that it still holds.
    pub roles: usize,
    /// Streams that it is still the chosen node of.
    pub streams: usize,
}

impl EventRow {
    /// The row of the event with this number.
    #[must_use]
    pub fn new(number: u64, at: Instant, event: &Event) -> Self {
        Self { number, at_ns: at.as_nanos(), ..Self::of(event) }
    }

    fn of(event: &Event) -> Self {
        match *event {
            Event::Step { step, flow, node } => {
                Self { step: Some(step_name(step)), node: Some(node), ..Self::of_flow("step", &flow) }
            }
            Event::Acknowledged { flow, node } => Self { node: Some(node), ..Self::of_flow("acknowledged", &flow) },
            Event::Refused { flow, winner } => Self {
                node: winner.map(|w| w.node),
                counter: winner.map(|w| u64::from(w.counter)),
                ..Self::of_flow("refused", &flow)
            },
            Event::TakenOver { flow, generation } => {
                Self { counter: Some(generation.into()), ..Self::of_flow("taken-over", &flow) }
            }
            Event::InSync { interface } => Self { event: "in-sync", interface: Some(interface), ..Self::default() },
            Event::Mended { peer, sessions } => {
                Self { counter: Some(sessions as u64), ..Self::of_node("mended", peer) }
            }
            Event::HoldTimedOut { flow } => Self::of_flow("hold-timed-out", &flow),
            Event::InterestEnded { flow } => Self::of_flow("interest-ended", &flow),
            Event::StreamEnded { flow, reason } => {
                Self { reason: Some(reason.name()), ..Self::of_flow("stream-ended", &flow) }
            }
            Event::LinkUp { peer } => Self::of_node("link-up", peer),
            Event::LinkLost { peer } => Self::of_node("link-lost", peer),
            Event::MemberDied { node } => Self::of_node("member-died", node),
            Event::HolderChanged { interface, epoch } => Self {
                event: "holder-changed",
                interface: Some(interface),
                node: epoch.map(|e| e.node),
                counter: epoch.map(|e| e.counter),
                ..Self::default()
            },
            Event::Breaker { peer, open: true } => Self::of_node("breaker-opened", peer),
            Event::Breaker { peer, open: false } => Self::of_node("breaker-closed", peer),
        }
    }

    fn of_flow(event: &'static str, flow: &FlowKey) -> Self {
        Self {
            event,
            interface: Some(flow.interface()),
            protocol: Some(protocol_name(flow.protocol())),
            source: Some(flow.source().to_string()),
            destination: Some(flow.destination().to_string()),
            ..Self::default()
        }
    }

    fn of_node(event: &'static str, node: NodeId) -> Self {
        Self { event, node: Some(node), ..Self::default() }
    }
}

/// `M1` to `M12`.
#[must_use]
pub fn step_name(step: Step) -> &'static str {
    match step {
        Step::M1 => "M1",
        Step::M2 => "M2",
        Step::M3 => "M3",
        Step::M4 => "M4",
        Step::M5 => "M5",
        Step::M6 => "M6",
        Step::M7 => "M7",
        Step::M8 => "M8",
        Step::M9 => "M9",
        Step::M10 => "M10",
        Step::M11 => "M11",
        Step::M12 => "M12",
    }
}

fn millis_between(earlier: Instant, later: Instant) -> u64 {
    u64::try_from(later.since(earlier).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn an_event_is_one_flat_object_without_empty_fields() {
        let end = |text: &str| text.parse::<SocketAddr>().map(|a| (a.ip(), a.port())).unwrap();
        let flow = FlowKey::new(Interface::First, 6, end("10.1.0.100:41234"), end("10.2.0.100:80"));
        let event = Event::Step { step: Step::M3, flow, node: "c".parse().unwrap() };
        let row = serde_json::to_string(&EventRow::new(7, Instant::from_nanos(99), &event)).unwrap();
        let expected = r#"{"number":7,"at_ns":99,"event":"step","step":"M3","node":"c","interface":"first","protocol":"tcp","source":"10.1.0.100:41234","destination":"10.2.0.100:80"}"#;
        assert_eq!(row, expected);
    }

    #[test]
    fn roles_have_their_stable_shape() {
        let roles = Roles { first: Some(Role { holder: "a".parse().unwrap(), epoch: 3 }), second: None };
        assert_eq!(serde_json::to_string(&roles).unwrap(), r#"{"first":{"holder":"a","epoch":3},"second":null}"#);
    }
}
