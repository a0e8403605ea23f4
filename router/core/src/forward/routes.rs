//! Routes: the connected networks and the static ones. Longest prefix, two families, two interfaces.
//!
//! A look-up is a scan over the prefixes, the longest first: with the handful of routes that this router has
//! ([`ROUTES_MAX`]) that is cheaper than any tree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::BitAnd;

use ipnet::IpNet;

use super::settings::{Settings, SettingsError, StaticRoute};
use crate::flow::Hop;
use crate::id::Interface;
use crate::limits::ROUTES_MAX;

/// A route, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destinations.
    pub to: IpNet,
    /// The interface where they are.
    pub interface: Interface,
    /// The gateway; `None` for a connected network.
    pub via: Option<IpAddr>,
}

/// What the routes say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there.
    Hop(Hop),
    /// It is the broadcast or network address of a connected network (RFC 2644; RFC 1122, section 3.2.1.3).
    Broadcast,
    /// No route.
    Nothing,
}

/// One prefix as the scan wants it.
#[derive(Clone, Copy, Debug)]
struct Prefix<B> {
    bits: B,
    mask: B,
    route: Route,
}

/// All routes, the longest prefixes first.
#[derive(Debug)]
pub(super) struct Routes {
    v4: Vec<Prefix<u32>>,
    v6: Vec<Prefix<u128>>,
}

impl Routes {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let mut routes = Self { v4: Vec::new(), v6: Vec::new() };
        for interface in Interface::BOTH {
            for address in &settings.interfaces[interface].addresses {
                routes.add(Route { to: address.trunc(), interface, via: None });
            }
        }
        routes.sort();
        let gateways: Vec<Route> =
            settings.routes.iter().map(|r| routes.through_gateway(r)).collect::<Result<_, _>>()?;
        gateways.into_iter().for_each(|route| routes.add(route));
        routes.sort();
        if routes.v4.len().max(routes.v6.len()) > ROUTES_MAX {
            return Err(SettingsError::TooManyRoutes);
        }
        Ok(routes)
    }

    /// The route to an address.
    pub(super) fn look_up(&self, address: IpAddr) -> Found {
        match address {
            IpAddr::V4(v4) => match longest(&self.v4, v4.to_bits()) {
                None => Found::Nothing,
                Some(prefix) if prefix.is_broadcast(v4) => Found::Broadcast,
                Some(prefix) => Found::Hop(prefix.route.hop(address)),
            },
            IpAddr::V6(v6) => match longest(&self.v6, v6.to_bits()) {
                None => Found::Nothing,
                Some(prefix) => Found::Hop(prefix.route.hop(address)),
            },
        }
    }

    /// Every route, IPv4 before IPv6, the longest prefix first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Route> {
        self.v4.iter().map(|p| p.route).chain(self.v6.iter().map(|p| p.route))
    }

    /// A gateway is a neighbour: it must be in a connected network.
    fn through_gateway(&self, route: &StaticRoute) -> Result<Route, SettingsError> {
        let StaticRoute { to, via } = *route;
        if to.addr().is_ipv4() != via.is_ipv4() {
            return Err(SettingsError::GatewayFamily { to, via });
        }
        match self.look_up(via) {
            Found::Hop(hop) => Ok(Route { to: to.trunc(), interface: hop.interface, via: Some(via) }),
            Found::Broadcast | Found::Nothing => Err(SettingsError::GatewayNotConnected { to, via }),
        }
    }

    fn add(&mut self, route: Route) {
        match route.to {
            IpNet::V4(net) => {
                let (bits, mask) = (net.network().to_bits(), net.netmask().to_bits());
                self.v4.push(Prefix { bits, mask, route });
            }
            IpNet::V6(net) => {
                let (bits, mask) = (net.network().to_bits(), net.netmask().to_bits());
                self.v6.push(Prefix { bits, mask, route });
            }
        }
    }

    /// Stable: of equal prefixes the connected one stays first, then the one written first.
    fn sort(&mut self) {
        self.v4.sort_by_key(|p| std::cmp::Reverse(p.mask));
        self.v6.sort_by_key(|p| std::cmp::Reverse(p.mask));
    }
}

impl Route {
    fn hop(&self, destination: IpAddr) -> Hop {
        Hop { interface: self.interface, next_hop: self.via.unwrap_or(destination) }
    }
}

impl Prefix<u32> {
    /// A network of at least four addresses has a broadcast address; smaller ones have none (RFC 3021).
    fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        let hosts = !self.mask;
        let host = address.to_bits() & hosts;
        self.route.via.is_none() && hosts > 1 && (host == 0 || host == hosts)
    }
}

fn longest<B: Copy + PartialEq + BitAnd<Output = B>>(prefixes: &[Prefix<B>], address: B) -> Option<&Prefix<B>> {
    prefixes.iter().find(|p| address & p.mask == p.bits)
}

/// Why an address pair may not be forwarded (RFC 1812, sections 4.2.2.11, 5.3.7; RFC 3927, section 7; RFC 4291,
/// sections 2.5 and 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Both may cross a router.
    Global,
    /// Not on this wire, or not across a router.
    Martian,
    /// To a group.
    Multicast,
}

/// The scope of a packet's addresses.
pub(super) fn scope_of(source: IpAddr, destination: IpAddr) -> Scope {
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            if to.is_multicast() || to.is_broadcast() {
                Scope::Multicast
            } else if stays_v4(from) || from.is_multicast() || stays_v4(to) {
                Scope::Martian
            } else {
                Scope::Global
            }
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            if to.is_multicast() {
                Scope::Multicast
            } else if stays_v6(from) || from.is_multicast() || stays_v6(to) {
                Scope::Martian
            } else {
                Scope::Global
            }
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Scope::Martian,
    }
}

