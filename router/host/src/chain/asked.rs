//! The packets that one plugin is asked about, in one call.

use herald_plugin::abi::{HERALD_ACTION_PASS, HERALD_SCOPE_PACKET, HeraldVerdict};

use super::{Asked, Places, Way, places};
use crate::block::Blocks;
use crate::guard::Seat;
use crate::notes::Notes;
use crate::word::{Fault, Said};
use crate::{describe, effects};
use herald_core::time::Instant;
use herald_plugin::Scope;

impl Asked {
    /// Takes those of the packets in `left` that the plugin wants to see.
    pub(super) fn pick(&mut self, seat: &Seat, blocks: &Blocks, left: Places, way: &Way<'_>) {
        self.packets.clear();
        self.verdicts.clear();
        self.places.clear();
        self.is_cut = false;
        for place in places(left) {
            let asked = way.batch.get(place).zip(way.heads.get(place)).filter(|_| way.asks(seat, place));
            if let Some((inspection, head)) = asked.filter(|(_, head)| head.made & seat.bit() != 0) {
                let state = seat.state(blocks, head.home);
                self.packets.push(describe::packet(inspection, state, head.mark));
                self.verdicts.push(HeraldVerdict::PASS);
                self.places.push(place);
            }
        }
    }

    /// The plugin is given the first packet alone, and then one after the other.
    #[cold]
    pub(super) fn keep_one(&mut self) {
        self.is_cut = self.places.len() > 1;
        self.packets.truncate(1);
        self.verdicts.truncate(1);
        self.places.truncate(1);
    }

    /// The place of the last packet that the plugin has seen, if others are to be given to it behind that one.
    pub(super) fn last_asked(&self, judged: usize) -> Option<usize> {
        let last = if self.is_cut { self.places.last() } else { self.places.get(judged) };
        last.copied()
    }

    /// Calls the plugin, and takes the time if there is a clock. Returns how many packets it judged.
    pub(super) fn ask(
        &mut self,
        now: (Instant, u64),
        seat: &mut Seat,
        clock: Option<fn() -> Instant>,
        (way, notes): (&Way<'_>, &Notes),
    ) -> usize {
        let begin = clock.map(|clock| clock());
        // SAFETY: nothing of that changes before the call is over, behind which `pass_through` closes it; places are those of
        // the batch, which has as many heads.
        unsafe { effects::open(&self.packets, &self.places, &way.heads, notes) };
        // SAFETY: `pick` takes packets of streams of which this seat has made its state, by the stream's own head. Frames and
        // blocks do not move meanwhile.
        let judged = unsafe { seat.ask(now, &self.packets, &mut self.verdicts) };
        if let (Some(begin), Some(clock)) = (begin, clock) {
            let nanos = clock().as_nanos().saturating_sub(begin.as_nanos());
            seat.book.took(nanos, self.packets.len() as u64);
        }
        judged
    }

    /// Acts on what the plugin said of the first `judged` packets, and on its failure at the next.
    pub(super) fn heed(&self, now: Instant, seat: &mut Seat, judged: usize, way: &mut Way<'_>) {
        for (&place, verdict) in self.places.iter().zip(&self.verdicts).take(judged) {
            if (verdict.action, verdict.scope) == (HERALD_ACTION_PASS, HERALD_SCOPE_PACKET) {
                continue;
            }
            let said = seat.said(verdict);
            // A packet before it may have decided this one, too.
            if way.asks(seat, place) {
                if let (Said::Failed, Some(inspection)) = (said, way.batch.get(place)) {
                    seat.failed(now, Fault::by_verdict(inspection));
                }
                way.settle(seat, said, place);
            }
        }
        if let Some(&failed) = self.places.get(judged) {
            if let Some(inspection) = way.batch.get(failed) {
                seat.failed(now, Fault::at(inspection));
            }
            way.settle(seat, Said::Failed, failed);
        } else {
            seat.judged(now);
        }
    }

    /// The plugin is not called any more: its fault policy speaks for it.
    pub(super) fn refuse(&self, seat: &Seat, way: &mut Way<'_>) {
        for &place in &self.places {
            if way.asks(seat, place) {
                way.settle(seat, Said::Suspended(Scope::Packet), place);
            }
        }
    }
}
