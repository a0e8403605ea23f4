//! What one interface of this node is: MACs, own and virtual addresses, groups.
//!
//! Two link-local addresses are derived by EUI-64 (RFC 4291, appendix A): the node's own from its own MAC, and the
//! cluster's, one for each interface and the same on every node, from the virtual MAC for IPv6 (so VRID 1 has
//! `fe80::200:5eff:fe00:201`). It is the address that hosts have as their IPv6 gateway (RFC 9568, section 5.2.9 wants a
//! link-local address first). No duplicate address detection is made for either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::HolderState;
use super::settings::InterfaceSettings;
use crate::id::Mac;
use crate::packet::vrrp::GROUP_V6;

/// All routers on the link: where router solicitations go (RFC 4291, section 2.7.1).
pub(super) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The same for the site, which is this link as far as a cluster forwards to groups.
pub(super) const ALL_ROUTERS_OF_SITE: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2);

/// All nodes on the link.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// One interface's addresses and MACs.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) mac: Mac,
    pub(super) virtual_mac_v4: Mac,
    pub(super) virtual_mac_v6: Mac,
    pub(super) link_local: Ipv6Addr,
    pub(super) holds: HolderState,
    pub(super) mtu: u16,
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
    virtual_v4: Vec<Ipv4Addr>,
    virtual_v6: Vec<Ipv6Addr>,
    anycast: Vec<Ipv6Addr>,
}

impl Local {
    pub(super) fn new(settings: &InterfaceSettings) -> Self {
        let mut local = Self {
            mac: settings.mac,
            virtual_mac_v4: settings.virtual_mac_v4,
            virtual_mac_v6: settings.virtual_mac_v6,
            link_local: settings.mac.link_local(),
            holds: HolderState::DoesNot,
            mtu: settings.mtu,
            v4: Vec::new(),
            v6: Vec::new(),
            virtual_v4: Vec::new(),
            virtual_v6: Vec::new(),
            anycast: Vec::new(),
        };
        for address in &settings.addresses {
            match *address {
                IpNet::V4(net) => local.v4.push(net),
                IpNet::V6(net) => local.v6.push(net),
            }
        }
        // On a link between two routers there is none (RFC 6164).
        local.anycast = local.v6.iter().filter(|net| net.prefix_len() < 127).map(Ipv6Net::network).collect();
        for address in &settings.virtual_addresses {
            match *address {
                IpAddr::V4(v4) => local.virtual_v4.push(v4),
                IpAddr::V6(v6) => local.virtual_v6.push(v6),
            }
        }
        if !local.virtual_v6.iter().any(Ipv6Addr::is_unicast_link_local) {
            local.virtual_v6.push(settings.virtual_mac_v6.link_local());
        }
        local
    }

    /// The MAC with which this node answers for an IPv4 address now; `None` if it does not.
    pub(super) fn answers_v4(&self, address: Ipv4Addr) -> Option<Mac> {
        if self.own_v4().any(|own| own == address) {
            return Some(self.mac);
        }
        (self.is_holder() && self.virtual_v4.contains(&address)).then_some(self.virtual_mac_v4)
    }

    /// The MAC with which this node answers for an IPv6 address now; `None` if it does not.
    pub(super) fn answers_v6(&self, address: Ipv6Addr) -> Option<Mac> {
        if self.own_v6().any(|own| own == address) {
            return Some(self.mac);
        }
        let is_virtual = self.virtual_v6.contains(&address) || self.is_anycast(address);
        (self.is_holder() && is_virtual).then_some(self.virtual_mac_v6)
    }

    /// True for the address of all routers of one of this interface's networks (RFC 4291, section 2.6.1): other routers have it,
    /// too.
    pub(super) fn is_anycast(&self, address: Ipv6Addr) -> bool {
        self.anycast.contains(&address)
    }

    /// The addresses of all routers of this interface's networks.
    pub(super) fn anycast(&self) -> &[Ipv6Addr] {
        &self.anycast
    }

    /// The MAC that belongs to an IPv4 address of this node or of the cluster, whoever answers for it.
    pub(super) fn claims_v4(&self, address: Ipv4Addr) -> Option<Mac> {
        let virtual_mac = || self.virtual_v4.contains(&address).then_some(self.virtual_mac_v4);
        self.own_v4().any(|own| own == address).then_some(self.mac).or_else(virtual_mac)
    }

