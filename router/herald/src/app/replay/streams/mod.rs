//! `herald replay --streams`: what hooks see of each TCP connection of a capture, as the stream engine puts it in order, and the
//! facts that follow; behind them exchanges of UDP datagrams with facts. No configuration counts: packets pass an IP router's
//! checks and then the engine, with its defaults.

mod ahead;
mod connection;
mod connections;
mod exchanges;
mod passage;
mod saw;

use std::path::Path;

use serde::Serialize;

use super::capture::Capture;
use super::{ReplayArguments, ReplayError, Written, create};
use crate::app::config::Config;
use crate::app::output;
use ahead::{Ahead, Read};
use connections::{Became, Connections};
use exchanges::Exchanges;
use herald_core::id::Interface;
use herald_facts::Facts;

/// What a direction's hook saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SeenRow {
    /// Their number.
    bytes: u64,
    /// Of all of them.
    sha256: String,
}

/// One connection, or one exchange of datagrams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct StreamRow {
    protocol: &'static str,
    /// The opener.
    source: String,
    destination: String,
    from_opener: SeenRow,
    to_opener: SeenRow,
    /// `fin`: a receiver has read an end; `reset`; `open`.
    end: &'static str,
    /// Places where bytes are missing: open holes, what came before the capture, and what it lacks.
    gaps: u64,
    /// Segments with bytes that differed from the first copy.
    conflicts: u64,
    /// What the parsers found in what the hooks saw.
    facts: Facts,
}

impl StreamRow {
    fn text(&self) -> String {
        let Self { protocol, source, destination, from_opener, to_opener, end, gaps, conflicts, facts } = self;
        let (sent, answered) = (from_opener.bytes, to_opener.bytes);
        let facts = facts.iter().map(|(name, value)| {
            // Numbers and texts can always be written as JSON.
            format!("    {}  {}\n", name.as_str(), serde_json::to_string(value).unwrap_or_default())
        });
        format!(
            "{protocol} {source} {destination}  {sent} bytes, {answered} back  {end}  gaps {gaps}  conflicts {conflicts}\n{}",
            facts.collect::<String>()
        )
    }
}

/// Replays a capture through the stream engine.
///
/// # Errors
/// What is wrong with the capture or a configuration, and where.
pub(super) fn run(arguments: &ReplayArguments) -> Result<(), ReplayError> {
    if let Some(config) = &arguments.config {
        Config::load(config, &arguments.set)?;
    }
    let mut ahead = Ahead::new(Capture::open(&arguments.capture)?);
    let mut written = arguments.write.as_deref().map(create).transpose()?;
    let (mut connections, mut exchanges) = (Connections::new(), Exchanges::default());
    let mut dropped: Vec<(&'static str, u64)> = Vec::new();
    let mut count = |reason| match dropped.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += 1,
        None => dropped.push((reason, 1)),
    };
    let mut packets = 0_u64;
    while let Some(Read { at, interface, through }) = ahead.next()? {
        packets += 1;
        through.ended.into_iter().for_each(&mut count);
        let Some((mut frame, headers)) = through.packet else { continue };
        let (became, side) = match headers {
            Some(headers) => {
                exchanges.packet(&headers, &frame);
                connections.packet(&headers, &mut frame, &ahead)
            }
            None => (Became::Same, Interface::First),
        };
        let interface = interface.unwrap_or(side);
        match became {
            Became::Dropped(reason) => count(reason),
            Became::Same | Became::Changed(_) => {
                let frames = if frame.is_joined() { frame.fragments() } else { vec![frame] };
                for frame in frames {
                    write(&mut written, |file| file.packet(at, interface, frame.bytes(), became.comment()))?;
                }
            }
        }
    }
    if let Some((file, path)) = written {
        file.finish().map_err(|error| ReplayError::Write { path: path.to_owned(), error })?;
    }
    let connected = connections.len();
    let rows: Vec<_> = connections.rows().chain(exchanges.rows()).collect();
    let text = if arguments.json { json(&rows) } else { text(&rows, connected, packets, &dropped) };
    output::print(&text).map_err(ReplayError::Output)
}

type File<'a> = Option<(Written<std::io::BufWriter<std::fs::File>>, &'a Path)>;

fn write(
    file: &mut File<'_>,
    write: impl FnOnce(&mut Written<std::io::BufWriter<std::fs::File>>) -> std::io::Result<()>,
) -> Result<(), ReplayError> {
    match file {
        Some((file, path)) => write(file).map_err(|error| ReplayError::Write { path: path.to_path_buf(), error }),
        None => Ok(()),
    }
}

fn json(rows: &[StreamRow]) -> String {
    // Rows of numbers and texts can always be written as JSON.
    let rows: Vec<_> = rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default()).collect();
    format!("[{}]\n", rows.join(",\n"))
}

fn text(rows: &[StreamRow], connected: usize, packets: u64, dropped: &[(&'static str, u64)]) -> String {
    let mut text: String = rows.iter().map(StreamRow::text).collect();
    let counts: Vec<_> = dropped.iter().map(|(reason, count)| format!(", {reason} {count}")).collect();
    text += &format!(
        "{packets} packets, {connected} connections; dropped {}{}\n",
        dropped.iter().map(|(_, count)| count).sum::<u64>(),
        counts.concat()
    );
    text
}
