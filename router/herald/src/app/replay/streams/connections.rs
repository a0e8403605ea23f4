//! The TCP connections of a capture, in the order of their first packets.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::StreamRow;
use super::ahead::Ahead;
use super::connection::Connection;
use herald_core::id::Interface;
use herald_core::packet::{Frame, Headers, Transport};
use herald_stream::{Action, Begun, Engine, Judged, NoSegment, Segment, Settings, Side, Watched};

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
    /// What was said of a segment with so many bytes.
    fn of(judged: &Judged, payload_len: usize) -> Self {
        match judged.action {
            Action::Drop(reason) => Self::Dropped(reason.name()),
            Action::Reset(exception) => Self::Dropped(exception.name()),
            Action::Pass if judged.edit.is_rewritten => Self::Changed("rewritten to the first copy"),
            Action::Pass if judged.edit.clears_urgent => Self::Changed("urgent mark cleared"),
            Action::Pass if !judged.edit.is_none(payload_len) => Self::Changed("known bytes cut off"),
            Action::Pass => Self::Same,
        }
    }

    pub(super) fn comment(self) -> &'static str {
        match self {
            Self::Same => "pass",
            Self::Changed(how) | Self::Dropped(how) => how,
        }
    }
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
    pub(super) fn packet(&mut self, headers: &Headers, frame: &mut Frame, ahead: &Ahead) -> (Became, Interface) {
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
                self.all.push(Connection::new(opener, answerer, stream));
                self.newest.insert(key, self.all.len() - 1);
                self.all.len() - 1
            }
        };
        self.segment(number, source, headers, frame, ahead)
    }

    fn is_succeeded(&self, number: usize, segment: &Segment<'_>) -> bool {
        let stream = self.all.get(number).and_then(Connection::stream);
        stream.is_some_and(|stream| stream.is_succeeded_by(segment))
    }

    fn segment(
        &mut self,
        number: usize,
        source: SocketAddr,
        headers: &Headers,
        frame: &mut Frame,
        ahead: &Ahead,
    ) -> (Became, Interface) {
        let Some(connection) = self.all.get_mut(number) else { return (Became::Same, Interface::First) };
        let side = connection.side(source);
        let interface = match side {
            Side::Opener => Interface::First,
            Side::Answerer => Interface::Second,
        };
        let became = match connection.judge(&mut self.engine, side, headers, frame, ahead) {
            None => Became::Same,
            Some(Err(NoSegment)) => Became::Dropped("no-segment"),
            Some(Ok(judged)) => Became::of(&judged, headers.payload_len()),
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
