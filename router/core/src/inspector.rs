//! The one trait through which the core sees plugins, and what they say.

use std::fmt;

use crate::event::{DropReason, EndReason};
use crate::flow::FlowKey;
use crate::id::{NodeId, Slot};
use crate::packet::Arrival;
use crate::time::Instant;

/// Who sent a packet, seen from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the opener of the stream.
    FromOpener,
    /// To the opener: a return packet.
    ToOpener,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::FromOpener, Self::ToOpener];

    /// The way back.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::FromOpener => Self::ToOpener,
            Self::ToOpener => Self::FromOpener,
        }
    }
}

/// One value for each direction of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerDirection<T> {
    /// For packets from the opener.
    pub from_opener: T,
    /// For packets to the opener.
    pub to_opener: T,
}

impl<T> std::ops::Index<Direction> for PerDirection<T> {
    type Output = T;
    fn index(&self, direction: Direction) -> &T {
        match direction {
            Direction::FromOpener => &self.from_opener,
            Direction::ToOpener => &self.to_opener,
        }
    }
}

impl<T> std::ops::IndexMut<Direction> for PerDirection<T> {
    fn index_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::FromOpener => &mut self.from_opener,
            Direction::ToOpener => &mut self.to_opener,
        }
    }
}

/// What becomes of a packet, weak to strong; the strongest of the chain counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Action {
    /// Let it go on.
    #[default]
    Pass,
    /// Silently ended, with a reason.
    Drop,
    /// Ended, and both ends are told: TCP resets, ICMP prohibited.
    Reject,
}

/// Who ended a packet and why, as the plugins' host numbers both. The core knows nothing of it and passes it on; 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cause(pub u16);

/// What the chain says of a packet. Verdicts are equal if they do the same with it, whoever says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// A plugin rewrote the packet's bytes.
    pub rewritten: bool,
    /// The action comes from a plugin's fault, by its fault policy.
    pub fault: bool,
    /// Who ended it.
    pub cause: Cause,
    /// Why the host itself ended it, if no plugin did.
    pub by_host: Option<DropReason>,
}

impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        (self.action, self.rewritten, self.fault) == (other.action, other.rewritten, other.fault)
    }
}

impl Eq for Verdict {}

/// Whom the rest of one direction of a stream still interests, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Standing {
    /// A plugin may want to see its packets.
    #[default]
    Inspected,
    /// Nobody wants to see them: they pass.
    Uninspected,
    /// They end by this verdict, without a look at them.
    Ended(Verdict),
}

impl Standing {
    /// Takes on a later word, which counts if it is stronger.
    pub fn strengthen(&mut self, later: Self) {
        if later.strength() > self.strength() {
            *self = later;
        }
    }

    /// What ends every packet, if they end.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Inspected | Self::Uninspected => None,
            Self::Ended(verdict) => Some(verdict),
        }
    }

    fn strength(self) -> (u8, Action) {
        match self {
            Self::Inspected => (0, Action::Pass),
            Self::Uninspected => (1, Action::Pass),
            Self::Ended(verdict) => (2, verdict.action),
        }
    }
}

impl PerDirection<Standing> {
    /// Whom the rest of a stream still interests, by name.
    #[must_use]
    pub fn interest(&self) -> &'static str {
        let wanted = |standing: Standing| standing == Standing::Inspected;
        match (wanted(self.from_opener), wanted(self.to_opener)) {
            (true, true) => "plugins",
            (true, false) => "from-opener",
            (false, true) => "to-opener",
            (false, false) => "nobody",
        }
    }

    /// True if no plugin wants to see any more of the stream, and nothing of it ends.
    #[must_use]
    pub fn interests_nobody(&self) -> bool {
        (self.from_opener, self.to_opener) == (Standing::Uninspected, Standing::Uninspected)
    }

    /// True if both directions end.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.from_opener.verdict().is_some() && self.to_opener.verdict().is_some()
    }
}

/// A stream as plugins are told of it.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Number of the stream on this node, never reused in one boot.
    pub id: u64,
    /// The opener's flow, as it arrived.
    pub opener: FlowKey,
    /// This node.
    pub chosen: NodeId,
    /// The stream was taken up in its middle.
    pub midstream: bool,
}

