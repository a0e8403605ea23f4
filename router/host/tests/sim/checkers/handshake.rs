//! L3: a new stream completes its handshake within one retransmission of the SYN.

use std::time::Duration;

use super::Checker;
use crate::packets;
use crate::world::{SETTLED_MS, Sight, World, at_ms};

/// The stacks' first retransmission time-out, and a little for the way.
const ONE_RETRANSMISSION: Duration = Duration::from_millis(1_300);

pub(super) struct Handshake;

impl Checker for Handshake {
    fn invariant(&self) -> &'static str {
        "L3"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Sampled = sight else { return Ok(()) };
        if world.silent {
            return Ok(());
        }
        let late = world.talks.iter().find(|talk| {
            let new = talk.opened_at >= at_ms(SETTLED_MS) && talk.open.is_tcp();
            let new = new && !world.ended_by_plugins.contains(&packets::stream(&talk.open.flow()));
            new && talk.established_at.is_none() && world.now.since(talk.opened_at) > ONE_RETRANSMISSION
        });
        match late {
            Some(talk) => Err(format!("{} is not established", talk.open.flow())),
            None => Ok(()),
        }
    }
}
