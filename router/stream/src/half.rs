//! One direction of a connection: what its sender has said, and what its receiver has answered.

use serde::{Deserialize, Serialize};

use crate::judged::{Edit, Fresh, Judged, Reason};
use crate::kept::{Kept, Room, length};
use crate::limits::{SCALE_MAX, WINDOW_MAX};
use crate::segment::{Rules, Segment};
use crate::settings::Conflicts;
use herald_core::packet::TcpOptions;

/// Whether a hook looks at a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watch {
    /// Bytes are kept and shown.
    #[default]
    On,
    /// A bypass was asked for at this offset: bytes are kept until the receiver has all that were shown.
    Leaving(u64),
    /// Nothing is kept.
    Off,
}

/// Offsets count bytes of payload from the first one behind the SYN; a FIN counts as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Half {
    /// The sequence number of offset 0; `None` before the sender's SYN.
    pub(crate) first: Option<u32>,
    /// The receiver has acknowledged offset 0.
    pub(crate) is_confirmed: bool,
    /// The sender had begun before: where it did is not known, nor are scales and timestamps.
    pub(crate) is_midstream: bool,
    /// Up to here the receiver has everything.
    pub(crate) acknowledged: u64,
    /// Where the receiver's window ends.
    pub(crate) limit: u64,
    /// Where the FIN is.
    pub(crate) fin: Option<u64>,
    /// Bytes of the SYN.
    pub(crate) syn_len: u64,
    pub(crate) kept: Kept,
    pub(crate) watch: Watch,
    /// Where what the hook saw last begins and ends.
    pub(crate) shown: (u64, u64),
    /// Where the last bytes that were lost on their way here end.
    pub(crate) lost: Option<u64>,
    /// The hook sleeps until so many bytes are there.
    pub(crate) wake: u64,
    /// Bytes from here on are kept although they were shown.
    pub(crate) needed: Option<u64>,
    /// The sender's newest timestamp as its receiver remembers it, if both use them.
    pub(crate) timestamp: Option<u32>,
    /// What the sender's SYN offered.
    pub(crate) scale: Option<u8>,
    pub(crate) allows_sack: bool,
    pub(crate) is_signed: bool,
    /// The sender's own window as it said it last, without scale, and the largest it has offered, in bytes.
    pub(crate) window: u16,
    pub(crate) window_max: u64,
}

impl Half {
    /// Its sender's SYN, or the first segment seen of a sender that had begun.
    pub(crate) fn begin(&mut self, first: u32, options: &TcpOptions) {
        self.first = Some(first);
        self.timestamp = options.timestamp;
        self.scale = options.scale.map(|scale| scale.min(SCALE_MAX));
        self.allows_sack = options.allows_sack;
        self.is_signed = options.is_signed;
    }

    /// The offset of a sequence number, the nearest one to what comes next; below zero before the first byte.
    pub(crate) fn offset(&self, sequence: u32) -> i64 {
        let next = self.kept.next();
        let distance = sequence.wrapping_sub(self.sequence(next)).cast_signed();
        next.cast_signed().saturating_add(i64::from(distance))
    }

    /// The sequence number of an offset.
    pub(crate) fn sequence(&self, offset: u64) -> u32 {
        self.first.unwrap_or_default().wrapping_add(u32::try_from(offset & 0xffff_ffff).unwrap_or_default())
    }

    /// All bytes before the FIN have come.
    pub(crate) fn is_ended(&self) -> bool {
        self.fin.is_some_and(|fin| fin <= self.kept.next())
    }

    /// What comes next, a FIN that is reached included.
    pub(crate) fn edge(&self) -> u64 {
        self.kept.next() + u64::from(self.is_ended())
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watch != Watch::Off
    }

