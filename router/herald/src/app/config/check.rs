//! What types and bounds cannot say of the options: the form of texts and lists, and keys that contradict each other.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::derived;
use super::key::allowed;
use super::layers::Problem;
use super::options::{InterfaceOptions, MeshOptions, Options, RouteOptions};
use super::values::RolesOption;
use herald_core::id::{Interface, Mac};
use herald_core::limits::{CLUSTER_NAME_LEN_MAX, GATEWAYS_MAX, MEMBERS_MAX};

/// `struct sockaddr_un` holds this many bytes of a path, with the zero behind it.
const SOCKET_PATH_LEN_MAX: usize = 107;
/// Linux, `IFNAMSIZ` less the zero.
const DEVICE_NAME_LEN_MAX: usize = 15;
const SECRET_LEN_MIN: usize = 16;

type Checked = Result<(), Problem>;

/// Finds the first problem.
pub(super) fn check(options: &Options) -> Checked {
    check_node(options)?;
    for interface in Interface::BOTH {
        check_interface(interface, options.interfaces.of(interface))?;
    }
    check_both_interfaces(options)?;
    for interface in Interface::BOTH {
        check_virtual_addresses(
            &format!("interfaces.{interface}.virtual_addresses"),
            options.interfaces.of(interface),
        )?;
    }
    check_mesh(options)?;
    check_mesh_keys(&options.mesh)?;
    check_holders(options)?;
    check_routes(options)?;
    check_plugins(options)
}

fn check_node(options: &Options) -> Checked {
    let filter = tracing_subscriber::EnvFilter::builder().parse(&options.log);
    require(filter.is_ok(), "log")?;
    let id = &options.cluster.id;
    let printable = id.chars().all(|c| !c.is_control());
    require(!id.is_empty() && id.len() <= CLUSTER_NAME_LEN_MAX && printable, "cluster.id")?;
    require(options.cluster.secret.reveal().chars().count() >= SECRET_LEN_MIN, "cluster.secret")?;
    let path = options.control.as_ref().map_or(1, |path| path.as_os_str().len());
    require((1..=SOCKET_PATH_LEN_MAX).contains(&path), "control")
}

fn check_interface(interface: Interface, options: &InterfaceOptions) -> Checked {
    let key = |name: &str| format!("interfaces.{interface}.{name}");
    let name = options.tap.as_bytes();
    let strange = |b: &u8| !b.is_ascii_graphic() || b"/:%".contains(b);
    let dots = options.tap == "." || options.tap == "..";
    require((1..=DEVICE_NAME_LEN_MAX).contains(&name.len()) && !name.iter().any(strange) && !dots, &key("tap"))?;
    require(options.mac.is_none_or(is_own_mac), &key("mac"))?;
    check_addresses(&key("addresses"), &options.addresses)
}

fn check_addresses(key: &str, addresses: &[IpNet]) -> Checked {
    for (number, address) in addresses.iter().enumerate() {
        let key = format!("{key}.{number}");
        require(is_host(address), &key)?;
        if let Some(same) = addresses.iter().take(number).find(|a| a.addr() == address.addr()) {
            return problem(&key, format!("{} is here twice", same.addr()));
        }
        let nested = addresses.iter().take(number).find(|a| a.trunc() != address.trunc() && overlap(a, address));
        if let Some(nested) = nested {
            return problem(&key, format!("lies inside or round {nested} with another prefix length"));
        }
    }
    Ok(())
}

fn check_virtual_addresses(key: &str, options: &InterfaceOptions) -> Checked {
    let addresses = &options.virtual_addresses;
    for (number, address) in addresses.iter().enumerate() {
        let key = format!("{key}.{number}");
        if addresses.iter().take(number).any(|a| a == address) {
            return problem(&key, "is here twice".to_owned());
        }
        if options.addresses.iter().any(|own| own.addr() == *address) {
            return problem(
                &key,
                "is also one of the node's own addresses; a virtual address belongs to no node".to_owned(),
            );
        }
        let connected = options.addresses.iter().any(|own| own.contains(address));
        let host =
            options.addresses.iter().filter_map(|own| IpNet::new(*address, own.prefix_len()).ok()).any(|a| is_host(&a));
        require((connected || is_link_local(*address)) && host, &key)?;
    }
    Ok(())
}

