//! What the nodes say to each other, as the bridge of the mesh saw it.

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use herald::limits::MESSAGE_LEN_MAX;
use herald::mesh::Message;
use herald::mesh::codec::{Decoder, Spoken};

use crate::capture::CapturedFrame;

/// The first node has 11 as the last byte of its mesh address, and so on.
const FIRST_NODE_BYTE: u8 = 11;

/// One message between two nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When it came to the bridge, in nanoseconds since 1970 (UTC): its receiver had it later.
    pub at_nanos: u64,
    /// Who said it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What.
    pub message: Message,
}

/// The messages in these frames. A node writes whole messages, so each segment starts with one; of a segment that does
/// not, because a full socket had cut it, nothing is heard. A test that waits for a certain message then fails; it never
/// takes one for another.
#[must_use]
pub fn overheard(frames: &[CapturedFrame]) -> Vec<Said> {
    let mut all: Vec<_> = frames.iter().filter_map(talk).flatten().collect();
    all.sort_by_key(|said| said.at_nanos);
    all
}

fn talk(frame: &CapturedFrame) -> Option<Vec<Said>> {
    let packet = LaxSlicedPacket::from_ethernet(&frame.bytes).ok()?;
    let LaxNetSlice::Ipv4(ip) = packet.net? else { return None };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    let (from, to) = (node(ip.header().source_addr().into())?, node(ip.header().destination_addr().into())?);
    let said = |message| Said { at_nanos: frame.at_nanos, from: from.clone(), to: to.clone(), message };
    Some(messages(tcp.payload()).into_iter().map(said).collect())
}

fn node(address: IpAddr) -> Option<String> {
    let IpAddr::V4(address) = address else { return None };
    let [.., last] = address.octets();
    Some(char::from(b'a'.checked_add(last.checked_sub(FIRST_NODE_BYTE)?)?).to_string())
}

fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    loop {
        match decoder.decode(MESSAGE_LEN_MAX) {
            Ok(Some(Spoken::Message(message))) => messages.push(message),
            Ok(Some(Spoken::Hello(_) | Spoken::Unknown { .. })) => {}
            Ok(None) if bytes.is_empty() => return messages,
            Ok(None) => {
                let space = decoder.space();
                let len = space.len().min(bytes.len());
                let (now, later) = bytes.split_at(len);
                if let Some(place) = space.get_mut(..len) {
                    place.copy_from_slice(now);
                }
                decoder.filled(len);
                bytes = later;
            }
            Err(_) => return messages,
        }
    }
}
