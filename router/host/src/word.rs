//! What a plugin says, what that means for its stream, and at whose stream it failed.

use herald_plugin::Scope;

use herald_core::flow::SourceNetwork;
use herald_core::inspector::{Action, Direction, Inspection, PerDirection, Standing, Verdict};

/// What a plugin says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// No opinion; with a wider scope: and ask me no more.
    Pass(Scope),
    /// Later plugins are not asked.
    Accept(Scope),
    /// Later plugins are not asked about this packet, this one is not asked about the stream any more.
    Bypass,
    /// The packet ends.
    End {
        /// Silently or not.
        action: Action,
        /// What it covers.
        scope: Scope,
        /// The reason's place in the plugin's book.
        reason: u8,
    },
    /// The plugin failed.
    Failed,
    /// The plugin is suspended and was not asked. A stream that is there is given to another node, and goes on there.
    Suspended(Scope),
    /// The plugin failed too often at streams of the same source and was not asked.
    Limited,
}

impl Said {
    /// The same, said when the stream started: what ends packets covers them all.
    pub(super) fn at_start(self) -> Self {
        match self {
            Self::End { action, reason, .. } => Self::End { action, scope: Scope::Stream, reason },
            Self::Pass(_) | Self::Accept(_) | Self::Bypass | Self::Failed | Self::Suspended(_) | Self::Limited => self,
        }
    }
}

/// Where a packet goes behind a plugin.
pub(super) enum Onward {
    /// To the next plugin.
    Next,
    /// Out of the chain, passed.
    Out,
    /// It ended.
    Ended(Verdict),
}

/// What a plugin's word means for the rest of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    /// Plugins that are not asked about packets any more.
    pub(super) skip: PerDirection<u32>,
    /// Plugins that are not shown bytes in order any more.
    pub(super) deaf: PerDirection<u32>,
    /// What ends.
    pub(super) standing: PerDirection<Standing>,
    /// Why: the reason's place in the plugin's book.
    pub(super) reason: u8,
    /// The seat whose book that is.
    pub(super) seat: usize,
}

impl Word {
    /// It is about more than the packet at which it was said.
    pub(super) fn is_about_stream(&self) -> bool {
        self.skip != PerDirection::default()
            || self.deaf != PerDirection::default()
            || self.standing != PerDirection::default()
    }

    /// Plugins that see no more bytes in order: all, of a stream that ends.
    pub(super) fn hushes(&self) -> Option<PerDirection<u32>> {
        if self.standing.is_ended() {
            return Some(PerDirection { from_opener: u32::MAX, to_opener: u32::MAX });
        }
        (self.deaf != PerDirection::default()).then_some(self.deaf)
    }

    /// These plugins see no more of these directions.
    pub(super) fn spare(&mut self, directions: &[Direction], plugins: u32) {
        for &direction in directions {
            self.skip[direction] |= plugins;
            self.deaf[direction] |= plugins;
        }
    }
}

/// At whose stream a plugin failed, and in what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) stream: u64,
    pub(super) source: SourceNetwork,
    pub(super) cause: &'static str,
}

/// What a plugin fails in.
pub(super) const IN_START: &str = "stream-started";
const IN_PACKETS: &str = "packets";
pub(super) const IN_END: &str = "stream-ended";
const IN_BYTES: &str = "stream-bytes";
const IN_VERDICT: &str = "verdict";
const IN_EFFECT: &str = "effect";

impl Fault {
    /// The plugin failed at a packet.
    pub(super) fn at(inspection: &Inspection) -> Self {
        Self::of(inspection, IN_PACKETS)
    }

    /// The plugin failed at the bytes that a packet has put in order.
    pub(super) fn in_bytes(inspection: &Inspection) -> Self {
        Self::of(inspection, IN_BYTES)
    }

    /// What the plugin said of a packet is no verdict.
    pub(super) fn by_verdict(inspection: &Inspection) -> Self {
        Self::of(inspection, IN_VERDICT)
    }

    /// What the plugin wanted done with a packet cannot be done.
    pub(super) fn by_effect(inspection: &Inspection) -> Self {
        Self::of(inspection, IN_EFFECT)
    }

    fn of(inspection: &Inspection, cause: &'static str) -> Self {
        let key = inspection.arrival.key();
        let opener = match inspection.direction {
            Direction::FromOpener => key.source(),
            Direction::ToOpener => key.destination(),
        };
        Self { stream: inspection.stream, source: SourceNetwork::of(opener.ip()), cause }
    }
}

/// The directions that a scope covers beyond the packet itself.
pub(super) fn covered(scope: Scope, direction: Direction) -> &'static [Direction] {
    match (scope, direction) {
        (Scope::Packet, _) => &[],
        (Scope::Flow, Direction::FromOpener) => &[Direction::FromOpener],
        (Scope::Flow, Direction::ToOpener) => &[Direction::ToOpener],
        (Scope::Stream, _) => &[Direction::FromOpener, Direction::ToOpener],
    }
}
