//! What one end of a TCP connection has said, in little room: how far it has spoken, how far it has heard the other, and how
//! far it lets the other speak.

use crate::packet::TcpFlags;

/// One end of a connection. Numbers count only as far as [`said`](Self::said) has their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    /// Sequence number behind what was seen without a gap.
    next: u32,
    /// Sequence number behind all that was seen. A FIN lies before it.
    highest: u32,
    /// Its last acknowledgement number.
    acknowledged: u32,
    /// How far behind that the other end may speak, shifted by the scale that is used.
    window: u16,
    /// The scale that its SYN offered (RFC 7323, section 2).
    scale: u8,
    said: u8,
}

/// No scale was offered, so that neither end uses one.
const NO_SCALE: u8 = u8::MAX;

/// The greatest scale (RFC 7323, section 2.3); that of connections of which the SYN was not seen.
const SCALE_MAX: u8 = 14;

/// How far a segment may lie from what was seen while its receiver has said nothing of its window: as far as the greatest.
const WINDOW_MAX: u32 = 1 << 30;

/// The least that copies and late acknowledgements may lie behind: an unscaled window.
const BEHIND: u32 = 65_535;

/// The scale that a SYN offers, or none, in one byte.
pub(super) fn scale_of(offered: Option<u8>) -> u8 {
    offered.map_or(NO_SCALE, |scale| scale.min(SCALE_MAX))
}

impl Default for Half {
    /// Of an end that has not been seen.
    fn default() -> Self {
        Self { next: 0, highest: 0, acknowledged: 0, window: 0, scale: SCALE_MAX, said: 0 }
    }
}

impl Half {
    const NEXT: u8 = 1;
    const ACKNOWLEDGED: u8 = 2;
    /// The last that it said was a FIN.
    const FIN: u8 = 4;
    /// It has said something new since the stream seemed to have ended.
    const SPEAKS: u8 = 8;

    /// An end whose SYN ends there and offers this scale.
    pub(super) fn started(end: u32, scale: u8) -> Self {
        Self { next: end, highest: end, scale, said: Self::NEXT, ..Self::default() }
    }

    /// An end as another node has told it, which says nothing of windows.
    pub(super) fn told(next: Option<u32>, acknowledged: Option<u32>, fin: Option<u32>) -> Self {
        let mut half = Self { window: u16::MAX, ..Self::default() };
        if let Some(next) = next.or(fin) {
            (half.next, half.highest, half.said) = (next, fin.unwrap_or(next), Self::NEXT);
            half.said |= if fin.is_some() { Self::FIN } else { 0 };
        }
        if let Some(acknowledged) = acknowledged {
            (half.acknowledged, half.said) = (acknowledged, half.said | Self::ACKNOWLEDGED);
        }
        half
    }

    /// Sequence number behind the last byte that was seen without a gap.
    pub(super) fn next(&self) -> Option<u32> {
        (self.said & Self::NEXT != 0).then_some(self.next)
    }

    /// Last acknowledgement number said.
    pub(super) fn acknowledged(&self) -> Option<u32> {
        (self.said & Self::ACKNOWLEDGED != 0).then_some(self.acknowledged)
    }

    /// Sequence number behind its FIN, if that was the last that it said.
    pub(super) fn fin(&self) -> Option<u32> {
        (self.said & Self::FIN != 0).then_some(self.highest)
    }

    /// Everything up to its FIN was seen.
    pub(super) fn has_finished(&self) -> bool {
        self.said & Self::FIN != 0 && self.next == self.highest
    }

