//! What a plugin says: an action, its scope and, for a drop, a reason.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::abi;

/// What becomes of a packet, weak to strong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// No opinion, next plugin.
    #[default]
    Pass,
    /// Skip the rest of the chain.
    Accept,
    /// Skip the rest of the chain for this packet, and do not call me again for this stream.
    Bypass,
    /// Keep it until it is resolved or its time is over. Reserved: not yet built.
    Hold,
    /// End it silently.
    Drop,
    /// End it and tell both ends.
    Reject,
}

impl Action {
    pub(crate) const fn to_abi(self) -> u8 {
        match self {
            Self::Pass => abi::HERALD_ACTION_PASS,
            Self::Accept => abi::HERALD_ACTION_ACCEPT,
            Self::Bypass => abi::HERALD_ACTION_BYPASS,
            Self::Hold => abi::HERALD_ACTION_HOLD,
            Self::Drop => abi::HERALD_ACTION_DROP,
            Self::Reject => abi::HERALD_ACTION_REJECT,
        }
    }
}

/// How much a verdict covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// This packet.
    #[default]
    Packet,
    /// This and all later packets of the stream in the same direction.
    Flow,
    /// This and all later packets of the stream.
    Stream,
}

/// Why a plugin ends packets: a short text such as `not-ssh`, shown in reports and counted by the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(&'static str);

/// What a plugin says of a packet, or of a whole stream when it starts.
///
/// ```
/// # use herald_plugin::prelude::*;
/// let quiet = Verdict::pass().for_stream(); // no opinion, and ask me no more about this stream
/// let end = Verdict::reject("not-ssh").for_stream();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    action: Action,
    scope: Scope,
    reason: Reason,
}

impl Verdict {
    /// No opinion: the next plugin decides. With a wider scope: and do not ask me again within that scope.
    #[must_use]
    pub const fn pass() -> Self {
        Self::new(Action::Pass, Reason(""))
    }

    /// The packet is good: later plugins do not see it. With a wider scope: nor any other packet within that scope.
    #[must_use]
    pub const fn accept() -> Self {
        Self::new(Action::Accept, Reason(""))
    }

    /// The packet is good: later plugins do not see it, and this plugin sees no more of the stream.
    #[must_use]
    pub const fn bypass() -> Self {
        Self::new(Action::Bypass, Reason(""))
    }

    pub(crate) const fn hold() -> Self {
        Self::new(Action::Hold, Reason(""))
    }

    /// Ends the packet silently.
    #[must_use]
    pub fn drop(reason: impl Into<Reason>) -> Self {
        Self::new(Action::Drop, reason.into())
    }

    /// Ends the packet and tells both ends: TCP resets, ICMP prohibited.
    #[must_use]
    pub fn reject(reason: impl Into<Reason>) -> Self {
        Self::new(Action::Reject, reason.into())
    }

    /// Covers this direction of the stream from here on.
    #[must_use]
    pub const fn for_flow(self) -> Self {
        Self { scope: Scope::Flow, ..self }
    }

    /// Covers the stream from here on.
    #[must_use]
    pub const fn for_stream(self) -> Self {
        Self { scope: Scope::Stream, ..self }
    }

    /// What becomes of the packet.
    #[must_use]
    pub const fn action(self) -> Action {
        self.action
    }

    /// How much that covers.
    #[must_use]
    pub const fn scope(self) -> Scope {
        self.scope
    }

    /// The reason; empty unless the action ends packets.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.reason.0
    }

    const fn new(action: Action, reason: Reason) -> Self {
        Self { action, scope: Scope::Packet, reason }
    }

    pub(crate) fn to_abi(self) -> abi::HeraldVerdict {
        abi::HeraldVerdict {
            action: self.action.to_abi(),
            scope: match self.scope {
                Scope::Packet => abi::HERALD_SCOPE_PACKET,
                Scope::Flow => abi::HERALD_SCOPE_FLOW,
                Scope::Stream => abi::HERALD_SCOPE_STREAM,
            },
            reserved: 0,
            reason_len: u32::try_from(self.reason.0.len()).unwrap_or_default(),
            reason: self.reason.0.as_ptr(),
        }
    }
}

impl Reason {
    /// A reason whose text is known only at run time, such as the name of a configured rule. For `configure`, not for
    /// the way of packets: each distinct text is kept for the life of the process.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&known) = texts.get(text) {
            return Self(known);
        }
        let kept: &'static str = Box::leak(text.into());
        texts.insert(kept);
        Self(kept)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_ordered_weak_to_strong() {
        let numbers = [Verdict::pass(), Verdict::accept(), Verdict::bypass(), Verdict::drop("x"), Verdict::reject("x")]
            .map(|verdict| verdict.to_abi().action);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn a_reason_from_text_is_kept_once() {
        let (one, other) = (Reason::from_text("rule-1"), Reason::from_text(&format!("rule-{}", 1)));
        assert!(std::ptr::eq(one.0, other.0));
    }
}
