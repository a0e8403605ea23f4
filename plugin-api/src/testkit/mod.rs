//! Streams in a unit test: a plugin of this crate is called as the router calls it, without a router, without root and without
//! `unsafe` in the test. Feature `testkit`.
//!
//! ```
//! use herald_plugin::prelude::*;
//! use herald_plugin::testkit::Kit;
//!
//! /// Drops every stream that mentions a word.
//! #[derive(Default)]
//! struct NoWord;
//!
//! impl Plugin for NoWord {
//!     type Stream = ();
//!     fn packet(&self, _: &mut (), packet: &Packet<'_>) -> Verdict {
//!         if packet.payload() == b"word" { Verdict::drop("word").for_stream() } else { Verdict::pass() }
//!     }
//! }
//!
//! let mut kit = Kit::<NoWord>::new("").unwrap();
//! let stream = kit.tcp("10.1.0.100:40000", "10.2.0.100:80");
//! assert!(kit.handshake(stream).iter().all(|said| said.passes()));
//! assert!(kit.send(stream, Direction::FromOpener, b"hello")[0].passes());
//! let said = kit.send(stream, Direction::FromOpener, b"word");
//! assert_eq!(said[0].reason(), Some("word"));
//! // The verdict stands for the stream: the plugin is not asked again.
//! assert!(!kit.send(stream, Direction::ToOpener, b"hello")[0].passes());
//! ```

#![expect(clippy::indexing_slicing, reason = "two places, one for each direction, and a test may panic")]

mod capture;
mod frame;
mod order;
mod said;
mod state;
mod stream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::abi::{self, HERALD_OK, HeraldEnd, HeraldStream, HeraldText, HeraldVerdict};
use crate::{Action, Direction, EndReason, Plugin, thunk};
use frame::{ACK, FIN, PSH, RST, SYN};
use order::{Order, Shown};
use state::{Instance, State};
use stream::Stream;

pub use frame::Segment;
pub use said::Said;

/// Bytes of payload in one segment, as `send` cuts them: those of an Ethernet.
const SEGMENT_LEN: usize = 1_460;

/// A plugin and its streams.
#[derive(Debug)]
pub struct Kit<P: Plugin> {
    instance: Instance<P>,
    streams: Vec<Stream>,
    now: Duration,
}

/// Names a stream of a [`Kit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

impl<P: Plugin> Kit<P> {
    /// A plugin with this configuration.
    ///
    /// # Errors
    /// The plugin's own words, if it refuses the configuration.
    pub fn new(config: &str) -> Result<Self, String> {
        Ok(Self {
            instance: Instance::new(thunk::table::<P>(), config)?,
            streams: Vec::new(),
            now: Duration::from_secs(1),
        })
    }

    /// A TCP stream; no packet of it has come yet. The ends are `ADDRESS:PORT`, of one family.
    ///
    /// # Panics
    /// When an end is none.
    pub fn tcp(&mut self, opener: &str, other: &str) -> StreamId {
        self.open(6, end(opener), end(other))
    }

    /// A UDP stream, likewise.
    ///
    /// # Panics
    /// When an end is none.
    pub fn udp(&mut self, opener: &str, other: &str) -> StreamId {
        self.open(17, end(opener), end(other))
    }

    fn open(&mut self, protocol: u8, opener: SocketAddr, other: SocketAddr) -> StreamId {
        assert_eq!(opener.is_ipv4(), other.is_ipv4(), "both ends are of one family");
        let id = StreamId(self.streams.len());
        let mut stream = Stream {
            protocol,
            opener,
            other,
            started: self.now,
            state: None,
            sequences: [1_000, 5_000],
            standing: [None, None],
            order: if protocol == 6 { [Some(Order::default()), Some(Order::default())] } else { [None, None] },
            packets: [0; 2],
            bytes: [0; 2],
        };
        let mut state = State::new::<P::Stream>();
        let (status, verdict) = self.instance.start(&described(&stream, id, self.now), &mut state);
        if status == HERALD_OK {
            stream.state = Some(state);
            let said = Said::of(&verdict);
            if said != Said::of(&HeraldVerdict::PASS) {
                // What ends packets covers the whole stream at its start.
                let scope = if said.passes() { verdict.scope } else { abi::HERALD_SCOPE_STREAM };
                stream.stand(Direction::FromOpener, scope, &said);
            }
        } else {
            stream.standing = [Some(Said::Failed), Some(Said::Failed)];
        }
        self.streams.push(stream);
        id
    }

    /// What stands for a stream in a direction, if the plugin is not asked any more.
    #[must_use]
    pub fn standing(&self, stream: StreamId, direction: Direction) -> Option<&Said> {
        self.streams.get(stream.0)?.standing[usize::from(direction == Direction::ToOpener)].as_ref()
    }

    /// The three packets that open a TCP stream.
    pub fn handshake(&mut self, stream: StreamId) -> Vec<Said> {
        let steps = [(Direction::FromOpener, SYN), (Direction::ToOpener, SYN | ACK), (Direction::FromOpener, ACK)];
        steps.into_iter().map(|(direction, flags)| self.control(stream, direction, flags)).collect()
    }

