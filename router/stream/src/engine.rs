//! The books of all streams: bounds, policies, counters.

use crate::judged::{Action, Judged, Reason};
use crate::segment::{Rules, Segment};
use crate::settings::{Exception, Policy, Settings, Watched};
use crate::side::Side;
use crate::stream::Stream;

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments that were judged.
    pub segments: u64,
    /// Segments with bytes that differed from the first copy.
    pub conflicts: u64,
    /// Segments that left changed.
    pub changed: u64,
    dropped: [u64; Reason::ALL.len()],
    exceptions: [u64; Exception::ALL.len()],
}

impl Counters {
    /// Segments that were dropped for each reason.
    pub fn dropped(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.dropped)
    }

    /// How often the engine could not follow.
    pub fn exceptions(&self) -> impl Iterator<Item = (Exception, u64)> {
        Exception::ALL.into_iter().zip(self.exceptions)
    }

    fn count(&mut self, reason: Reason) {
        if let Reason::Exception(exception) = reason {
            return self.except(exception);
        }
        let place = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(count) = place.and_then(|place| self.dropped.get_mut(place)) {
            *count += 1;
        }
    }

    fn except(&mut self, exception: Exception) {
        let place = Exception::ALL.iter().position(|known| *known == exception);
        if let Some(count) = place.and_then(|place| self.exceptions.get_mut(place)) {
            *count += 1;
        }
    }
}

/// What becomes of a connection whose first segment came.
#[derive(Debug)]
pub enum Begun {
    /// It is followed; its first segment is still to be judged.
    Followed(Box<Stream>),
    /// It passes without inspection.
    Passes(Exception),
    /// The segment is dropped; the next one may begin a stream.
    Dropped(Reason),
    /// It is reset.
    Reset(Exception),
}

/// All streams' common part. It has no stream itself: whoever drives it keeps them.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    counters: Counters,
    streams: usize,
    bytes: usize,
}

impl Engine {
    /// Nothing is followed yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, counters: Counters::default(), streams: 0, bytes: 0 }
    }

    /// A connection's first segment came, from whoever is its opener then.
    pub fn begin(&mut self, from: Side, segment: &Segment<'_>, watched: Watched) -> Begun {
        let flags = segment.flags;
        if !segment.is_sound {
            return self.refuse(Reason::Checksum);
        }
        if !flags.opens() && (flags.rst() || !flags.ack()) {
            return self.refuse(if flags.rst() { Reason::NotOpen } else { Reason::NoAcknowledgement });
        }
        if self.streams >= self.settings.streams_max {
            return self.except(Exception::AllStreams, self.settings.policies.all_streams);
        }
        let mut stream = Box::new(Stream::new(watched));
        if !flags.opens() {
            if let Some(policy) = self.settings.policies.midstream {
                return self.except(Exception::Midstream, policy);
            }
            self.counters.except(Exception::Midstream);
            stream.join_midstream(from, segment);
        }
        self.streams += 1;
        Begun::Followed(stream)
    }

    fn refuse(&mut self, reason: Reason) -> Begun {
        self.counters.count(reason);
        Begun::Dropped(reason)
    }

    fn except(&mut self, exception: Exception, policy: Policy) -> Begun {
        self.counters.except(exception);
        match policy {
            Policy::Drop => Begun::Dropped(Reason::Exception(exception)),
            Policy::Reset => Begun::Reset(exception),
            Policy::Pass => Begun::Passes(exception),
        }
    }

    /// Judges a segment of a stream, and rewrites its payload in place.
    pub fn segment(&mut self, stream: &mut Stream, from: Side, segment: &mut Segment<'_>) -> Judged {
        let before = stream.cost();
        let room = self.settings.bytes_max.saturating_sub(self.bytes);
        let rules = Rules { settings: &self.settings, stream_cost: before, room };
        let judged = stream.judge(from, segment, &rules);
        self.bytes = (self.bytes + stream.cost()).saturating_sub(before);
        self.counters.segments += 1;
        self.counters.conflicts += u64::from(judged.is_conflict);
        match judged.action {
            Action::Pass => self.counters.changed += u64::from(!judged.edit.is_none(segment.payload.len())),
            Action::Drop(reason) => self.counters.count(reason),
            Action::Reset(exception) => self.counters.except(exception),
        }
        if let Some(exception) = judged.gap {
            self.counters.except(exception);
        }
        judged
    }

    /// [`Stream::bypass`] of a stream that this engine follows.
    pub fn bypass(&mut self, stream: &mut Stream, from: Side) {
        let before = stream.cost();
        stream.bypass(from);
        self.bytes = (self.bytes + stream.cost()).saturating_sub(before);
    }

    /// What an end has sent before a sequence number was lost on its way here alone: its receiver has it, as whoever drives this
    /// engine has seen otherwise. No segment proves that, so an engine that is not told drops what acknowledges such bytes.
    /// The stream goes on behind the next hole, or where it is; [`Stream::fresh`] has what stands there already, in no packet,
    /// and [`Stream::unseen`] has before what the hook has not seen in front of it. True if there was something: then the hook has
    /// a gap, and there may be another one before that number.
    pub fn lost(&mut self, stream: &mut Stream, from: Side, before: u32) -> bool {
        let (cost, gaps) = (stream.cost(), stream.gaps_behind());
        let is_changed = stream.skip(from, before);
        self.bytes = (self.bytes + stream.cost()).saturating_sub(cost);
        if stream.gaps_behind() > gaps {
            self.counters.except(Exception::Lost);
        }
        is_changed
    }

    /// The stream is over, or moved away: what it kept is free.
    pub fn forget(&mut self, stream: &Stream) {
        self.bytes = self.bytes.saturating_sub(stream.cost());
        self.streams = self.streams.saturating_sub(1);
    }

    /// A stream that came from elsewhere is followed here; `None` if there is no room for it.
    #[must_use]
    pub fn adopt(&mut self, stream: Box<Stream>) -> Option<Box<Stream>> {
        let cost = stream.cost();
        if self.streams >= self.settings.streams_max {
            self.counters.except(Exception::AllStreams);
            return None;
        }
        if cost > self.settings.bytes_max.saturating_sub(self.bytes) {
            self.counters.except(Exception::AllBytes);
            return None;
        }
        self.streams += 1;
        self.bytes += cost;
        Some(stream)
    }

    /// Bytes that all streams keep.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Streams that are followed.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
