//! The parts of a turn: taking frames, deadlines, and carrying out what the node decided.

use super::EventLoop;
use super::log::log;
use super::port::Came;
use crate::app::watchdog::Phase;
use crate::io::peers::{Peers, Unsent};
use crate::io::{Usable, clock};
use herald_core::event::{DropReason, Event};
use herald_core::id::Interface;
use herald_core::limits::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX, DELAYED_WRITE_TIME_MAX, TURN_FRAMES_MAX};
use herald_core::membership::InterfaceState;
use herald_core::time::Instant;
use herald_core::turn::Turn;

impl EventLoop {
    /// Takes a turn's frames from both interfaces, in batches by turns, so that neither waits long for the other; what is
    /// left waits for the next turn.
    pub(super) fn take_frames(&mut self) {
        for _ in 0..TURN_FRAMES_MAX / BATCH_PACKETS_MAX {
            for interface in Interface::BOTH {
                if self.parts.ports[interface].readable {
                    // The clock is read once for the batch.
                    let now = clock::now();
                    self.parts.progress.enter(Phase::Frames);
                    self.take_batch(now, interface);
                    self.carry_out(now);
                }
            }
        }
    }

    /// Takes frames until the interface is empty or the batch is full.
    fn take_batch(&mut self, now: Instant, interface: Interface) {
        let mut bytes = 0;
        for _ in 0..BATCH_PACKETS_MAX {
            let port = &mut self.parts.ports[interface];
            match port.take(&mut self.pool) {
                Came::Frame(frame) => {
                    bytes += frame.bytes().len();
                    let turn = &mut Turn::new(now, &mut self.parts.plugins, &mut self.out);
                    self.parts.node.frame_arrived(turn, interface, frame);
                }
                Came::Lost(reason) => {
                    self.out.ledger.arrived[interface] += 1;
                    self.out.count_drop(reason);
                }
                Came::Nothing => {
                    port.readable = false;
                    return;
                }
                Came::Gone => {
                    port.readable = false;
                    tracing::error!("TAP {} is gone: the {interface} interface is down", port.name);
                    self.became(now, interface, Usable::No);
                    return;
                }
            }
            if bytes >= BATCH_BYTES_MAX {
                return;
            }
        }
    }

    /// Reads the news of an interface's device.
    pub(super) fn look_at(&mut self, now: Instant, interface: Interface) {
        if let Some(usable) = self.parts.ports[interface].watch.read() {
            self.became(now, interface, usable);
        }
    }

    fn became(&mut self, now: Instant, interface: Interface, usable: Usable) {
        if std::mem::replace(&mut self.parts.ports[interface].usable, usable) == usable {
            return;
        }
        let state = match usable {
            Usable::Yes => InterfaceState::Up,
            Usable::No => InterfaceState::Down,
        };
        tracing::info!("the {interface} interface is {state:?}");
        let turn = &mut Turn::new(now, &mut self.parts.plugins, &mut self.out);
        self.parts.node.interface_changed(turn, interface, state);
        self.carry_out(now);
    }

    /// Treats what is due, and sees when something is due next.
    pub(super) fn deadlines(&mut self) {
        self.parts.progress.enter(Phase::Deadlines);
        let now = clock::now();
        self.hear_peers(now);
        self.due = self.next_deadline();
        if self.due <= now {
            self.deadline_reached(now);
            self.due = self.next_deadline();
        }
    }

    fn next_deadline(&self) -> Instant {
        let peers = self.parts.peers.as_ref().and_then(Peers::next_deadline);
        let due = [self.parts.node.next_deadline(), peers, self.waiting.next_deadline(), self.cluster.next_deadline()];
        due.into_iter().flatten().min().unwrap_or(Instant::NEVER)
    }

    /// Treats what is due, for the node and for the links.
    fn deadline_reached(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if let Some(peers) = self.parts.peers.as_mut().filter(|peers| due(peers.next_deadline())) {
            peers.set_side(self.parts.node.membership().side());
            peers.deadline_reached(now, self.parts.poll.registry(), &mut self.told);
        }
        if due(self.parts.node.next_deadline()) {
            self.parts.node.deadline_reached(&mut Turn::new(now, &mut self.parts.plugins, &mut self.out));
        }
        self.carry_out(now);
        self.hear_peers(now);
    }

    /// Goes on with streams that redirectors have asked for in bulk, as far as the links take them now.
    pub(super) fn send_bulk(&mut self) {
        self.bulk = false;
        if !self.parts.node.has_bulk() {
            return;
        }
        let now = clock::now();
        let peers = self.parts.peers.as_ref();
        let room = |to| peers.map_or(0, |peers| peers.room(to));
        let turn = &mut Turn::new(now, &mut self.parts.plugins, &mut self.out);
        self.bulk = self.parts.node.send_bulk(turn, &room);
        self.carry_out(now);
    }

    /// Lets the plugins judge what waits for them and carries out what the node decided: messages first, as other nodes
    /// wait for them, and links with an urgent one are written before the first frame leaves; then frames, then events, then
    /// buffers back to the pool.
    pub(super) fn carry_out(&mut self, now: Instant) {
        self.parts.progress.enter(Phase::Plugins);
        self.parts.node.batch_ended(&mut Turn::new(now, &mut self.parts.plugins, &mut self.out));
        for event in self.parts.plugins.take_events() {
            self.out.tell(event);
        }
        self.parts.progress.enter(Phase::Outbox);
        self.send(now);
        self.transmit();
        for event in self.out.events.drain(..) {
            log(&event);
            if let (Event::MemberDied { node }, Some(peers)) = (&event, &mut self.parts.peers) {
                peers.forget(*node);
            }
            self.rings.keep(now, event, clock::wall);
        }
        for frame in self.out.spent.drain(..) {
            self.pool.give(frame);
        }
    }

    fn send(&mut self, now: Instant) {
        let mut messages = std::mem::take(&mut self.out.send);
        for (to, message) in messages.drain(..) {
            let urgent = self.parts.node.is_urgent(to, &message);
            let sent = match &mut self.parts.peers {
                None => Err(Unsent::Unreachable),
                Some(peers) if urgent => peers.send(to, &message),
                Some(peers) => peers.send_by(now + DELAYED_WRITE_TIME_MAX, to, &message),
            };
            match sent {
                Ok(()) => {}
                Err(Unsent::QueueFull) => self.out.unsent(&message, DropReason::MeshQueueFull),
                Err(Unsent::Unreachable) => self.out.unsent(&message, DropReason::MeshUnreachable),
            }
        }
        // The list itself is kept: its place is used again.
        self.out.send = messages;
        if let Some(peers) = &mut self.parts.peers {
            peers.flush(now, self.parts.poll.registry(), &mut self.told);
        }
    }

    /// One write for each frame, straight from its buffer.
    pub(super) fn transmit(&mut self) {
        let mut frames = std::mem::take(&mut self.out.transmit);
        for (interface, frame, leaving) in frames.drain(..) {
            let written: Result<(), DropReason> = self.parts.ports[interface].transmit(&frame, leaving);
            match written {
                Ok(()) => self.pool.give(frame),
                Err(reason) => self.out.untransmitted(frame, leaving, reason),
            }
        }
        // The list itself is kept: its place is used again for the next batch.
        self.out.transmit = frames;
    }
}
