//! What the nodes tell of themselves, through their control sockets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::DemoError;
use super::steps::Stream;
use crate::app::control::client;
use herald_lab::{Built, NodeReport};

/// Time for the chosen node to end the stream and for `flowlog` to write its line.
const LINE_TIME_MAX: Duration = Duration::from_secs(20);

/// One event of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// Counts the node's events.
    pub(super) number: u64,
    /// Nanoseconds on the clock that all nodes share.
    pub(super) at_ns: u64,
    /// Which event.
    pub(super) event: String,
    /// `M1` to `M12`.
    pub(super) step: Option<String>,
    /// The packet's source.
    pub(super) source: Option<String>,
    /// The packet's destination.
    pub(super) destination: Option<String>,
}

/// A node's own MACs.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Macs {
    /// At the first interface.
    pub(super) first: Mac,
    /// At the second interface.
    pub(super) second: Mac,
}

/// As `herald status` shows an interface.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Mac {
    /// As text.
    pub(super) mac: String,
}

#[derive(Deserialize)]
struct Status {
    interfaces: Macs,
}

/// One plugin of a node's chain.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Plugin {
    /// Its id.
    pub(super) id: String,
    /// Frames it was asked about.
    pub(super) packets: u64,
    /// Frames that it ended.
    pub(super) drops: u64,
    /// Times it failed.
    pub(super) faults: u64,
    /// Its own counters.
    pub(super) counters: BTreeMap<String, u64>,
}

/// One node, right after the request.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    /// Its id.
    pub(super) node: String,
    /// Its own MACs.
    pub(super) macs: Macs,
    /// Its events, oldest first. A fresh lab has few: one answer holds them all.
    pub(super) events: Vec<Told>,
    /// As `herald sessions --json`.
    pub(super) sessions: Value,
}

impl Witness {
    /// Asks a node. Its sessions come first: they end soon.
    pub(super) fn hear(node: &NodeReport) -> Result<Self, DemoError> {
        let sessions = get(&node.control, "/sessions")?;
        let events = events(&node.control)?;
        let Status { interfaces } = get(&node.control, "/status")?;
        Ok(Self { node: node.node.clone(), macs: interfaces, events, sessions })
    }

    /// Whether it has a marker session of the stream.
    pub(super) fn marks(&self, stream: &Stream) -> bool {
        let is = |row: &Value, key: &str, value: &str| row.get(key).and_then(Value::as_str) == Some(value);
        let mut rows = self.sessions.as_array().into_iter().flatten();
        rows.any(|row| {
            is(row, "kind", "marker") && is(row, "source", &stream.opener) && is(row, "destination", &stream.other)
        })
    }
}

/// The plugins of a node.
pub(super) fn plugins(node: &NodeReport) -> Result<Vec<Plugin>, DemoError> {
    get(&node.control, "/plugins")
}

/// Waits for the line that `flowlog` writes on the chosen node when the stream has ended.
pub(super) fn await_flow_line(lab: &Built, chosen: &str, stream: &Stream) -> Result<FlowLine, DemoError> {
    let path = lab.flow_log(chosen);
    let line = herald_lab::eventually(LINE_TIME_MAX, || flow_line(&path, stream));
    line.ok_or_else(|| DemoError::NoFlowLine { node: chosen.to_owned(), seconds: LINE_TIME_MAX.as_secs() })
}

/// A line of `flowlog`.
pub(super) struct FlowLine {
    /// As it was written.
    pub(super) text: String,
    /// Packets of both directions.
    pub(super) packets: u64,
}

/// A stream's line in a file of `flowlog`, if it is there.
pub(super) fn flow_line(path: &Path, stream: &Stream) -> Option<FlowLine> {
    let text = fs::read_to_string(path).ok()?;
    let end = |line: &Value, address: &str, port: &str| {
        let (address, port) = (line.get(address)?.as_str()?.parse().ok()?, line.get(port)?.as_u64()?);
        Some(std::net::SocketAddr::new(address, u16::try_from(port).ok()?).to_string())
    };
    text.lines().find_map(|line| {
        let value = serde_json::from_str::<Value>(line).ok()?;
        let ends = [end(&value, "src_ip", "src_port")?, end(&value, "dest_ip", "dest_port")?];
        let count = |key: &str| value.get("flow")?.get(key)?.as_u64();
        let packets = count("pkts_toserver")? + count("pkts_toclient")?;
        (ends == [stream.opener.as_str(), &stream.other]).then(|| FlowLine { text: line.to_owned(), packets })
    })
}

/// One event a line.
fn events(control: &Path) -> Result<Vec<Told>, DemoError> {
    let lines = client::report(control, "/events?after=0")?;
    lines.lines().map(|line| serde_json::from_str(line).map_err(unreadable)).collect()
}

fn get<T: DeserializeOwned>(control: &Path, path: &str) -> Result<T, DemoError> {
    serde_json::from_str(&client::report(control, path)?).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> DemoError {
    DemoError::Report(error.to_string())
}
