//! `herald replay`: a capture through the pipeline of a configuration, offline and in the capture's time. The same capture and
//! configuration give the same verdicts, each time.

mod capture;
mod hosts;
mod machine;
mod streams;
mod written;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::config::{Config, ConfigError};
use super::output;
use super::reports::rfc_3339;
use super::run::RunError;
use capture::{Capture, CaptureError, Captured};
use herald_core::event::DropReason;
use herald_core::flow::protocol_name;
use herald_core::id::Interface;
use herald_host::Report;
use machine::{Fate, Machine, Seen};
use written::Written;

/// Bytes of text that are printed at once.
const PRINTED_LEN: usize = 64 * 1024;

/// `herald replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// A pcap or pcapng file with Ethernet, Linux cooked or raw IP packets
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// The node's configuration; its peers, roles and devices do not count
    #[arg(long, value_name = "FILE", required_unless_present = "streams")]
    pub config: Option<PathBuf>,
    /// Set an option over the file and the environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Show what stream hooks see of each TCP connection, in order; this needs no configuration, and none changes it
    #[arg(long)]
    pub streams: bool,
    /// Write all packets, the dropped ones too, as pcapng with what became of each as its comment; with --streams only those that
    /// leave, as they leave
    #[arg(long, value_name = "OUT.pcapng")]
    pub write: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A replay that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The capture is wrong.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node cannot be made.
    #[error(transparent)]
    Node(#[from] RunError),
    /// The result cannot be written.
    #[error("{}: cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// What became of one packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ReplayRow {
    /// Its number in the capture, from 1.
    number: u64,
    /// When it was captured (RFC 3339).
    at: String,
    /// Where it arrived.
    interface: Interface,
    /// Its protocol; `null` as the ends if its headers cannot be read.
    protocol: Option<String>,
    /// The address and port that it came from.
    source: Option<String>,
    /// The address and port that it was for.
    destination: Option<String>,
    /// Ethernet bytes.
    length: usize,
    /// `pass`, `drop`, `reject`, `consume` (it was for the node), `wait`, or `skip` (it was not given to the node).
    verdict: &'static str,
    /// Why, if it did not pass.
    reason: Option<&'static str>,
    /// The plugin that said so.
    plugin: Option<String>,
    /// The plugin's rule, or the reason that it gave.
    rule: Option<&'static str>,
}

impl ReplayRow {
    fn new(number: u64, captured: &Captured, seen: &Seen, plugins: &Report) -> Self {
        let (verdict, reason, cause) = match seen.fate {
            Fate::Passed => ("pass", None, None),
            Fate::Consumed => ("consume", None, None),
            Fate::Waits => ("wait", None, None),
            Fate::Skipped(reason) => ("skip", Some(reason), None),
            Fate::Ended { reason: DropReason::Rejected, cause } => ("reject", Some("rejected"), plugins.cause(cause)),
            Fate::Ended { reason, cause } => ("drop", Some(reason.name()), plugins.cause(cause)),
        };
        Self {
            number,
            at: rfc_3339(captured.at),
            interface: seen.interface,
            protocol: seen.flow.map(|flow| protocol_name(flow.protocol())),
            source: seen.flow.map(|flow| flow.source().to_string()),
            destination: seen.flow.map(|flow| flow.destination().to_string()),
            length: captured.frame.len(),
            verdict,
            reason,
            plugin: cause.map(|(plugin, _)| plugin.to_owned()),
            rule: cause.map(|(_, rule)| rule),
        }
    }

    /// What became of it, in words.
    fn comment(&self) -> String {
        match (&self.plugin, self.rule, self.reason) {
            (Some(plugin), Some(rule), _) => format!("{} by {plugin}: {rule}", self.verdict),
            (_, _, Some(reason)) => format!("{}: {reason}", self.verdict),
            (_, _, None) => self.verdict.to_owned(),
        }
    }

    fn line(&self) -> String {
        let stream = match (&self.protocol, &self.source, &self.destination) {
            (Some(protocol), Some(source), Some(destination)) => format!("{protocol} {source} {destination}"),
            _ => format!("{} bytes", self.length),
        };
        format!("{:>6}  {}  {:<6}  {stream}  {}\n", self.number, self.at, self.interface.as_str(), self.comment())
    }
}

/// What is printed, and how much of it.
struct Printer {
    json: bool,
    rows: u64,
    text: String,
    verdicts: Vec<(&'static str, u64)>,
}

impl Printer {
    fn row(&mut self, row: &ReplayRow) -> Result<(), ReplayError> {
        if self.json {
            self.text += if self.rows == 0 { "[" } else { ",\n" };
            // A flat row of numbers and texts can always be written as JSON.
            self.text += &serde_json::to_string(row).unwrap_or_default();
        } else {
            self.text += &row.line();
        }
        self.rows += 1;
        match self.verdicts.iter_mut().find(|(verdict, _)| *verdict == row.verdict) {
            Some((_, count)) => *count += 1,
            None => self.verdicts.push((row.verdict, 1)),
        }
        if self.text.len() > PRINTED_LEN { self.print() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), ReplayError> {
        if self.json {
            self.text += if self.rows == 0 { "[]\n" } else { "]\n" };
        } else {
            let counts: Vec<_> = self.verdicts.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
            self.text += &format!("{} packets: {}\n", self.rows, counts.join(", "));
        }
        self.print()
    }

    fn print(&mut self) -> Result<(), ReplayError> {
        output::print(&std::mem::take(&mut self.text)).map_err(ReplayError::Output)
    }
}

/// Replays a capture.
///
/// # Errors
/// What is wrong with capture, configuration or plugins, and where.
pub fn run(arguments: &ReplayArguments) -> Result<(), ReplayError> {
    let config = match &arguments.config {
        Some(config) if !arguments.streams => Config::load(config, &arguments.set)?,
        Some(_) | None => return streams::run(arguments),
    };
    let mut capture = Capture::open(&arguments.capture)?;
    let machine = Machine::new(config)?;
    let written = arguments.write.as_deref().map(create).transpose()?;
    let mut printer = Printer { json: arguments.json, rows: 0, text: String::new(), verdicts: Vec::new() };
    let played = play(&mut capture, machine, written, &mut printer);
    printer.end()?;
    played
}

fn create(path: &Path) -> Result<(Written<BufWriter<File>>, &Path), ReplayError> {
    let written = File::create(path).and_then(|file| Written::begin(BufWriter::new(file)));
    written.map(|written| (written, path)).map_err(|error| ReplayError::Write { path: path.to_owned(), error })
}

fn play(
    capture: &mut Capture,
    mut machine: Machine,
    mut written: Option<(Written<BufWriter<File>>, &Path)>,
    printer: &mut Printer,
) -> Result<(), ReplayError> {
    let plugins = machine.report();
    let mut number = 0;
    while let Some(mut captured) = capture.next()? {
        number += 1;
        let original = captured.frame.clone();
        let seen = machine.packet(captured.at, captured.interface, &mut captured.frame);
        let row = ReplayRow::new(number, &captured, &seen, &plugins);
        if let Some((file, path)) = &mut written {
            let packet = file.packet(captured.at, seen.interface, &original, &row.comment());
            packet.map_err(|error| ReplayError::Write { path: path.to_path_buf(), error })?;
        }
        printer.row(&row)?;
    }
    machine.end();
    match written {
        Some((file, path)) => file.finish().map_err(|error| ReplayError::Write { path: path.to_owned(), error }),
        None => Ok(()),
    }
}
