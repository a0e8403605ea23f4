//! `herald lab up --topology FILE`: what there is beside two plain networks with a host on each.
//!
//! ```toml
//! [first]                                   # the first network; [second] is alike
//! mtu = 9000
//! vlan = 10                                 # the nodes' frames have this tag; the lab takes it off for the hosts
//! networks = ["10.3.0.0/24"]                # more networks on the same wire; nodes and cluster have addresses there
//!
//! [routers.gw]                              # a router beside the cluster
//! on = "first"
//! addresses = ["10.1.0.254/24"]
//!
//! [networks.office]                         # a network behind it; the nodes have a route there
//! router = "gw"
//! addresses = ["192.0.2.1/24"]              # the router's
//!
//! [hosts.desk]                              # a host there, or on = "first" or "second"
//! on = "office"
//! addresses = ["192.0.2.100/24"]
//! ```
//!
//! A topology is laid over the lab's defaults and under everything else.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::Deserialize;
use toml::{Spanned, Table, Value};

use crate::LabError;
use crate::plan::{Behind, Host, Lan, Network, is_host_name};
use herald_core::id::{Interface, PerInterface};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Text {
    first: Wire,
    second: Wire,
    routers: BTreeMap<String, Router>,
    networks: BTreeMap<String, BehindRouter>,
    hosts: BTreeMap<String, Guest>,
}

/// One of the two networks that the cluster is between.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wire {
    mtu: Option<Spanned<u16>>,
    vlan: Option<Spanned<u16>>,
    networks: Vec<Spanned<IpNet>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Router {
    on: Spanned<String>,
    addresses: Spanned<Vec<IpNet>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BehindRouter {
    router: Spanned<String>,
    addresses: Spanned<Vec<IpNet>>,
    mtu: Option<Spanned<u16>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    on: Spanned<String>,
    addresses: Spanned<Vec<IpNet>>,
}

/// A checked topology.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    wires: PerInterface<Wire>,
    /// Routers before what is behind them. Where a host's gateways are empty, they are the cluster.
    hosts: Vec<Host>,
    /// Networks behind routers, and their routers' addresses on the cluster's networks.
    routes: Vec<(IpNet, IpAddr)>,
}

impl Topology {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// What is wrong, with file, line and key.
    pub(crate) fn read(file: &Path) -> Result<Self, LabError> {
        let text = fs::read_to_string(file).map_err(LabError::file("read", file))?;
        let wrong = |(start, why): (usize, String)| {
            let (line, key) = place_of(&text, start);
            LabError::Configuration(format!("{}:{line}: {key}: {why}", file.display()))
        };
        let parsed: Text = toml::from_str(&text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start);
            wrong((start, e.message().replace('\n', "; ")))
        })?;
        Self::of(parsed).map_err(wrong)
    }

    /// For an error, where it is in the text and what it is.
    fn of(text: Text) -> Result<Self, (usize, String)> {
        let mut hosts = Vec::new();
        let mut routes = Vec::new();
        for wire in [&text.first, &text.second] {
            check_number(wire.mtu.as_ref(), 1280, 65_535)?;
            check_number(wire.vlan.as_ref(), 1, 4094)?;
            for network in &wire.networks {
                check_network(network)?;
            }
        }
        for (name, router) in &text.routers {
            let lans = text.networks.iter().filter(|(_, lan)| lan.router.get_ref() == name);
            let lans = lans.map(|(lan, behind)| lan_of(lan, behind)).collect::<Result<_, _>>()?;
            hosts.push(Host { lans, ..host(name, &router.on, &router.addresses, interface_named(&router.on)?)? });
        }
        for (name, behind) in &text.networks {
            let start = behind.router.span().start;
            let Some(router) = text.routers.get(behind.router.get_ref()) else {
                return Err((start, format!("there is no router {}", behind.router.get_ref())));
            };
            if !is_host_name(name) || ["lo", "eth0", "first", "second"].contains(&name.as_str()) {
                return Err((start, format!("{name} cannot be the name of a network behind a router")));
            }
            for address in behind.addresses.get_ref() {
                let is_alike = |via: &&IpNet| via.addr().is_ipv4() == address.addr().is_ipv4();
                let Some(via) = router.addresses.get_ref().iter().find(is_alike) else {
                    return Err((behind.addresses.span().start, format!("its router has no address like {address}")));
                };
                routes.push((address.trunc(), via.addr()));
            }
        }
        for (name, guest) in &text.hosts {
            hosts.push(guest_of(name, guest, &text)?);
        }
        let Text { first, second, .. } = text;
        Ok(Self { wires: PerInterface { first, second }, hosts, routes })
    }

    /// What all nodes' configurations have of it, over `base`.
    pub(crate) fn lay_over(&self, base: &mut Table) {
        for interface in Interface::BOTH {
            let wire = &self.wires[interface];
            let entry = base.entry("interfaces").or_insert_with(|| Value::Table(Table::new()));
            let Some(of) = entry.as_table_mut().and_then(|t| t.get_mut(interface.as_str())?.as_table_mut()) else {
                continue;
            };
            let numbers = [("mtu", &wire.mtu), ("vlan", &wire.vlan)];
            for (key, number) in numbers {
                if let Some(number) = number {
                    of.insert(key.to_owned(), i64::from(*number.get_ref()).into());
                }
            }
            if let Some(Value::Array(addresses)) = of.get_mut("virtual_addresses") {
                addresses.extend(self.numbered(interface, 1).map(|own| Value::from(own.addr().to_string())));
            }
        }
        let route = |(to, via): &(IpNet, IpAddr)| {
            let entries = [("to", to.to_string()), ("via", via.to_string())];
            Value::Table(entries.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect())
        };
        if !self.routes.is_empty() {
            base.insert("routes".to_owned(), Value::Array(self.routes.iter().map(route).collect()));
        }
    }

    /// The addresses with this last number in the further networks of an interface.
    pub(crate) fn numbered(&self, interface: Interface, number: u8) -> impl Iterator<Item = IpNet> {
        self.wires[interface].networks.iter().map(move |network| {
            let network = network.get_ref();
            let address = match network.network() {
                IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() | u32::from(number)).into()),
                IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() | u128::from(number)).into()),
            };
            IpNet::new(address, network.prefix_len()).unwrap_or(*network)
        })
    }

    /// Routers and hosts to be built.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

