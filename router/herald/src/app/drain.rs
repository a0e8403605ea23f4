//! `herald drain` and `herald undrain`: maintenance of one node.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command_line::{DrainArguments, ReportArguments};
use super::commands::{CommandError, print};
use super::control::client;
use herald_lab::eventually;

/// What a node answers to both: what it still has to give away.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Draining {
    /// The node gives up its roles and streams.
    pub draining: bool,
    /// Redirectors that it still holds.
    pub roles: usize,
    /// Streams that it is still the chosen node of.
    pub streams: usize,
}

/// Orders the node to give up its roles and streams and waits until it has none.
///
/// # Errors
/// When there is no node, or it has something left after the time.
pub(super) fn drain(arguments: &DrainArguments) -> Result<(), CommandError> {
    let mut left = Draining::default();
    let mut look = || -> Result<Option<String>, CommandError> {
        let json = client::order(&arguments.report.node.control, "/drain")?;
        left = serde_json::from_str(&json)?;
        Ok((left.roles == 0 && left.streams == 0).then_some(json))
    };
    match eventually(Duration::from_secs(arguments.timeout.into()), || look().transpose()) {
        Some(drained) => {
            let json = drained?;
            print(&if arguments.report.json { json + "\n" } else { "drained\n".to_owned() })
        }
        None => {
            let Draining { roles, streams, .. } = left;
            Err(CommandError::NotDrained { seconds: arguments.timeout, roles, streams })
        }
    }
}

/// Lets the node take roles and streams again.
///
/// # Errors
/// When there is no node.
pub(super) fn undrain(arguments: &ReportArguments) -> Result<(), CommandError> {
    let json = client::order(&arguments.node.control, "/undrain")?;
    print(&if arguments.json { json + "\n" } else { "serves again\n".to_owned() })
}
