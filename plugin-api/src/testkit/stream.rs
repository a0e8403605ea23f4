//! A stream of a test, and what stands for it.

#![expect(clippy::indexing_slicing, reason = "two places, one for each direction, and a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use super::order::Order;
use super::said::Said;
use super::state::State;
use crate::{Action, Direction, abi};

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) protocol: u8,
    pub(super) opener: SocketAddr,
    pub(super) other: SocketAddr,
    pub(super) started: Duration,
    /// The plugin's state; none once the stream has ended, or the plugin has failed in it.
    pub(super) state: Option<State>,
    /// The next sequence number of the opener and of the other end.
    pub(super) sequences: [u32; 2],
    /// What stands for packets from the opener and for those to it.
    pub(super) standing: [Option<Said>; 2],
    /// Bytes in order, likewise; none that the plugin does not want.
    pub(super) order: [Option<Order>; 2],
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
}

impl Stream {
    /// A verdict on more than a packet stands. What passes packets alone leaves bytes to be asked about.
    pub(super) fn stand(&mut self, direction: Direction, scope: u8, said: &Said) {
        let scope = if said.action() == Some(Action::Bypass) { abi::HERALD_SCOPE_STREAM } else { scope };
        for place in covered(direction, scope) {
            self.standing[place] = Some(said.clone());
        }
        if said.action() != Some(Action::Pass) {
            self.hush(direction, scope);
        }
    }

    /// The plugin wants no more bytes.
    pub(super) fn hush(&mut self, direction: Direction, scope: u8) {
        for place in covered(direction, scope) {
            self.order[place] = None;
        }
    }

    /// The plugin has failed.
    pub(super) fn fail(&mut self) -> Said {
        self.state = None;
        self.standing = [Some(Said::Failed), Some(Said::Failed)];
        Said::Failed
    }
}

/// The places of the directions that a scope covers beyond the packet itself.
fn covered(direction: Direction, scope: u8) -> impl Iterator<Item = usize> {
    let own = usize::from(direction == Direction::ToOpener);
    let covers = move |place: &usize| match scope {
        abi::HERALD_SCOPE_STREAM => true,
        abi::HERALD_SCOPE_FLOW => *place == own,
        _ => false,
    };
    (0..2).filter(covers)
}
