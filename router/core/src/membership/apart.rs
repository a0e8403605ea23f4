//! Whether this node takes part: it is silent on its interfaces until a member has admitted it or its wait for the others is
//! over, and it takes no role while a greater part of the cluster refuses it.
//!
//! ```text
//!                       first link is up, or the wait is over
//!   silent on both interfaces ------------------------------------> announces its addresses, answers, probes
//!
//!   starting -- has heard all, or the wait is over, and nobody bars it --> serves: takes roles
//!                               ^ a bar lasts APART_TIME from the last refusal on
//! ```
//!
//! Two nodes whose configurations differ where they must be equal refuse each other. Both know of both [`Side`]s, and conclude
//! the same: the part that serves goes on, then the greater one, then the one with the lower id. A node whose id is taken is
//! not admitted by that member, and waits until it is.

use std::cmp::Reverse;

use super::{Change, Membership};
use crate::id::NodeId;
use crate::limits::APART_TIME;
use crate::mesh::Side;
use crate::outbox::Outbox;
use crate::time::Instant;

/// Why a node and its peer have no link, although they can reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Their configurations differ in what must be equal; the peer is in this part of the cluster.
    Configuration(Side),
    /// The peer has a living link with another node of this node's id.
    IdTaken,
}

impl Membership {
    /// This node and a peer refuse each other, or the peer refuses this node. To be told each time that it happens.
    ///
    /// A configuration stays for a boot: the boot of a peer that was a member is over once its configuration is another. Of a
    /// peer whose link is up it says nothing: who is refused is another node with its id.
    pub fn kept_apart(&mut self, now: Instant, peer: NodeId, apart: Apart, out: &mut Outbox) {
        let bars = match apart {
            Apart::Configuration(theirs) => (theirs, Reverse(peer)) > (self.side(), Reverse(self.settings.node)),
            // A node that serves is a member of others: two parts of a cut cluster may have met.
            Apart::IdTaken => self.starting_until.is_some(),
        };
        let Some(member) = self.peer_mut(peer).filter(|member| !member.link_up) else { return };
        member.barred_until = bars.then(|| now + APART_TIME);
        if let Apart::Configuration(_) = apart {
            member.is_proven_dead = true;
            if member.lives() {
                self.died(peer, out);
            }
        }
        self.settle(now, out);
    }

    /// The part of the cluster that this node is in.
    #[must_use]
    pub fn side(&self) -> Side {
        let linked = self.members.iter().filter(|member| member.link_up);
        Side { serves: self.has_started(), nodes: u8::try_from(linked.count()).unwrap_or(u8::MAX) }
    }

    /// True once this node is to be seen and heard on its interfaces.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.admitted
    }

    pub(super) fn admit(&mut self) {
        if !std::mem::replace(&mut self.admitted, true) {
            self.note(Change::Admitted);
        }
    }

    /// When the wait for the others may be over: not before the last bar.
    pub(super) fn start_deadline(&self) -> Option<Instant> {
        let barred_until = self.members.iter().filter_map(|member| member.barred_until).max();
        self.starting_until.map(|until| barred_until.map_or(until, |barred| barred.max(until)))
    }

    /// True while a peer that refuses this node keeps it from taking roles.
    pub(super) fn is_barred(&self, now: Instant) -> bool {
        self.members.iter().any(|member| member.barred_until.is_some_and(|until| now < until))
    }
}
