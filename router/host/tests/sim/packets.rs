//! What checkers need to know of a frame: whose packet it is, and whether two frames carry the same one.

use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Mac};
use herald_core::packet::{Content, Frame, Packet};
use herald_core::session::Opening;

use crate::trace::Trace;

/// A packet on a wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) flow: FlowKey,
    /// The same for all frames that carry this packet: without MACs, hop limit and header checksum.
    pub(crate) hash: u64,
    pub(crate) hop_limit: u8,
    pub(crate) from: Mac,
    pub(crate) to: Mac,
}

/// The packet of a frame, as if it arrived at `interface`; `None` for what is no IP packet. The first fragment of a datagram
/// stands for it.
pub(crate) fn seen(interface: Interface, bytes: &[u8]) -> Option<Seen> {
    let packet = Packet::parse(&Frame::from_bytes(bytes)).ok()?;
    let headers = match packet.content {
        Content::Ip(headers) => headers,
        Content::Fragment(first) if first.is_first() => first.headers(),
        Content::Fragment(_) | Content::Arp(_) => return None,
    };
    let mut body = bytes[14..].to_vec();
    let version = body[0] >> 4;
    if version == 4 {
        (body[8], body[10], body[11]) = (0, 0, 0);
    } else {
        body[7] = 0;
    }
    let mut trace = Trace::default();
    trace.note(&body);
    Some(Seen {
        flow: headers.flow_key(interface),
        hash: trace.value(),
        hop_limit: headers.hop_limit,
        from: packet.source,
        to: packet.destination,
    })
}

/// A fragment that is not the first of its datagram: it has no key.
pub(crate) fn is_later_fragment(bytes: &[u8]) -> bool {
    let packet = Packet::parse(&Frame::from_bytes(bytes)).map(|packet| packet.content);
    matches!(packet, Ok(Content::Fragment(fragment)) if !fragment.is_first())
}

/// One key for both directions of a stream: as if everything arrived at the first interface.
pub(crate) fn stream(flow: &FlowKey) -> FlowKey {
    let back = flow.reversed(Interface::First);
    back.min(back.reversed(Interface::First))
}

/// The flow of a packet that opens a TCP connection, or would if its flags meant anything.
pub(crate) fn connecting(interface: Interface, bytes: &[u8]) -> Option<FlowKey> {
    let frame = Frame::from_bytes(bytes);
    let Content::Ip(headers) = Packet::parse(&frame).ok()?.content else { return None };
    matches!(Opening::of(&headers), Opening::Connects | Opening::Opens).then(|| headers.flow_key(interface))
}
