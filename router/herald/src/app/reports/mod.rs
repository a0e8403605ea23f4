//! The reports of a node. Each is one entry of [`REPORTS`]: its command, its help, its path, its JSON and its table follow
//! from that. JSON is stable: fields may be added, none renamed.
//!
//! ```text
//!  herald routes  --GET /routes-->  control thread  --question-->  event loop
//!     table  <-------- JSON ------  written here    <---- rows ---  read here
//! ```
//!
//! A new report is one file like `routes.rs`: a row, its `columns!`, the function that reads the rows, and the entry, which
//! gets its line in the list below.

mod cluster;
mod drops;
mod events;
mod members;
mod neighbours;
mod plugins;
mod roles;
mod routes;
mod sessions;
mod status;
mod strangers;
mod table;
mod who;
mod why;

use std::fmt;
use std::sync::LazyLock;

use serde::Serialize;

pub use cluster::{Shown, cluster_text};
pub use events::{EventRow, rfc_3339, step_name};
pub use sessions::SessionRow;
pub use table::{Lines, Text, table};
pub use who::Who;
pub use why::{WhyRow, why_lines, why_rows, why_text};

use super::control::Shared;
use super::event_loop::EventLoop;
use herald_core::session::Row;

/// All reports, in the order of `herald --help`. Two commands that ask a node are not among them, for an entry is a path
/// without arguments and one answer: `who` takes a stream, and others are asked before it is answered; `events` goes on from
/// a number, and its answer comes in portions, one JSON object a line.
pub static REPORTS: LazyLock<Vec<Report>> = LazyLock::new(|| {
    vec![
        status::report(),
        members::report(),
        roles::report(),
        sessions::report(),
        drops::report(),
        plugins::report(),
        neighbours::report(),
        routes::report(),
    ]
});

/// One report.
pub struct Report {
    /// The command, `herald NAME`, and the path, `/NAME`.
    pub name: &'static str,
    /// The command's line in `herald --help`.
    pub about: &'static str,
    /// Where its answer comes from.
    pub source: Source,
    /// How people see the answer's JSON.
    pub shown: Shown,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Report({})", self.name)
    }
}

/// Where an answer comes from.
pub enum Source {
    /// The event loop reads it between two turns.
    Loop(Read<EventLoop>),
    /// The control thread reads it from what both share, while the loop works.
    Shared(Read<Shared>),
    /// The event loop publishes its session tables part by part, while it works; the control thread makes the answer.
    Sessions(fn(Vec<Row>) -> Answer),
}

/// Reads an answer.
pub type Read<From> = Box<dyn Fn(&From) -> Answer + Send + Sync>;

/// An answer that is still to be written as JSON. The asker does that, so that the loop loses no time with it.
pub type Answer = Box<dyn FnOnce() -> serde_json::Result<Vec<u8>> + Send>;

impl Report {
    /// A report that the event loop reads.
    fn of_loop<T>(name: &'static str, about: &'static str, read: fn(&EventLoop) -> T) -> Self
    where
        T: Serialize + Text + Send + 'static,
    {
        Self { name, about, source: Source::Loop(Box::new(move |from| unwritten(read(from)))), shown: shown::<T>() }
    }

    /// A report that is read beside the event loop, which does not notice: for what may be long.
    fn of_shared<T>(name: &'static str, about: &'static str, read: fn(&Shared) -> T) -> Self
    where
        T: Serialize + Text + Send + 'static,
    {
        Self { name, about, source: Source::Shared(Box::new(move |from| unwritten(read(from)))), shown: shown::<T>() }
    }

    /// Where it is asked for.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

/// How an answer of this type is shown.
fn shown<T: Text>() -> Shown {
    Shown { text: T::text, lines: T::lines }
}

/// An answer of any shape.
pub(super) fn unwritten(answer: impl Serialize + Send + 'static) -> Answer {
    Box::new(move || serde_json::to_vec(&answer))
}

#[cfg(test)]
mod tests;
