//! Breaks and mends what is between the nodes, and what a node has room for.

use crate::LabError;
use crate::fault::{Ends, Fault, Ways};
use crate::filling::Store;
use crate::folder::Folder;
use crate::name::LabName;
use crate::request::{Request, ask};

/// Puts a fault on the lanes between some ends, in place of what was there. Frames that are on their way while ports
/// move from the bridge to the relay may be lost.
///
/// # Errors
///
/// When there is no such lab or node, or what is asked for makes no sense. Nothing has changed then.
pub fn break_lanes(name: &LabName, ends: &Ends, ways: Ways, fault: Fault) -> Result<(), LabError> {
    // What the keeper says of wrong usage is any failure here.
    fault.check()?;
    let lanes = ends.lanes(ways)?;
    ask(&Folder::of(name), &Request::Break { lanes, fault }).map(drop)
}

/// Lets a node have no more room of some kinds.
///
/// # Errors
///
/// When there is no such lab or node, the node does not run, or nothing is named.
pub fn fill(name: &LabName, node: &str, stores: &[Store]) -> Result<(), LabError> {
    if stores.is_empty() {
        return Err(LabError::Usage(format!("what of {node}? --disk or --descriptors is needed")));
    }
    ask(&Folder::of(name), &Request::Fill { node: node.to_owned(), stores: stores.to_vec() }).map(drop)
}

/// Takes away every fault that names these ends; without ends, every fault. A node that is named alone, without a network,
/// has room again.
///
/// # Errors
///
/// When there is no such lab or node, or nothing is broken there.
pub fn heal(name: &LabName, ends: Option<Ends>) -> Result<(), LabError> {
    ends.iter().try_for_each(Ends::check)?;
    ask(&Folder::of(name), &Request::Heal { ends }).map(drop)
}
