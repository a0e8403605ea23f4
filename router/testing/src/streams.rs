//! Streams that nobody looks at, and streams that a node is given without a packet.

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::{Generation, Interface};
use herald_core::inspector::{Inspection, Inspector, Parts, PerDirection, Standing, Stream, Totals};
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
