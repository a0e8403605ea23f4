//! A line for each packet, for tests that compare what a node inspected with what crossed its networks.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use herald_plugin::prelude::*;
use serde::Serialize;

/// Bytes of a packet that its line shows: all headers, and the beginning of the payload.
const HEAD_LEN_MAX: usize = 256;

/// The file of lines. Each is written before its packet's verdict, so it is there even if the node is killed right after.
#[derive(Debug)]
pub(crate) struct PacketLog(File);

#[derive(Serialize)]
struct Line<'a> {
    event_type: &'a str,
    at_ns: u64,
    flow_id: u64,
    interface: &'a str,
    wire_packets: u32,
    len: usize,
    head: String,
}

impl PacketLog {
    /// Opens the file to append to it, and makes it if there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).create(true).mode(0o640).open(path).map(Self)
    }

    /// Writes a packet's line. One write of a whole line, so that no reader sees half of it.
    pub(crate) fn write(&self, packet: &Packet<'_>) -> io::Result<()> {
        let bytes = packet.network();
        let mut line = line_of(packet.stream(), packet.interface(), packet.wire_packets(), bytes)?;
        line.push(b'\n');
        (&self.0).write_all(&line)
    }
}

fn line_of(flow_id: u64, interface: Interface, wire_packets: u32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut head = String::with_capacity(2 * HEAD_LEN_MAX);
    for byte in bytes.iter().take(HEAD_LEN_MAX) {
        write!(head, "{byte:02x}").map_err(io::Error::other)?;
    }
    let line = Line {
        event_type: "packet",
        at_ns: herald_plugin::unix_nanos(),
        flow_id,
        interface: interface.as_str(),
        wire_packets,
        len: bytes.len(),
        head,
    };
    Ok(serde_json::to_vec(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_where_a_packet_came_and_how_it_begins() {
        let line = line_of(7, Interface::Second, 2, &[0x45; 300]).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (&line["flow_id"], &line["interface"], &line["wire_packets"]),
            (&7.into(), &"second".into(), &2.into())
        );
        assert_eq!((&line["len"], line["head"].as_str().unwrap()), (&300.into(), "45".repeat(256).as_str()));
    }
}
