//! `herald sessions`: what this node knows of its streams.

use serde::Serialize;

use super::table::columns;
use super::{Report, Source, shown as shown_as, unwritten};
use crate::io::clock;
use herald_core::flow::protocol_name;
use herald_core::id::{Interface, NodeId};
use herald_core::session::{Kind, Row};
use herald_core::time::Instant;

/// The tables may be long: the loop publishes them part by part and goes on meanwhile.
pub(super) fn report() -> Report {
    let (name, about) = ("sessions", "Show this node's redirector and marker sessions");
    Report {
        name,
        about,
        source: Source::Sessions(|rows| unwritten(shown(&rows))),
        shown: shown_as::<Vec<SessionRow>>(),
    }
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

columns!(SessionRow {
    kind,
    interface,
    protocol,
    source,
    destination,
    chosen,
    generation,
    state,
    interest,
    age_ms,
    idle_ms,
    packets,
    bytes
});

fn shown(rows: &[Row]) -> Vec<SessionRow> {
    let now = clock::now();
    rows.iter().map(|row| SessionRow::at(now, row)).collect()
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

fn millis_between(earlier: Instant, later: Instant) -> u64 {
    u64::try_from(later.since(earlier).as_millis()).unwrap_or(u64::MAX)
}
