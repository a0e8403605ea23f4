//! What reports show of forwarding.

use std::net::IpAddr;

use super::neighbour::State;
use super::{Forward, Route};
use crate::id::{Interface, Mac};

/// One neighbour, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourRow {
    /// Where it is.
    pub interface: Interface,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC, if it is known.
    pub mac: Option<Mac>,
    /// `"incomplete"`, `"reachable"`, `"stale"`, `"probe"` or `"contested"`.
    pub state: &'static str,
    /// Frames that wait for it.
    pub frames: usize,
}

impl Forward {
    /// All neighbours, ordered by interface and address.
    #[must_use]
    pub fn neighbours(&self) -> Vec<NeighbourRow> {
        let row = |interface| {
            move |(address, state, frames): (IpAddr, State, usize)| {
                let name = match state {
                    State::Incomplete { .. } => "incomplete",
                    State::Reachable { .. } => "reachable",
                    State::Stale { .. } => "stale",
                    State::Probe { .. } => "probe",
                    State::Contested { .. } => "contested",
                };
                NeighbourRow { interface, address, mac: state.mac(), state: name, frames }
            }
        };
        let mut rows: Vec<_> =
            Interface::BOTH.into_iter().flat_map(|i| self.neighbours[i].iter().map(row(i))).collect();
        rows.sort_unstable_by_key(|r| (r.interface, r.address));
        rows
    }

    /// All routes, IPv4 before IPv6, the longest prefix first.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.routes.iter()
    }

    /// Transit frames that wait for a neighbour: the neighbour queues' part of `kept` in the books.
    #[must_use]
    pub fn frames_queued(&self) -> usize {
        Interface::BOTH.into_iter().map(|i| self.neighbours[i].transit_kept()).sum()
    }

    /// ICMP errors that were not sent because there were too many.
    #[must_use]
    pub fn errors_suppressed(&self) -> u64 {
        self.errors.refused()
    }

    /// TCP resets that were not sent because there were too many.
    #[must_use]
    pub fn resets_suppressed(&self) -> u64 {
        self.resets.refused()
    }
}
