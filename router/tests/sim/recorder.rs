//! The plugins of a simulated node: they let everything pass and remember what they saw.

use std::cell::Cell;

use herald::event::EndReason;
use herald::flow::FlowKey;
use herald::id::Interface;
use herald::inspector::{Inspection, Inspector, Line, States, Stream, Totals, Verdict};
use herald::time::Instant;

/// What the plugins of one node were told since it was last asked for.
#[derive(Debug)]
pub(crate) enum Note {
    /// A stream started.
    Started(FlowKey),
    /// A packet of the stream with this number was shown.
    Inspected { interface: Interface, bytes: Vec<u8>, stream: u64 },
    /// A stream ended after a silence.
    Ended { opener: FlowKey, reason: EndReason, at: Instant },
}

/// Remembers.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) notes: Vec<Note>,
}

impl Inspector for Recorder {
    fn state_len(&self) -> usize {
        0
    }

    fn stream_started(&mut self, _: Instant, stream: &Stream, _: &[Cell<Line>]) -> Verdict {
        self.notes.push(Note::Started(stream.opener));
        Verdict::default()
    }

    fn inspect(&mut self, _: Instant, batch: &mut [Inspection], _: &States) {
        for inspection in batch {
            let (interface, stream) = (inspection.interface, inspection.stream);
            self.notes.push(Note::Inspected { interface, bytes: inspection.frame.bytes().to_vec(), stream });
        }
    }

    fn stream_ended(&mut self, now: Instant, stream: &Stream, _: &Totals, reason: EndReason, _: &[Cell<Line>]) {
        self.notes.push(Note::Ended { opener: stream.opener, reason, at: now });
    }
}