    /// RFC 7323, section 5.3, with the tick that Linux forgives.
    pub(crate) fn check_timestamp(&self, options: &TcpOptions) -> Result<(), Reason> {
        match (self.timestamp, options.timestamp) {
            (Some(newest), Some(now)) if newest.wrapping_sub(now).cast_signed() > 1 => Err(Reason::Timestamp),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// A segment at this offset was taken: what its receiver remembers of the sender's clock (RFC 7323, section 4.3).
    pub(crate) fn remember_timestamp(&mut self, offset: i64, options: &TcpOptions) {
        if let (Some(newest), Some(now)) = (self.timestamp, options.timestamp)
            && now.wrapping_sub(newest).cast_signed() >= 0
            && offset <= self.acknowledged.cast_signed()
        {
            self.timestamp = Some(now);
        }
    }

    /// Would the receiver find these bytes in its window, or old?
    pub(crate) fn check_place(&self, offset: i64, end: i64) -> Result<(), Reason> {
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        if end > limit && end > offset {
            let next = self.kept.next().cast_signed();
            return Err(if offset == next && end == next + 1 { Reason::WindowProbe } else { Reason::BeyondWindow });
        }
        // A bare segment may stand behind a FIN that filled the window.
        if offset > limit.saturating_add(1) {
            return Err(Reason::BeyondWindow);
        }
        if self.acknowledged.cast_signed() - offset > WINDOW_MAX {
            return Err(Reason::TooOld);
        }
        Ok(())
    }

    /// Could this direction's receiver say this acknowledgement (RFC 5961, section 5)?
    pub(crate) fn check_acknowledgement(&self, offset: i64, window_max: u64) -> Result<(), Reason> {
        if offset > self.edge().cast_signed() {
            return Err(Reason::AcknowledgesUnsent);
        }
        let back = if self.is_midstream && !self.is_confirmed {
            WINDOW_MAX
        } else {
            window_max.min(self.acknowledged).cast_signed()
        };
        if self.acknowledged.cast_signed() - offset > back {
            return Err(Reason::AcknowledgesLongAgo);
        }
        Ok(())
    }

    /// Whether data and FIN agree with what is known of the sender's end.
    pub(crate) fn check_fin(&self, end: i64, has_data: bool, has_fin: bool) -> Result<(), Reason> {
        match self.fin {
            Some(fin) if has_fin && end != fin.cast_signed() => Err(Reason::FalseFin),
            Some(fin) if has_data && end > fin.cast_signed() => Err(Reason::AfterFin),
            None if has_fin && end < self.kept.top().cast_signed() => Err(Reason::FalseFin),
            Some(_) | None => Ok(()),
        }
    }

    /// The receiver says that it has everything before an offset, and how much room is behind.
    pub(crate) fn acknowledge(&mut self, offset: i64, window: Option<u64>) {
        let Ok(offset) = u64::try_from(offset) else { return };
        self.is_confirmed = true;
        if offset > self.acknowledged {
            self.acknowledged = offset;
            self.free();
        }
        self.limit = window.map_or(u64::MAX, |window| self.limit.max(offset.saturating_add(window)));
    }

    /// Forgets what the receiver has and the hook has seen.
    pub(crate) fn free(&mut self) {
        let (_, seen) = self.shown;
        self.kept.free(self.acknowledged.min(seen).min(self.needed.unwrap_or(u64::MAX)));
        if let Watch::Leaving(at) = self.watch
            && self.acknowledged >= at
            && !self.kept.has_hole()
        {
            self.unwatch();
        }
    }

    /// Goes on behind bytes that will not come: behind the next hole, but not beyond a sequence number. `None` if there are none;
    /// true if they do not belong to what was lost just before.
    pub(crate) fn skip(&mut self, before: u32) -> Option<bool> {
        let before = u64::try_from(self.offset(before)).unwrap_or_default();
        let next = self.kept.next();
        let end = before.min(self.fin.unwrap_or(before)).min(self.kept.hole_end().unwrap_or(before));
        if end <= next || !self.is_watched() {
            return None;
        }
        let is_new = self.lost != Some(next);
        self.kept.skip(end);
        self.shown = (end, self.kept.next());
        self.lost = Some(end);
        self.acknowledged = self.acknowledged.max(end);
        if matches!(self.watch, Watch::Leaving(_)) {
            self.shown = (self.shown.1, self.shown.1);
            self.free();
        }
        Some(is_new)
    }

    /// It had begun before, or its SYN was lost: what comes next is believed.
    pub(crate) fn join(&mut self) {
        self.timestamp = None;
        self.is_midstream = true;
        self.limit = u64::MAX;
    }

    /// Keeps nothing from here on.
    pub(crate) fn unwatch(&mut self) {
        let top = self.kept.top();
        self.kept.forget(top);
        self.shown = (top, top);
        self.watch = Watch::Off;
    }
}

impl Half {
    /// Takes the bytes of a segment at an offset: what the receiver has is cut off, what is known is rewritten, what is new is kept.
    pub(crate) fn bytes(
        &mut self,
        offset: i64,
        segment: &mut Segment<'_>,
        rules: &Rules<'_>,
        judged: &mut Judged,
    ) -> Result<(), Reason> {
        let len = segment.payload.len();
        // Where a sender had begun before, its receiver may still wait for what came before.
        let (floor, front) = if self.is_midstream && !self.is_confirmed {
            (offset, usize::try_from(offset.saturating_neg()).unwrap_or_default().min(len))
        } else {
            (self.acknowledged.cast_signed(), 0)
        };
        let cut = usize::try_from(floor.saturating_sub(offset)).unwrap_or_default().min(len);
        judged.edit = match (cut, segment.flags.fin()) {
            // It keeps its sequence number: the receiver answers it with what it has.
            (cut, false) if cut == len => Edit { keep: 0, ..judged.edit },
            (cut, true | false) => Edit { cut, keep: len - cut, ..judged.edit },
        };
        // Before anything is taken: what is dropped is not seen.
        let is_signed = self.is_signed || segment.options.is_signed;
        if is_signed && !judged.edit.is_none(len) {
            return Err(Reason::Signature);
        }
        let skipped = cut.max(front);
        let Some(payload) = segment.payload.get_mut(skipped..).filter(|payload| !payload.is_empty()) else {
            return Ok(());
        };
        let at = u64::try_from(offset.saturating_add_unsigned(skipped as u64)).unwrap_or_default();
        judged.is_conflict = self.kept.overlay(at, payload);
        judged.edit.is_rewritten = judged.is_conflict;
        if judged.is_conflict && is_signed {
            return Err(Reason::Signature);
        }
        if judged.is_conflict && rules.settings.conflicts == Conflicts::Drop {
            return Err(Reason::Conflict);
        }
        let room = Room {
            stream: rules.settings.stream_bytes_max.saturating_sub(rules.stream_cost),
            all: rules.room,
            pieces: rules.settings.stream_pieces_max,
        };
        self.kept.take(at, payload, room).map_err(Reason::Exception)
    }

    /// A segment that nobody looks at ends here.
    pub(crate) fn pass_over(&mut self, end: i64) {
        let end = u64::try_from(end).unwrap_or_default();
        if end > self.kept.next() {
            self.kept.forget(end);
        }
    }

    /// Shows what is new in order, unless the hook sleeps.
    pub(crate) fn show(&mut self, offset: i64, len: usize, judged: &mut Judged) {
        let next = self.kept.next();
        let (_, seen) = self.shown;
        if next == seen || next < self.wake && !self.is_ended() {
            return;
        }
        self.shown = match self.watch {
            Watch::On => (seen, next),
            Watch::Leaving(_) | Watch::Off => (next, next),
        };
        if self.watch != Watch::On {
            return;
        }
        // Offsets of the payload's first byte as it leaves, and of its end.
        let begin = offset.saturating_add_unsigned(judged.edit.cut as u64);
        let end = offset.saturating_add_unsigned(len as u64);
        let place = seen.cast_signed() - begin;
        let is_all_there = judged.edit.keep > 0 && end == next.cast_signed();
        let in_packet = usize::try_from(place).ok().filter(|_| is_all_there).map(|from| from..judged.edit.keep);
        judged.fresh = Fresh { len: length(next - seen), in_packet };
    }
}