    /// Sends bytes: as TCP segments as they fit into an Ethernet frame, or as one datagram.
    pub fn send(&mut self, stream: StreamId, direction: Direction, payload: &[u8]) -> Vec<Said> {
        let segments = self.cut(stream, direction, payload, SEGMENT_LEN);
        segments.iter().map(|segment| self.deliver(segment)).collect()
    }

    /// The segments of bytes that are sent, each of at most `len` bytes; none has arrived yet. Deliver them in another order, twice,
    /// or not all.
    pub fn cut(&mut self, stream: StreamId, direction: Direction, payload: &[u8], len: usize) -> Vec<Segment> {
        let is_tcp = self.streams.get(stream.0).is_some_and(|stream| stream.protocol == 6);
        let len = if is_tcp { len.max(1) } else { payload.len().max(1) };
        let pieces: Vec<&[u8]> = if payload.is_empty() { vec![payload] } else { payload.chunks(len).collect() };
        pieces.into_iter().map(|piece| self.segment(stream, direction, PSH | ACK, piece)).collect()
    }

    /// The same, cut behind each of these bytes.
    pub fn cut_at(&mut self, stream: StreamId, direction: Direction, payload: &[u8], places: &[usize]) -> Vec<Segment> {
        let (mut from, mut segments) = (0, Vec::new());
        for place in places.iter().copied().chain([payload.len()]) {
            if let Some(piece) = payload.get(from..place) {
                segments.push(self.segment(stream, direction, PSH | ACK, piece));
                from = place;
            }
        }
        segments
    }

    /// A segment arrives: the plugin is asked about the packet, and about bytes that are in order with it. What it said of the bytes
    /// counts, if it said something.
    pub fn deliver(&mut self, segment: &Segment) -> Said {
        let Some(stream) = self.streams.get_mut(segment.stream) else { return Said::Failed };
        let place = usize::from(segment.direction == Direction::ToOpener);
        stream.packets[place] += 1;
        stream.bytes[place] += segment.frame.len() as u64;
        let said = match &stream.standing[place] {
            Some(said) => said.clone(),
            None => {
                let Some(state) = &mut stream.state else { return Said::Failed };
                let (status, verdict) = self.instance.packet(segment, state, self.now);
                if status != HERALD_OK {
                    return stream.fail();
                }
                let said = Said::of(&verdict);
                stream.stand(segment.direction, verdict.scope, &said);
                said
            }
        };
        let shown = stream.order[place].as_mut().filter(|_| said.passes());
        match shown.and_then(|order| segment.tcp().and_then(|(flags, at, payload)| order.take(flags, at, payload))) {
            Some(shown) => self.show(segment, &shown).unwrap_or(said),
            None => said,
        }
    }

    /// Bytes in order are there; what the plugin says of them, if it says something.
    fn show(&mut self, segment: &Segment, shown: &Shown) -> Option<Said> {
        let stream = self.streams.get_mut(segment.stream)?;
        let place = usize::from(segment.direction == Direction::ToOpener);
        let state = stream.state.as_mut()?;
        let (status, verdict, want) = self.instance.bytes(segment, shown, state, self.now);
        if status != HERALD_OK {
            return Some(stream.fail());
        }
        if let Some(order) = &mut stream.order[place] {
            order.want(want);
        }
        let said = Said::of(&verdict);
        // Whatever ends bytes ends the stream.
        let scope = if said.passes() { verdict.scope } else { abi::HERALD_SCOPE_STREAM };
        match said.action() {
            Some(Action::Pass) if scope == abi::HERALD_SCOPE_PACKET => return None,
            Some(Action::Pass) => stream.hush(segment.direction, scope),
            _ => stream.stand(segment.direction, scope, &said),
        }
        Some(said)
    }

    /// Both ends close a TCP stream, and it ends.
    pub fn close(&mut self, stream: StreamId) -> Vec<Said> {
        let steps =
            [(Direction::FromOpener, FIN | ACK), (Direction::ToOpener, FIN | ACK), (Direction::FromOpener, ACK)];
        let said = steps.into_iter().map(|(direction, flags)| self.control(stream, direction, flags)).collect();
        self.end(stream, EndReason::Finished);
        said
    }

    /// One end resets a TCP stream, and it ends.
    pub fn reset(&mut self, stream: StreamId, direction: Direction) -> Said {
        let said = self.control(stream, direction, RST | ACK);
        self.end(stream, EndReason::Reset);
        said
    }

    /// A stream ends; false if the plugin fails at that, or it has ended already.
    pub fn end(&mut self, stream: StreamId, reason: EndReason) -> bool {
        let (id, now) = (stream, self.now);
        let Some(stream) = self.streams.get_mut(stream.0) else { return false };
        let Some(state) = stream.state.take() else { return false };
        let end = HeraldEnd {
            size: crate::note::size_u32::<HeraldEnd>(),
            reason: number(reason),
            packets_from_opener: stream.packets[0],
            bytes_from_opener: stream.bytes[0],
            packets_to_opener: stream.packets[1],
            bytes_to_opener: stream.bytes[1],
            started: nanos(stream.started),
            last_packet: nanos(now),
            by: HeraldText::new(""),
            why: HeraldText::new(""),
            notes: std::ptr::null(),
            each_note: None,
        };
        self.instance.end(&described(stream, id, now), &end, state) == HERALD_OK
    }

