//! Streams around plugins without a node, and streams that a node is given without a packet.

use std::collections::BTreeMap;

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::{Generation, Interface, Slot};
use herald_core::inspector::{
    HostPart, Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals, Verdict,
};
use herald_core::mesh::Assign;
use herald_core::time::Instant;

use crate::layout::{self, Place};

/// No plugins.
#[derive(Debug, Default)]
pub struct Nothing;

impl Inspector for Nothing {
    type Part = ();

    fn stream_started(&mut self, _: Instant, _: &Stream, (): &mut ()) -> PerDirection<Standing> {
        PerDirection { from_opener: Standing::Uninspected, to_opener: Standing::Uninspected }
    }

    fn inspect(&mut self, _: Instant, _: &mut [Inspection], _: &mut dyn Parts<()>) {}

    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, (): &mut ()) {}

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

/// The records of streams that live, as far as plugins are concerned.
#[derive(Debug)]
pub struct Records<H>(BTreeMap<Slot, (Stream, H, PerDirection<Standing>)>);

impl<H: HostPart> Parts<H> for Records<H> {
    fn part(&mut self, slot: Slot, stream: u64) -> Option<&mut H> {
        self.0.get_mut(&slot).filter(|(found, ..)| found.id == stream).map(|(_, part, _)| part)
    }
}

/// Plugins, and the streams that they are told of, as the core does it.
#[derive(Debug)]
pub struct Streams<P: Inspector> {
    /// The plugins.
    pub plugins: P,
    /// The streams that live.
    pub records: Records<P::Part>,
}

impl<P: Inspector> Streams<P> {
    /// Without streams.
    pub fn new(plugins: P) -> Self {
        Self { plugins, records: Records(BTreeMap::new()) }
    }

    /// A stream starts in a slot.
    pub fn start(&mut self, now: Instant, slot: Slot, stream: Stream) -> PerDirection<Standing> {
        let mut part = P::Part::default();
        let standing = self.plugins.stream_started(now, &stream, &mut part);
        self.records.0.insert(slot, (stream, part, standing));
        standing
    }

    /// What stands for the stream in a slot.
    pub fn standing(&self, slot: Slot) -> &PerDirection<Standing> {
        &self.records.0[&slot].2
    }

    /// What becomes of the packets of one batch. What ended before is not shown.
    pub fn judge(&mut self, now: Instant, packets: Vec<Inspection>) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut batch = Vec::new();
        for packet in packets {
            let record = self.records.0.get(&packet.slot);
            let ended = record.and_then(|(.., standing)| standing[packet.direction].verdict());
            if ended.is_none() {
                batch.push(packet);
            }
            verdicts.push(ended);
        }
        self.plugins.inspect(now, &mut batch, &mut self.records);
        for Inspection { slot, standing, .. } in &batch {
            if let Some((.., stands)) = self.records.0.get_mut(slot) {
                stands.from_opener.strengthen(standing.from_opener);
                stands.to_opener.strengthen(standing.to_opener);
            }
        }
        let mut judged = batch.iter().map(|packet| packet.verdict);
        verdicts.into_iter().map(|ended| ended.unwrap_or_else(|| judged.next().unwrap())).collect()
    }

    /// The stream in a slot ends.
    pub fn end(&mut self, now: Instant, slot: Slot, totals: &Totals, reason: EndReason) {
        let (stream, mut part, _) = self.records.0.remove(&slot).unwrap();
        self.plugins.stream_ended(now, &stream, totals, reason, &mut part);
    }
}

/// Stream number `number`, given to a node.
#[must_use]
pub fn assign(place: Place, number: u32) -> Assign {
    let [_, high, middle, low] = number.to_be_bytes();
    let source = ([10, 1, high, middle].into(), 1024 + u16::from(low));
    let server = layout::v4(Interface::Second, layout::HOST);
    let arrival = FlowKey::new(Interface::First, 17, source, (server.into(), 53));
    let generation = Generation { counter: 1, node: layout::id(place) };
    let choice = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Assign { arrival, return_key: arrival.reversed(Interface::Second), choice, generation, life: None }
}