fn check_both_interfaces(options: &Options) -> Checked {
    let (first, second) = (&options.interfaces.first, &options.interfaces.second);
    if first.tap == second.tap && first.netns == second.netns {
        return problem(
            "interfaces.second.tap",
            "interfaces.first has the same TAP; each interface needs its own".to_owned(),
        );
    }
    let macs = derived::macs(options);
    if macs.first == macs.second {
        return problem(
            "interfaces.second.mac",
            "interfaces.first has the same MAC; each interface needs its own".to_owned(),
        );
    }
    for (number, address) in second.addresses.iter().enumerate() {
        let other = first.addresses.iter().find(|a| !is_link_local(a.addr()) && overlap(a, address));
        if let Some(other) = other {
            let why = format!("overlaps {other} of interfaces.first; the two networks must be different");
            return problem(&format!("interfaces.second.addresses.{number}"), why);
        }
    }
    Ok(())
}

fn check_mesh(options: &Options) -> Checked {
    let mesh = &options.mesh;
    if mesh.peers.contains_key(&options.node) {
        return problem(
            &format!("mesh.peers.{}", options.node),
            "is this node itself; only the others are peers".to_owned(),
        );
    }
    if mesh.peers.len() >= MEMBERS_MAX {
        return problem("mesh.peers", format!("a cluster has at most {MEMBERS_MAX} nodes"));
    }
    match mesh.listen {
        Some(listen) => require(listen.port() > 0 && !listen.ip().is_multicast(), "mesh.listen")?,
        None if mesh.peers.is_empty() => {}
        None => {
            return problem(
                "mesh.listen",
                "a node with peers needs it: ADDRESS:PORT where they reach this node".to_owned(),
            );
        }
    }
    let mut seen: Vec<SocketAddr> = mesh.listen.into_iter().collect();
    for (peer, address) in &mesh.peers {
        let key = format!("mesh.peers.{peer}");
        require(address.port() > 0 && !address.ip().is_multicast() && !address.ip().is_unspecified(), &key)?;
        if seen.contains(address) {
            return problem(&key, "another peer or mesh.listen has the same address and port".to_owned());
        }
        seen.push(*address);
    }
    Ok(())
}

fn check_mesh_keys(mesh: &MeshOptions) -> Checked {
    let material = [("ca", &mesh.ca), ("certificate", &mesh.certificate), ("key", &mesh.key)];
    for (name, path) in material {
        let key = format!("mesh.{name}");
        match path {
            Some(path) => require(!path.as_os_str().is_empty(), &key)?,
            None if mesh.listen.is_none() => {}
            None => {
                let why = "links are secure, so a node with mesh.listen needs it; `herald keys` makes it".to_owned();
                return problem(&key, why);
            }
        }
    }
    require(mesh.key_log.as_ref().is_none_or(|path| !path.as_os_str().is_empty()), "mesh.key_log")
}

fn check_holders(options: &Options) -> Checked {
    let holders = match (options.roles, &options.holders) {
        (RolesOption::Priority, None) => return Ok(()),
        (RolesOption::Priority, Some(_)) => {
            return problem(
                "holders",
                "is for roles = \"static\"; with \"priority\" the priorities say who holds".to_owned(),
            );
        }
        (RolesOption::Static, None) => {
            return problem("holders", "roles = \"static\" needs [holders] with first and second".to_owned());
        }
        (RolesOption::Static, Some(holders)) => holders,
    };
    let members = derived::members(options);
    require(members.contains(&holders.first), "holders.first")?;
    require(members.contains(&holders.second), "holders.second")
}

