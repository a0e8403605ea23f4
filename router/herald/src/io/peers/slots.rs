//! The connections of [`super::Peers`], each at a place that is also its token.

use super::PeerError;
use crate::io::peer_socket::PeerSocket;
use herald_core::mesh::Greeting;
use herald_core::time::Instant;

/// A connection and what is known of it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) socket: PeerSocket,
    /// Counts connections: the higher, the newer.
    pub(super) serial: u64,
    /// Place in `Peers::peers`, once it is known.
    pub(super) peer: Option<usize>,
    /// [`PeerEvent::Up`] was told.
    pub(super) told_up: bool,
    pub(super) failed: Option<PeerError>,
    /// When messages that are not urgent are due to be written; never: none are delayed.
    pub(super) write_by: Instant,
    /// It waits for the word of an older connection.
    pub(super) challenge: Option<Challenge>,
}

/// A node that has said hello with the id of a peer whose older connection is up and is asked whether it lives.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    pub(super) greeting: Greeting,
    /// The older connection, by its number.
    pub(super) older: u64,
    /// Until when its answer is awaited.
    pub(super) until: Instant,
}

impl Slot {
    /// When something is due for the connection itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.challenge.as_ref().map(|challenge| challenge.until).or_else(|| self.socket.link().next_deadline())
    }
}

/// Connections by their places. A place is used again once its connection has ended: an event that comes too late for
/// the old one makes the new one look, and find nothing.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    serial: u64,
}

impl Slots {
    /// A place without a connection. There are never more than peers and unidentified links together.
    pub(super) fn free_place(&mut self) -> usize {
        self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    /// Puts the newest connection there; its peer is known already if this node dialled.
    pub(super) fn fill(&mut self, place: usize, socket: PeerSocket, peer: Option<usize>) {
        self.serial += 1;
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(Slot {
                socket,
                serial: self.serial,
                peer,
                told_up: false,
                failed: None,
                write_by: Instant::NEVER,
                challenge: None,
            });
        }
    }

    /// The connection there.
    pub(super) fn get(&self, place: usize) -> Option<&Slot> {
        self.slots.get(place)?.as_ref()
    }

    /// The connection there, to change it.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Slot> {
        self.slots.get_mut(place)?.as_mut()
    }

    /// Takes the connection away.
    pub(super) fn take(&mut self, place: usize) -> Option<Slot> {
        self.slots.get_mut(place)?.take()
    }

    /// Its number; 0 if there is none.
    pub(super) fn serial_of(&self, place: usize) -> u64 {
        self.get(place).map_or(0, |slot| slot.serial)
    }

    /// All places.
    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.slots.len()
    }

    /// All connections.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }
}
