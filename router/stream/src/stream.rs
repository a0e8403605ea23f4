//! One connection: each segment is judged, taken or dropped.

use serde::{Deserialize, Serialize};

use crate::half::{Half, Watch};
use crate::judged::{Action, End, Judged, Reason};
use crate::limits::WANT_MAX;
use crate::segment::{Rules, Segment};
use crate::settings::{Policy, Urgent, Watched};
use crate::side::Side;
use herald_core::packet::TcpOptions;

/// One connection. [`crate::Engine`] makes it, and keeps the books of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub(crate) opener: Half,
    pub(crate) answerer: Half,
    /// A valid RST came.
    pub(crate) is_reset: bool,
    /// Who sent a RST of which nobody can say here whether its receiver took it.
    pub(crate) doubtful_reset: Option<Side>,
    conflicts: u64,
    gaps: u64,
}

impl Stream {
    pub(crate) fn new(watched: Watched) -> Self {
        let half = |watch| Half { watch, ..Half::default() };
        let (opener, answerer) = match watched {
            Watched::Both => (Watch::On, Watch::On),
            Watched::Opener => (Watch::On, Watch::Off),
            Watched::Answerer => (Watch::Off, Watch::On),
        };
        Self {
            opener: half(opener),
            answerer: half(answerer),
            is_reset: false,
            doubtful_reset: None,
            conflicts: 0,
            gaps: 0,
        }
    }

    /// The bytes that the hook of a direction is to see since the last segment of it, in order: two parts, of which the second
    /// is mostly empty.
    #[must_use]
    pub fn fresh(&self, from: Side) -> (&[u8], &[u8]) {
        let half = self.half(from);
        half.kept.slices(half.shown.0, half.shown.1)
    }

    /// Bytes in order that the hook of a direction has not seen, as it sleeps: for the stream's end.
    #[must_use]
    pub fn unseen(&self, from: Side) -> (&[u8], &[u8]) {
        let half = self.half(from);
        half.kept.slices(half.shown.1, half.kept.next())
    }

    /// How many bytes of a direction are in order.
    #[must_use]
    pub fn in_order(&self, from: Side) -> u64 {
        self.half(from).kept.next()
    }

    /// Bytes of a direction between two offsets, as far as they are kept, in two parts as [`Stream::fresh`].
    #[must_use]
    pub fn bytes(&self, from: Side, begin: u64, end: u64) -> (&[u8], &[u8]) {
        self.half(from).kept.slices(begin, end)
    }

    /// Of several hooks one sleeps while others are shown bytes: those from this offset on are kept for it. `None`: nobody needs
    /// what was shown.
    pub fn keep_from(&mut self, from: Side, offset: Option<u64>) {
        self.half_mut(from).needed = offset;
    }

    /// The hook of a direction sleeps until so many more bytes are there, at most [`WANT_MAX`], or the direction ends.
    pub fn want(&mut self, from: Side, bytes: u64) {
        let half = self.half_mut(from);
        half.wake = half.shown.1 + bytes.min(WANT_MAX);
    }

    /// The hook of a direction wants no more. Copies are still compared until the receiver has acknowledged every byte that was
    /// shown and no hole is open: else an allowed beginning that never arrives could be replaced by another one.
    pub fn bypass(&mut self, from: Side) {
        let half = self.half_mut(from);
        if half.watch == Watch::On {
            let seen = half.shown.1;
            let next = half.kept.next();
            half.shown = (next, next);
            half.watch = Watch::Leaving(seen);
            half.free();
        }
    }

    /// Nothing of this stream is looked at any more; whoever drives it may forget it and let its segments pass.
    #[must_use]
    pub fn is_unwatched(&self) -> bool {
        !self.opener.is_watched() && !self.answerer.is_watched()
    }

    /// True if a bypass of this direction has taken effect.
    #[must_use]
    pub fn is_bypassed(&self, from: Side) -> bool {
        !self.half(from).is_watched()
    }

