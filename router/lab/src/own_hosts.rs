//! Hosts of one's own: `[lab.hosts.NAME]` in the configuration, and those of a topology.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use toml::{Table, Value};

use crate::LabError;
use crate::plan::{Host, Network, Plan, is_host_name};
use herald_core::id::PerInterface;

/// A host of one's own: `[lab.hosts.NAME]` in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnHost {
    network: Network,
    addresses: Vec<IpNet>,
    gateways: Option<Vec<IpAddr>>,
}

/// The hosts of one's own, or what is wrong with them.
pub(crate) fn own_hosts(lab: Option<Value>) -> Result<Vec<(String, OwnHost)>, String> {
    let tables = match lab {
        None => return Ok(Vec::new()),
        Some(Value::Table(lab)) => lab,
        Some(other) => return Err(format!("lab = {other}: a table is expected, with hosts in it")),
    };
    if let Some(key) = tables.keys().find(|key| *key != "hosts") {
        return Err(format!("lab.{key}: there is no such key; hosts may be here"));
    }
    let hosts = match tables.into_iter().next() {
        None => Table::new(),
        Some((_, Value::Table(hosts))) => hosts,
        Some((_, other)) => {
            return Err(format!("lab.hosts = {other}: a table is expected, with a table for each host"));
        }
    };
    hosts.into_iter().map(|(name, host)| own_host(&name, host).map(|host| (name, host))).collect()
}

fn own_host(name: &str, host: Value) -> Result<OwnHost, String> {
    if !is_host_name(name) {
        return Err(format!("[lab.hosts.{name}]: 1 to 12 characters of a-z, 0-9 and '-' are allowed as a host's name"));
    }
    let wrong = |e: toml::de::Error| format!("[lab.hosts.{name}]: {}", e.to_string().trim_end().replace('\n', " "));
    host.try_into().map_err(wrong)
}

pub(crate) fn add_own_host(
    hosts: &mut Vec<Host>,
    name: &str,
    own: &OwnHost,
    gateways: &PerInterface<Vec<IpAddr>>,
) -> Result<(), LabError> {
    let mut host = Host::new(name, own.network, own.addresses.clone());
    if let Some(own) = &own.gateways {
        host.gateways.clone_from(own);
        return add_checked(hosts, host);
    }
    add_host(hosts, host, gateways)
}

/// Adds a host; if it names no gateways, they are the cluster.
pub(crate) fn add_host(
    hosts: &mut Vec<Host>,
    mut host: Host,
    gateways: &PerInterface<Vec<IpAddr>>,
) -> Result<(), LabError> {
    if host.gateways.is_empty() {
        host.gateways = match host.network {
            Network::First => usual(&gateways.first, &host.addresses),
            Network::Second => usual(&gateways.second, &host.addresses),
            Network::Mesh => Vec::new(),
        };
    }
    add_checked(hosts, host)
}

fn add_checked(hosts: &mut Vec<Host>, host: Host) -> Result<(), LabError> {
    let name = &host.name;
    let taken = |n: &str| hosts.iter().any(|h| h.name == n) || Network::ALL.iter().any(|net| net.host_name() == n);
    if taken(name) {
        return Err(LabError::Configuration(format!("[lab.hosts.{name}]: the lab has a host of this name already")));
    }
    for address in host.addresses.iter().map(IpNet::addr) {
        if let Some(other) = owner(hosts, host.network, address) {
            return Err(LabError::Configuration(format!(
                "[lab.hosts.{name}]: {address} is the address of {other}; each host needs its own"
            )));
        }
    }
    hosts.push(host);
    Ok(())
}

/// Whose address it is already: another host's, or a node's on any of its networks.
fn owner(hosts: &[Host], network: Network, address: IpAddr) -> Option<String> {
    let has = |host: &Host| {
        let of_node = [network.v4(Plan::node_byte(&host.name)), network.v6(Plan::node_byte(&host.name))];
        let is_node = host.device == "mesh" && of_node.iter().any(|own| own.addr() == address);
        is_node || host.network == network && host.addresses.iter().any(|own| own.addr() == address)
    };
    hosts.iter().find(|host| has(host)).map(|host| host.name.clone())
}

/// Of each IP version that a host has the gateway in its network, or else the first one.
pub(crate) fn usual(gateways: &[IpAddr], addresses: &[IpNet]) -> Vec<IpAddr> {
    let of = |is_alike: fn(&IpAddr) -> bool| {
        let mut alike = gateways.iter().copied().filter(is_alike);
        let is_near = |gateway: &IpAddr| addresses.iter().any(|own| own.contains(gateway));
        let has_address = addresses.iter().any(|own| is_alike(&own.addr()));
        alike.clone().find(is_near).or_else(|| alike.next()).filter(|_| has_address)
    };
    [of(IpAddr::is_ipv4), of(IpAddr::is_ipv6)].into_iter().flatten().collect()
}
