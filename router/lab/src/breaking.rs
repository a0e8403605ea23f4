//! Breaks and mends what is between the nodes.

use crate::LabError;
use crate::fault::{Ends, Fault, Ways};
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

/// Takes away every fault that names these ends; without ends, every fault.
///
/// # Errors
///
/// When there is no such lab or node, or nothing is broken there.
pub fn heal(name: &LabName, ends: Option<Ends>) -> Result<(), LabError> {
    ends.iter().try_for_each(Ends::check)?;
    ask(&Folder::of(name), &Request::Heal { ends }).map(drop)
}