    /// Time passes, as the plugin sees it.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// The plugin's counters.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.instance.counters()
    }

    /// Every IPv4 and IPv6 packet of TCP and UDP in a pcap file of Ethernet frames, in its time; what opens a stream is its first
    /// packet. What was said of each, with its number in the file from 1 on.
    ///
    /// # Errors
    /// The file cannot be read, or is no such capture.
    pub fn pcap(&mut self, path: impl AsRef<Path>) -> Result<Vec<(usize, Said)>, String> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut ids: BTreeMap<(u8, SocketAddr, SocketAddr), StreamId> = BTreeMap::new();
        let (mut said, begin) = (Vec::new(), self.now);
        let mut first = None;
        for packet in capture::packets(&bytes)? {
            let Some((protocol, source, destination, headers)) = frame::parse(packet.frame) else { continue };
            self.now = begin + packet.at.saturating_sub(*first.get_or_insert(packet.at));
            let back = ids.get(&(protocol, destination, source)).copied();
            let (id, direction) = match (ids.get(&(protocol, source, destination)).copied(), back) {
                (Some(id), _) => (id, Direction::FromOpener),
                (None, Some(id)) => (id, Direction::ToOpener),
                (None, None) => {
                    let id = self.open(protocol, source, destination);
                    ids.insert((protocol, source, destination), id);
                    (id, Direction::FromOpener)
                }
            };
            let segment = Segment { stream: id.0, direction, frame: packet.frame.to_vec(), headers };
            said.push((packet.number, self.deliver(&segment)));
        }
        Ok(said)
    }

    fn control(&mut self, stream: StreamId, direction: Direction, flags: u8) -> Said {
        let segment = self.segment(stream, direction, flags, &[]);
        self.deliver(&segment)
    }

    /// The next segment of a stream.
    fn segment(&mut self, id: StreamId, direction: Direction, flags: u8, payload: &[u8]) -> Segment {
        let place = usize::from(direction == Direction::ToOpener);
        let stream = self.streams.get_mut(id.0);
        let stream = stream.unwrap_or_else(|| unreachable!("ids are of this kit's streams"));
        let (from, to) = if place == 0 { (stream.opener, stream.other) } else { (stream.other, stream.opener) };
        let numbers = (stream.sequences[place], stream.sequences[1 - place]);
        let counted = payload.len() + usize::from(flags & (SYN | FIN) != 0);
        let next = stream.sequences[place].wrapping_add(u32::try_from(counted).unwrap_or_default());
        stream.sequences[place] = next;
        let (frame, headers) = frame::build(stream.protocol, (from, to), (flags, numbers), payload);
        Segment { stream: id.0, direction, frame, headers }
    }
}

impl<P: Plugin> Drop for Kit<P> {
    /// Streams that live are ended, so that nothing leaks.
    fn drop(&mut self) {
        for number in 0..self.streams.len() {
            self.end(StreamId(number), EndReason::Shutdown);
        }
    }
}

fn end(text: &str) -> SocketAddr {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is no ADDRESS:PORT, such as 10.1.0.100:40000 or [fd00:1::100]:40000"))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The stream as the host tells it; the node is called `test`.
fn described(stream: &Stream, id: StreamId, now: Duration) -> HeraldStream {
    HeraldStream {
        size: crate::note::size_u32::<HeraldStream>(),
        protocol: stream.protocol,
        interface: abi::HERALD_INTERFACE_FIRST,
        midstream: 0,
        reserved: 0,
        id: id.0 as u64 + 1,
        source: frame::mapped(stream.opener.ip()),
        destination: frame::mapped(stream.other.ip()),
        source_port: stream.opener.port(),
        destination_port: stream.other.port(),
        mark: 0,
        now: nanos(now),
        chosen: HeraldText::new("test"),
        related: 0,
        unix_now: nanos(now),
    }
}

fn number(reason: EndReason) -> u32 {
    match reason {
        EndReason::Finished => abi::HERALD_END_FINISHED,
        EndReason::Reset => abi::HERALD_END_RESET,
        EndReason::TimedOut | EndReason::Unknown => abi::HERALD_END_TIMED_OUT,
        EndReason::Verdict => abi::HERALD_END_VERDICT,
        EndReason::Refused => abi::HERALD_END_REFUSED,
        EndReason::Replaced => abi::HERALD_END_REPLACED,
        EndReason::Shutdown => abi::HERALD_END_SHUTDOWN,
        EndReason::HandedOver => abi::HERALD_END_HANDED_OVER,
        EndReason::Evicted => abi::HERALD_END_EVICTED,
    }
}

#[cfg(test)]
mod tests;