/// A stream's counters, given to plugins at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Wire packets from the opener.
    pub packets_from_opener: u64,
    /// Ethernet bytes from the opener.
    pub bytes_from_opener: u64,
    /// Wire packets to the opener.
    pub packets_to_opener: u64,
    /// Ethernet bytes to the opener.
    pub bytes_to_opener: u64,
    /// When the stream started.
    pub started: Instant,
    /// When its last packet came.
    pub last_packet: Instant,
}

/// One packet for the chain, which answers with a verdict and with whom the rest of the stream still interests.
#[derive(Debug)]
pub struct Inspection {
    /// The packet as it came.
    pub arrival: Arrival,
    /// Who sent it.
    pub direction: Direction,
    /// The stream's number.
    pub stream: u64,
    /// Place of the stream's record.
    pub slot: Slot,
    /// What the chain says of it.
    pub verdict: Verdict,
    /// A plugin made it: it did not arrive.
    pub injected: bool,
    /// What stands for the stream behind this packet. It adds to what stood before, and takes nothing back.
    pub standing: PerDirection<Standing>,
}

impl Inspection {
    /// A packet that no plugin has seen.
    #[must_use]
    pub fn new(arrival: Arrival, direction: Direction, stream: u64, slot: Slot) -> Self {
        let (verdict, standing) = Default::default();
        Self { arrival, direction, stream, slot, verdict, injected: false, standing }
    }
}

/// What the host keeps in the record of each stream: plain data of at most [`HOST_PART_LEN_MAX`] bytes, of which the core
/// knows nothing. Its default is that of a stream which no plugin was told of.
///
/// [`HOST_PART_LEN_MAX`]: crate::limits::HOST_PART_LEN_MAX
pub trait HostPart: Copy + Default + fmt::Debug + 'static {}

impl<T: Copy + Default + fmt::Debug + 'static> HostPart for T {}

/// The host's parts of the streams of a batch.
pub trait Parts<H> {
    /// The part of a stream that has not ended, by the place of its record and its number; `None` if it has.
    fn part(&mut self, slot: Slot, stream: u64) -> Option<&mut H>;
}

/// What becomes of the streams that a node is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Readiness {
    /// The plugins judge them.
    #[default]
    Ready,
    /// A plugin is asked no more, and its fault policy ends what it would be asked about.
    Suspended,
}

/// The plugins as the core sees them. The host implements it with loaded libraries; tests with a few lines.
pub trait Inspector {
    /// What it keeps in each stream's record.
    type Part: HostPart;

    /// Makes room for what is kept of so many streams outside of their records, before there are so many. False if there is no
    /// memory for that.
    fn reserve(&mut self, streams: usize) -> bool {
        let _ = streams;
        true
    }

    /// A stream started. What stands for it from its first packet on is the answer; the part is new.
    fn stream_started(&mut self, now: Instant, stream: &Stream, part: &mut Self::Part) -> PerDirection<Standing>;

    /// Judges a batch of packets in order. Several may belong to one stream.
    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], parts: &mut dyn Parts<Self::Part>);

    /// Takes the packets that plugins made while they judged, each judged by the plugins behind its maker.
    fn take_injected(&mut self, injected: &mut Vec<Inspection>) {
        let _ = injected;
    }

    /// A stream ended. Nothing reads the part any more.
    fn stream_ended(
        &mut self,
        now: Instant,
        stream: &Stream,
        totals: &Totals,
        reason: EndReason,
        part: &mut Self::Part,
    );

    /// Time went on: what waits for that may be done. Called before [`readiness`](Self::readiness).
    fn time_passed(&mut self, now: Instant) {
        let _ = now;
    }

    /// Whether they judge now. It is asked after every batch.
    fn readiness(&self) -> Readiness;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stronger_word_counts() {
        let ended = |action, fault| Standing::Ended(Verdict { action, fault, ..Verdict::default() });
        let mut standing = Standing::default();
        for (later, after) in [
            (Standing::Inspected, Standing::Inspected),
            (Standing::Uninspected, Standing::Uninspected),
            (Standing::Inspected, Standing::Uninspected),
            (ended(Action::Drop, true), ended(Action::Drop, true)),
            (ended(Action::Drop, false), ended(Action::Drop, true)),
            (Standing::Uninspected, ended(Action::Drop, true)),
            (ended(Action::Reject, false), ended(Action::Reject, false)),
            (ended(Action::Drop, false), ended(Action::Reject, false)),
        ] {
            standing.strengthen(later);
            assert_eq!(standing, after);
        }
    }
}
