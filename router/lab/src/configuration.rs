//! The nodes' configurations: the lab's defaults < `--config FILE` < what makes each node itself < `--set`.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::{Table, Value};

use crate::LabError;
use crate::folder::Folder;
use crate::name::LabName;
use crate::own_hosts::{OwnHost, add_host, add_own_host, own_hosts, usual};
use crate::plan::{Host, MESH_PORT, Network, Plan, end_host, node_host};
use crate::request::{HostReport, NodeReport, NodeState, Report};
use crate::topology::Topology;
use herald_core::id::{Interface, NodeId, PerInterface};
use herald_keys::KeysFolder;

/// Bytes of the largest IP packet, where the configuration does not say otherwise.
const MTU: u16 = 1500;

/// One `--set KEY=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    key: Vec<String>,
    value: Value,
}

/// A text that is no `KEY=VALUE`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no setting: KEY=VALUE is expected, such as hold_ms_max=200 or choose.redirectors=equal")]
pub struct SettingError(String);

impl Setting {
    /// The key, its parts joined by dots.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.join(".")
    }
}

/// A node's configuration before anything is built: only the network namespaces and who else runs are made up in it.
#[derive(Debug)]
pub struct Draft<'a> {
    /// All of it, in TOML.
    pub text: &'a str,
    /// The file under it.
    pub file: Option<&'a Path>,
    /// What was laid over everything.
    pub settings: &'a [Setting],
}

impl FromStr for Setting {
    type Err = SettingError;

    /// The key is a TOML key; the value is a TOML value, or a text if it cannot be read as one.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let error = || SettingError(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(error)?;
        let key = toml_edit::Key::parse(key).map_err(|_| error())?;
        let key = key.iter().map(|k| k.get().to_owned()).collect();
        // A newline in the value could smuggle in more keys.
        let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().filter(|t| t.len() == 1);
        let value = parsed.and_then(|mut t| t.remove("value")).unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self { key, value })
    }
}

/// What all nodes of a lab have in common, and the lab's own hosts.
#[derive(Debug)]
pub(crate) struct Configuration {
    base: Table,
    settings: Vec<Setting>,
    hosts: Vec<(String, OwnHost)>,
    topology: Topology,
}

/// The files that a lab is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Files<'a> {
    /// A configuration under every node's.
    pub(crate) configuration: Option<&'a Path>,
    /// What there is beside two plain networks.
    pub(crate) topology: Option<&'a Path>,
}

