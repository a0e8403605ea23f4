//! `herald plugins`: what is counted of each plugin. Its row is the host's.

use super::Report;
use super::table::columns;
use herald_host::{PluginRow, SuspendedRow};

pub(super) fn report() -> Report {
    Report::of_shared("plugins", "Show the chain of plugins", |shared| shared.plugins.rows())
}

columns!(SuspendedRow { plugin, state, fault_cause, fault_source });
columns!(PluginRow {
    id,
    version,
    generation,
    packets,
    bytes,
    drops,
    faults,
    fault_cause,
    fault_source,
    p50_ns,
    p99_ns,
    state
});
