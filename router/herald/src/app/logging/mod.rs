//! The log: lines on standard error, for people or as JSON. Who logs never waits for a disk or a reader.
//!
//! ```text
//!  event loop, plugins, control --> limit (lines of one kind) --> queue (bounded) --> thread --> standard error
//! ```

mod limit;
mod queue;

use std::io::{self, IsTerminal};
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use limit::Limit;
use queue::{Line, Queue};

/// For how long the end of a node waits for its last lines: a disk or reader that takes them needs milliseconds, and who
/// stops a node does not want to wait for one that does not.
const LAST_LINES_TIME_MAX: Duration = Duration::from_secs(1);

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; with colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// The running log. Dropping it waits until the last lines are written, but not for long.
#[derive(Debug)]
pub struct Log {
    books: LogBooks,
}

/// Reads what became of the lines.
#[derive(Clone, Debug)]
pub struct LogBooks {
    queue: Arc<Queue>,
    limit: Limit,
}

/// Lines of the log since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineCounts {
    /// Wait to be written at this moment; many, or for long: the disk is full or the reader has stopped.
    pub waiting: u64,
    /// Were lost, since too many waited.
    pub lost: u64,
    /// Were left out, since too many of their kind came.
    pub left_out: u64,
}

/// Starts logging for the whole process, panics included. To be called before other threads are started.
///
/// # Errors
/// When the filter cannot be read, there can be no more threads, or logging was started before.
pub fn start(filter: &str, format: Format) -> io::Result<Log> {
    // The netlink parser warns of every attribute that is longer in a newer kernel than it knows. The last filter for a
    // target counts, so a filter that names it still wins.
    let filter = format!("netlink_packet_route=error,{filter}");
    let filter = EnvFilter::builder().parse(filter).map_err(io::Error::other)?;
    let (queue, limit) = (Arc::new(Queue::default()), Limit::default());
    queue::start(Arc::clone(&queue), limit.clone())?;
    let books = LogBooks { queue: Arc::clone(&queue), limit: limit.clone() };
    // A line that cannot be written is the queue's affair; the library would complain of it on standard error, and panic.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let lines = lines.with_writer(move || Line(Arc::clone(&queue)));
    let started = match format {
        Format::Human => lines.with_target(false).with_ansi(io::stderr().is_terminal()).finish().with(limit).try_init(),
        Format::Json => lines.json().flatten_event(true).finish().with(limit).try_init(),
    };
    started.map_err(io::Error::other)?;
    // The standard library's hook waits for whoever reads standard error.
    panic::set_hook(Box::new(|panic| tracing::error!("{}", panic.to_string().replace('\n', " "))));
    Ok(Log { books })
}

impl Log {
    /// For reports.
    #[must_use]
    pub fn books(&self) -> LogBooks {
        self.books.clone()
    }
}

impl LogBooks {
    /// The counts at this moment.
    #[must_use]
    pub fn counts(&self) -> LineCounts {
        let (waiting, lost) = self.queue.counts();
        LineCounts { waiting, lost, left_out: self.limit.left_out() }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.books.limit.tell_left_out();
        self.books.queue.drain(LAST_LINES_TIME_MAX);
    }
}
