//! The log: lines on standard error, for people or as JSON.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; with colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the filter cannot be read or logging was started before.
pub fn start(filter: &str, format: Format) -> io::Result<()> {
    // The netlink parser warns of every attribute that is longer in a newer kernel than it knows. The last filter for a
    // target counts, so a filter that names it still wins.
    let filter = format!("netlink_packet_route=error,{filter}");
    let filter = EnvFilter::builder().parse(filter).map_err(io::Error::other)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        Format::Human => lines.with_target(false).with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(io::Error::other)
}
