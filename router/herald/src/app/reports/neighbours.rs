//! `herald neighbours`: the hosts on both networks whose MAC this node knows or asks for.

use std::net::IpAddr;

use serde::Serialize;

use super::Report;
use super::table::columns;
use crate::app::event_loop::EventLoop;
use herald_core::id::{Interface, Mac};

pub(super) fn report() -> Report {
    Report::of_loop("neighbours", "Show the neighbours that this node resolved", rows)
}

/// One line of `herald neighbours`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NeighbourRow {
    /// Where it is.
    pub interface: Interface,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC, once known.
    pub mac: Option<Mac>,
    /// `incomplete`, `reachable`, `stale` or `probe`.
    pub state: &'static str,
    /// Frames that wait for it.
    pub frames: usize,
}

columns!(NeighbourRow { interface, address, mac, state, frames });

fn rows(event_loop: &EventLoop) -> Vec<NeighbourRow> {
    let neighbours = event_loop.parts.node.forward().neighbours().into_iter();
    neighbours
        .map(|neighbour| NeighbourRow {
            interface: neighbour.interface,
            address: neighbour.address,
            mac: neighbour.mac,
            state: neighbour.state,
            frames: neighbour.frames,
        })
        .collect()
}
