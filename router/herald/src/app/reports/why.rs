//! `herald why`: the last frames that plugins or the node itself ended, each with what one needs to know to change that.

use serde::Serialize;
use serde_json::Value;

use super::events::rfc_3339;
use super::table::{Lines, at, cell, key, table};
use crate::app::control::Shared;
use crate::io::clock;
use herald_core::event::DropReason;
use herald_core::flow::{FlowKey, protocol_name};
use herald_core::id::{Interface, NodeId};
use herald_core::outbox::Dropped;
use herald_core::packet::Packet;

/// Bytes of a frame that are shown.
const SHOWN_BYTES: usize = 64;

/// One dropped frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyRow {
    /// Counts a node's dropped frames from 1.
    pub number: u64,
    /// When, by the node's wall clock, in UTC (RFC 3339).
    pub at: String,
    /// Milliseconds since then.
    pub age_ms: u64,
    /// The node where it ended.
    pub node: NodeId,
    /// `drop`, or `reject` if both ends were told.
    pub verdict: &'static str,
    /// Why, as in `herald drops`.
    pub reason: &'static str,
    /// The plugin that ended it; `null`: the node itself did.
    pub plugin: Option<String>,
    /// The plugin's rule, or the reason that it gave.
    pub rule: Option<&'static str>,
    /// Where the frame arrived; `null`: this node made it.
    pub interface: Option<Interface>,
    /// Its protocol; `null` as the ends if its headers could not be read.
    pub protocol: Option<String>,
    /// The address and port that it came from.
    pub source: Option<String>,
    /// The address and port that it was for.
    pub destination: Option<String>,
    /// Its Ethernet bytes in all.
    pub length: usize,
    /// The first of them, in hexadecimal digits.
    pub bytes: String,
    /// What to do next, where there is something.
    pub next: Option<&'static str>,
}

/// What to do about a reason, in one sentence.
const NEXT: &[(DropReason, &str)] = &[
    (DropReason::Verdict, "look at that plugin's rules in the node's configuration"),
    (DropReason::Rejected, "look at that plugin's rules in the node's configuration; both ends were told"),
    (
        DropReason::PluginFault,
        "the plugin failed: the node's log says how, and `herald plugins` whether it is suspended",
    ),
    (DropReason::NotAdmitted, "the node waits for the others: `herald members` says for whom"),
    (DropReason::NotHolder, "a switch still leads frames here: `herald roles` says who holds the redirector"),
    (DropReason::NotFromHolder, "a host sends to a node's own MAC: give it the virtual address as its gateway"),
    (DropReason::OtherMac, "nothing, if switches flood; else the sender has a wrong neighbour for its gateway"),
    (DropReason::VlanTagged, "take the tag off on the switch's port that leads to the node"),
    (DropReason::AddressConflict, "another host uses an address of the cluster: find it by its MAC, the bytes 6 to 11"),
    (DropReason::PoolEmpty, "the node has no buffer left: more comes than it can send on"),
    (DropReason::TapFull, "the kernel takes no more frames of this TAP: is its bridge or reader stuck?"),
    (DropReason::MeshUnreachable, "the mesh does not reach that node: `herald members` says which links are down"),
    (DropReason::MeshQueueFull, "the mesh to that node is slower than its streams: look at its link"),
];

fn next(reason: DropReason) -> Option<&'static str> {
    NEXT.iter().find(|(of, _)| *of == reason).map(|(_, next)| *next)
}

/// The newest `last` rows, of a stream if one is named, oldest first; and how many more there are.
pub fn why_rows(dropped: &[Dropped], of: Option<FlowKey>, last: usize, shared: &Shared) -> (Vec<WhyRow>, usize) {
    let with_flow = dropped.iter().map(|dropped| (dropped, flow(dropped)));
    let wanted: Vec<_> = with_flow.filter(|(_, flow)| of.is_none_or(|of| is_of(flow.as_ref(), &of))).collect();
    let left_out = wanted.len().saturating_sub(last);
    let (now, wall) = (clock::now(), clock::wall());
    let row = |(dropped, flow): &(&Dropped, Option<FlowKey>)| {
        let age = now.since(dropped.at);
        let cause = shared.plugins.cause(dropped.cause);
        WhyRow {
            number: dropped.number,
            at: rfc_3339(wall.saturating_sub(age)),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            node: shared.node,
            verdict: if dropped.reason == DropReason::Rejected { "reject" } else { "drop" },
            reason: dropped.reason.name(),
            plugin: cause.map(|(plugin, _)| plugin.to_owned()),
            rule: cause.map(|(_, rule)| rule),
            interface: dropped.interface,
            protocol: flow.map(|flow| protocol_name(flow.protocol())),
            source: flow.map(|flow| flow.source().to_string()),
            destination: flow.map(|flow| flow.destination().to_string()),
            length: dropped.frame_len,
            bytes: dropped.bytes().iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect(),
            next: next(dropped.reason),
        }
    };
    (wanted.get(left_out..).unwrap_or_default().iter().map(row).collect(), left_out)
}

/// The flow of a frame, as far as what was kept of it tells.
fn flow(dropped: &Dropped) -> Option<FlowKey> {
    let headers = Packet::parse_ip(&dropped.likeness()).ok()?;
    Some(headers.flow_key(dropped.interface.unwrap_or(Interface::First)))
}

