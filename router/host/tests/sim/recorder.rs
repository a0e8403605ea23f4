//! What the core sees of the plugins of a simulated node: the program's own chain, and a record of all that it was asked
//! and has said.

use std::cell::Cell;

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::inspector::{Action, Direction, Inspection, Inspector, Line, States, Stream, Totals, Verdict};
use herald_core::time::Instant;
use herald_host::{Chain, Clock, PluginSettings};

use crate::packets;
use crate::plugins::{Call, SEATS, configuration_text, number_of, on_stage, table};
use crate::scenario::{Choices, Failing};

/// What the plugins of one node were told since it was last asked for.
#[derive(Debug)]
pub(crate) enum Note {
    /// A stream started, and this is the chain's word on it.
    Started { at: Instant, opener: FlowKey, stream: u64, verdict: Verdict, calls: Vec<Call> },
    /// A packet of the stream with this number was shown, and may go on or not.
    Inspected { interface: Interface, bytes: Vec<u8>, stream: u64, action: Action },
    /// A batch of packets was judged, each after its note.
    Judged { at: Instant, packets: Vec<Judged>, calls: Vec<Call> },
    /// A stream ended.
    Ended { at: Instant, opener: FlowKey, stream: u64, reason: EndReason, calls: Vec<Call> },
}

impl Note {
    /// The stream of which the plugins have ended a packet, if they have.
    pub(crate) fn ended(&self) -> Option<FlowKey> {
        match self {
            Self::Started { opener, verdict, .. } if verdict.action != Action::Pass => Some(packets::stream(opener)),
            Self::Inspected { interface, bytes, action: Action::Drop | Action::Reject, .. } => {
                packets::seen(*interface, bytes).map(|seen| packets::stream(&seen.flow))
            }
            Self::Started { .. } | Self::Inspected { .. } | Self::Judged { .. } | Self::Ended { .. } => None,
        }
    }
}

/// What the chain said of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) stream: u64,
    pub(crate) direction: Direction,
    /// Its bytes as one number.
    pub(crate) bytes: u64,
    pub(crate) verdict: Verdict,
}

/// Remembers.
#[derive(Debug)]
pub(crate) struct Recorder {
    chain: Chain,
    /// Which plugin fails, if one does.
    pub(crate) failing: Option<Failing>,
    pub(crate) notes: Vec<Note>,
}

impl Recorder {
    /// A chain of plugins with this configuration.
    pub(crate) fn new(configuration: u64, choices: &Choices, failing: Option<Failing>) -> Self {
        let seat = |seat: usize| PluginSettings {
            name: format!("actor-{seat}"),
            config: configuration_text(seat, configuration, choices.opinions),
            fault: Some(choices.fault),
        };
        let clock = Clock { monotonic: Instant::default, unix_nanos: || 0 };
        let seats: Vec<_> = (0..SEATS).map(seat).collect();
        // SAFETY: the table is the SDK's but for one function, which calls the SDK's.
        let chain = unsafe { Chain::built_in(clock, &table(), &seats) };
        Self { chain: chain.unwrap(), failing, notes: Vec::new() }
    }

    /// Plugins that have failed too often and are not called any more.
    pub(crate) fn suspended(&self) -> usize {
        self.chain.report().rows().iter().filter(|row| row.state == "faulted").count()
    }
}

impl Inspector for Recorder {
    fn state_len(&self) -> usize {
        self.chain.state_len()
    }

    fn stream_started(&mut self, now: Instant, stream: &Stream, state: &[Cell<Line>]) -> Verdict {
        let (verdict, calls) = on_stage(self.failing, || self.chain.stream_started(now, stream, state));
        self.notes.push(Note::Started { at: now, opener: stream.opener, stream: stream.id, verdict, calls });
        verdict
    }

    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], states: &States) {
        let ((), calls) = on_stage(self.failing, || self.chain.inspect(now, batch, states));
        let mut packets = Vec::new();
        for inspection in batch {
            let Inspection { interface, stream, direction, verdict, .. } = *inspection;
            let bytes = inspection.frame.bytes().to_vec();
            packets.push(Judged { stream, direction, bytes: number_of(&bytes), verdict });
            self.notes.push(Note::Inspected { interface, bytes, stream, action: verdict.action });
        }
        self.notes.push(Note::Judged { at: now, packets, calls });
    }

    fn stream_ended(
        &mut self,
        now: Instant,
        stream: &Stream,
        totals: &Totals,
        reason: EndReason,
        state: &[Cell<Line>],
    ) {
        let ((), calls) = on_stage(self.failing, || self.chain.stream_ended(now, stream, totals, reason, state));
        self.notes.push(Note::Ended { at: now, opener: stream.opener, stream: stream.id, reason, calls });
    }
}
