//! What plugins said beside their verdicts takes effect, plugin by plugin: those behind it see what it wrote, noted and made.
//!
//! What a plugin says of a packet holds even if a plugin behind it ends the packet, or ended the stream at an earlier packet of
//! the batch: it was asked before.

use herald_core::inspector::{Action, Inspection, Parts};
use herald_core::limits::INJECTED_PER_BATCH_MAX;
use herald_core::packet::{Arrival, Came, ETHERNET_LEN, Frame, mend};
use herald_core::time::Instant;
use herald_plugin::Scope;

use super::{Asked, Chain, Way};
use crate::effects::{self, Effect};
use crate::guard::Seat;
use crate::head::Head;
use crate::notes::Notes;
use crate::word::{Fault, Said};
use herald_core::inspector::{Direction, Verdict};

/// The reason of a rewritten packet whose checksum was wrong before: it must not leave as a good one.
const BAD_CHECKSUM: &str = "bad-checksum";
/// The reason of packets beyond the bound.
const INJECTS_TOO_MUCH: &str = "injects-too-much";

impl Asked {
    /// What the plugin said of the first `judged` packets takes effect.
    #[cold]
    pub(super) fn take_effects(
        &self,
        now: Instant,
        seat: &mut Seat,
        judged: usize,
        way: &mut Way<'_>,
        (notes, made): (&mut Notes, &mut Vec<(usize, Inspection)>),
    ) {
        let effects = effects::take();
        for (at, effect) in &effects.list {
            let place = self.places.get(*at).copied().filter(|place| *at < judged && way.asks(seat, *place));
            let Some(place) = place else { continue };
            match effect {
                Effect::Replace { from, old_len, bytes } => {
                    way.replace(now, seat, place, ((*from, *old_len), effects.bytes(bytes)));
                }
                Effect::Inject { direction, packet } => {
                    if made.len() >= INJECTED_PER_BATCH_MAX {
                        seat.book.dropped(seat.book.reason(INJECTS_TOO_MUCH));
                    } else if let Some(inspection) = way.make(place, *direction, effects.bytes(packet)) {
                        made.push((seat.number + 1, inspection));
                    } else {
                        way.failed(now, seat, place, "it injects what is no packet of the stream");
                    }
                }
                Effect::Mark(mark) => way.each_head(place, |head| head.mark = *mark),
                Effect::Note { name, value } => {
                    let (name, value) = (effects.text(name), effects.text(value));
                    let mut at = way.heads.get(place).map(|head| head.notes).unwrap_or_default();
                    notes.add(&mut at, name, value);
                    way.each_head(place, |head| head.notes = at);
                }
            }
        }
        effects::give(effects);
    }
}

/// What a plugin said in a hook about one stream takes effect.
#[cold]
pub(super) fn take_stream_effects(head: &mut Head, notes: &mut Notes) {
    let effects = effects::take();
    for (_, effect) in &effects.list {
        match effect {
            Effect::Mark(mark) => head.mark = *mark,
            Effect::Note { name, value } => {
                notes.add(&mut head.notes, effects.text(name), effects.text(value));
            }
            // They are refused where they are said.
            Effect::Replace { .. } | Effect::Inject { .. } => {}
        }
    }
    effects::give(effects);
}

impl Chain {
    /// The plugins behind their makers judge the packets that were made, one by one.
    #[cold]
    pub(super) fn judge_made(&mut self, now: Instant, parts: &mut dyn Parts<Head>) {
        let mut judged = 0;
        while !self.made.is_empty() {
            for (first, mut inspection) in std::mem::take(&mut self.made) {
                judged += 1;
                let mut way = Way::begin(std::slice::from_mut(&mut inspection), parts);
                // Plugins that make a packet for each made one come to an end, too.
                let seats = if judged > INJECTED_PER_BATCH_MAX { first..first } else { first..self.seats.len() };
                for number in seats {
                    self.pass_through(now, number, &mut way);
                }
                if self.orders.is_some() {
                    self.put_in_order(now, &mut way);
                }
                if way.is_changed {
                    way.end(self.all);
                }
                self.injected.push(inspection);
            }
        }
    }
}

impl Way<'_> {
    /// Bytes of a packet give way to others.
    fn replace(&mut self, now: Instant, seat: &mut Seat, place: usize, (range, bytes): ((usize, usize), &[u8])) {
        let Some(inspection) = self.batch.get_mut(place) else { return };
        let Arrival { frame, headers, .. } = &mut inspection.arrival;
        if !mend::is_sound(frame, headers) {
            let reason = seat.book.reason(BAD_CHECKSUM);
            return self.settle(seat, Said::End { action: Action::Drop, scope: Scope::Packet, reason }, place);
        }
        match mend::replace(frame, headers, range, bytes) {
            Ok(mended) => {
                *headers = mended;
                inspection.verdict.rewritten = true;
            }
            Err(_) => self.failed(now, seat, place, "what it wrote is no packet"),
        }
    }

    /// A packet of the stream, made of bytes from the IP header on; nothing if it is no such packet.
    pub(super) fn make(&self, place: usize, direction: Direction, packet: &[u8]) -> Option<Inspection> {
        let inspection = self.batch.get(place)?;
        let arrival = &inspection.arrival;
        let onward = direction == inspection.direction;
        let interface = if onward { arrival.interface } else { arrival.interface.other() };
        let ether_type: [u8; 2] = match packet.first()? >> 4 {
            4 => [0x08, 0x00],
            6 => [0x86, 0xdd],
            _ => return None,
        };
        let (to, from) = arrival.frame.bytes().get(..12)?.split_at(6);
        let macs = if onward { [to, from] } else { [from, to] };
        let mut frame = Frame::from_bytes(&[macs.concat().as_slice(), &ether_type, packet].concat());
        let headers = mend::mend(&mut frame, u16::try_from(ETHERNET_LEN).ok()?).ok()?;
        let own = arrival.key();
        let expected = if onward { own } else { own.reversed(interface) };
        if headers.flow_key(interface) != expected {
            return None;
        }
        let arrival = Arrival { interface, headers, frame, came: Came::Directly };
        // Like a rewritten one it does not go on with another stream of the same key.
        let verdict = Verdict { rewritten: true, ..Verdict::default() };
        let made = Inspection::new(arrival, direction, inspection.stream, inspection.slot);
        Some(Inspection { injected: true, verdict, ..made })
    }

    /// The plugin has broken the contract in what it said of a packet.
    fn failed(&mut self, now: Instant, seat: &mut Seat, place: usize, what: &str) {
        let Some(inspection) = self.batch.get(place) else { return };
        let (plugin, stream) = (seat.name(), inspection.stream);
        tracing::warn!(target: "herald::host", plugin, stream, "{what}");
        seat.failed(now, Fault::by_effect(inspection));
        self.settle(seat, Said::Failed, place);
    }

    /// Changes the head of a packet's stream, and what the packets behind it in the batch know of it.
    fn each_head(&mut self, place: usize, change: impl Fn(&mut Head)) {
        let Some(Inspection { slot, stream, .. }) = self.batch.get(place) else { return };
        let (slot, stream) = (*slot, *stream);
        if let Some(part) = self.parts.part(slot, stream) {
            change(part);
        }
        let packets = self.batch.iter().zip(&mut self.heads).skip(place);
        packets.filter(|(packet, _)| packet.stream == stream).for_each(|(_, head)| change(head));
    }
}
