//! What forwarding is told at its start, and what can be wrong with it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::flow::HashKey;
use crate::id::{Mac, PerInterface};

/// One interface.
#[derive(Clone, Debug)]
pub struct InterfaceSettings {
    /// This node's own MAC.
    pub mac: Mac,
    /// The cluster's MAC for IPv4.
    pub virtual_mac_v4: Mac,
    /// The cluster's MAC for IPv6. A virtual link-local address is derived from it, unless `virtual_addresses` has one.
    pub virtual_mac_v6: Mac,
    /// This node's own addresses with the networks they are in. A link-local address is derived from the MAC.
    pub addresses: Vec<IpNet>,
    /// The cluster's addresses.
    pub virtual_addresses: Vec<IpAddr>,
    /// Largest IP packet in bytes.
    pub mtu: u16,
}

/// A network that is reached through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// Destinations.
    pub to: IpNet,
    /// A neighbour in a connected network.
    pub via: IpAddr,
}

/// Everything that forwarding is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Both interfaces.
    pub interfaces: PerInterface<InterfaceSettings>,
    /// Static routes. Of two with the same prefix the first counts.
    pub routes: Vec<StaticRoute>,
    /// Key of the neighbour tables, random.
    pub hash_key: HashKey,
}

/// Settings that contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The gateway is in no connected network.
    #[error("route to {to}: the gateway {via} is in none of the networks of the interfaces' addresses")]
    GatewayNotConnected {
        /// The route's destinations.
        to: IpNet,
        /// Its gateway.
        via: IpAddr,
    },
    /// Network and gateway are of different families.
    #[error("route to {to}: the gateway {via} is of the other address family")]
    GatewayFamily {
        /// The route's destinations.
        to: IpNet,
        /// Its gateway.
        via: IpAddr,
    },
    /// More than [`ROUTES_MAX`](crate::limits::ROUTES_MAX).
    #[error("more than {} routes of one address family", crate::limits::ROUTES_MAX)]
    TooManyRoutes,
}
