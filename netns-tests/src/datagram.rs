//! Datagrams: a server that answers them, and one to a port whose streams the rules drop, so that nobody but the chosen node
//! knows of them.

use std::time::Duration;

use crate::Lab;
use crate::process::{Running, eventually};

/// For a server to start.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Answers each datagram with itself, in fragments if it must.
const ECHO: &str = r#"
import socket

with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
    server.setsockopt(socket.IPPROTO_IP, 10, 0)
    server.bind(("::", 9000))
    print("ready", flush=True)
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)
"#;

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

/// Starts a server in a host that answers each datagram to its port 9000, of both families, with itself.
///
/// # Panics
///
/// When it does not start.
#[must_use]
#[track_caller]
pub fn echo_server(lab: &Lab, host: &str) -> Running {
    let server = lab.spawn(host, &["python3", "-c", ECHO]);
    eventually(START_TIME_MAX, "the echo server is ready", || server.stdout().contains("ready").then_some(()));
    server
}
