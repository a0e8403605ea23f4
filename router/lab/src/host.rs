//! The network namespaces of a lab, as open files of the keeper.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sched::{CloneFlags, setns, unshare};

use crate::LabError;
use crate::netlink::{Link, Netlink};

/// Settings of every namespace, before the first link is made. Bridges are to pass frames, not to filter packets
/// (a new namespace starts with bridge-nf-call-* = 1, and then drops malformed IPv4), and addresses are to work at once.
const SETTINGS: [(&str, &str); 5] = [
    ("net/bridge/bridge-nf-call-iptables", "0"),
    ("net/bridge/bridge-nf-call-ip6tables", "0"),
    ("net/bridge/bridge-nf-call-arptables", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
];

/// Settings of the namespaces of bridges, which are to say nothing themselves.
const BRIDGE_SETTINGS: [(&str, &str); 2] =
    [("net/ipv6/conf/all/disable_ipv6", "1"), ("net/ipv6/conf/default/disable_ipv6", "1")];

/// Settings of the namespace of a router. What comes in need not go back the same way.
const ROUTER_SETTINGS: [(&str, &str); 4] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
];

/// What a namespace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Bridge,
    Host,
}

/// All namespaces of a lab. The calling thread is in one of them: each operation enters the one it works in.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    all: Vec<(String, File)>,
}

impl Namespaces {
    /// Makes a namespace with its loopback up, and stays in it.
    pub(crate) fn add(&mut self, name: &str, purpose: Purpose) -> Result<(), LabError> {
        let doing = || format!("cannot make the network namespace {name}");
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(LabError::system_mended(doing(), "`herald doctor` tells what this machine forbids"))?;
        let file = File::open("/proc/self/ns/net").map_err(LabError::system(doing()))?;
        let settings = match purpose {
            Purpose::Bridge => SETTINGS.iter().chain(&BRIDGE_SETTINGS),
            Purpose::Host => SETTINGS.iter().chain(&[]),
        };
        for (key, value) in settings {
            write_setting(name, key, value)?;
        }
        let up = || -> io::Result<()> { Netlink::open()?.set_up(Link::named("lo")?) };
        up().map_err(LabError::system(format!("cannot set up lo in {name}")))?;
        self.all.push((name.to_owned(), file));
        Ok(())
    }

    /// Lets a namespace forward.
    pub(crate) fn forward(&self, name: &str) -> Result<(), LabError> {
        self.enter(name)?;
        ROUTER_SETTINGS.iter().try_for_each(|(key, value)| write_setting(name, key, value))
    }

    /// Moves the calling thread into a namespace.
    pub(crate) fn enter(&self, name: &str) -> Result<(), LabError> {
        setns(self.file(name)?, CloneFlags::CLONE_NEWNET)
            .map_err(LabError::system(format!("cannot enter the network namespace {name}")))
    }

    /// Moves the calling thread into a namespace and opens a netlink socket there.
    pub(crate) fn netlink(&self, name: &str) -> Result<Netlink, LabError> {
        self.enter(name)?;
        Netlink::open().map_err(LabError::system(format!("cannot open a netlink socket in {name}")))
    }

    pub(crate) fn file(&self, name: &str) -> Result<BorrowedFd<'_>, LabError> {
        let found = self.all.iter().find(|(n, _)| n == name);
        found.map(|(_, file)| file.as_fd()).ok_or_else(|| LabError::Configuration(format!("there is no host {name}")))
    }

    /// The path of a namespace for other processes, given the keeper's process id.
    pub(crate) fn path(&self, name: &str, keeper: u32) -> Result<String, LabError> {
        Ok(format!("/proc/{keeper}/fd/{}", self.file(name)?.as_raw_fd()))
    }
}

fn write_setting(name: &str, key: &str, value: &str) -> Result<(), LabError> {
    match fs::write(format!("/proc/sys/{key}"), value) {
        // This kernel does not have what would have to be switched off.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(LabError::system(format!("cannot set {key} to {value} in {name}"))),
    }
}