    /// The MAC that belongs to an IPv6 address of this node or of the cluster, whoever answers for it.
    pub(super) fn claims_v6(&self, address: Ipv6Addr) -> Option<Mac> {
        let virtual_mac = || self.virtual_v6.contains(&address).then_some(self.virtual_mac_v6);
        self.own_v6().any(|own| own == address).then_some(self.mac).or_else(virtual_mac)
    }

    pub(super) fn is_holder(&self) -> bool {
        match self.holds {
            HolderState::Holds => true,
            HolderState::DoesNot => false,
        }
    }

    /// Own IPv4 addresses.
    pub(super) fn own_v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.v4.iter().map(Ipv4Net::addr)
    }

    /// Own IPv6 addresses, the link-local one first.
    pub(super) fn own_v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        std::iter::once(self.link_local).chain(self.v6.iter().map(Ipv6Net::addr))
    }

    /// The networks of the own IPv6 addresses.
    pub(super) fn prefixes_v6(&self) -> impl Iterator<Item = Ipv6Net> {
        self.v6.iter().map(Ipv6Net::trunc)
    }

    /// The cluster's IPv4 addresses here.
    pub(super) fn virtual_v4(&self) -> &[Ipv4Addr] {
        &self.virtual_v4
    }

    /// The cluster's IPv6 addresses here.
    pub(super) fn virtual_v6(&self) -> &[Ipv6Addr] {
        &self.virtual_v6
    }

    /// The groups that this node listens to now, each once. All nodes' group needs no report (RFC 3810, section 6).
    pub(super) fn groups(&self) -> Vec<Ipv6Addr> {
        let mut groups: Vec<_> =
            self.own_v6().map(solicited_node).chain([ALL_ROUTERS, ALL_ROUTERS_OF_SITE, GROUP_V6]).collect();
        if self.is_holder() {
            groups.extend(self.virtual_groups());
        }
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The groups of the virtual addresses, and of those that all routers have.
    pub(super) fn virtual_groups(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.virtual_v6.iter().chain(&self.anycast).copied().map(solicited_node)
    }

    /// True if the address is one of a neighbour on this interface's link.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => {
                self.v4.iter().any(|net| net.contains(&v4) && net.broadcast() != v4 && !v4.is_unspecified())
            }
            IpAddr::V6(v6) => v6.is_unicast_link_local() || self.v6.iter().any(|net| net.contains(&v6)),
        }
    }

    /// The address of the cluster that `peer` has as its gateway: of its network if there is one there; of IPv6 the link-local
    /// one.
    pub(super) fn gateway_towards(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(peer) => {
                let near = |gateway: &&Ipv4Addr| self.are_in_one_network(peer, **gateway);
                self.virtual_v4.iter().find(near).map(|gateway| (*gateway).into())
            }
            IpAddr::V6(_) => {
                let link_local = |gateway: &&Ipv6Addr| gateway.is_unicast_link_local();
                self.virtual_v6.iter().find(link_local).map(|gateway| (*gateway).into())
            }
        }
    }

    /// The address that the cluster answers with where one that is no host's was asked: its own in the asker's network.
    pub(super) fn virtual_towards(&self, peer: Ipv6Addr) -> Option<Ipv6Addr> {
        let in_network = |own: &&Ipv6Addr| self.v6.iter().any(|net| net.contains(&peer) && net.contains(*own));
        let likes = |own: &&Ipv6Addr| own.is_unicast_link_local() == peer.is_unicast_link_local();
        let all = || self.virtual_v6.iter();
        all().find(in_network).or_else(|| all().find(likes)).or_else(|| all().next()).copied()
    }

    /// True if one of this interface's networks has both addresses.
    pub(super) fn are_in_one_network(&self, one: Ipv4Addr, other: Ipv4Addr) -> bool {
        self.v4.iter().any(|net| net.contains(&one) && net.contains(&other))
    }

    /// The own address to speak to `peer` from: in its network if there is one, else the first; link-local only to
    /// link-local.
    pub(super) fn source_towards(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(v4) => {
                let near = self.v4.iter().find(|net| net.contains(&v4)).or(self.v4.first());
                near.map(|net| net.addr().into())
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(self.link_local.into()),
            IpAddr::V6(v6) => {
                let near = self.v6.iter().find(|net| net.contains(&v6)).or(self.v6.first());
                near.map(|net| net.addr().into())
            }
        }
    }
}

/// The solicited-node multicast address (RFC 4291, section 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of an IPv6 group (RFC 2464, section 7).
pub(super) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}
