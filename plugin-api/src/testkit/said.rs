//! What a plugin says, as a test reads it.

use crate::abi::{self, HeraldVerdict};
use crate::{Action, Scope};

/// What becomes of a packet, or of a stream at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A verdict of the plugin, or one that stands.
    Verdict {
        /// The action.
        action: Action,
        /// What it covers.
        scope: Scope,
        /// The reason of a drop or reject.
        reason: Option<String>,
    },
    /// The plugin panicked.
    Failed,
}

impl Said {
    /// The packet goes on.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Verdict { action: Action::Pass | Action::Accept | Action::Bypass, .. })
    }

    /// Why it does not go on.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Verdict { reason, .. } => reason.as_deref(),
            Self::Failed => None,
        }
    }

    /// The action, unless the plugin failed.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Verdict { action, .. } => Some(*action),
            Self::Failed => None,
        }
    }

    pub(super) fn of(verdict: &HeraldVerdict) -> Self {
        let action = match verdict.action {
            abi::HERALD_ACTION_PASS => Action::Pass,
            abi::HERALD_ACTION_ACCEPT => Action::Accept,
            abi::HERALD_ACTION_BYPASS => Action::Bypass,
            abi::HERALD_ACTION_DROP => Action::Drop,
            abi::HERALD_ACTION_REJECT => Action::Reject,
            _ => return Self::Failed,
        };
        let scope = match verdict.scope {
            abi::HERALD_SCOPE_PACKET => Scope::Packet,
            abi::HERALD_SCOPE_FLOW => Scope::Flow,
            abi::HERALD_SCOPE_STREAM => Scope::Stream,
            _ => return Self::Failed,
        };
        Self::Verdict { action, scope, reason: super::state::reason(verdict) }
    }
}
