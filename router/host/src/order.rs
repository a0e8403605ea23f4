//! The TCP streams of a chain that are put in order, and which plugins listen to them.

use serde::Serialize;

use herald_core::event::DropReason;
use herald_core::inspector::{Direction, PerDirection};
use herald_plugin::abi::HERALD_WANT_MAX;
use herald_stream::limits::WANT_MAX;
use herald_stream::{Engine, Exception, Reason, Settings, Side, Stream, Watched};

const _: () = assert!(HERALD_WANT_MAX == WANT_MAX);

/// What became of the streams that are put in order, since the start where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InOrder {
    /// Streams that are followed now.
    pub streams: u64,
    /// Bytes that are kept of them now.
    pub bytes: u64,
    /// Segments that were judged.
    pub segments: u64,
    /// Segments that left changed.
    pub changed: u64,
    /// Segments with bytes that differed from the first copy.
    pub conflicts: u64,
    /// Times that a stream kept as many bytes as it may.
    pub stream_bytes: u64,
    /// Times that as many pieces waited behind holes as may.
    pub stream_pieces: u64,
    /// Times that all streams kept as many bytes as they may.
    pub all_bytes: u64,
    /// Times that as many streams were followed as may be.
    pub all_streams: u64,
    /// Streams that had begun before they came to this node.
    pub midstream: u64,
}

/// All of them. Each lives as long as a plugin listens to its stream; the engine bounds how many are followed, and their bytes.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) engine: Engine,
    streams: Vec<Option<Ordered>>,
    free: Vec<OrderAt>,
    /// Room for bytes that do not lie together.
    pub(super) joined: Vec<u8>,
}

/// Where a stream is put in order, counted from one; 0 for nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OrderAt(u32);

/// One stream.
#[derive(Debug)]
pub(super) struct Ordered {
    /// `None` until its first segment comes.
    pub(super) stream: Option<Box<Stream>>,
    /// In the order of the chain.
    pub(super) listeners: Vec<Listener>,
}

/// A plugin that listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    /// Its seat.
    pub(super) seat: usize,
    /// How far it is; `None` in a direction of which it wants no more.
    pub(super) at: PerDirection<Option<Cursor>>,
}

/// How far a plugin is in a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// It has seen the bytes before this offset.
    pub(super) seen: u64,
    /// It sleeps until so many are there.
    pub(super) wake: u64,
    /// Bytes are missing in front of the next ones.
    pub(super) has_gap: bool,
}

impl Default for Orders {
    fn default() -> Self {
        let engine = Engine::new(Settings::default());
        Self { engine, streams: Vec::new(), free: Vec::new(), joined: Vec::new() }
    }
}

impl OrderAt {
    /// The stream is put in order.
    pub(super) fn is_some(self) -> bool {
        self.0 > 0
    }

    fn index(self) -> Option<usize> {
        self.0.checked_sub(1).map(|index| index as usize)
    }
}

impl Orders {
    /// What became of them.
    pub(super) fn report(&self) -> InOrder {
        let (engine, counters) = (&self.engine, self.engine.counters());
        let mut report = InOrder {
            streams: engine.streams() as u64,
            bytes: engine.bytes() as u64,
            segments: counters.segments,
            changed: counters.changed,
            conflicts: counters.conflicts,
            ..InOrder::default()
        };
        for (exception, times) in counters.exceptions() {
            match exception {
                Exception::StreamBytes => report.stream_bytes = times,
                Exception::StreamPieces => report.stream_pieces = times,
                Exception::AllBytes => report.all_bytes = times,
                Exception::AllStreams => report.all_streams = times,
                Exception::Midstream => report.midstream = times,
                // Only a capture can lack what its receiver has.
                Exception::Lost => {}
            }
        }
        report
    }

    /// A stream is to be put in order for these plugins from its first segment on.
    pub(super) fn start(&mut self, listeners: Vec<Listener>) -> OrderAt {
        let ordered = Ordered { stream: None, listeners };
        if let Some((at, place)) = self.free.pop().and_then(|at| Some((at, self.streams.get_mut(at.index()?)?))) {
            *place = Some(ordered);
            return at;
        }
        self.streams.push(Some(ordered));
        u32::try_from(self.streams.len()).map_or(OrderAt::default(), OrderAt)
    }

    /// Takes a stream out while it is worked on.
    pub(super) fn take(&mut self, at: OrderAt) -> Option<Ordered> {
        self.streams.get_mut(at.index()?)?.take()
    }

    /// Puts it back.
    pub(super) fn put(&mut self, at: OrderAt, ordered: Ordered) {
        if let Some(place) = at.index().and_then(|index| self.streams.get_mut(index)) {
            *place = Some(ordered);
        }
    }

    /// Nobody listens any more, or the stream is over.
    pub(super) fn forget(&mut self, at: &mut OrderAt) {
        if let Some(ordered) = self.take(*at) {
            self.close(at, &ordered);
        }
    }

    /// The same of one that is taken out.
    pub(super) fn close(&mut self, at: &mut OrderAt, ordered: &Ordered) {
        if let Some(stream) = &ordered.stream {
            self.engine.forget(stream);
        }
        self.free.push(std::mem::take(at));
    }
}

impl Ordered {
    /// These plugins listen no more.
    pub(super) fn silence(&mut self, plugins: PerDirection<u32>) {
        for listener in &mut self.listeners {
            for direction in Direction::BOTH {
                if plugins[direction] & 1 << listener.seat != 0 {
                    listener.at[direction] = None;
                }
            }
        }
    }