fn lan_of(name: &str, behind: &BehindRouter) -> Result<Lan, (usize, String)> {
    check_number(behind.mtu.as_ref(), 1280, 65_535)?;
    let mtu = behind.mtu.as_ref().map(|mtu| *mtu.get_ref());
    Ok(Lan { name: name.to_owned(), addresses: behind.addresses.get_ref().clone(), mtu })
}

fn guest_of(name: &str, guest: &Guest, text: &Text) -> Result<Host, (usize, String)> {
    let Some(behind) = text.networks.get(guest.on.get_ref()) else {
        return host(name, &guest.on, &guest.addresses, interface_named(&guest.on)?);
    };
    let router = behind.router.get_ref();
    let side = text.routers.get(router).map_or(Ok(Interface::First), |router| interface_named(&router.on))?;
    let mut made = host(name, &guest.on, &guest.addresses, side)?;
    made.gateways = behind.addresses.get_ref().iter().map(IpNet::addr).filter(|g| made.has_family_of(g)).collect();
    let mtu = behind.mtu.as_ref().map(|mtu| *mtu.get_ref());
    made.behind = Some(Behind { router: router.clone(), network: guest.on.get_ref().clone(), mtu });
    Ok(made)
}

fn host(
    name: &str,
    on: &Spanned<String>,
    addresses: &Spanned<Vec<IpNet>>,
    side: Interface,
) -> Result<Host, (usize, String)> {
    if !is_host_name(name) {
        return Err((on.span().start, format!("{name}: 1 to 12 characters of a-z, 0-9 and '-' are allowed as a name")));
    }
    if addresses.get_ref().is_empty() {
        return Err((addresses.span().start, "at least one address is needed, such as \"192.0.2.1/24\"".to_owned()));
    }
    let addresses = addresses.get_ref().clone();
    Ok(Host::new(name, Network::from(side), addresses))
}

fn interface_named(on: &Spanned<String>) -> Result<Interface, (usize, String)> {
    Interface::BOTH.into_iter().find(|interface| interface.as_str() == on.get_ref()).ok_or_else(|| {
        (on.span().start, format!("there is no network {}; \"first\" and \"second\" are there", on.get_ref()))
    })
}

