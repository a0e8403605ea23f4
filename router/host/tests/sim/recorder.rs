//! What the core sees of the plugins of a simulated node: the program's own chain, and a record of all that it was asked
//! and has said.

use herald_core::event::{EndReason, Event};
use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::inspector::{
    Action, Direction, Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals, Verdict,
};
use herald_core::time::Instant;
use herald_host::{Chain, Clock, Head, PluginSettings};

use crate::packets;
use crate::plugins::{Call, SEATS, configuration_text, number_of, on_stage, table};
use crate::scenario::{Choices, Failing};

/// What the plugins of one node were told since it was last asked for.
#[derive(Debug)]
pub(crate) enum Note {
    /// A stream started, and this is the chain's word on it.
    Started { at: Instant, opener: FlowKey, stream: u64, standing: PerDirection<Standing>, calls: Vec<Call> },
    /// A packet of the stream with this number was shown, and may go on or not.
    Inspected { interface: Interface, bytes: Vec<u8>, stream: u64, action: Action },
    /// A batch of packets was judged, each after its note.
    Judged { at: Instant, packets: Vec<Judged>, calls: Vec<Call> },
    /// A stream ended, after so many bytes to its opener.
    Ended { at: Instant, opener: FlowKey, stream: u64, reason: EndReason, returned: u64, calls: Vec<Call> },
}

impl Note {
    /// The stream of which the plugins have ended a packet, if they have.
    pub(crate) fn ended(&self) -> Option<FlowKey> {
        match self {
            Self::Started { opener, standing, .. } if standing.is_ended() => Some(packets::stream(opener)),
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
    /// What stands for its stream from then on.
    pub(crate) standing: PerDirection<Standing>,
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

    /// What happened to the plugins since the last call.
    pub(crate) fn take_events(&mut self) -> impl Iterator<Item = Event> {
        self.chain.take_events()
    }

    /// Plugins that have failed too often and are not called now.
    pub(crate) fn suspended(&self) -> usize {
        self.chain.report().rows().iter().filter(|row| row.state == "faulted").count()
    }
}

impl Inspector for Recorder {
    type Part = Head;

    fn stream_started(&mut self, now: Instant, stream: &Stream, head: &mut Head) -> PerDirection<Standing> {
        let (standing, calls) = on_stage(self.failing, || self.chain.stream_started(now, stream, head));
        self.notes.push(Note::Started { at: now, opener: stream.opener, stream: stream.id, standing, calls });
        standing
    }

    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], parts: &mut dyn Parts<Head>) {
        let ((), calls) = on_stage(self.failing, || self.chain.inspect(now, batch, parts));
        let mut packets = Vec::new();
        for inspection in batch {
            let Inspection { stream, direction, verdict, standing, .. } = *inspection;
            let (interface, bytes) = (inspection.arrival.interface, inspection.arrival.frame.bytes().to_vec());
            packets.push(Judged { stream, direction, bytes: number_of(&bytes), verdict, standing });
            // Its first fragment stands for a datagram.
            let first = inspection.arrival.frame.fragments().into_iter().next();
            let bytes = first.map_or(bytes, |first| first.bytes().to_vec());
            self.notes.push(Note::Inspected { interface, bytes, stream, action: verdict.action });
        }
        self.notes.push(Note::Judged { at: now, packets, calls });
    }

    fn take_injected(&mut self, injected: &mut Vec<Inspection>) {
        self.chain.take_injected(injected);
    }

    fn stream_ended(&mut self, now: Instant, stream: &Stream, totals: &Totals, reason: EndReason, head: &mut Head) {
        let ((), calls) = on_stage(self.failing, || self.chain.stream_ended(now, stream, totals, reason, head));
        let (opener, stream, returned) = (stream.opener, stream.id, totals.bytes_to_opener);
        self.notes.push(Note::Ended { at: now, opener, stream, reason, returned, calls });
    }

    fn time_passed(&mut self, now: Instant) {
        self.chain.time_passed(now);
    }

    fn readiness(&self) -> Readiness {
        self.chain.readiness()
    }
}
