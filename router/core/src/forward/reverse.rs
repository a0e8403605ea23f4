//! Where a packet came from: whether its source may be there (RFC 3704), and whether it goes back out of the same interface.
//!
//! The source is looked at once for each stream, when it begins: its other packets have the same one, and the return packets
//! have the destination that the first packet was routed to.

use super::martians::{Scope, scope_of};
use super::routes::Found;
use super::{Forward, ReversePath};
use crate::event::DropReason;
use crate::flow::Hop;
use crate::id::Interface;
use crate::packet::{Arrival, Headers};
use crate::session::Opening;

impl Forward {
    /// Whether a stream may begin with a packet that arrived at `interface` and has these headers. Addresses that may not cross
    /// a router have a reason of their own, in [`Forward::route`].
    ///
    /// # Errors
    /// [`DropReason::ReversePath`].
    #[inline(never)]
    pub fn check_source(&self, interface: Interface, headers: &Headers) -> Result<(), DropReason> {
        let is_where_it_may_be = || match (self.reverse_path, self.routes.look_up(headers.source)) {
            (ReversePath::Off, _) | (ReversePath::Loose, Found::Hop(_) | Found::Several(_)) => true,
            (ReversePath::Strict, Found::Hop(hop)) => hop.interface == interface,
            (ReversePath::Strict, Found::Several(number)) => {
                self.routes.gateways.of(number).iter().any(|hop| hop.interface == interface)
            }
            (ReversePath::Loose | ReversePath::Strict, Found::Broadcast | Found::Nothing) => false,
        };
        match scope_of(headers.source, headers.destination) {
            Scope::Martian | Scope::Multicast => Ok(()),
            Scope::Global if is_where_it_may_be() => Ok(()),
            Scope::Global => Err(DropReason::ReversePath),
        }
    }

    /// What a packet without a session may be. TCP in mid-stream that leaves by the interface where it came opens a stream as a
    /// datagram does: its network leads the other direction past the cluster, and may have done so with the first packet.
    #[must_use]
    pub fn opening(&self, arrival: &Arrival) -> Opening {
        match Opening::of(&arrival.headers) {
            Opening::Midstream if self.leads_back(arrival) => Opening::Opens,
            opening @ (Opening::Connects | Opening::Opens | Opening::Midstream | Opening::Quotes) => opening,
        }
    }

    fn leads_back(&self, arrival: &Arrival) -> bool {
        self.routes.hop_to(arrival.headers.destination, 0).is_some_and(|hop| hop.interface == arrival.interface)
    }
}

/// True for a packet that would go back to the host that it is from.
#[cold]
pub(super) fn turns_on_the_spot(headers: &Headers, hop: &Hop) -> bool {
    headers.source == headers.destination || headers.source == hop.next_hop
}
