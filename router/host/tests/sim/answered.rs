//! What Linux does and smoltcp does not: an end that has answered a SYN, and waits for the last word of the handshake, answers
//! each copy of that SYN at once.

use std::collections::BTreeMap;

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::packet::{Content, Frame, Headers, Packet, Transport};

/// The answers that a host has given to SYNs, by the SYN's flow.
#[derive(Debug, Default)]
pub(crate) struct Answered(BTreeMap<FlowKey, Answer>);

/// Which sequence number an answer acknowledges, and its frame.
#[derive(Debug)]
struct Answer {
    acknowledgement: u32,
    frame: Vec<u8>,
}

impl Answered {
    /// The host sends a frame.
    pub(crate) fn sent(&mut self, frame: &[u8]) {
        let Some(headers) = headers(frame) else { return };
        if let Transport::Tcp { flags, acknowledgement, .. } = headers.transport
            && flags.syn()
            && flags.ack()
        {
            let opener = headers.flow_key(Interface::First).reversed(Interface::First);
            self.0.insert(opener, Answer { acknowledgement, frame: frame.to_vec() });
        }
    }

    /// A frame comes to the host; the answer to it if it is the copy of a SYN.
    pub(crate) fn came(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let headers = headers(frame)?;
        let Transport::Tcp { flags, sequence, .. } = headers.transport else { return None };
        let flow = headers.flow_key(Interface::First);
        if flags.opens() {
            let answer = self.0.get(&flow)?;
            return (answer.acknowledgement == sequence.wrapping_add(1)).then(|| answer.frame.clone());
        }
        self.0.remove(&flow);
        None
    }
}

fn headers(frame: &[u8]) -> Option<Headers> {
    match Packet::parse(&Frame::from_bytes(frame)).ok()?.content {
        Content::Ip(headers) => Some(headers),
        Content::Arp(_) | Content::Fragment(_) => None,
    }
}
