//! The exchanges of UDP datagrams of a capture about which something is known, in the order of their first packets.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::StreamRow;
use super::saw::Saw;
use herald_core::packet::{Frame, Headers, Transport, checksum};
use herald_facts::{Datagrams, Direction};

/// Bytes of a UDP header, and where it says the length of the datagram, header included (RFC 768).
const UDP_HEADER_LEN: usize = 8;
const UDP_LENGTH_AT: usize = 4;

/// Datagrams between two ends, from the first one on.
struct Exchange {
    opener: SocketAddr,
    answerer: SocketAddr,
    from_opener: Saw,
    to_opener: Saw,
    datagrams: Datagrams,
}

/// All exchanges.
#[derive(Default)]
pub(super) struct Exchanges {
    /// By both ends, the lower one first.
    known: HashMap<(SocketAddr, SocketAddr), usize>,
    all: Vec<Exchange>,
}

impl Exchanges {
    /// A packet goes on. What is no datagram that its receiver would read says nothing.
    pub(super) fn packet(&mut self, headers: &Headers, frame: &Frame) {
        let Transport::Udp { source, destination } = headers.transport else { return };
        let Some(payload) = payload(headers, frame).filter(|_| checksum::is_right(headers, frame)) else { return };
        let source = SocketAddr::new(headers.source, source);
        let destination = SocketAddr::new(headers.destination, destination);
        let all = &mut self.all;
        let number = *self.known.entry((source.min(destination), source.max(destination))).or_insert_with(|| {
            let (from_opener, to_opener) = (Saw::new(), Saw::new());
            let datagrams = Datagrams::new(destination.port());
            all.push(Exchange { opener: source, answerer: destination, from_opener, to_opener, datagrams });
            all.len() - 1
        });
        let Some(exchange) = all.get_mut(number) else { return };
        let (direction, saw) = if source == exchange.opener {
            (Direction::FromOpener, &mut exchange.from_opener)
        } else {
            (Direction::ToOpener, &mut exchange.to_opener)
        };
        saw.add(payload);
        exchange.datagrams.feed(direction, payload);
    }

    /// Those of which there are facts.
    pub(super) fn rows(self) -> impl Iterator<Item = StreamRow> {
        self.all.into_iter().filter(|exchange| !exchange.datagrams.facts().is_empty()).map(Exchange::row)
    }
}

impl Exchange {
    fn row(self) -> StreamRow {
        StreamRow {
            protocol: "udp",
            source: self.opener.to_string(),
            destination: self.answerer.to_string(),
            from_opener: self.from_opener.row(),
            to_opener: self.to_opener.row(),
            end: "open",
            gaps: 0,
            conflicts: 0,
            facts: self.datagrams.facts().clone(),
        }
    }
}

/// What a datagram carries; what stands behind it in its packet is not its own.
fn payload<'a>(headers: &Headers, frame: &'a Frame) -> Option<&'a [u8]> {
    let bytes = headers.transport_bytes(frame);
    let length: [u8; 2] = *bytes.get(UDP_LENGTH_AT..)?.first_chunk()?;
    bytes.get(UDP_HEADER_LEN..usize::from(u16::from_be_bytes(length)))
}