/// True for a flow of this stream, in either direction, at either interface.
fn is_of(flow: Option<&FlowKey>, stream: &FlowKey) -> bool {
    flow.is_some_and(|flow| {
        let flow = flow.at(stream.interface());
        flow == *stream || flow == stream.reversed(stream.interface())
    })
}

/// The rows as a table.
#[must_use]
pub fn why_lines(json: &Value) -> Lines {
    let headings = ["at", "in", "stream", "why", "next"].map(|heading| heading.to_uppercase());
    let line = |row: &Value| {
        let text = |key: &str| cell(at(row, key));
        let stream = if at(row, key!(WhyRow, protocol)).is_null() {
            format!("unreadable, {} bytes", text(key!(WhyRow, length)))
        } else {
            [key!(WhyRow, protocol), key!(WhyRow, source), key!(WhyRow, destination)].map(text).join(" ")
        };
        let why = if at(row, key!(WhyRow, plugin)).is_null() {
            text(key!(WhyRow, reason))
        } else {
            format!("{} by {}: {}", text(key!(WhyRow, verdict)), text(key!(WhyRow, plugin)), text(key!(WhyRow, rule)))
        };
        vec![text(key!(WhyRow, at)), text(key!(WhyRow, interface)), stream, why, text(key!(WhyRow, next))]
    };
    Lines { headings: headings.to_vec(), lines: json.as_array().into_iter().flatten().map(line).collect() }
}

/// The rows of one node as text.
#[must_use]
pub fn why_text(json: &Value) -> String {
    let Lines { headings, lines } = why_lines(json);
    if lines.is_empty() {
        return "nothing was dropped here that this node remembers; `herald drops` counts what came before\n"
            .to_owned();
    }
    table(headings, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_core::inspector::Cause;
    use herald_core::outbox::Outbox;
    use herald_core::packet::Frame;
    use herald_testing::frames;
    use herald_testing::layout::from_host;
    use std::path::PathBuf;

    fn shared() -> Shared {
        let clock = herald_host::Clock { monotonic: clock::now, unix_nanos: || 0 };
        let settings = herald_host::Settings { directory: PathBuf::new(), clock };
        let plugins = herald_host::Chain::load(&settings, &[]).unwrap().report();
        Shared { published: crate::app::published::Published::default(), plugins, node: "c".parse().unwrap() }
    }

    fn dropped() -> Vec<Dropped> {
        let mut out = Outbox::default();
        out.keep_drops();
        for (port, reason) in [(7, DropReason::NoRoute), (8, DropReason::NotAdmitted), (7, DropReason::Rejected)] {
            let frame = Frame::from_bytes(&frames::udp(from_host(Interface::First), (port, 80), &[0; 900]));
            out.arriving = Some(Interface::First);
            out.drop_by(frame, reason, Cause::default());
        }
        out.arriving = None;
        out.drop(Frame::from_bytes(&[9; 20]), DropReason::Malformed);
        out.last_drops()
    }

    #[test]
    fn rows_are_those_of_a_stream_by_either_direction_newest_last() {
        let of = |text: &str| Some(crate::app::stream::parse(text).unwrap());
        let reasons = |of, last| {
            let (rows, left_out) = why_rows(&dropped(), of, last, &shared());
            (rows.iter().map(|row| row.reason).collect::<Vec<_>>(), left_out)
        };
        assert_eq!(reasons(None, 9), (vec!["no-route", "not-admitted", "rejected", "malformed"], 0));
        assert_eq!(reasons(None, 1), (vec!["malformed"], 3));
        for ends in ["udp 10.1.0.100:7 10.2.0.100:80", "udp 10.2.0.100:80 10.1.0.100:7"] {
            assert_eq!(reasons(of(ends), 9), (vec!["no-route", "rejected"], 0), "{ends}");
        }
        assert_eq!(reasons(of("tcp 10.1.0.100:7 10.2.0.100:80"), 9), (vec![], 0));
    }

    #[test]
    fn a_row_says_what_where_why_and_what_next() {
        let (rows, _) = why_rows(&dropped(), None, 9, &shared());
        let json = serde_json::to_value(&rows).unwrap();
        let [_, waits, rejected, malformed] = &json.as_array().unwrap()[..] else { panic!("{json}") };
        assert_eq!(
            (&rejected["verdict"], &waits["verdict"], &waits["node"]),
            (&"reject".into(), &"drop".into(), &"c".into())
        );
        assert_eq!((&waits["source"], &waits["interface"]), (&"10.1.0.100:8".into(), &"first".into()));
        assert_eq!((waits["length"].as_u64(), waits["bytes"].as_str().unwrap().len()), (Some(942), 2 * SHOWN_BYTES));
        assert!(waits["at"].as_str().unwrap().ends_with('Z'), "{waits}");
        assert_eq!(
            (&malformed["protocol"], &malformed["interface"], &malformed["next"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        let text = why_text(&json);
        assert!(
            text.contains("udp 10.1.0.100:8 10.2.0.100:80") && text.contains("`herald members` says for whom"),
            "{text}"
        );
        assert!(text.contains("unreadable, 20 bytes"), "{text}");
    }
}