fn check_routes(options: &Options) -> Checked {
    let interfaces = [&options.interfaces.first, &options.interfaces.second];
    let connected: Vec<&IpNet> = interfaces.iter().flat_map(|i| &i.addresses).collect();
    for (number, route) in options.routes.iter().enumerate() {
        let (to, via) = (format!("routes.{number}.to"), format!("routes.{number}.via"));
        if route.to != route.to.trunc() {
            return problem(&to, format!("has bits behind its prefix; the network is {}", route.to.trunc()));
        }
        if connected.iter().any(|own| own.trunc() == route.to) {
            return problem(&to, "is a connected network; it needs no route".to_owned());
        }
        if options.routes.iter().take(number).any(|r| r.to == route.to) {
            return problem(&to, "has a route already".to_owned());
        }
        require((1..=GATEWAYS_MAX).contains(&route.via.0.len()), &via)?;
        for (place, gateway) in route.via.0.iter().enumerate() {
            if route.via.0.iter().take(place).any(|other| other == gateway) {
                return problem(&via, format!("names {gateway} twice"));
            }
            check_gateway(options, route, *gateway, &via)?;
        }
    }
    Ok(())
}

fn check_gateway(options: &Options, route: &RouteOptions, gateway: IpAddr, key: &str) -> Checked {
    if route.to.addr().is_ipv4() != gateway.is_ipv4() {
        return problem(key, format!("is of another family than {}", route.to));
    }
    if is_link_local(gateway) {
        return match route.interface {
            Some(_) => Ok(()),
            None => problem(key, "is link-local, so the route needs interface = \"first\" or \"second\"".to_owned()),
        };
    }
    let holds = |interface: Interface| {
        options.interfaces.of(interface).addresses.iter().any(|own| own.contains(&gateway) && own.addr() != gateway)
    };
    let own =
        Interface::BOTH.iter().any(|i| options.interfaces.of(*i).addresses.iter().any(|own| own.addr() == gateway));
    match route.interface {
        Some(interface) if !own && holds(interface.other()) && !holds(interface) => {
            problem(key, format!("is in a network of the {} interface", interface.other()))
        }
        Some(_) | None => require(!own && Interface::BOTH.iter().any(|interface| holds(*interface)), key),
    }
}

fn check_plugins(options: &Options) -> Checked {
    let mut seen = BTreeSet::new();
    for (number, plugin) in options.plugins.iter().enumerate() {
        let key = format!("plugins.{number}.name");
        let name = plugin.name.as_bytes();
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(b);
        let plain = name.first().is_some_and(u8::is_ascii_lowercase) && name.iter().all(allowed);
        require(plain || (plugin.name.contains('/') && !plugin.name.ends_with('/')), &key)?;
        if !seen.insert(&plugin.name) {
            return problem(&key, "is in the chain already".to_owned());
        }
    }
    Ok(())
}

/// A problem by what the key's entry allows, unless the condition holds.
fn require(condition: bool, key: &str) -> Checked {
    if condition {
        return Ok(());
    }
    problem(key, format!("allowed is {}", allowed(key).unwrap_or_else(|| "another value".to_owned())))
}

fn problem(key: &str, why: String) -> Checked {
    Err(Problem { key: key.to_owned(), why })
}

/// True for an address that one host may have on its network: neither the network's own nor its broadcast address.
fn is_host(address: &IpNet) -> bool {
    let ip = address.addr();
    let special = match address {
        IpNet::V4(v4) => v4.prefix_len() < 31 && (v4.addr() == v4.network() || v4.addr() == v4.broadcast()),
        // RFC 4291, section 2.6.1: the network's own address belongs to its routers.
        IpNet::V6(v6) => v6.prefix_len() < 127 && v6.addr() == v6.network(),
    };
    let limited = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets().first() == Some(&0));
    !special && !limited && address.prefix_len() > 0 && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast()
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a) || a.trunc() == b.trunc()
}

/// Unicast, and none of the virtual ones (RFC 9568, section 7.3).
fn is_own_mac(mac: Mac) -> bool {
    let virtual_mac = matches!(mac.0, [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _]);
    !mac.is_multicast() && !virtual_mac && mac != Mac::default()
}
