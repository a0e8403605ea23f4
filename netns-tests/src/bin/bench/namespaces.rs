//! The cases without Herald: network namespaces made with the `ip` program.
//!
//! ```text
//!  bridge:         client --- [ first ] --- server
//!  kernel router:  client --- [ first ] --- router --- [ second ] --- server
//! ```

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::address::{CLIENT, FIRST_GATEWAY, FIRST_NETWORK, SECOND_GATEWAY, SECOND_NETWORK, SERVER, SINK};
use crate::error::BenchError;
use crate::process::{OnInterrupt, run};

/// Every namespace of ours is called `hb-`, this process's id, the case and the host.
const PREFIX: &str = "hb-";

/// Where `ip` keeps them.
const FOLDER: &str = "/run/netns";

/// One `ip` command may take so long on a busy machine.
const IP_TIME_MAX: Duration = Duration::from_secs(10);

/// The bridge in the namespace of each network.
const BRIDGE: &str = "bridge";

/// The interface of each host.
const INTERFACE: &str = "eth0";

/// Bridges are to bridge: a new namespace starts with its bridges calling the packet filter. IPv6 would only chatter.
const BRIDGE_SETTINGS: [&str; 4] = [
    "net/bridge/bridge-nf-call-iptables=0",
    "net/bridge/bridge-nf-call-ip6tables=0",
    "net/bridge/bridge-nf-call-arptables=0",
    "net/ipv6/conf/all/disable_ipv6=1",
];
const HOST_SETTINGS: [&str; 1] = ["net/ipv6/conf/all/disable_ipv6=1"];
const ROUTER_SETTINGS: [&str; 2] = ["net/ipv6/conf/all/disable_ipv6=1", "net/ipv4/ip_forward=1"];

/// Namespaces of one case. Dropping it removes them and what runs in them.
#[derive(Debug)]
pub(crate) struct Namespaces {
    case: &'static str,
    next_hop: Ipv4Addr,
    made: Vec<String>,
}

impl Namespaces {
    /// Two hosts on one bridge. Each finds the other's network on its own link.
    ///
    /// # Errors
    ///
    /// When a namespace or link cannot be made.
    pub(crate) fn with_bridge(case: &'static str) -> Result<Self, BenchError> {
        let mut built = Self { case, next_hop: SINK, made: Vec::new() };
        built.add_network("first")?;
        built.add_host("client", "first", CLIENT)?;
        built.add_host("server", "first", SERVER)?;
        built.ip("client", &format!("route add {SECOND_NETWORK} dev {INTERFACE}"))?;
        built.ip("server", &format!("route add {FIRST_NETWORK} dev {INTERFACE}"))?;
        Ok(built)
    }

    /// Two hosts on two bridges and a kernel that routes between them.
    ///
    /// # Errors
    ///
    /// When a namespace or link cannot be made.
    pub(crate) fn with_router(case: &'static str) -> Result<Self, BenchError> {
        let mut built = Self { case, next_hop: FIRST_GATEWAY, made: Vec::new() };
        built.add_network("first")?;
        built.add_network("second")?;
        built.add_host("client", "first", CLIENT)?;
        built.add_host("server", "second", SERVER)?;
        built.add("router", &ROUTER_SETTINGS)?;
        built.link("router", "first", "first", FIRST_GATEWAY)?;
        built.link("router", "second", "second", SECOND_GATEWAY)?;
        built.ip("client", &format!("route add default via {FIRST_GATEWAY}"))?;
        built.ip("server", &format!("route add default via {SECOND_GATEWAY}"))?;
        Ok(built)
    }

    /// The beginning of a command in a host.
    pub(crate) fn enter(&self, host: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(host)]);
        command
    }

    /// The file of a host's network namespace.
    pub(crate) fn netns(&self, host: &str) -> PathBuf {
        Path::new(FOLDER).join(self.name(host))
    }

    /// Whom the client's frames go to on their way to the sink.
    pub(crate) fn next_hop(&self) -> Ipv4Addr {
        self.next_hop
    }

    fn name(&self, host: &str) -> String {
        format!("{PREFIX}{}-{}-{host}", std::process::id(), self.case)
    }

    /// Makes a namespace.
    fn add(&mut self, host: &str, settings: &[&str]) -> Result<(), BenchError> {
        let name = self.name(host);
        // Noted first: a request to end may come when it is half made.
        self.made.push(name.clone());
        ip(&["netns", "add", &name])?;
        let own = std::env::current_exe().map_err(BenchError::system("cannot find this program"))?;
        let mut command = self.enter(host);
        command.arg(own).args(["load", "settings"]).args(settings);
        run(command, IP_TIME_MAX, OnInterrupt::Stop)?;
        self.ip(host, "link set lo up")
    }

    fn add_network(&mut self, network: &str) -> Result<(), BenchError> {
        self.add(network, &BRIDGE_SETTINGS)?;
        self.ip(network, &format!("link add {BRIDGE} type bridge"))?;
        self.ip(network, &format!("link set {BRIDGE} up"))
    }

    fn add_host(&mut self, host: &str, network: &str, address: Ipv4Addr) -> Result<(), BenchError> {
        self.add(host, &HOST_SETTINGS)?;
        self.link(host, INTERFACE, network, address)
    }

    /// Links a host with the bridge of a network.
    fn link(&self, host: &str, interface: &str, network: &str, address: Ipv4Addr) -> Result<(), BenchError> {
        let peer = self.name(network);
        self.ip(host, &format!("link add {interface} type veth peer name {host} netns {peer}"))?;
        self.ip(network, &format!("link set {host} master {BRIDGE} up"))?;
        self.ip(host, &format!("addr add {address}/24 dev {interface}"))?;
        self.ip(host, &format!("link set {interface} up"))
    }

    /// An `ip` command in a namespace.
    fn ip(&self, host: &str, words: &str) -> Result<(), BenchError> {
        let name = self.name(host);
        let words: Vec<&str> = ["-n", &name].into_iter().chain(words.split(' ')).collect();
        ip(&words)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in self.made.drain(..).rev() {
            remove(&name);
        }
    }
}

/// Removes what a benchmark left that was killed and could not tidy up.
pub(crate) fn remove_leftovers() {
    let list = run(ip_command(&["netns", "list"]), IP_TIME_MAX, OnInterrupt::Stop).unwrap_or_default();
    for name in list.lines().filter_map(|line| line.split(' ').next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let alive = |pid: &str| Path::new("/proc").join(pid).exists();
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !alive(pid)) {
            remove(name);
        }
    }
}

/// Ends what runs in a namespace and removes it.
fn remove(name: &str) {
    if !Path::new(FOLDER).join(name).exists() {
        return;
    }
    let pids = run(ip_command(&["netns", "pids", name]), IP_TIME_MAX, OnInterrupt::GoOn).unwrap_or_default();
    for pid in pids.lines().filter_map(|pid| pid.trim().parse().ok()) {
        // It may have ended by itself meanwhile.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    if let Err(error) = run(ip_command(&["netns", "del", name]), IP_TIME_MAX, OnInterrupt::GoOn) {
        eprintln!("bench: {error}");
    }
}

fn ip(words: &[&str]) -> Result<(), BenchError> {
    run(ip_command(words), IP_TIME_MAX, OnInterrupt::Stop).map(drop)
}

fn ip_command(words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(words).stdin(std::process::Stdio::null());
    command
}