fn check_number(number: Option<&Spanned<u16>>, min: u16, max: u16) -> Result<(), (usize, String)> {
    match number {
        Some(number) if !(min..=max).contains(number.get_ref()) => {
            Err((number.span().start, format!("{}: {min} to {max} is allowed", number.get_ref())))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_network(network: &Spanned<IpNet>) -> Result<(), (usize, String)> {
    let (net, start) = (network.get_ref(), network.span().start);
    if *net != net.trunc() {
        return Err((start, format!("{net} has bits behind its prefix; the network is {}", net.trunc())));
    }
    let host_bits = net.max_prefix_len() - net.prefix_len();
    if host_bits < 8 { Err((start, format!("{net} has no room for hosts and nodes"))) } else { Ok(()) }
}

/// The line of a place in a TOML text, and the key there with its table's name.
fn place_of(text: &str, start: usize) -> (usize, String) {
    let before = text.get(..start).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let table = text.lines().take(line).filter_map(|line| line.trim().strip_prefix('[')?.split(']').next()).last();
    let key = text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    (line, [table, key].into_iter().flatten().collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Topology, String> {
        let file = tempfile::Builder::new().prefix("t").suffix(".toml").tempfile().unwrap();
        fs::write(file.path(), text).unwrap();
        Topology::read(file.path()).map_err(|e| e.to_string().split_once(".toml").unwrap().1.to_owned())
    }

    const GOOD: &str = "[first]\nmtu = 1400\nvlan = 10\nnetworks = [\"10.3.0.0/24\", \"fd00:3::/64\"]\n\
        [routers.gw]\non = \"first\"\naddresses = [\"10.1.0.254/24\", \"fd00:1::254/64\"]\n\
        [networks.office]\nrouter = \"gw\"\naddresses = [\"192.0.2.1/24\", \"2001:db8:1::1/64\"]\nmtu = 1300\n\
        [hosts.desk]\non = \"office\"\naddresses = [\"192.0.2.100/24\"]\n\
        [hosts.near]\non = \"second\"\naddresses = [\"10.2.0.50/24\"]\n";

    #[test]
    fn a_topology_says_what_is_built_and_what_the_nodes_are_told() {
        let topology = read(GOOD).unwrap();
        let [gw, desk, near] = topology.hosts() else { panic!("{topology:?}") };
        assert_eq!((gw.name.as_str(), gw.network, gw.lans.len()), ("gw", Network::First, 1));
        let behind = desk.behind.as_ref().unwrap();
        assert_eq!((behind.router.as_str(), behind.network.as_str(), behind.mtu), ("gw", "office", Some(1300)));
        assert_eq!(desk.gateways, ["192.0.2.1".parse::<IpAddr>().unwrap()], "its router, as far as it can reach it");
        assert!(near.behind.is_none() && near.network == Network::Second);
        let mut base: Table = toml::from_str("[interfaces.first]\nvirtual_addresses = [\"10.1.0.1\"]").unwrap();
        topology.lay_over(&mut base);
        let shown = toml::to_string(&base).unwrap();
        for said in [
            "mtu = 1400",
            "vlan = 10",
            "\"10.1.0.1\", \"10.3.0.1\", \"fd00:3::1\"",
            "to = \"192.0.2.0/24\"",
            "via = \"fd00:1::254\"",
        ] {
            assert!(shown.contains(said), "{said} in {shown}");
        }
        let of_b: Vec<String> = topology.numbered(Interface::First, 12).map(|own| own.to_string()).collect();
        assert_eq!(of_b, ["10.3.0.12/24", "fd00:3::c/64"]);
    }

    #[test]
    fn every_example_is_good() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/topologies");
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 3);
        for file in files {
            Topology::read(&file).unwrap();
        }
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, error) in [
            ("[first]\nmtu = 100\n", ":2: first.mtu: 100: 1280 to 65535 is allowed"),
            ("[second]\nvlan = 4095\n", ":2: second.vlan: 4095: 1 to 4094 is allowed"),
            (
                "[first]\nmtuu = 1500\n",
                ":2: first.mtuu: unknown field `mtuu`, expected one of `mtu`, `vlan`, `networks`",
            ),
            ("[first]\nmtu = \"big\"\n", ":2: first.mtu: invalid type: string \"big\", expected u16"),
            ("[first]\nnetworks = [\"10.3.0.1/24\"]\n", ":2: first.networks: 10.3.0.1/24 has bits behind its prefix"),
            (
                "[routers.gw]\non = \"third\"\naddresses = [\"10.1.0.9/24\"]\n",
                ":2: routers.gw.on: there is no network third",
            ),
            ("[routers.gw]\non = \"first\"\naddresses = []\n", ":3: routers.gw.addresses: at least one address"),
            (
                "[networks.x]\nrouter = \"gw\"\naddresses = [\"192.0.2.1/24\"]\n",
                ":2: networks.x.router: there is no router gw",
            ),
            (
                "[routers.gw]\non = \"first\"\naddresses = [\"10.1.0.9/24\"]\n[networks.x]\nrouter = \"gw\"\naddresses = [\"2001:db8::1/64\"]\n",
                ":6: networks.x.addresses: its router has no address like 2001:db8::1/64",
            ),
            ("[hosts.A]\non = \"first\"\naddresses = [\"10.1.0.9/24\"]\n", ":2: hosts.A.on: A: 1 to 12 characters"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.starts_with(error), "{text}: {said}");
        }
    }
}