    /// How it ended: by a reset; by a FIN that is reached, of either side; `None` while it is open.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        if self.opener.is_ended() || self.answerer.is_ended() {
            Some(End::Fin)
        } else if self.is_reset || self.doubtful_reset.is_some() {
            Some(End::Reset)
        } else {
            None
        }
    }

    /// Segments with bytes that differed from the first copy.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Places where bytes are missing that no hook saw: open holes, a beginning that did not come here, what was lost on its way
    /// here, and the rest of a stream that goes on without inspection.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps + self.opener.kept.holes() + self.answerer.kept.holes()
    }

    /// True if an end has begun: its first sequence number is known.
    #[must_use]
    pub fn has_begun(&self, side: Side) -> bool {
        self.half(side).first.is_some()
    }

    /// True if a segment begins another connection of the same ends, as this one is over (RFC 9293, section 3.6.1): it needs a
    /// stream of its own.
    #[must_use]
    pub fn is_succeeded_by(&self, segment: &Segment<'_>) -> bool {
        let is_over =
            self.is_reset || self.doubtful_reset.is_some() || self.opener.is_ended() && self.answerer.is_ended();
        segment.is_sound && segment.flags.opens() && is_over
    }

    /// What it keeps counts so many bytes.
    pub(crate) fn cost(&self) -> usize {
        self.opener.kept.cost() + self.answerer.kept.cost()
    }

    pub(crate) fn half(&self, side: Side) -> &Half {
        match side {
            Side::Opener => &self.opener,
            Side::Answerer => &self.answerer,
        }
    }

    pub(crate) fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Opener => &mut self.opener,
            Side::Answerer => &mut self.answerer,
        }
    }

    /// The sender's half and the other one.
    pub(crate) fn halves(&mut self, from: Side) -> (&mut Half, &mut Half) {
        match from {
            Side::Opener => (&mut self.opener, &mut self.answerer),
            Side::Answerer => (&mut self.answerer, &mut self.opener),
        }
    }

    /// Judges a segment.
    pub(crate) fn judge(&mut self, from: Side, segment: &mut Segment<'_>, rules: &Rules<'_>) -> Judged {
        let mut judged = Judged::pass(segment.payload.len());
        if self.is_unwatched() {
            return judged;
        }
        let half = self.half_mut(from);
        half.shown = (half.shown.1, half.shown.1);
        let weighed = self.weigh(from, segment, rules, &mut judged);
        let weighed = weighed.and_then(|()| self.check_changes(from, segment, &judged));
        self.conflicts += u64::from(judged.is_conflict);
        if let Err(reason) = weighed {
            self.refuse(reason, rules, &mut judged);
        }
        judged
    }

    fn weigh(
        &mut self,
        from: Side,
        segment: &mut Segment<'_>,
        rules: &Rules<'_>,
        judged: &mut Judged,
    ) -> Result<(), Reason> {
        let flags = segment.flags;
        if !segment.is_sound {
            return Err(Reason::Checksum);
        }
        if segment.has_odd_options {
            return Err(Reason::OddOptions);
        }
        let half = self.half(from);
        if segment.is_urgent() && half.is_watched() {
            match rules.settings.urgent {
                Urgent::Clear => judged.edit.clears_urgent = true,
                Urgent::Drop => return Err(Reason::Urgent),
            }
        }
        if segment.options.is_signed && half.first.is_some() && !half.is_signed && !half.is_midstream {
            return Err(Reason::Signature);
        }
        if self.is_reset {
            let is_harmless = segment.is_bare() && !flags.syn();
            return if is_harmless { Ok(()) } else { Err(Reason::AfterReset) };
        }
        if flags.syn() {
            return self.syn(from, segment, rules, judged);
        }
        if flags.rst() {
            return self.rst(from, segment, judged);
        }
        if !flags.ack() {
            return Err(Reason::NoAcknowledgement);
        }
        let (half, other) = self.halves(from);
        if half.first.is_none() || other.first.is_none() {
            // An end answers it; nothing is learnt from it.
            return if segment.is_bare() { Ok(()) } else { Err(Reason::NotOpen) };
        }
        self.open(from, segment, rules, judged)
    }

    /// A segment of an open connection.
    fn open(
        &mut self,
        from: Side,
        segment: &mut Segment<'_>,
        rules: &Rules<'_>,
        judged: &mut Judged,
    ) -> Result<(), Reason> {
        let (half, other) = self.halves(from);
        let offset = half.offset(segment.sequence);
        let end = offset.saturating_add_unsigned(segment.payload.len() as u64);
        let acknowledged = other.offset(segment.acknowledgement);
        let has_data = !segment.payload.is_empty();
        let checked = half
            .check_timestamp(&segment.options)
            .and_then(|()| half.check_place(offset, end))
            .and_then(|()| other.check_acknowledgement(acknowledged, half.window_max))
            .and_then(|()| half.check_fin(end, has_data, segment.flags.fin()));
        if let Err(reason) = checked {
            if !half.is_watched() {
                return Ok(());
            }
            if reason == Reason::WindowProbe {
                judged.answer = Some(half.probe(other, from.other()));
            }
            return Err(reason);
        }
        let was_ended = half.is_ended();
        let confirmed = half.is_confirmed || !half.is_midstream;
        if half.is_watched() {
            half.bytes(offset, segment, rules, judged)?;
        } else {
            half.pass_over(end);
        }
        if segment.flags.fin() {
            half.fin = u64::try_from(end).ok();
        }
        half.remember_timestamp(offset, &segment.options);
        half.show(offset, segment.payload.len(), judged);
        if half.is_ended() && !was_ended {
            judged.end = Some(End::Fin);
        }
        // What is old is not read for anything else, either.
        if end >= half.acknowledged.cast_signed() || !confirmed {
            self.hear(from, acknowledged, segment.window);
        }
        Ok(())
    }

    /// What a segment says of the other direction.
    pub(crate) fn hear(&mut self, from: Side, acknowledged: i64, window: u16) {
        let scaled = self.window(from, window);
        let (half, other) = self.halves(from);
        half.window = window;
        half.window_max = half.window_max.max(scaled.unwrap_or(u64::MAX >> 1));
        other.acknowledge(acknowledged, scaled);
        if self.doubtful_reset == Some(from.other()) {
            self.doubtful_reset = None;
        }
    }

    /// A side's window in bytes; `None` if its scale is not known.
    fn window(&self, from: Side, window: u16) -> Option<u64> {
        let (half, other) = (self.half(from), self.half(from.other()));
        if half.is_midstream || other.is_midstream {
            return None;
        }
        let scale = half.scale.filter(|_| other.scale.is_some()).unwrap_or_default();
        Some(u64::from(window) << scale)
    }

    /// Whether what is to be changed may be, as nobody signed it.
    fn check_changes(&self, from: Side, segment: &Segment<'_>, judged: &Judged) -> Result<(), Reason> {
        let half = self.half(from);
        if !half.is_watched() {
            return Ok(());
        }
        let is_signed = half.is_signed || segment.options.is_signed;
        if is_signed && !judged.edit.is_none(segment.payload.len()) { Err(Reason::Signature) } else { Ok(()) }
    }

    fn refuse(&mut self, reason: Reason, rules: &Rules<'_>, judged: &mut Judged) {
        judged.action = Action::Drop(reason);
        if let Reason::Exception(exception) = reason {
            match rules.settings.policies.of(exception) {
                Policy::Drop => {}
                Policy::Reset => {
                    judged.action = Action::Reset(exception);
                    self.is_reset = true;
                }
                Policy::Pass => {
                    judged.action = Action::Pass;
                    judged.gap = Some(exception);
                    self.pass(1);
                }
            }
        }
    }

    /// Goes on without inspection, after so many gaps more.
    pub(crate) fn pass(&mut self, gaps: u64) {
        self.gaps = self.gaps() + gaps;
        self.opener.unwatch();
        self.answerer.unwatch();
    }

    /// Bytes that came before are not known.
    pub(crate) fn missed(&mut self) {
        self.gaps += 1;
    }

    /// Gaps that stay.
    pub(crate) fn gaps_behind(&self) -> u64 {
        self.gaps
    }

    /// Goes on behind bytes of a side that will not come; see [`crate::Engine::lost`].
    pub(crate) fn skip(&mut self, from: Side, before: u32) -> bool {
        let half = self.half_mut(from);
        if half.first.is_none() {
            half.begin(before, &TcpOptions::default());
            half.join();
            half.lost = Some(0);
            // Nobody has heard how much room there is.
            self.half_mut(from.other()).limit = u64::MAX;
            self.opener.timestamp = None;
            self.answerer.timestamp = None;
            self.missed();
            return true;
        }
        let Some(is_new) = half.skip(before) else { return false };
        if is_new {
            self.missed();
        }
        true
    }
}
