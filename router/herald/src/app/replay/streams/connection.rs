//! One TCP connection of a capture.

use std::net::SocketAddr;

use super::StreamRow;
use super::ahead::Ahead;
use super::saw::Saw;
use herald_core::packet::{Frame, Headers, Transport};
use herald_facts::Direction;
use herald_stream::{Action, End, Engine, Judged, NoSegment, Reason, Side, Stream};

/// One end, and what was seen of it.
struct Talker {
    at: SocketAddr,
    direction: Direction,
    saw: Saw,
    /// Bytes are missing in the middle: parsers read no more.
    has_gap: bool,
}

impl Talker {
    fn new(at: SocketAddr, direction: Direction) -> Self {
        Self { at, direction, saw: Saw::new(), has_gap: false }
    }
}

/// A connection.
pub(super) struct Connection {
    opener: Talker,
    answerer: Talker,
    /// `None`: it passes without inspection.
    stream: Option<Box<Stream>>,
    is_reset: bool,
    facts: herald_facts::Stream,
}

impl Connection {
    pub(super) fn new(opener: SocketAddr, answerer: SocketAddr, stream: Option<Box<Stream>>) -> Self {
        let (opener, answerer) =
            (Talker::new(opener, Direction::FromOpener), Talker::new(answerer, Direction::ToOpener));
        Self { opener, answerer, stream, is_reset: false, facts: herald_facts::Stream::new() }
    }

    pub(super) fn stream(&self) -> Option<&Stream> {
        self.stream.as_deref()
    }

    pub(super) fn side(&self, source: SocketAddr) -> Side {
        if source == self.opener.at { Side::Opener } else { Side::Answerer }
    }

    fn talker(&mut self, side: Side) -> &mut Talker {
        match side {
            Side::Opener => &mut self.opener,
            Side::Answerer => &mut self.answerer,
        }
    }

    /// Judges a segment, and shows what is to be seen; `None` if nobody looks.
    pub(super) fn judge(
        &mut self,
        engine: &mut Engine,
        side: Side,
        headers: &Headers,
        frame: &mut Frame,
        ahead: &Ahead,
    ) -> Option<Result<Judged, NoSegment>> {
        let mut judged = engine.frame(self.stream.as_mut()?, side, headers, frame);
        if let Ok(Judged { action: Action::Drop(reason), .. }) = judged
            && self.is_lacking(engine, side, reason, headers, ahead)
        {
            judged = engine.frame(self.stream.as_mut()?, side, headers, frame);
        }
        self.show(side);
        self.is_reset |= matches!(judged, Ok(Judged { action: Action::Reset(_), .. }));
        Some(judged)
    }

    /// Whether a segment was dropped because the capture lacks others: then the stream goes on behind those.
    fn is_lacking(
        &mut self,
        engine: &mut Engine,
        side: Side,
        reason: Reason,
        headers: &Headers,
        ahead: &Ahead,
    ) -> bool {
        let Transport::Tcp { flags, sequence, acknowledgement, .. } = headers.transport else { return false };
        let (own, other) = (self.talker(side).at, self.talker(side.other()).at);
        if flags.syn() || flags.rst() {
            return false;
        }
        if reason == Reason::AcknowledgesUnsent {
            return ahead.has_sent(other, own, acknowledgement) && self.lose(engine, side.other(), acknowledgement);
        }
        if reason != Reason::NotOpen || ahead.opens(own, other) || ahead.opens(other, own) {
            return false;
        }
        let has_begun = |side| self.stream().is_some_and(|stream| stream.has_begun(side));
        let lost = [(side, sequence), (side.other(), acknowledgement)];
        let lost: Vec<_> = lost.into_iter().filter(|(side, _)| !has_begun(*side)).collect();
        lost.into_iter().fold(false, |is_lost, (side, before)| self.lose(engine, side, before) || is_lost)
    }

    /// What a side sent before a sequence number is not in the capture.
    fn lose(&mut self, engine: &mut Engine, side: Side, before: u32) -> bool {
        let mut is_lost = false;
        while let Some(stream) = &mut self.stream {
            let had_begun = stream.has_begun(side);
            if !engine.lost(stream, side, before) {
                break;
            }
            is_lost = true;
            self.talker(side).has_gap |= had_begun;
            self.show(side);
        }
        is_lost
    }

    /// What the hook of a side sees now.
    fn show(&mut self, side: Side) {
        let Some(stream) = &self.stream else { return };
        let talker = match side {
            Side::Opener => &mut self.opener,
            Side::Answerer => &mut self.answerer,
        };
        let (one, two) = stream.fresh(side);
        for bytes in [one, two].into_iter().filter(|bytes| !bytes.is_empty()) {
            talker.saw.add(bytes);
            if !talker.has_gap {
                self.facts.feed(talker.direction, bytes);
            }
        }
    }

    pub(super) fn row(&self) -> StreamRow {
        let end = match self.stream().and_then(Stream::end) {
            Some(End::Fin) => "fin",
            Some(End::Reset) => "reset",
            None if self.is_reset => "reset",
            None => "open",
        };
        StreamRow {
            protocol: "tcp",
            source: self.opener.at.to_string(),
            destination: self.answerer.at.to_string(),
            from_opener: self.opener.saw.row(),
            to_opener: self.answerer.saw.row(),
            end,
            // What passes without inspection is a gap from its beginning.
            gaps: self.stream().map_or(1, Stream::gaps),
            conflicts: self.stream().map_or(0, Stream::conflicts),
            facts: self.facts.facts().clone(),
        }
    }
}