    /// The same; the engine is told of directions to which nobody listens.
    pub(super) fn hush(&mut self, plugins: PerDirection<u32>, engine: &mut Engine) {
        self.silence(plugins);
        for direction in Direction::BOTH {
            if let Some(stream) = &mut self.stream
                && !self.listeners.iter().any(|listener| listener.at[direction].is_some())
            {
                engine.bypass(stream, side(direction));
            }
        }
    }

    /// The plugins behind this one do not see the bytes that it has seen.
    pub(super) fn skip_behind(&mut self, number: usize, direction: Direction) {
        let Some(seen) = self.listeners.get(number).and_then(|listener| listener.at[direction]) else { return };
        for listener in self.listeners.iter_mut().skip(number + 1) {
            if let Some(cursor) = listener.at[direction].as_mut().filter(|cursor| cursor.seen < seen.seen) {
                *cursor = Cursor { seen: seen.seen, wake: 0, has_gap: true };
            }
        }
    }

    /// The engine follows the stream from now on.
    pub(super) fn follow(&mut self, stream: Box<Stream>) {
        if stream.gaps() > 0 {
            self.listeners.iter_mut().for_each(Listener::missed);
        }
        self.stream = Some(stream);
    }

    /// The seats of the plugins that listen still.
    pub(super) fn listening(&self) -> impl Iterator<Item = usize> {
        self.listeners.iter().filter(|listener| listener.at != PerDirection::default()).map(|listener| listener.seat)
    }

    /// Which directions a plugin listens to; `None`: neither.
    pub(super) fn watched(&self) -> Option<Watched> {
        let listens = |direction| self.listeners.iter().any(|listener| listener.at[direction].is_some());
        match (listens(Direction::FromOpener), listens(Direction::ToOpener)) {
            (true, true) => Some(Watched::Both),
            (true, false) => Some(Watched::Opener),
            (false, true) => Some(Watched::Answerer),
            (false, false) => None,
        }
    }

    /// The engine is to wake the chain when the first plugin wants it, and to keep what one has not seen that sleeps longer than
    /// others.
    pub(super) fn rest(&mut self, direction: Direction) {
        let (Some(stream), side) = (&mut self.stream, side(direction)) else { return };
        let next = stream.in_order(side);
        let cursors = || self.listeners.iter().filter_map(|listener| listener.at[direction]);
        let (Some(wake), Some(seen)) = (cursors().map(|at| at.wake).min(), cursors().map(|at| at.seen).min()) else {
            return;
        };
        stream.want(side, wake.saturating_sub(next));
        stream.keep_from(side, (seen < next).then_some(seen));
    }
}

impl Listener {
    /// Bytes had come before the first that it sees.
    fn missed(&mut self) {
        for direction in Direction::BOTH {
            if let Some(cursor) = &mut self.at[direction] {
                cursor.has_gap = true;
            }
        }
    }

    /// A plugin that listens to what it is not deaf to; `None` if that is nothing.
    pub(super) fn new(seat: usize, deaf: PerDirection<u32>) -> Option<Self> {
        let listens = |deaf: u32| (deaf & 1 << seat == 0).then(Cursor::default);
        let at = PerDirection { from_opener: listens(deaf.from_opener), to_opener: listens(deaf.to_opener) };
        (at != PerDirection::default()).then_some(Self { seat, at })
    }
}

/// Both masks.
pub(super) fn both(one: PerDirection<u32>, other: PerDirection<u32>) -> PerDirection<u32> {
    PerDirection { from_opener: one.from_opener | other.from_opener, to_opener: one.to_opener | other.to_opener }
}

/// Who sends in a direction.
pub(super) fn side(direction: Direction) -> Side {
    match direction {
        Direction::FromOpener => Side::Opener,
        Direction::ToOpener => Side::Answerer,
    }
}

/// Why a segment is dropped, in the router's words.
pub(super) fn drop_reason(reason: Reason) -> DropReason {
    match reason {
        Reason::Checksum => DropReason::TransportChecksum,
        Reason::OddOptions => DropReason::TcpOddOptions,
        Reason::Signature => DropReason::TcpSignature,
        Reason::Flags => DropReason::TcpFlags,
        Reason::NoAcknowledgement => DropReason::TcpNoAcknowledgement,
        Reason::NotOpen => DropReason::TcpNotOpen,
        Reason::Timestamp => DropReason::TcpTimestamp,
        Reason::BeyondWindow => DropReason::TcpBeyondWindow,
        Reason::WindowProbe => DropReason::TcpWindowProbe,
        Reason::TooOld => DropReason::TcpTooOld,
        Reason::AcknowledgesUnsent => DropReason::TcpAcknowledgesUnsent,
        Reason::AcknowledgesLongAgo => DropReason::TcpAcknowledgesLongAgo,
        Reason::SynInConnection => DropReason::TcpSynInConnection,
        Reason::ResetOutOfSequence => DropReason::TcpResetOutOfSequence,
        Reason::AfterReset => DropReason::TcpAfterReset,
        Reason::AfterFin => DropReason::TcpAfterFin,
        Reason::FalseFin => DropReason::TcpFalseFin,
        Reason::Conflict => DropReason::TcpConflict,
        Reason::Urgent => DropReason::TcpUrgent,
        Reason::Exception(exception) => exception_reason(exception),
    }
}

/// The same of what the engine cannot follow.
pub(super) fn exception_reason(exception: Exception) -> DropReason {
    match exception {
        Exception::StreamBytes => DropReason::TcpStreamBytes,
        Exception::StreamPieces => DropReason::TcpStreamPieces,
        Exception::AllBytes => DropReason::TcpAllBytes,
        Exception::AllStreams => DropReason::TcpAllStreams,
        Exception::Midstream | Exception::Lost => DropReason::TcpMidstream,
    }
}
