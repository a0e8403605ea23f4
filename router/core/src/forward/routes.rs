//! Routes: the connected networks and the static ones. Longest prefix, two families, two interfaces.
//!
//! A look-up is a scan over the prefixes, the longest first: with the handful of routes that this router has
//! ([`ROUTES_MAX`]) that is cheaper than any tree.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::BitAnd;

use ipnet::IpNet;

use super::gateways::Gateways;
use super::settings::{Settings, SettingsError, StaticRoute};
use crate::flow::Hop;
use crate::id::Interface;
use crate::limits::{GATEWAYS_MAX, ROUTES_MAX};

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
    /// It is behind one of several gateways: their number for [`Gateways`].
    Several(usize),
    /// It is the broadcast address of a connected network (RFC 2644).
    Broadcast,
    /// No route.
    Nothing,
}

/// Where a prefix leads.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// To the network of an interface.
    Connected(Interface),
    /// To a gateway.
    Gateway(Hop),
    /// To one of several, by their number.
    Several(usize),
}

/// One prefix as the scan wants it.
#[derive(Clone, Copy, Debug)]
struct Prefix<B> {
    bits: B,
    mask: B,
    to: IpNet,
    target: Target,
}

/// All routes, the longest prefixes first.
#[derive(Debug)]
pub(super) struct Routes {
    v4: Vec<Prefix<u32>>,
    v6: Vec<Prefix<u128>>,
    pub(super) gateways: Gateways,
}

impl Routes {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let mut routes = Self { v4: Vec::new(), v6: Vec::new(), gateways: Gateways::default() };
        for interface in Interface::BOTH {
            for address in &settings.interfaces[interface].addresses {
                routes.add(address.trunc(), Target::Connected(interface));
            }
        }
        routes.sort();
        let hops: Vec<Vec<Hop>> = settings.routes.iter().map(|r| routes.hops(r)).collect::<Result<_, _>>()?;
        for (route, hops) in settings.routes.iter().zip(hops) {
            let target = match hops[..] {
                [hop] => Target::Gateway(hop),
                [..] => Target::Several(routes.gateways.add(hops)),
            };
            routes.add(route.to.trunc(), target);
        }
        routes.sort();
        if routes.v4.len().max(routes.v6.len()) > ROUTES_MAX {
            return Err(SettingsError::TooManyRoutes);
        }
        Ok(routes)
    }

    /// The route to an address.
    #[inline]
    pub(super) fn look_up(&self, address: IpAddr) -> Found {
        match address {
            IpAddr::V4(v4) => match longest(&self.v4, v4.to_bits()) {
                None => Found::Nothing,
                Some(prefix) if prefix.is_broadcast(v4) => Found::Broadcast,
                Some(prefix) => prefix.target.towards(address),
            },
            IpAddr::V6(v6) => longest(&self.v6, v6.to_bits()).map_or(Found::Nothing, |p| p.target.towards(address)),
        }
    }

    /// The same, of several gateways the one that `spread` chooses.
    pub(super) fn hop_to(&self, address: IpAddr, spread: u64) -> Option<Hop> {
        match self.look_up(address) {
            Found::Hop(hop) => Some(hop),
            Found::Several(number) => self.gateways.pick(number, spread),
            Found::Broadcast | Found::Nothing => None,
        }
    }

    /// Every route, IPv4 before IPv6, the longest prefix first; of several gateways each.
    pub(super) fn iter(&self) -> impl Iterator<Item = Route> {
        let all = self.v4.iter().map(|p| (p.to, p.target)).chain(self.v6.iter().map(|p| (p.to, p.target)));
        all.flat_map(|(to, target)| {
            let through = move |hop: &Hop| Route { to, interface: hop.interface, via: Some(hop.next_hop) };
            match target {
                Target::Connected(interface) => vec![Route { to, interface, via: None }],
                Target::Gateway(hop) => vec![through(&hop)],
                Target::Several(number) => self.gateways.of(number).iter().map(through).collect(),
            }
        })
    }

    /// The gateways of a route. Each is a neighbour: it must be in a connected network, or named with its link.
    fn hops(&self, route: &StaticRoute) -> Result<Vec<Hop>, SettingsError> {
        let to = route.to;
        if route.via.is_empty() || route.via.len() > GATEWAYS_MAX {
            return Err(SettingsError::Gateways { to });
        }
        route.via.iter().map(|via| self.neighbour(to, *via, route.interface)).collect()
    }

    fn neighbour(&self, to: IpNet, via: IpAddr, named: Option<Interface>) -> Result<Hop, SettingsError> {
        if to.addr().is_ipv4() != via.is_ipv4() {
            return Err(SettingsError::GatewayFamily { to, via });
        }
        if matches!(via, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            let interface = named.ok_or(SettingsError::GatewayWithoutInterface { to, via })?;
            return Ok(Hop { interface, next_hop: via });
        }
        match (self.look_up(via), named) {
            (Found::Hop(hop), Some(interface)) if hop.interface != interface => {
                Err(SettingsError::GatewayElsewhere { to, via, interface })
            }
            (Found::Hop(hop), _) => Ok(hop),
            (Found::Several(_) | Found::Broadcast | Found::Nothing, _) => {
                Err(SettingsError::GatewayNotConnected { to, via })
            }
        }
    }

    fn add(&mut self, to: IpNet, target: Target) {
        match to {
            IpNet::V4(net) => {
                let (bits, mask) = (net.network().to_bits(), net.netmask().to_bits());
                self.v4.push(Prefix { bits, mask, to, target });
            }
            IpNet::V6(net) => {
                let (bits, mask) = (net.network().to_bits(), net.netmask().to_bits());
                self.v6.push(Prefix { bits, mask, to, target });
            }
        }
    }

    /// Stable: of equal prefixes the connected one stays first, then the one written first.
    fn sort(&mut self) {
        self.v4.sort_by_key(|p| std::cmp::Reverse(p.mask));
        self.v6.sort_by_key(|p| std::cmp::Reverse(p.mask));
    }
}

