//! Packets that scapy writes, for what no kernel sends.

use std::time::Duration;

use crate::Lab;
use crate::process::{Running, eventually};

/// Sends packets to the virtual MAC of a network, whose number is the argument. Each line on standard input is a list of
/// expressions of scapy's, one a packet, and is answered by a line when all of them are sent.
const SENDER: &str = r#"
import sys
from scapy.all import *

own = get_if_hwaddr("eth0")
out = conf.L2socket(iface="eth0")
for line in sys.stdin:
    for packet in eval("[" + line + "]"):
        gate = "00:00:5e:00:%02x:%02x" % (1 if packet.version == 4 else 2, int(sys.argv[1]))
        out.send(Ether(src=own, dst=gate) / packet)
    print("sent", flush=True)
"#;

/// For scapy to load, and to send a list.
const LIMIT: Duration = Duration::from_secs(60);

/// A host's scapy: it takes a second to load, so it stays for a whole test.
#[derive(Debug)]
pub struct Scapy {
    process: Running,
    sent: usize,
}

impl Scapy {
    /// Starts scapy (Debian package python3-scapy) in a host. It loads while the test goes on.
    #[must_use]
    #[track_caller]
    pub fn start(lab: &Lab, host: &str) -> Self {
        let network = if host == "server" { "2" } else { "1" };
        Self { process: lab.converse(host, &["/usr/bin/python3", "-c", SENDER, network]), sent: 0 }
    }

    /// Sends IP packets to the cluster, in order, each an expression of scapy's, and returns when they are on the wire.
    ///
    /// # Panics
    ///
    /// When scapy is missing or an expression is wrong.
    #[track_caller]
    pub fn send(&mut self, packets: &[String]) {
        self.process.say(&packets.join(", "));
        self.sent += 1;
        eventually(LIMIT, "scapy has sent the packets", || {
            assert!(self.process.ended().is_none(), "scapy ended: {}", self.process.stderr());
            (self.process.stdout().lines().count() == self.sent).then_some(())
        });
    }
}

/// Takes the way out from a host's kernel, so that it answers nothing that comes from the other network; what
/// [`Scapy`] sends goes on.
///
/// # Panics
///
/// When it has none.
#[track_caller]
pub fn mute(lab: &Lab, host: &str) {
    for family in ["-4", "-6"] {
        let _ = lab.exec(host, &["ip", family, "route", "del", "default"]).ok();
    }
}
