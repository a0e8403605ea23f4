//! What an IP router lets pass: headers that are right, time left, no source route; fragments wait for the others.

use std::time::Duration;

use super::super::machine::whole;
use herald_core::event::DropReason;
use herald_core::flow::HashKey;
use herald_core::forward::is_source_routed;
use herald_core::fragments::{Fragments, Way};
use herald_core::id::Interface;
use herald_core::outbox::Outbox;
use herald_core::packet::{Content, Frame, Headers, Odd, Packet};
use herald_core::time::Instant;

/// Bytes of a network's MTU; a longer packet was captured before its kernel cut it.
const MTU: usize = 1_500;

/// The way from one interface to the other.
pub(super) struct Passage {
    fragments: Fragments,
    out: Outbox,
    begin: Option<Duration>,
}

/// What comes of a packet.
pub(super) struct Through {
    /// A frame that goes on; without headers if it is ARP.
    pub(super) packet: Option<(Frame, Option<Headers>)>,
    /// Why others ended, fragments that had waited included.
    pub(super) ended: Vec<&'static str>,
}

impl Passage {
    pub(super) fn new() -> Self {
        Self { fragments: Fragments::new(HashKey([0; 16])), out: recording(), begin: None }
    }

    /// A packet was captured.
    pub(super) fn packet(&mut self, at: Duration, bytes: &[u8]) -> Through {
        let begin = *self.begin.get_or_insert(at);
        let now = Instant::from_nanos(1) + at.saturating_sub(begin);
        let frame = Frame::from_bytes(bytes);
        let mut ended = Vec::new();
        while let Some(overdue) = self.fragments.pop_overdue(now) {
            ended.extend(overdue.parts.iter().map(|_| DropReason::FragmentTimedOut.name()));
        }
        let before = self.out.newest_drop().map_or(0, |drop| drop.number);
        let packet = match Packet::parse(&frame).map(|packet| (packet, packet.content)) {
            Ok((_, Content::Arp(_))) => Ok(Some((frame, None))),
            Ok((_, Content::Ip(headers))) => checked(whole(MTU, bytes, Some(headers)), headers).map(Some),
            Ok((Packet { destination, source, .. }, Content::Fragment(fragment))) => {
                let way = Way::Network { destination, source };
                // Both directions come in here; addresses tell them apart.
                let place = (Interface::First, way);
                let joined = self.fragments.arrived(now, place, fragment, frame, &mut self.out);
                joined.map(|frame| Packet::parse_ip(&frame).and_then(|headers| checked(frame, headers))).transpose()
            }
            Err(reason) => Err(reason),
        };
        let dropped = self.out.last_drops().into_iter().filter(|drop| drop.number > before);
        ended.extend(dropped.map(|drop| drop.reason.name()));
        self.out.spent.clear();
        let packet = packet.unwrap_or_else(|reason| {
            ended.push(reason.name());
            None
        });
        Through { packet, ended }
    }
}

/// An outbox that says what ended.
fn recording() -> Outbox {
    let mut out = Outbox::default();
    out.keep_drops();
    out
}

/// Whether a router, and a host behind it, would take a packet.
fn checked(frame: Frame, headers: Headers) -> Result<(Frame, Option<Headers>), DropReason> {
    if headers.hop_limit <= 1 {
        Err(DropReason::TtlExceeded)
    } else if is_source_routed(&headers, &frame) {
        Err(DropReason::SourceRoute)
    } else if headers.odd == Odd::Header {
        Err(DropReason::OddHeader)
    } else {
        Ok((frame, Some(headers)))
    }
}
