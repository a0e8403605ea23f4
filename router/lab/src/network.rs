//! Builds the networks of a plan in namespaces of their own.

use std::net::IpAddr;

use crate::LabError;
use crate::host::{Namespaces, Purpose};
use crate::netlink::{Link, Netlink};
use crate::plan::{Host, Network, Plan};
use crate::tap;
use herald_core::id::{Interface, Mac};

/// The bridge in the namespace of each network.
pub(crate) const BRIDGE: &str = "bridge";

/// Builds everything. After an error what was built so far goes with the namespaces, when they are closed.
pub(crate) fn build(plan: &Plan) -> Result<Namespaces, LabError> {
    tap::open_device()?;
    let mut namespaces = Namespaces::default();
    for network in Network::ALL {
        namespaces.add(network.host_name(), Purpose::Bridge)?;
    }
    for host in &plan.hosts {
        namespaces.add(&host.name, Purpose::Host)?;
    }
    for network in Network::ALL {
        build_bridge(&namespaces, network, plan.mtu(network))?;
    }
    for interface in Interface::BOTH {
        build_taps(&namespaces, plan, interface)?;
    }
    for host in &plan.hosts {
        let mtu = host.behind.as_ref().map_or_else(|| plan.mtu(host.network), |behind| behind.mtu);
        connect(&namespaces, host, mtu)?;
        address(&namespaces, host, mtu)?;
        if !host.lans.is_empty() {
            route(&namespaces, host)?;
        }
    }
    Ok(namespaces)
}

fn build_bridge(namespaces: &Namespaces, network: Network, mtu: Option<u16>) -> Result<(), LabError> {
    let mut netlink = namespaces.netlink(network.host_name())?;
    let failed = format!("cannot make the bridge of {}", network.host_name());
    let mend = "if it says that this is not supported: `modprobe bridge` as root";
    let bridge = netlink.add_bridge(BRIDGE).map_err(LabError::system_mended(&failed, mend))?;
    take_into_service(&mut netlink, bridge, mtu).map_err(LabError::system(failed))
}

/// The kernel ends of the nodes' TAPs are ports of the bridge, so each node is a network card on it.
fn build_taps(namespaces: &Namespaces, plan: &Plan, interface: Interface) -> Result<(), LabError> {
    let network = Network::from(interface);
    let mut netlink = namespaces.netlink(network.host_name())?;
    for node in &plan.nodes {
        let name = Plan::tap(node, interface);
        tap::add_tap(&name)?;
        let mut attach = || {
            let link = Link::named(&name)?;
            netlink.attach(link, Link::named(BRIDGE)?)?;
            take_into_service(&mut netlink, link, plan.mtu(network))
        };
        attach().map_err(LabError::system(format!("cannot attach the TAP {name} to {}", network.host_name())))?;
    }
    Ok(())
}

/// Links a host with the bridge of its network.
fn connect(namespaces: &Namespaces, host: &Host, mtu: Option<u16>) -> Result<(), LabError> {
    let (place, bridge) = match &host.behind {
        Some(behind) => (behind.router.as_str(), behind.network.as_str()),
        None => (host.network.host_name(), BRIDGE),
    };
    let mut netlink = namespaces.netlink(place)?;
    let there = namespaces.file(&host.name)?;
    let mut connect = || {
        let port = netlink.add_veth(&Plan::link(&host.name), &host.device, mac(host), there)?;
        netlink.attach(port, Link::named(bridge)?)?;
        take_into_service(&mut netlink, port, mtu)
    };
    connect().map_err(LabError::system_mended(
        format!("cannot link {} with {place}", host.name),
        "if it says that this is not supported: `modprobe veth` as root",
    ))
}

/// Makes a host a router, with the networks behind it.
fn route(namespaces: &Namespaces, host: &Host) -> Result<(), LabError> {
    let mut netlink = namespaces.netlink(&host.name)?;
    namespaces.forward(&host.name)?;
    for lan in &host.lans {
        let failed = || LabError::system(format!("cannot make the network {} behind {}", lan.name, host.name));
        let bridge = netlink.add_bridge(&lan.name).map_err(failed())?;
        take_into_service(&mut netlink, bridge, lan.mtu).map_err(failed())?;
        for address in &lan.addresses {
            netlink.add_address(bridge, *address).map_err(failed())?;
        }
    }
    Ok(())
}

/// Gives a host its addresses and routes.
fn address(namespaces: &Namespaces, host: &Host, mtu: Option<u16>) -> Result<(), LabError> {
    let mut netlink = namespaces.netlink(&host.name)?;
    let failed = |what: String| LabError::system(format!("cannot give {} {what}", host.name));
    let link = Link::named(&host.device).map_err(failed(format!("its link {}", host.device)))?;
    take_into_service(&mut netlink, link, mtu).map_err(failed(format!("its link {}", host.device)))?;
    for address in &host.addresses {
        netlink.add_address(link, *address).map_err(failed(format!("the address {address}")))?;
    }
    for gateway in &host.gateways {
        netlink.add_default_route(*gateway).map_err(failed(format!("the gateway {gateway}")))?;
    }
    Ok(())
}

pub(crate) fn take_into_service(netlink: &mut Netlink, link: Link, mtu: Option<u16>) -> std::io::Result<()> {
    if let Some(mtu) = mtu {
        netlink.set_mtu(link, mtu)?;
    }
    netlink.set_up(link)
}

/// A host's Ethernet address shows its IPv4 address: 02:00, then the four bytes. So captures can be read.
fn mac(host: &Host) -> Mac {
    let v4 = host.addresses.iter().find_map(|a| match a.addr() {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    });
    // Without IPv4: the last bytes of the IPv6 address, marked by another second byte.
    let v6 = host.addresses.iter().find_map(|a| match a.addr() {
        IpAddr::V6(address) => Some(address.octets()),
        IpAddr::V4(_) => None,
    });
    match (v4, v6) {
        (Some([a, b, c, d]), _) => Mac([2, 0, a, b, c, d]),
        (None, Some([.., a, b, c, d])) => Mac([2, 6, a, b, c, d]),
        (None, None) => Mac([2, 1, 0, 0, 0, host.name.len().to_le_bytes()[0]]),
    }
}
