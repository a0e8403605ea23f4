//! `herald events`: what happened at this node, one JSON object a line. It has a command and a path of its own, because its
//! answer has no end and comes in portions.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use herald_core::event::{Event, PluginFault, Step};
use herald_core::flow::{FlowKey, protocol_name};
use herald_core::id::{Interface, Mac, NodeId};
use herald_core::time::Instant;

/// One line of `herald events`: what happened, when, and of what. Fields that an event has not are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// Counts a node's events from 1.
    pub number: u64,
    /// Nanoseconds on the machine's monotonic clock, which all nodes of one machine share.
    pub at_ns: u64,
    /// The same by the wall clock, in UTC (RFC 3339); of rare events only, which are kept for long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Which event.
    pub event: &'static str,
    /// The step of the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<&'static str>,
    /// The other party, or the node the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The plugin that the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<&'static str>,
    /// The interface of the flow or role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The MAC of a foreign router, or of a host that uses another's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The flow's protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The flow's source address and port; the address of a foreign router, or one that two use; whose stream a plugin failed
    /// at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The flow's destination address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The counter of a role's epoch or of a generation, or how many sessions or streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// Why; of a plugin, what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl EventRow {
    /// The row of the event with this number.
    #[must_use]
    pub fn new(number: u64, at: Instant, event: &Event) -> Self {
        Self { number, at_ns: at.as_nanos(), ..Self::of(event) }
    }

    /// The same of a rare event, with the time since 1970 (UTC) at which it happened.
    #[must_use]
    pub fn rare(number: u64, at: Instant, since_1970: Duration, event: &Event) -> Self {
        Self { at: Some(rfc_3339(since_1970)), ..Self::new(number, at, event) }
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
            Event::TakenBack { flow, from } => Self { node: Some(from), ..Self::of_flow("taken-back", &flow) },
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
            Event::MemberCut { node } => Self::of_node("member-cut", node),
            Event::MemberDied { node } => Self::of_node("member-died", node),
            Event::AdvertsUnheard { interface, holder } => {
                Self { interface: Some(interface), ..Self::of_node("adverts-unheard", holder) }
            }
            Event::InterfaceUnheard { node, interface, unheard: true } => {
                Self { interface: Some(interface), ..Self::of_node("interface-unheard", node) }
            }
            Event::InterfaceUnheard { node, interface, unheard: false } => {
                Self { interface: Some(interface), ..Self::of_node("interface-heard", node) }
            }
            Event::HolderChanged { interface, epoch } => Self {
                event: "holder-changed",
                interface: Some(interface),
                node: epoch.map(|e| e.node),
                counter: epoch.map(|e| e.counter),
                ..Self::default()
            },
            Event::Breaker { peer, open: true } => Self::of_node("breaker-opened", peer),
            Event::Breaker { peer, open: false } => Self::of_node("breaker-closed", peer),
            Event::AcknowledgesLate { peer, late: true } => Self::of_node("acknowledges-late", peer),
            Event::AcknowledgesLate { peer, late: false } => Self::of_node("acknowledges-in-time", peer),
            Event::KeptApart { peer, reason } => Self { reason: Some(reason), ..Self::of_node("kept-apart", peer) },
            Event::ConfigurationDiffers { peer } => Self::of_node("configuration-differs", peer),
            Event::ForeignRouter { interface, address, mac, .. } => {
                Self::host("foreign-router", interface, address, mac)
            }
            Event::AddressConflict { interface: at, address, mac } => Self::host("address-conflict", at, address, mac),
            Event::NeighbourConflict { interface, address, rival, .. } => {
                Self::host("neighbour-conflict", interface, address, rival)
            }
            Event::Full { full: true } => Self { event: "full", ..Self::default() },
            Event::Full { full: false } => Self { event: "room-again", ..Self::default() },
            Event::ShortOfMemory { sessions } => {
                Self { event: "short-of-memory", counter: Some(sessions as u64), ..Self::default() }
            }
            Event::MakingRoom { flow, ended } => Self { counter: Some(ended), ..Self::of_flow("making-room", &flow) },
            Event::PluginSuspended { fault } => Self::of_fault("plugin-suspended", &fault),
            Event::PluginResumed { plugin } => Self::of_plugin("plugin-resumed", plugin),
            Event::SourceLimited { fault } => Self::of_fault("source-limited", &fault),
            Event::NodeSuspended { node, suspended: true } => Self::of_node("node-suspended", node),
            Event::NodeSuspended { node, suspended: false } => Self::of_node("node-resumed", node),
            Event::AllSuspended { suspended: true } => Self { event: "all-suspended", ..Self::default() },
            Event::AllSuspended { suspended: false } => Self { event: "all-suspended-over", ..Self::default() },
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

    fn host(event: &'static str, interface: Interface, address: IpAddr, mac: Mac) -> Self {
        Self { event, interface: Some(interface), source: Some(address.to_string()), mac: Some(mac), ..Self::default() }
    }

    fn of_plugin(event: &'static str, plugin: &'static str) -> Self {
        Self { event, plugin: Some(plugin), ..Self::default() }
    }

    fn of_fault(event: &'static str, fault: &PluginFault) -> Self {
        let source = Some(fault.source.to_string());
        Self { source, reason: Some(fault.cause), ..Self::of_plugin(event, fault.plugin) }
    }

    fn of_node(event: &'static str, node: NodeId) -> Self {
        Self { event, node: Some(node), ..Self::default() }
    }
}

/// A time since 1970 (UTC) as people write it, with microseconds (RFC 3339, section 5.6).
#[must_use]
pub fn rfc_3339(since_1970: Duration) -> String {
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    // No clock says a year above 9999.
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    let micros = since_1970.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use herald_core::flow::SourceNetwork;

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
    fn a_rare_event_has_the_time_of_the_wall_clock() {
        let event = Event::HolderChanged { interface: Interface::First, epoch: None };
        let since_1970 = Duration::new(951_825_599, 678_999);
        let row = EventRow::rare(7, Instant::from_nanos(99), since_1970, &event);
        let expected = r#"{"number":7,"at_ns":99,"at":"2000-02-29T11:59:59.000678Z","event":"holder-changed","interface":"first"}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), expected);
        let source = SourceNetwork::of("2001:db8::9".parse().unwrap());
        let fault = PluginFault { plugin: "acl", cause: "packets", source };
        let row = EventRow::rare(8, Instant::from_nanos(99), since_1970, &Event::PluginSuspended { fault });
        let expected = r#"{"number":8,"at_ns":99,"at":"2000-02-29T11:59:59.000678Z","event":"plugin-suspended","plugin":"acl","source":"2001:db8::/64","reason":"packets"}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), expected);
    }
}
