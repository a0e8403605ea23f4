//! One datagram to a port whose streams the rules drop, so that nobody but the chosen node knows of them.

use crate::Lab;

/// Drops the streams to UDP port 7003.
pub const DROP_7003: &str = r#"
[[plugins]]
name = "acl"

[[plugins.config.rules]]
action = "drop"
protocol = "udp"
destination_ports = 7003
"#;

/// Sends a datagram: FROM PORT TO PORT TEXT.
const SEND: &str = r#"
import socket, sys

source, source_port, destination, port, text = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.bind((source, int(source_port)))
    sender.sendto(text.encode(), (destination, int(port)))
"#;

/// Lets a host send one datagram over IPv4, from an address and port to others.
pub fn send_datagram(lab: &Lab, host: &str, from: (&str, &str), to: (&str, &str), text: &str) {
    let _nothing_said = lab.exec(host, &["python3", "-c", SEND, from.0, from.1, to.0, to.1, text]).ok();
}
