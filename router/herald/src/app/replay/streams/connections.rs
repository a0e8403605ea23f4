//! The TCP connections of a capture, in the order of their first packets.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::StreamRow;
use super::saw::Saw;
use herald_core::id::Interface;
use herald_core::packet::{Frame, Headers, Transport};
use herald_facts::Direction;
use herald_stream::{Action, Begun, End, Engine, Segment, Settings, Side, Stream, Watched};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// It leaves as it came.
    Same,
    /// It leaves changed: how.
    Changed(&'static str),
    /// It ends.
    Dropped(&'static str),
}

impl Became {
    pub(super) fn comment(self) -> &'static str {
        match self {
            Self::Same => "pass",
            Self::Changed(how) | Self::Dropped(how) => how,
        }
    }
}

struct Connection {
    opener: SocketAddr,
    answerer: SocketAddr,
    from_opener: Saw,
    to_opener: Saw,
    /// `None`: it passes without inspection.
    stream: Option<Box<Stream>>,
    is_reset: bool,
    facts: herald_facts::Stream,
}

/// All connections.
pub(super) struct Connections {
    engine: Engine,
    /// The newest of these two ends, the lower one first.
    newest: HashMap<(SocketAddr, SocketAddr), usize>,
    all: Vec<Connection>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self { engine: Engine::new(Settings::default()), newest: HashMap::new(), all: Vec::new() }
    }

    /// A packet goes on; the interface is the one where it arrives, if the opener is behind the first.
    pub(super) fn packet(&mut self, headers: &Headers, frame: &mut Frame) -> (Became, Interface) {
        let Transport::Tcp { source, destination, flags, .. } = headers.transport else {
            return (Became::Same, Interface::First);
        };
        let source = SocketAddr::new(headers.source, source);
        let destination = SocketAddr::new(headers.destination, destination);
        let key = (source.min(destination), source.max(destination));
        let Ok(segment) = Segment::of(headers, frame) else { return (Became::Dropped("no-segment"), Interface::First) };
        let known = self.newest.get(&key).copied().filter(|number| !self.is_succeeded(*number, &segment));
        let number = match known {
            Some(number) => number,
            None => {
                let (opener, answerer) =
                    if flags.syn() && flags.ack() { (destination, source) } else { (source, destination) };
                let side = if opener == source { Side::Opener } else { Side::Answerer };
                let stream = match self.engine.begin(side, &segment, Watched::Both) {
                    Begun::Followed(stream) => Some(stream),
                    Begun::Passes(_) => None,
                    Begun::Dropped(reason) => return (Became::Dropped(reason.name()), Interface::First),
                    Begun::Reset(exception) => return (Became::Dropped(exception.name()), Interface::First),
                };
                let (from_opener, to_opener) = (Saw::new(), Saw::new());
                let (is_reset, facts) = (false, herald_facts::Stream::new());
                self.all.push(Connection { opener, answerer, from_opener, to_opener, stream, is_reset, facts });
                self.newest.insert(key, self.all.len() - 1);
                self.all.len() - 1
            }
        };
        self.segment(number, source, headers, frame)
    }

    fn is_succeeded(&self, number: usize, segment: &Segment<'_>) -> bool {
        let stream = self.all.get(number).and_then(|connection| connection.stream.as_ref());
        stream.is_some_and(|stream| stream.is_succeeded_by(segment))
    }

    fn segment(
        &mut self,
        number: usize,
        source: SocketAddr,
        headers: &Headers,
        frame: &mut Frame,
    ) -> (Became, Interface) {
        let Some(connection) = self.all.get_mut(number) else { return (Became::Same, Interface::First) };
        let (side, direction, saw, interface) = if source == connection.opener {
            (Side::Opener, Direction::FromOpener, &mut connection.from_opener, Interface::First)
        } else {
            (Side::Answerer, Direction::ToOpener, &mut connection.to_opener, Interface::Second)
        };
        let Some(stream) = &mut connection.stream else { return (Became::Same, interface) };
        let Ok(judged) = self.engine.frame(stream, side, headers, frame) else {
            return (Became::Dropped("no-segment"), interface);
        };
        let (one, two) = stream.fresh(side);
        for bytes in [one, two].into_iter().filter(|bytes| !bytes.is_empty()) {
            saw.add(bytes);
            connection.facts.feed(direction, bytes);
        }
        let became = match judged.action {
            Action::Drop(reason) => Became::Dropped(reason.name()),
            Action::Reset(exception) => {
                connection.is_reset = true;
                Became::Dropped(exception.name())
            }
            Action::Pass if judged.edit.is_rewritten => Became::Changed("rewritten to the first copy"),
            Action::Pass if judged.edit.clears_urgent => Became::Changed("urgent mark cleared"),
            Action::Pass if !judged.edit.is_none(headers.payload_len()) => Became::Changed("known bytes cut off"),
            Action::Pass => Became::Same,
        };
        (became, interface)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// What hooks saw.
    pub(super) fn rows(self) -> impl Iterator<Item = StreamRow> {
        self.all.into_iter().map(|connection| connection.row())
    }
}

impl Connection {
    fn row(&self) -> StreamRow {
        let end = match self.stream.as_ref().and_then(|stream| stream.end()) {
            Some(End::Fin) => "fin",
            Some(End::Reset) => "reset",
            None if self.is_reset => "reset",
            None => "open",
        };
        StreamRow {
            protocol: "tcp",
            source: self.opener.to_string(),
            destination: self.answerer.to_string(),
            from_opener: self.from_opener.row(),
            to_opener: self.to_opener.row(),
            end,
            // What passes without inspection is a gap from its beginning.
            gaps: self.stream.as_ref().map_or(1, |stream| stream.gaps()),
            conflicts: self.stream.as_ref().map_or(0, |stream| stream.conflicts()),
            facts: self.facts.facts().clone(),
        }
    }
}