/// "This network", loopback, link-local and reserved addresses, with the limited broadcast.
fn stays_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    matches!(first, 0 | 127 | 240..) || (first == 169 && second == 254)
}

fn stays_v6(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::testing::settings;
    use proptest::prelude::*;

    fn found(text: &str) -> Found {
        Routes::new(&settings()).unwrap().look_up(text.parse().unwrap())
    }

    fn hop(interface: Interface, next_hop: &str) -> Found {
        Found::Hop(Hop { interface, next_hop: next_hop.parse().unwrap() })
    }

    #[test]
    fn connected_networks_and_gateways() {
        for (to, expected) in [
            ("10.1.0.100", hop(Interface::First, "10.1.0.100")),
            ("10.2.0.200", hop(Interface::Second, "10.2.0.200")),
            ("192.0.2.1", hop(Interface::Second, "10.2.0.254")),
            ("192.0.2.255", hop(Interface::Second, "10.2.0.254")),
            ("192.0.3.1", Found::Nothing),
            ("10.1.0.255", Found::Broadcast),
            ("10.1.0.0", Found::Broadcast),
            ("fd00:1::64", hop(Interface::First, "fd00:1::64")),
            ("2001:db8:9::1", hop(Interface::Second, "fd00:2::fe")),
            ("2001:db9::1", Found::Nothing),
        ] {
            assert_eq!(found(to), expected, "{to}");
        }
    }

    #[test]
    fn wrong_gateways_are_named() {
        let with = |to: &str, via: &str| {
            let route = StaticRoute { to: to.parse().unwrap(), via: via.parse().unwrap() };
            Routes::new(&Settings { routes: vec![route], ..settings() }).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(
            with("192.0.2.0/24", "10.9.0.1"),
            "route to 192.0.2.0/24: the gateway 10.9.0.1 is in none of the networks of the interfaces' addresses"
        );
        assert_eq!(
            with("192.0.2.0/24", "fd00:1::2"),
            "route to 192.0.2.0/24: the gateway fd00:1::2 is of the other address family"
        );
        let route = |n: u32| StaticRoute {
            to: IpNet::new(Ipv4Addr::from_bits(0x0b00_0000 + n).into(), 32).unwrap(),
            via: "10.1.0.254".parse().unwrap(),
        };
        let many = Settings { routes: (0..200).map(route).collect(), ..settings() };
        assert_eq!(Routes::new(&many).map(|_| ()).unwrap_err(), SettingsError::TooManyRoutes);
    }

    #[test]
    fn scopes_that_no_router_crosses() {
        for (from, to, expected) in [
            ("10.1.0.100", "10.2.0.200", Scope::Global),
            ("0.0.0.0", "10.2.0.200", Scope::Martian),
            ("127.0.0.1", "10.2.0.200", Scope::Martian),
            ("224.0.0.1", "10.2.0.200", Scope::Martian),
            ("255.255.255.255", "10.2.0.200", Scope::Martian),
            ("169.254.1.1", "10.2.0.200", Scope::Martian),
            ("10.1.0.100", "127.0.0.1", Scope::Martian),
            ("10.1.0.100", "0.1.2.3", Scope::Martian),
            ("10.1.0.100", "240.0.0.1", Scope::Martian),
            ("10.1.0.100", "224.0.0.5", Scope::Multicast),
            ("10.1.0.100", "255.255.255.255", Scope::Multicast),
            ("fd00:1::64", "fd00:2::c8", Scope::Global),
            ("::", "fd00:2::c8", Scope::Martian),
            ("::1", "fd00:2::c8", Scope::Martian),
            ("fe80::1", "fd00:2::c8", Scope::Martian),
            ("ff02::1", "fd00:2::c8", Scope::Martian),
            ("fd00:1::64", "fe80::1", Scope::Martian),
            ("fd00:1::64", "::1", Scope::Martian),
            ("fd00:1::64", "ff0e::1", Scope::Multicast),
            ("fd00:1::64", "10.2.0.200", Scope::Martian),
        ] {
            assert_eq!(scope_of(from.parse().unwrap(), to.parse().unwrap()), expected, "{from} {to}");
        }
    }

    proptest! {
        /// Against every route of the settings tried one by one, in few enough bits that prefixes nest.
        #[test]
        fn the_longest_prefix_wins(
            nets in prop::collection::vec((0_u32..16, 24_u8..=32, 0_u8..3), 0..40),
            wanted in 0_u32..16,
        ) {
            let gateway = |n: u8| Ipv4Addr::new(10, 1 + n % 2, 0, 100 + n);
            let statics: Vec<StaticRoute> = nets.iter().map(|&(bits, len, n)| StaticRoute {
                to: IpNet::new(Ipv4Addr::from_bits(0xc633_6400 | bits << 4).into(), len).unwrap(),
                via: gateway(n).into(),
            }).collect();
            let address = IpAddr::from(Ipv4Addr::from_bits(0xc633_6400 | wanted << 4));
            let mut naive: Option<&StaticRoute> = None;
            for route in statics.iter().filter(|r| r.to.contains(&address)) {
                if naive.is_none_or(|best| route.to.prefix_len() > best.to.prefix_len()) {
                    naive = Some(route);
                }
            }
            let routes = Routes::new(&Settings { routes: statics.clone(), ..settings() }).unwrap();
            let found = match routes.look_up(address) {
                Found::Hop(hop) => Some(hop.next_hop),
                Found::Broadcast | Found::Nothing => None,
            };
            prop_assert_eq!(found, naive.map(|r| r.via));
        }
    }
}
