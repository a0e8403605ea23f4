//! `herald routes`: the networks that this node can reach, and how.

use std::net::IpAddr;

use serde::Serialize;

use super::Report;
use super::table::columns;
use crate::app::event_loop::EventLoop;
use herald_core::id::Interface;

pub(super) fn report() -> Report {
    Report::of_loop("routes", "Show connected networks and static routes", rows)
}

/// One line of `herald routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RouteRow {
    /// Destination network.
    pub to: String,
    /// The interface it is reached by.
    pub interface: Interface,
    /// The gateway; `null` for a connected network.
    pub via: Option<IpAddr>,
}

columns!(RouteRow { to, interface, via });

fn rows(event_loop: &EventLoop) -> Vec<RouteRow> {
    let routes = event_loop.parts.node.forward().routes();
    routes.map(|route| RouteRow { to: route.to.to_string(), interface: route.interface, via: route.via }).collect()
}
