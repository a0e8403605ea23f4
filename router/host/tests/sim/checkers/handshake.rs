//! L3: a new stream completes its handshake within one retransmission of the SYN. While one fault stands and nothing else
//! is wrong, that goes for every stream from the fault's first moment on. It does not go for a stream whose SYN a host has
//! forged before it was established: the end that has taken that for the true one lets the true one wait until its own answer
//! is refused, whatever is between the two.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::id::Interface;
use herald_core::time::Instant;

use super::Checker;
use crate::host::{Progress, Talk};
use crate::packets;
use crate::scenario::{Action, Hostility, Protocol};
use crate::world::{SETTLED_MS, Sight, World, at_ms};

/// The stacks' first retransmission time-out, and a little for the way.
const ONE_RETRANSMISSION: Duration = Duration::from_millis(1_300);

/// The same and one of the answer: of a process that stops and goes on, a SYN waits in its device and the answer comes
/// before its links are back.
const TWO_RETRANSMISSIONS: Duration = Duration::from_millis(2_300);

/// Time in which a standing fault is noticed and its roles are taken over.
const KNOWN: Duration = Duration::from_secs(2);

/// Datagrams that take longer than an announcement and its answer over the slowest mesh: all before are lost, as no hold is
/// that long.
const DATAGRAMS: u32 = 12;

/// How long a forged SYN is on its way at most: parked, then held.
const FORGED_WAY_MAX: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Handshake {
    /// When a SYN was forged last, by its interface and its connection's key.
    forged: BTreeMap<(Interface, u16), Instant>,
}

impl Checker for Handshake {
    fn invariant(&self) -> &'static str {
        "L3"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        if let Sight::Acted(Action::Hostile { interface, what: Hostility::Syn(key) }) = sight {
            self.forged.insert((*interface, *key), world.now);
        }
        let Sight::Sampled = sight else { return Ok(()) };
        if world.silent {
            return Ok(());
        }
        let most = if world.standing.comes_and_goes() { TWO_RETRANSMISSIONS } else { ONE_RETRANSMISSION };
        let from = world.standing.alone_since().unwrap_or(at_ms(SETTLED_MS));
        let late = world.talks.iter().find(|talk| {
            let new = talk.opened_at >= from && talk.open.is_tcp() || is_unheard(world, talk);
            let new = new && !world.ended_by_plugins.contains(&packets::stream(&talk.open.flow()));
            new && talk.established_at.is_none() && world.now.since(talk.opened_at) > most && !self.is_forged(talk)
        });
        match late {
            Some(talk) => Err(format!("{} is not established", talk.open.flow())),
            None => Ok(()),
        }
    }
}

impl Handshake {
    /// The other end may have taken a forged SYN for the one that opens it.
    fn is_forged(&self, talk: &Talk) -> bool {
        let forged = self.forged.get(&(talk.open.from, talk.open.key));
        talk.open.protocol == Protocol::Tcp4 && forged.is_some_and(|forged| *forged + FORGED_WAY_MAX >= talk.opened_at)
    }
}

/// A UDP stream that opened when a standing fault was known for long, said much, and got no answer.
fn is_unheard(world: &World, talk: &Talk) -> bool {
    let known = world.standing.alone_since().filter(|_| !world.standing.comes_and_goes()).map(|since| since + KNOWN);
    let is_long = !talk.open.is_tcp() && talk.open.request >= DATAGRAMS;
    known.is_some_and(|known| talk.opened_at >= known) && is_long && talk.progress == Progress::Done
}
