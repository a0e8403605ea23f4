//! Packets that scapy writes, for what no kernel sends.

use crate::Lab;

/// Sends packets to the virtual MAC of a network: its number, then each packet, an expression of scapy's.
const SEND: &str = r#"
import sys
from scapy.all import *

own = get_if_hwaddr("eth0")
for text in sys.argv[2:]:
    packet = eval(text)
    gate = "00:00:5e:00:%02x:%02x" % (1 if packet.version == 4 else 2, int(sys.argv[1]))
    sendp(Ether(src=own, dst=gate) / packet, iface="eth0", verbose=False)
"#;

/// Lets a host send IP packets to the cluster, in order, each an expression of scapy's.
///
/// # Panics
///
/// When scapy (Debian package python3-scapy) is missing or an expression is wrong.
#[track_caller]
pub fn send(lab: &Lab, host: &str, packets: &[String]) {
    let network = if host == "server" { "2" } else { "1" };
    let mut line = vec!["/usr/bin/python3", "-c", SEND, network];
    line.extend(packets.iter().map(String::as_str));
    let _ = lab.exec(host, &line).ok();
}

/// Takes the way out from a host's kernel, so that it answers nothing that comes from the other network; what
/// [`send`] sends goes on.
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