/// Says what is wrong with a node's configuration, on one line. The lab itself does not know what may be in one.
pub type Check = fn(&Draft<'_>) -> Result<(), String>;

impl Configuration {
    /// Reads the files that there are.
    pub(crate) fn read(name: &LabName, files: Files<'_>, settings: &[Setting]) -> Result<Self, LabError> {
        let Files { configuration: file, topology } = files;
        let topology = topology.map_or_else(|| Ok(Topology::default()), Topology::read)?;
        let mut base = defaults(name);
        topology.lay_over(&mut base);
        if let Some(file) = file {
            let text = fs::read_to_string(file).map_err(LabError::file("read", file))?;
            let mut over = toml::from_str::<Table>(&text).map_err(|e| no_toml(file, &text, &e))?;
            // A list replaces another one; the routes of both are wanted.
            if let (Some(Value::Array(routes)), Some(Value::Array(more))) = (base.get("routes"), over.get_mut("routes"))
            {
                more.extend(routes.iter().cloned());
            }
            lay(&mut base, over);
        }
        let place = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
        let hosts = own_hosts(base.remove("lab")).map_err(|why| LabError::Configuration(format!("{place}{why}")))?;
        Ok(Self { base, settings: settings.to_vec(), hosts, topology })
    }

    /// What has to be built for these nodes.
    pub(crate) fn plan(&self, name: &LabName, nodes: Vec<String>) -> Result<Plan, LabError> {
        let mut merged = self.base.clone();
        self.set_all(&mut merged)?;
        let mut mtu = PerInterface::from_fn(|_| MTU);
        for interface in Interface::BOTH {
            if let Some(value) = look_up(&merged, interface, "mtu") {
                let number = value.as_integer().and_then(|m| u16::try_from(m).ok());
                mtu[interface] = number.ok_or_else(|| {
                    LabError::Configuration(format!("interfaces.{interface}.mtu = {value}: 1280 to 65535 is allowed"))
                })?;
            }
        }
        let vlan = |interface| {
            look_up(&merged, interface, "vlan").and_then(Value::as_integer).and_then(|v| u16::try_from(v).ok())
        };
        let vlan = PerInterface::from_fn(vlan);
        let gateways = PerInterface::from_fn(|interface| virtual_addresses(&merged, interface));
        let mut hosts = Interface::BOTH
            .map(|interface| {
                let host = end_host(interface);
                let gateways = usual(&gateways[interface], &host.addresses);
                Host { gateways, ..host }
            })
            .to_vec();
        hosts.extend(nodes.iter().map(|id| node_host(id)));
        for (name, own) in &self.hosts {
            add_own_host(&mut hosts, name, own, &gateways)?;
        }
        for host in self.topology.hosts() {
            add_host(&mut hosts, host.clone(), &gateways)?;
        }
        Ok(Plan { name: name.clone(), mtu, vlan, hosts, nodes })
    }

    /// One node's configuration, as text.
    pub(crate) fn node(&self, id: &str, folder: &Folder, report: &Report) -> Result<String, LabError> {
        let mut merged = self.base.clone();
        lay(&mut merged, identity(id, &self.topology, folder, report));
        merged.entry("plugins").or_insert_with(default_chain);
        self.set_all(&mut merged)?;
        place_flow_log(&mut merged, &folder.node_flow_log(id));
        toml::to_string(&merged).map_err(|e| LabError::Configuration(format!("the configuration of {id}: {e}")))
    }

    /// What `check` has against a node's configuration, before anything is built.
    pub(crate) fn check(&self, plan: &Plan, file: Option<&Path>, check: Check) -> Result<(), LabError> {
        let (folder, report) = (Folder::of(&plan.name), foreseen(plan));
        plan.nodes.iter().try_for_each(|id| {
            let text = self.node(id, &folder, &report)?;
            check(&Draft { text: &text, file, settings: &self.settings }).map_err(LabError::Configuration)
        })
    }

    fn set_all(&self, table: &mut Table) -> Result<(), LabError> {
        self.settings.iter().try_for_each(|setting| set(table, &setting.key, &setting.value))
    }
}

/// What the keeper will report of a lab, as far as configurations need it.
fn foreseen(plan: &Plan) -> Report {
    let host = |name: &str| HostReport { host: name.into(), addresses: Vec::new(), netns: "/proc/self/ns/net".into() };
    let node = |id: &String| NodeReport {
        node: id.clone(),
        state: NodeState::Dead,
        pid: None,
        ended: None,
        log: PathBuf::new(),
        control: PathBuf::new(),
        full: Vec::new(),
    };
    let (hosts, nodes) = (plan.namespaces().map(host).collect(), plan.nodes.iter().map(node).collect());
    Report { keeper: 0, complete: false, hosts, nodes, faults: Vec::new(), relays: Vec::new() }
}

fn defaults(name: &LabName) -> Table {
    let mut interfaces = Table::new();
    for interface in Interface::BOTH {
        let network = Network::from(interface);
        let addresses = [network.v4(1), network.v6(1)].map(|a| Value::from(a.addr().to_string()));
        interfaces.insert(interface.to_string(), table([("virtual_addresses", Value::Array(addresses.into()))]));
    }
    let secret = format!("everybody may know the secret of the lab {name}");
    let cluster = table([("id", name.as_str().into()), ("secret", secret.into())]);
    Table::from_iter([("cluster".to_owned(), cluster), ("interfaces".to_owned(), Value::Table(interfaces))])
}

/// What makes a node this node: its name, places and addresses.
fn identity(id: &str, topology: &Topology, folder: &Folder, report: &Report) -> Table {
    let byte = Plan::node_byte(id);
    let mut interfaces = Table::new();
    for interface in Interface::BOTH {
        let network = Network::from(interface);
        let netns = report.host(network.host_name()).map(|h| h.netns.clone()).unwrap_or_default();
        let all = [network.v4(byte), network.v6(byte)].into_iter().chain(topology.numbered(interface, byte));
        let addresses = all.map(|a| Value::from(a.to_string())).collect();
        let own = table([
            ("tap", Plan::tap(id, interface).into()),
            ("netns", netns.into()),
            ("addresses", Value::Array(addresses)),
        ]);
        interfaces.insert(interface.to_string(), own);
    }
    let mesh_address = |id: &str| format!("{}:{MESH_PORT}", Network::Mesh.v4(Plan::node_byte(id)).addr());
    let others = report.nodes.iter().map(|n| n.node.as_str()).filter(|n| *n != id);
    let peers: Table = others.map(|n| (n.to_owned(), Value::from(mesh_address(n)))).collect();
    let mesh = mesh_keys(id, folder)
        .into_iter()
        .chain([("listen".to_owned(), mesh_address(id).into()), ("peers".to_owned(), Value::Table(peers))]);
    Table::from_iter([
        ("node".to_owned(), id.into()),
        ("control".to_owned(), folder.node_control(id).display().to_string().into()),
        ("interfaces".to_owned(), Value::Table(interfaces)),
        ("mesh".to_owned(), Value::Table(mesh.collect())),
    ])
}

/// The lab makes keys for its nodes, and lets them write down the secrets of their links, so that captures can be read.
fn mesh_keys(id: &str, folder: &Folder) -> Table {
    let keys = folder.keys();
    let own = |path: fn(&KeysFolder, NodeId) -> PathBuf| id.parse().map(|node| path(&keys, node)).unwrap_or_default();
    let paths = [
        ("ca", keys.authority_certificate()),
        ("certificate", own(KeysFolder::certificate)),
        ("key", own(KeysFolder::key)),
        ("key_log", folder.node_key_log(id)),
    ];
    paths.into_iter().map(|(key, path)| (key.to_owned(), path.display().to_string().into())).collect()
}

/// The chain of a lab whose configuration names none.
fn default_chain() -> Value {
    Value::Array(vec![
        table([("name", "acl".into()), ("config", table([("default", "pass".into())]))]),
        table([("name", "flowlog".into())]),
    ])
}

/// Each node needs a file of its own: a `flowlog` without a path gets this one.
fn place_flow_log(merged: &mut Table, path: &Path) {
    let chain = merged.get_mut("plugins").and_then(Value::as_array_mut).into_iter().flatten();
    let plugins = chain.filter_map(Value::as_table_mut);
    for plugin in plugins.filter(|p| p.get("name").and_then(Value::as_str) == Some("flowlog")) {
        let config = plugin.entry("config").or_insert_with(|| Value::Table(Table::new()));
        if let Some(config) = config.as_table_mut() {
            config.entry("path").or_insert_with(|| path.display().to_string().into());
        }
    }
}

/// A file that cannot be parsed, with the line of it.
fn no_toml(file: &Path, text: &str, error: &toml::de::Error) -> LabError {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
    LabError::Configuration(format!("{}:{line}: not TOML: {}", file.display(), error.message().replace('\n', "; ")))
}

fn look_up<'a>(table: &'a Table, interface: Interface, key: &str) -> Option<&'a Value> {
    table.get("interfaces")?.get(interface.as_str())?.get(key)
}

/// All virtual addresses: the gateways of the hosts.
fn virtual_addresses(table: &Table, interface: Interface) -> Vec<IpAddr> {
    let all = look_up(table, interface, "virtual_addresses").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|a| a.as_str()?.parse().ok()).collect()
}

/// Lays one table over another: tables merge, everything else replaces.
fn lay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn set(table: &mut Table, key: &[String], value: &Value) -> Result<(), LabError> {
    match key {
        [] => Ok(()),
        [last] => {
            table.insert(last.clone(), value.clone());
            Ok(())
        }
        [first, rest @ ..] => {
            let below = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
            let kind = below.type_str();
            let inner = below.as_table_mut().ok_or_else(|| {
                LabError::Configuration(format!("--set {}: {first} is {kind} and has no keys below it", key.join(".")))
            })?;
            set(inner, rest, value)
        }
    }
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
