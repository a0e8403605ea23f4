//! What forwarding is told at its start, and what can be wrong with it.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::flow::HashKey;
use crate::id::{Interface, Mac, PerInterface};

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
    /// The VLAN whose tag each frame of the network has; `None`: frames have none.
    pub vlan: Option<u16>,
    /// How long hosts may use the cluster as their IPv6 gateway after each router advertisement, in whole seconds; `None`: it
    /// sends none.
    pub router_lifetime: Option<Duration>,
}

/// A network that is reached through a gateway, or through several, each of which takes its part of the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// Destinations.
    pub to: IpNet,
    /// Neighbours in connected networks, or by their link-local addresses.
    pub via: Vec<IpAddr>,
    /// Where they are; a link-local address does not say it.
    pub interface: Option<Interface>,
}

/// Whether the source of a new stream must be where its first packet came from (RFC 3704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReversePath {
    /// It need not.
    Off,
    /// There must be a route to it, over either interface (RFC 3704, section 2.4).
    #[default]
    Loose,
    /// The route to it must lead over that interface (RFC 3704, section 2.2).
    Strict,
}

/// Everything that forwarding is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Both interfaces.
    pub interfaces: PerInterface<InterfaceSettings>,
    /// Static routes. Of two with the same prefix the first counts.
    pub routes: Vec<StaticRoute>,
    /// What is asked of a new stream's source.
    pub reverse_path: ReversePath,
    /// Tell hosts of shorter ways (RFC 792; RFC 4861, section 8).
    pub icmp_redirects: bool,
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
    /// A link-local address may be one of either interface's link.
    #[error("route to {to}: the gateway {via} is link-local, so the route must name its interface")]
    GatewayWithoutInterface {
        /// The route's destinations.
        to: IpNet,
        /// Its gateway.
        via: IpAddr,
    },
    /// The gateway is in a network of the other interface.
    #[error("route to {to}: the gateway {via} is in a network of the {} interface", .interface.other())]
    GatewayElsewhere {
        /// The route's destinations.
        to: IpNet,
        /// Its gateway.
        via: IpAddr,
        /// The interface that the route names.
        interface: Interface,
    },
    /// A route without a gateway, or with more than [`GATEWAYS_MAX`](crate::limits::GATEWAYS_MAX).
    #[error("route to {to}: it needs from 1 to {} gateways", crate::limits::GATEWAYS_MAX)]
    Gateways {
        /// The route's destinations.
        to: IpNet,
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
