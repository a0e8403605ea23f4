//! What this machine lacks for a lab, and what mends it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::found::enter_namespaces;
use crate::netlink::{Link, Netlink};
use crate::tap;
use herald_core::id::Mac;

/// One thing that a lab needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// What is needed.
    pub need: String,
    /// What is wrong with it, if anything.
    pub problem: Option<String>,
    /// The command that mends it, where there is one.
    pub mend: Option<String>,
}

/// Settings of the kernel that forbid user namespaces to ordinary users: file, the forbidding value, the command.
const FORBIDDING: [(&str, &str, &str); 3] = [
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
];

/// Tries everything that a lab needs, in a process of its own, and tells how each went.
///
/// # Errors
///
/// When that process cannot be run.
pub fn doctor() -> Result<Vec<Finding>, LabError> {
    let program = std::env::current_exe().map_err(LabError::system("cannot find this program's file"))?;
    let output = Command::new(&program).args(["lab", "probe"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(LabError::file("run", &program))?;
    serde_json::from_slice(&output.stdout).map_err(LabError::system("the probe did not answer"))
}

/// Tries everything that a lab needs. The process is in other namespaces afterwards.
#[must_use]
pub fn probe() -> Vec<Finding> {
    let namespaces = enter_namespaces().and_then(|()| {
        // What is allowed in name only, under AppArmor for instance, shows here.
        unshare(CloneFlags::CLONE_NEWNET).map_err(LabError::system("a network namespace in the user namespace"))
    });
    let inside = namespaces.is_ok();
    let mut findings = vec![finding("user, PID and network namespaces", namespaces, || namespaces_mend().to_owned())];
    findings.push(finding("the TAP driver", tap::open_device(), || tap_mend().to_owned()));
    if inside {
        findings.extend(links());
    }
    findings
}

/// Tries each kind of link in the current network namespace.
fn links() -> Vec<Finding> {
    let module = |name: &'static str| move || format!("modprobe {name}");
    let tried = |doing: &'static str, what: &dyn Fn(&mut Netlink) -> io::Result<()>| {
        Netlink::open().and_then(|mut netlink| what(&mut netlink)).map_err(LabError::system(doing))
    };
    let bridge = tried("cannot make a bridge", &|netlink| netlink.add_bridge("bridge").map(drop));
    let veth = tried("cannot make a veth pair", &|netlink| {
        let here = fs::File::open("/proc/self/ns/net")?;
        netlink.add_veth("one", "two", Mac([2, 0, 0, 0, 0, 1]), std::os::fd::AsFd::as_fd(&here)).map(drop)
    });
    let v6 = tried("cannot use IPv6", &|netlink| {
        let link = Link::named("lo")?;
        netlink.set_up(link)?;
        netlink.add_address(link, IpNet::from(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1])))
    });
    let v4 = tried("cannot use IPv4", &|netlink| {
        netlink.add_address(Link::named("lo")?, IpNet::from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))))
    });
    let mut findings = vec![
        finding("bridges", bridge, module("bridge")),
        finding("veth pairs", veth, module("veth")),
        finding("IPv4", v4, String::new),
        finding("IPv6", v6, || "sysctl -w net.ipv6.conf.all.disable_ipv6=0".into()),
    ];
    if tap::open_device().is_ok() {
        findings.push(finding("TAP devices", tap::add_tap("tap"), module("tun")));
    }
    findings
}

fn finding(need: &str, result: Result<(), LabError>, mend: impl FnOnce() -> String) -> Finding {
    // Without the error's own advice: here stands a command.
    let problem = result.err().map(|error| {
        if let LabError::System { doing, source, .. } = error {
            format!("{doing}: {source}")
        } else {
            error.to_string()
        }
    });
    let mend = problem.is_some().then(mend).filter(|m| !m.is_empty());
    Finding { need: need.to_owned(), problem, mend }
}

fn namespaces_mend() -> &'static str {
    let forbids = |(file, forbidding, _): &&(&str, &str, &str)| {
        fs::read_to_string(format!("/proc/sys/{file}")).is_ok_and(|value| value.trim() == *forbidding)
    };
    FORBIDDING.iter().find(forbids).map_or("run the lab as root", |(_, _, command)| command)
}

fn tap_mend() -> &'static str {
    if fs::exists("/dev/net/tun").unwrap_or_default() { "chmod 0666 /dev/net/tun" } else { "modprobe tun" }
}
