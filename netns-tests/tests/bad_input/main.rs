//! Bad input from every door: configuration, plugins, links, interfaces. Each gives one clear error or one named drop
//! reason, and nothing else stops.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

mod claimed;
mod frames;
mod junk;
mod links;
mod members;
mod start;
mod stranger;
mod unread;

use std::time::Duration;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["a", "b", "c"];
