//! A kernel in Herald's place: what Herald's manners are compared with.

use std::time::Duration;

use serde_json::Value;

use crate::lab::Lab;
use crate::process::{Running, eventually};

/// For a program to start.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// The router is a host of the lab, with the addresses that the cluster has otherwise.
const GATE: &str = r#"
[lab.hosts.gate]
network = "first"
addresses = ["10.1.0.1/24", "fd00:1::1/64", "fe80::200:5eff:fe00:201/64"]
"#;

/// What the kernel is told. By its defaults it would bound its answers, and not ask where a packet came from.
const SETTINGS: [(&str, &str); 11] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "100000"),
    ("ipv4/icmp_msgs_burst", "100000"),
    ("ipv6/icmp/ratelimit", "0"),
    // Who compares packets knows them by their labels: one that the kernel makes up could be another packet's.
    ("ipv6/auto_flowlabels", "0"),
    ("ipv4/conf/all/rp_filter", "2"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/eth0/send_redirects", "0"),
    ("ipv4/conf/second/send_redirects", "0"),
];

/// A lab between whose networks a kernel routes: in the host `gate`, by its devices `eth0` and `second`.
#[derive(Debug)]
pub struct KernelRouter {
    /// Where the second network begins.
    _holder: Running,
    lab: Lab,
}

impl KernelRouter {
    /// Brings it up, with so many bytes for the largest packet on the second network. Its node is there because a lab has one;
    /// it is ended before anything is sent.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[must_use]
    #[track_caller]
    pub fn start(hint: &str, mtu_second: usize) -> Self {
        let lab = Lab::up(hint)
            .nodes(1)
            .configuration(GATE)
            .set("interfaces.second.mtu", mtu_second)
            .set("interfaces.first.virtual_addresses", "[]")
            .set("interfaces.second.virtual_addresses", "[]")
            .start();
        lab.kill("a", "KILL");
        let holder = lab.spawn("net-second", &["sh", "-c", "echo $$; exec sleep infinity"]);
        let pid = eventually(START_TIME_MAX, "a process holds the second network", || {
            Some(holder.stdout().trim().to_owned()).filter(|pid| !pid.is_empty())
        });
        let router = Self { lab, _holder: holder };
        router.run("gate", &format!("ip link add second type veth peer name to-gate2 netns {pid}"));
        router.run("net-second", &format!("ip link set to-gate2 mtu {mtu_second} master bridge up"));
        router.run("gate", &format!("ip link set second mtu {mtu_second} up"));
        for (key, value) in SETTINGS {
            router.run("gate", &format!("echo {value} > /proc/sys/net/{key}"));
        }
        for address in ["10.2.0.1/24", "fd00:2::1/64", "fe80::200:5eff:fe00:202/64"] {
            router.run("gate", &format!("ip addr add {address} dev second"));
        }
        for (host, digit) in [("client", 1), ("server", 2)] {
            router.run(
                host,
                &format!("ip route add default via 10.{digit}.0.1; ip route add default via fd00:{digit}::1"),
            );
        }
        router
    }

    /// Leads packets to a network by way of a host.
    ///
    /// # Panics
    ///
    /// When there is no way to that host.
    #[track_caller]
    pub fn add_route(&self, to: &str, via: &str) {
        self.run("gate", &format!("ip route add {to} via {via}"));
    }

    /// The MACs of its devices, of the first network and of the second.
    ///
    /// # Panics
    ///
    /// When it lacks one.
    #[must_use]
    #[track_caller]
    pub fn macs(&self) -> [String; 2] {
        let links: Value = serde_json::from_str(&self.lab.exec("gate", &["ip", "-j", "link"]).ok()).unwrap_or_default();
        ["eth0", "second"].map(|name| {
            let mut all = links.as_array().into_iter().flatten();
            let link = all.find(|link| link.get("ifname").is_some_and(|is| is == name));
            let mac = link.and_then(|link| link.get("address")?.as_str());
            mac.unwrap_or_else(|| panic!("the kernel router has no {name}: {links}")).to_owned()
        })
    }

    /// Its lab.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    #[track_caller]
    fn run(&self, host: &str, line: &str) {
        let output = self.lab.exec(host, &["sh", "-c", line]);
        assert!(output.code == 0, "{line} in {host}: {}", output.stderr);
    }
}
