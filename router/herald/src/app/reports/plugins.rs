//! `herald plugins`: what is counted of each plugin. Its row is the host's.

use super::Report;
use super::table::columns;
use herald_host::PluginRow;

pub(super) fn report() -> Report {
    Report::of_shared("plugins", "Show the chain of plugins", |shared| shared.plugins.rows())
}

columns!(PluginRow { id, version, generation, packets, drops, faults, p50_ns, p99_ns, state });
