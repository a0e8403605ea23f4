//! What happens on connections: hellos, messages, numbers, ends.

use super::apart::is_lasting;
use super::{Haste, PeerEvent, Peers, Turn, Unsent};
use crate::io::peer_socket::Budget;
use herald_core::limits;
use herald_core::mesh::link::{Input, LinkEvent, Origin};
use herald_core::mesh::resend::Arrival;
use herald_core::mesh::{Greeting, Lane, Message, PeerError};
use herald_core::time::Instant;

impl Peers {
    /// Reads, acts on what was read, writes what waited for the socket. How far the peer's messages have come is said at the
    /// next [`Peers::flush`], as an answer to one of them may go with it.
    pub(super) fn advance(&mut self, place: usize, turn: &mut Turn<'_>) {
        if self.handshakes.0 != turn.now {
            self.handshakes = (turn.now, limits::TURN_HANDSHAKES_MAX);
        }
        let mut budget = Budget { bytes: limits::TURN_LINK_BYTES_MAX, handshakes: self.handshakes.1 };
        while let Some(slot) = self.slots.get_mut(place) {
            match slot.socket.next_event(turn.now, &self.identity, &mut budget) {
                Some(event) => self.happened(place, event, turn),
                None => break,
            }
        }
        self.handshakes.1 = budget.handshakes;
        if self.slots.get(place).is_some_and(|slot| slot.write_by == Instant::NEVER) {
            self.write(place, turn);
        }
        if self.tell_received(place, limits::UNTOLD_MESSAGES_MAX) {
            self.unflushed.push(place);
        }
    }

    pub(super) fn write(&mut self, place: usize, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.write_by = Instant::NEVER;
        if let Some(event) = slot.socket.flush(turn.now, &self.identity) {
            self.happened(place, event, turn);
        }
    }

    /// Writes what is not urgent and was due by `time`.
    pub(super) fn write_delayed(&mut self, place: usize, time: Instant, turn: &mut Turn<'_>) {
        if self.slots.get(place).is_some_and(|slot| slot.write_by != Instant::NEVER && slot.write_by <= time) {
            self.tell_received(place, 1);
            self.write(place, turn);
        }
    }

    pub(super) fn time_out(&mut self, place: usize, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        if slot.challenge.is_some() {
            return self.unanswered(place, turn);
        }
        if let Some(event) = slot.socket.link_mut().step(turn.now, &self.identity, Input::DeadlineReached) {
            self.happened(place, event, turn);
        }
    }

    /// Puts a frame behind those that wait.
    pub(super) fn send_frame(&mut self, index: usize, message: &Message) -> Result<(), Unsent> {
        let place = self.peers.get(index).and_then(|peer| peer.way(Lane::Frames).slot).ok_or(Unsent::Unreachable)?;
        let slot = self.slots.get_mut(place).filter(|slot| slot.told_up).ok_or(Unsent::Unreachable)?;
        let waited = !slot.socket.link().unsent().is_empty();
        // No frame is over the bound of its message.
        slot.socket.link_mut().send(message).map_err(|_| Unsent::QueueFull)?;
        if !waited {
            self.unflushed.push(place);
        }
        Ok(())
    }

