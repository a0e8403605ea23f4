//! Others on the networks that are taken for the cluster: foreign routers, and hosts with its addresses.

use std::net::IpAddr;

use serde::Serialize;

use super::table::columns;
use crate::app::event_loop::EventLoop;
use crate::io::clock;
use herald_core::forward::AddressConflict;
use herald_core::id::{Interface, Mac};
use herald_core::membership::ForeignRouter;

/// A router that is no member and advertises a virtual router of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ForeignRouterRow {
    /// The network.
    pub interface: Interface,
    /// Its address.
    pub address: IpAddr,
    /// The MAC that its last advert came from.
    pub mac: Mac,
    /// The virtual router.
    pub vrid: u8,
    /// The priority in its last advert.
    pub priority: u8,
    /// Milliseconds since that.
    pub heard_ms_ago: u64,
}

columns!(ForeignRouterRow { interface, address, mac, vrid, priority, heard_ms_ago });

/// Another host that uses an address of this node or of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct AddressConflictRow {
    /// The network.
    pub interface: Interface,
    /// The address.
    pub address: IpAddr,
    /// The MAC that claimed it last.
    pub mac: Mac,
    /// How often it was claimed, as long as that lasts.
    pub claims: u64,
    /// Milliseconds since the last time.
    pub heard_ms_ago: u64,
}

columns!(AddressConflictRow { interface, address, mac, claims, heard_ms_ago });

/// Routers of others that were heard a short while ago.
pub(super) fn foreign_routers(event_loop: &EventLoop) -> Vec<ForeignRouterRow> {
    let now = clock::now();
    let row = |router: ForeignRouter| ForeignRouterRow {
        interface: router.interface,
        address: router.address,
        mac: router.mac,
        vrid: router.vrid,
        priority: router.priority,
        heard_ms_ago: u64::try_from(now.since(router.heard).as_millis()).unwrap_or(u64::MAX),
    };
    event_loop.parts.node.membership().foreign_routers(now).map(row).collect()
}

/// Hosts with addresses of this node or its cluster that were heard a short while ago.
pub(super) fn address_conflicts(event_loop: &EventLoop) -> Vec<AddressConflictRow> {
    let now = clock::now();
    let row = |conflict: AddressConflict| AddressConflictRow {
        interface: conflict.interface,
        address: conflict.address,
        mac: conflict.mac,
        claims: conflict.claims,
        heard_ms_ago: u64::try_from(now.since(conflict.heard).as_millis()).unwrap_or(u64::MAX),
    };
    event_loop.parts.node.forward().address_conflicts(now).map(row).collect()
}
