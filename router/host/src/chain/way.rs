//! The packets of one batch on their way through the chain, and what is said of them and of their streams.

use herald_core::inspector::{Action, Direction, Inspection, Parts, PerDirection, Standing, Verdict};
use herald_core::limits::BATCH_PACKETS_MAX;

use crate::guard::Seat;
use crate::head::Head;
use crate::word::{Onward, Said, Word};

/// The packets of one batch on their way through the chain. What a plugin says of a stream holds from its packet on, not
/// for those before it.
pub(super) struct Way<'a> {
    /// Not decided yet.
    pub(super) open: Places,
    /// Accepted by a plugin; a later plugin's word on an earlier packet of the stream may still end them.
    pub(super) accepted: Places,
    /// The head of each packet's stream as it is at that packet.
    pub(super) heads: [Head; BATCH_PACKETS_MAX],
    /// A plugin said something of a stream.
    pub(super) is_changed: bool,
    /// Plugins that see no more bytes in order of a packet's stream from that packet on, in a chain that orders some.
    pub(super) hushed: Vec<(usize, PerDirection<u32>)>,
    pub(super) batch: &'a mut [Inspection],
    pub(super) parts: &'a mut dyn Parts<Head>,
}

/// Which packets of a batch, one bit each.
pub(super) type Places = u64;

const _: () = assert!(BATCH_PACKETS_MAX <= Places::BITS as usize);

impl<'a> Way<'a> {
    /// The packets of a batch at the beginning of the chain.
    pub(super) fn begin(batch: &'a mut [Inspection], parts: &'a mut dyn Parts<Head>) -> Self {
        let heads = [Head::default(); BATCH_PACKETS_MAX];
        let mut way = Self { open: 0, accepted: 0, heads, is_changed: false, hushed: Vec::new(), batch, parts };
        for (place, (inspection, head)) in way.batch.iter_mut().zip(&mut way.heads).enumerate() {
            match way.parts.part(inspection.slot, inspection.stream) {
                Some(part) => {
                    *head = *part;
                    way.open |= 1 << place;
                }
                // Its stream ended while it waited for the batch; another may have its place already.
                None => inspection.verdict = Verdict { action: Action::Drop, ..Verdict::default() },
            }
        }
        way
    }

    /// What the plugin in a seat said of the packet at a place takes effect: on the packet, and on its stream.
    pub(super) fn settle(&mut self, seat: &Seat, said: Said, place: usize) {
        let Some(inspection) = self.batch.get_mut(place) else { return };
        let mut word = Word::default();
        match seat.settle(said, inspection.direction, &mut word) {
            Onward::Next => {}
            Onward::Out => {
                self.open &= !(1 << place);
                self.accepted |= 1 << place;
            }
            Onward::Ended(verdict) => {
                self.open &= !(1 << place);
                inspection.verdict = verdict;
                seat.book.dropped(word.reason);
            }
        }
        if word.is_about_stream() {
            self.is_changed = true;
            let stream = inspection.stream;
            for direction in Direction::BOTH {
                inspection.standing[direction].strengthen(word.standing[direction]);
            }
            if let Some(part) = self.parts.part(inspection.slot, stream) {
                take_on(part, &word);
                if said == Said::Failed {
                    part.made &= !seat.bit();
                }
            }
            if let Some(deaf) = word.hushes().filter(|_| self.heads.get(place).is_some_and(|head| head.order.is_some()))
            {
                self.hushed.push((place, deaf));
            }
            self.settle_later(seat, stream, &word, place);
        }
    }

    /// A word on a stream was said at a place: the packets of the stream behind it feel that, not those before it.
    fn settle_later(&mut self, seat: &Seat, stream: u64, word: &Word, place: usize) {
        for later in places((self.open | self.accepted) & (!0 << place) << 1) {
            let Some((inspection, head)) = self.batch.get_mut(later).zip(self.heads.get_mut(later)) else { break };
            if inspection.stream != stream {
                continue;
            }
            take_on(head, word);
            if let Standing::Ended(verdict) = word.standing[inspection.direction] {
                self.open &= !(1 << later);
                self.accepted &= !(1 << later);
                inspection.verdict = verdict;
                seat.book.dropped(word.reason);
            }
        }
    }

    /// Says of each packet's stream whom the rest of it still interests, now that all were asked.
    pub(super) fn end(&mut self, all: u32) {
        for inspection in self.batch.iter_mut() {
            if let Some(part) = self.parts.part(inspection.slot, inspection.stream) {
                for direction in Direction::BOTH {
                    inspection.standing[direction].strengthen(interest(part, direction, all));
                }
            }
        }
    }

    /// The plugin in this seat has a say about the packet at this place.
    pub(super) fn asks(&self, seat: &Seat, place: usize) -> bool {
        let asks = |(inspection, head): (&Inspection, &Head)| head.skips(inspection.direction) & seat.bit() == 0;
        self.open & 1 << place != 0 && self.batch.get(place).zip(self.heads.get(place)).is_some_and(asks)
    }
}

/// A stream's head heeds a word.
pub(super) fn take_on(head: &mut Head, word: &Word) {
    for direction in Direction::BOTH {
        head.skip(word.skip[direction], direction);
    }
    if word.standing != PerDirection::default() && head.ended_by == (0, 0) {
        head.ended_by = (u8::try_from(word.seat + 1).unwrap_or(u8::MAX), word.reason);
    }
}

/// Whom the packets of a direction still interest, of the plugins in `all`.
pub(super) fn interest(head: &Head, direction: Direction, all: u32) -> Standing {
    if head.skips(direction) & all == all && !head.order.is_some() {
        Standing::Uninspected
    } else {
        Standing::Inspected
    }
}

/// The places that are set, in order.
pub(super) fn places(mut set: Places) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (place < Places::BITS).then_some(place as usize)
    })
}