impl Target {
    fn towards(self, destination: IpAddr) -> Found {
        match self {
            Self::Connected(interface) => Found::Hop(Hop { interface, next_hop: destination }),
            Self::Gateway(hop) => Found::Hop(hop),
            Self::Several(number) => Found::Several(number),
        }
    }
}

impl Prefix<u32> {
    /// A network of at least four addresses has a broadcast address; smaller ones have none (RFC 3021). The lowest address is
    /// one of a host: what RFC 1122, section 3.2.1.3, kept for broadcasts of old is used so by none, and kernels of today
    /// take it for a host's.
    fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        let hosts = !self.mask;
        matches!(self.target, Target::Connected(_)) && hosts > 1 && address.to_bits() & hosts == hosts
    }
}

fn longest<B: Copy + PartialEq + BitAnd<Output = B>>(prefixes: &[Prefix<B>], address: B) -> Option<&Prefix<B>> {
    prefixes.iter().find(|p| address & p.mask == p.bits)
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
            ("10.1.0.0", hop(Interface::First, "10.1.0.0")),
            ("fd00:1::64", hop(Interface::First, "fd00:1::64")),
            ("2001:db8:9::1", hop(Interface::Second, "fd00:2::fe")),
            ("2001:db9::1", Found::Nothing),
        ] {
            assert_eq!(found(to), expected, "{to}");
        }
    }

    #[test]
    fn wrong_gateways_are_named() {
        let with = |to: &str, via: &str, named: bool| {
            let interface = named.then_some(Interface::First);
            let route = StaticRoute { to: to.parse().unwrap(), via: vec![via.parse().unwrap()], interface };
            Routes::new(&Settings { routes: vec![route], ..settings() }).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(
            with("192.0.2.0/24", "10.9.0.1", false),
            "route to 192.0.2.0/24: the gateway 10.9.0.1 is in none of the networks of the interfaces' addresses"
        );
        assert_eq!(
            with("192.0.2.0/24", "fd00:1::2", false),
            "route to 192.0.2.0/24: the gateway fd00:1::2 is of the other address family"
        );
        assert_eq!(
            with("2001:db8:9::/64", "fe80::1", false),
            "route to 2001:db8:9::/64: the gateway fe80::1 is link-local, so the route must name its interface"
        );
        assert_eq!(
            with("192.0.2.0/24", "10.2.0.9", true),
            "route to 192.0.2.0/24: the gateway 10.2.0.9 is in a network of the second interface"
        );
        let route = |n: u32| StaticRoute {
            to: IpNet::new(Ipv4Addr::from_bits(0x0b00_0000 + n).into(), 32).unwrap(),
            via: vec!["10.1.0.254".parse().unwrap()],
            interface: None,
        };
        let many = Settings { routes: (0..200).map(route).collect(), ..settings() };
        assert_eq!(Routes::new(&many).map(|_| ()).unwrap_err(), SettingsError::TooManyRoutes);
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
                via: vec![gateway(n).into()], interface: None,
            }).collect();
            let address = IpAddr::from(Ipv4Addr::from_bits(0xc633_6400 | wanted << 4));
            let mut naive: Option<&StaticRoute> = None;
            for route in statics.iter().filter(|r| r.to.contains(&address)) {
                if naive.is_none_or(|best| route.to.prefix_len() > best.to.prefix_len()) {
                    naive = Some(route);
                }
            }
            let routes = Routes::new(&Settings { routes: statics.clone(), ..settings() }).unwrap();
            let found = routes.hop_to(address, 0).map(|hop| hop.next_hop);
            prop_assert_eq!(found, naive.map(|r| r.via[0]));
        }
    }
}