    /// It has acknowledged all that the other has said.
    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        self.acknowledged() == Some(other.highest)
    }

    /// True if the number lies at the end of what was seen, or by at most `distance` before it.
    pub(super) fn has_said(&self, number: u32, distance: u32) -> bool {
        self.said & Self::NEXT != 0 && self.highest.wrapping_sub(number) <= distance
    }

    /// The scale of its windows.
    pub(super) fn shift(&self, other: &Self) -> u8 {
        if self.scale == NO_SCALE || other.scale == NO_SCALE { 0 } else { self.scale }
    }

    fn window(&self, other: &Self) -> u32 {
        u32::from(self.window) << self.shift(other)
    }

    /// True if the receiver takes a segment that starts here and acknowledges this (RFC 9293, section 3.10.7.4; RFC 5961,
    /// section 5.2): all of it, or as a copy of what it has.
    pub(super) fn may_say(&self, receiver: &Self, sequence: u32, acknowledgement: u32) -> bool {
        let in_window = match (receiver.acknowledged(), self.next()) {
            (Some(expected), _) => {
                let window = receiver.window(self);
                let ahead = sequence.wrapping_sub(expected);
                ahead <= window || ahead.wrapping_neg() <= window.max(BEHIND)
            }
            (None, Some(next)) => {
                let ahead = sequence.wrapping_sub(next);
                ahead <= WINDOW_MAX || ahead.wrapping_neg() <= WINDOW_MAX
            }
            (None, None) => true,
        };
        // What is on its way may be acknowledged as much again after it was.
        in_window
            && (receiver.said & Self::NEXT == 0
                || receiver.has_said(acknowledgement, self.window(receiver).max(BEHIND).saturating_mul(2)))
    }

    /// All of what follows at once, for the ordinary segment: it carries on where its sender stopped, or is a copy of what came
    /// last, and nothing is missing on either side. False, with nothing changed, of any other.
    #[inline]
    pub(super) fn carries_on(
        &mut self,
        receiver: &Self,
        (sequence, acknowledgement): (u32, u32),
        (payload, window): (u32, u16),
    ) -> bool {
        const KNOWN: u8 = Half::NEXT | Half::ACKNOWLEDGED;
        let end = sequence.wrapping_add(payload);
        let shift = self.shift(receiver);
        let ahead = acknowledgement.wrapping_sub(self.acknowledged);
        let carries_on = self.said == KNOWN
            && receiver.said == KNOWN
            && self.next == self.highest
            && receiver.next == receiver.highest
            && (sequence == self.next || end == self.next)
            && end.wrapping_sub(receiver.acknowledged) <= receiver.window(self)
            && ahead <= receiver.next.wrapping_sub(self.acknowledged)
            && ahead.saturating_add(u32::from(window) << shift) >= u32::from(self.window) << shift;
        if carries_on {
            (self.next, self.highest) = (end, end);
            (self.acknowledged, self.window) = (acknowledgement, window);
        }
        carries_on
    }

    /// It says what lies between two numbers. True if that is new, and nothing before it is missing.
    pub(super) fn says(&mut self, sequence: u32, end: u32, flags: TcpFlags) -> bool {
        if self.said & Self::NEXT == 0 {
            (self.next, self.highest) = (end, end);
            self.said |= Self::NEXT | if flags.fin() { Self::FIN } else { 0 };
            return end != sequence;
        }
        let is_last = is_after(end, self.highest);
        let advances = is_after(end, self.next) && !is_after(sequence, self.next);
        if advances {
            self.next = end;
        }
        if is_last || advances && flags.fin() {
            self.highest = end;
            self.said = self.said & !Self::FIN | if flags.fin() { Self::FIN } else { 0 };
        }
        advances
    }

    /// It has heard the other up to here, and lets it speak so many bytes further.
    pub(super) fn acknowledges(&mut self, number: u32, granted: u32, shift: u8) {
        let ahead = number.wrapping_sub(self.acknowledged);
        let mut granted = granted;
        if self.said & Self::ACKNOWLEDGED != 0 {
            if ahead >= 1 << 31 {
                return;
            }
            // What was granted once is not taken back (RFC 9293, section 3.8.6).
            granted = granted.max((u32::from(self.window) << shift).saturating_sub(ahead));
        }
        self.window = u16::try_from(granted >> shift).unwrap_or(u16::MAX);
        (self.acknowledged, self.said) = (number, self.said | Self::ACKNOWLEDGED);
    }

    /// The other end has heard it up to here: what was not seen before that has come another way.
    pub(super) fn is_acknowledged(&mut self, number: u32) {
        if self.said & Self::NEXT != 0 && is_after(number, self.next) {
            self.next = number;
        }
    }

    /// The stream seems to have ended.
    pub(super) fn fall_silent(&mut self) {
        self.said &= !Self::SPEAKS;
    }

    /// It says something new although the stream seemed to have ended. True if the other end does, too.
    pub(super) fn speaks_like(&mut self, other: &Self) -> bool {
        self.said |= Self::SPEAKS;
        other.said & Self::SPEAKS != 0
    }

    /// The stream has not ended: what seemed to be a FIN was none.
    pub(super) fn revive(&mut self) {
        self.said &= !(Self::SPEAKS | Self::FIN);
    }
}

/// Sequence number comparison (RFC 9293, section 3.4).
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}
