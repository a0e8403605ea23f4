//! `herald replay --streams`: what hooks see of each TCP connection of a capture, as the stream engine puts it in order. No
//! configuration counts: packets pass an IP router's checks and then the engine, with its defaults.

mod connections;
mod passage;

use std::path::Path;

use serde::Serialize;

use super::capture::Capture;
use super::{ReplayArguments, ReplayError, Written, create};
use crate::app::config::Config;
use crate::app::output;
use connections::{Became, Connections};
use herald_core::id::Interface;
use passage::Passage;

/// What a direction's hook saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SeenRow {
    /// Their number.
    bytes: u64,
    /// Of all of them.
    sha256: String,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct StreamRow {
    protocol: &'static str,
    /// The opener.
    source: String,
    destination: String,
    from_opener: SeenRow,
    to_opener: SeenRow,
    /// `fin`: a receiver has read an end; `reset`; `open`.
    end: &'static str,
    /// Places where bytes are missing: open holes, and what came before the capture.
    gaps: u64,
    /// Segments with bytes that differed from the first copy.
    conflicts: u64,
    /// Facts by name; no parser is asked yet.
    facts: serde_json::Map<String, serde_json::Value>,
}

impl StreamRow {
    fn line(&self) -> String {
        let Self { protocol, source, destination, from_opener, to_opener, end, gaps, conflicts, .. } = self;
        let (sent, answered) = (from_opener.bytes, to_opener.bytes);
        format!(
            "{protocol} {source} {destination}  {sent} bytes, {answered} back  {end}  gaps {gaps}  conflicts {conflicts}\n"
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
    let mut capture = Capture::open(&arguments.capture)?;
    let mut written = arguments.write.as_deref().map(create).transpose()?;
    let (mut passage, mut connections) = (Passage::new(), Connections::new());
    let mut dropped: Vec<(&'static str, u64)> = Vec::new();
    let mut count = |reason| match dropped.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += 1,
        None => dropped.push((reason, 1)),
    };
    let mut packets = 0_u64;
    while let Some(captured) = capture.next()? {
        packets += 1;
        let through = passage.packet(captured.at, &captured.frame);
        through.ended.into_iter().for_each(&mut count);
        let Some((mut frame, headers)) = through.packet else { continue };
        let (became, side) = match headers {
            Some(headers) => connections.packet(&headers, &mut frame),
            None => (Became::Same, Interface::First),
        };
        let interface = captured.interface.unwrap_or(side);
        match became {
            Became::Dropped(reason) => count(reason),
            Became::Same | Became::Changed(_) => {
                let frames = if frame.is_joined() { frame.fragments() } else { vec![frame] };
                for frame in frames {
                    write(&mut written, |file| file.packet(captured.at, interface, frame.bytes(), became.comment()))?;
                }
            }
        }
    }
    if let Some((file, path)) = written {
        file.finish().map_err(|error| ReplayError::Write { path: path.to_owned(), error })?;
    }
    let rows = connections.rows();
    let text = if arguments.json { json(&rows) } else { text(&rows, packets, &dropped) };
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

fn text(rows: &[StreamRow], packets: u64, dropped: &[(&'static str, u64)]) -> String {
    let mut text: String = rows.iter().map(StreamRow::line).collect();
    let counts: Vec<_> = dropped.iter().map(|(reason, count)| format!(", {reason} {count}")).collect();
    text += &format!(
        "{packets} packets, {} connections; dropped {}{}\n",
        rows.len(),
        dropped.iter().map(|(_, count)| count).sum::<u64>(),
        counts.concat()
    );
    text
}