    /// Puts a message behind those that wait; a numbered one also if the link is lost and may come back.
    pub(super) fn send_control(&mut self, index: usize, message: &Message, haste: Haste) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let place = peer.way(Lane::Control).slot;
        let up = place.and_then(|place| self.slots.get_mut(place).filter(|slot| slot.told_up && slot.failed.is_none()));
        let waited = up.as_ref().is_some_and(|slot| slot.socket.has_unsent());
        let sent = match (message.is_numbered(), up.is_some() || peer.resend.is_expected()) {
            (true, true) => peer.resend.keep(message).and_then(|bytes| match up {
                Some(slot) => slot.socket.link_mut().send_encoded(bytes),
                None => Ok(()),
            }),
            (false, _) if up.is_some() => up.map_or(Ok(()), |slot| slot.socket.link_mut().send(message)),
            (true | false, _) => {
                self.unsendable += 1;
                return;
            }
        };
        let Some(place) = place else {
            self.unsendable += u64::from(sent.is_err());
            return;
        };
        match sent {
            Ok(()) => self.is_to_write(place, haste, waited),
            Err(error) => {
                self.unsendable += 1;
                if let Some(slot) = self.slots.get_mut(place).filter(|_| matches!(error, PeerError::QueueFull { .. })) {
                    slot.failed = Some(error);
                    self.unflushed.push(place);
                }
            }
        }
    }

    /// A message was put behind what waits there; `waited`: other bytes were waiting before it. A link that is not up yet begins
    /// with all that its peer has not acknowledged.
    fn is_to_write(&mut self, place: usize, haste: Haste, waited: bool) {
        let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.told_up) else { return };
        match haste {
            // What waited before and is not delayed waits for the socket, or is on the list already.
            Haste::Urgent if waited && slot.write_by == Instant::NEVER => {}
            Haste::Urgent => {
                slot.write_by = Instant::NEVER;
                self.unflushed.push(place);
            }
            Haste::By(_) if waited => {}
            Haste::By(time) => slot.write_by = time,
        }
    }

    /// Says how far the peer's messages have come, if it does not know of at least so many. True if something is to be
    /// written now.
    pub(super) fn tell_received(&mut self, place: usize, untold_min: u64) -> bool {
        let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.told_up) else { return false };
        let peer = slot.peer.and_then(|index| self.peers.get_mut(index));
        let resend = peer.map(|peer| &mut peer.resend).filter(|_| slot.socket.link().lane() == Lane::Control);
        let Some(resend) = resend.filter(|resend| resend.untold() >= untold_min) else { return false };
        // It is never too long for its kind.
        resend.tell().is_some_and(|number| slot.socket.link_mut().send_received(number).is_ok())
    }

    fn happened(&mut self, place: usize, event: LinkEvent, turn: &mut Turn<'_>) {
        let index = self.slots.get(place).and_then(|slot| slot.peer);
        let noted = match event {
            LinkEvent::Up(greeting) => return self.identified(place, greeting, turn),
            LinkEvent::Closed(error) => Err(error),
            LinkEvent::Arrived(number, message) => self.number_arrived(index, number).map(|arrival| {
                let peer = index.and_then(|index| self.peers.get_mut(index));
                if let Some(peer) = peer.filter(|_| arrival == Arrival::New) {
                    peer.way_mut(message.lane()).failures = 0;
                    turn.told.push(PeerEvent::Arrived(peer.node, message));
                }
            }),
            LinkEvent::Skipped(number) => self.number_arrived(index, number).map(drop),
            LinkEvent::Pinged(nonce) => self.pinged(place, nonce),
            LinkEvent::Ponged(nonce) => return self.ponged(place, nonce, turn),
            LinkEvent::Received(number) => index
                .and_then(|index| self.peers.get_mut(index))
                .map_or(Ok(()), |peer| peer.resend.acknowledged(number)),
        };
        if let Err(error) = noted {
            self.end(place, error, turn);
        }
    }

    /// What a message is by its number; without one it is always new.
    fn number_arrived(&mut self, index: Option<usize>, number: Option<u64>) -> Result<Arrival, PeerError> {
        let peer = index.and_then(|index| self.peers.get_mut(index));
        peer.zip(number).map_or(Ok(Arrival::New), |(peer, number)| peer.resend.arrived(number))
    }

    /// A good hello came: the connection is up, in the place of an older one if there is one.
    pub(super) fn identified(&mut self, place: usize, greeting: Greeting, turn: &mut Turn<'_>) {
        let (node, lane) = (greeting.hello.node, greeting.lane);
        let Some(index) = self.peers.iter().position(|peer| peer.node == node) else {
            return self.end(place, PeerError::UnknownNode { node }, turn);
        };
        let beside = self.peers.get(index).and_then(|peer| peer.boot);
        if lane == Lane::Frames && beside != Some(greeting.hello.boot) {
            return self.end(place, PeerError::NoControl { node }, turn);
        }
        if self.is_challenged(place, index, &greeting, turn) {
            return;
        }
        if node > self.identity.hello.node && self.was_accepted(place) {
            return self.introduced(place, index, turn);
        }
        let older = self.peers.get(index).and_then(|peer| peer.way(lane).slot).filter(|other| *other != place);
        if let Some(other) = older {
            if self.slots.serial_of(other) > self.slots.serial_of(place) && !self.is_introduction(other) {
                return self.end(place, PeerError::OlderLink { node }, turn);
            }
            self.end(other, PeerError::Replaced, turn);
        }
        self.set_slot(index, lane, Some(place));
        if let Err(error) = self.begin(place, index, &greeting) {
            return self.end(place, error, turn);
        }
        match lane {
            Lane::Control => {
                self.compare(index, &greeting.hello, turn);
                turn.told.push(PeerEvent::Up(greeting.hello));
            }
            Lane::Frames => turn.told.push(PeerEvent::FramesUp(node)),
        }
    }

    /// Answers a hello, and sends again what the peer may have missed.
    fn begin(&mut self, place: usize, index: usize, greeting: &Greeting) -> Result<(), PeerError> {
        let (Some(slot), Some(peer)) = (self.slots.get_mut(place), self.peers.get_mut(index)) else { return Ok(()) };
        slot.peer = Some(index);
        let accepted = slot.socket.link().origin() == Origin::Accepted;
        match greeting.lane {
            Lane::Control => {
                peer.resend.linked(greeting.hello.boot, greeting.resume)?;
                if accepted {
                    slot.socket.link_mut().answer(&self.identity, peer.resend.resume())?;
                }
                slot.socket.link_mut().send_encoded(peer.resend.unacknowledged())?;
                slot.socket.bound_send_buffer();
                peer.boot = Some(greeting.hello.boot);
            }
            Lane::Frames => {
                if accepted {
                    slot.socket.link_mut().answer(&self.identity, None)?;
                }
                slot.socket.bound_untaken_time();
            }
        }
        peer.way_mut(Lane::Frames).failures = 0;
        slot.told_up = true;
        Ok(())
    }

    /// Ends a connection and reports it, as a lost link if it was one. Without control there are no frames.
    pub(super) fn end(&mut self, place: usize, error: PeerError, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.take(place) else { return };
        let (replaced, introduction) = (error == PeerError::Replaced, self.introduces(&slot));
        let link = slot.socket.link();
        self.unknown_kinds += link.unknown_kinds();
        let (address, lane, dialled) = (slot.socket.address(), link.lane(), link.origin() != Origin::Accepted);
        slot.socket.close(turn.registry);
        if let Some(index) = slot.peer {
            self.set_slot(index, lane, None);
            if dialled {
                self.dial_later(index, lane, turn.now);
            }
        }
        let Some(peer) = slot.peer.and_then(|index| self.peers.get_mut(index)).filter(|_| slot.told_up) else {
            if introduction && !is_lasting(&error) {
                return self.count_refusal(&error);
            }
            return self.refuse(address, error, turn);
        };
        *self.refusals.entry(error.name()).or_default() += 1;
        match lane {
            Lane::Control => {
                peer.boot = None;
                turn.told.push(PeerEvent::Lost(peer.node, error));
                let frames = peer.way(Lane::Frames).slot;
                if let Some(frames) = frames {
                    self.end(frames, PeerError::ControlLost, turn);
                }
                if !replaced {
                    self.not_answered_by(slot.serial, turn);
                }
            }
            Lane::Frames => turn.told.push(PeerEvent::FramesLost(peer.node, error)),
        }
    }
}
