//! One turn of a node, as the program's event loop does it: links first, then frames in batches from both interfaces, then
//! deadlines; after each, messages are sent before frames leave.

use std::time::Duration;

use herald_core::event::Event;
use herald_core::id::Interface;
use herald_core::limits::{BATCH_PACKETS_MAX, DETECTION_TIME};
use herald_core::mesh::codec::{Spoken, decode_message};

use herald_core::mesh::resend::Arrival;
use herald_core::mesh::{Greeting, Lane, Message, PeerError, Relay, RelayFrame};
use herald_core::packet::Frame;
use herald_core::time::Instant;
use herald_core::turn::Turn;

use crate::forge;
use crate::links::{ConnectionId, Side};
use crate::member::{Came, Place, id, place_of};
use crate::world::{Disturbance, Happening, Sight, World};

impl World {
    /// A node looks at what has come.
    pub(crate) fn turn(&mut self, place: Place) {
        self.members[place].turn_planned = false;
        if !self.members[place].runs() {
            return;
        }
        while let Some(came) = self.members[place].inbox.pop_front() {
            self.treat(place, came);
            if self.violation.is_some() {
                return;
            }
        }
        self.carry_out(place);
        for interface in Interface::BOTH {
            self.take_batch(place, interface);
            self.carry_out(place);
        }
        self.send_bulk(place);
        self.deadlines(place);
        self.send_bulk(place);
        self.see(&Sight::TurnEnded { place });
        let waits = Interface::BOTH.iter().any(|i| !self.members[place].taps[*i].is_empty());
        if waits || !self.members[place].inbox.is_empty() {
            return self.plan_turn(place, Duration::from_micros(5));
        }
        self.plan_wake(place);
    }

    /// The node is woken at its next deadline.
    fn plan_wake(&mut self, place: Place) {
        let clock = self.members[place].clock;
        let silences = self
            .open_ends(place)
            .into_iter()
            .map(|(id, side)| self.links.connections[&id].ends[side].heard + DETECTION_TIME);
        let node = self.members[place].node.as_ref().and_then(|node| node.next_deadline());
        let Some(next) = silences.chain(node).min() else { return };
        let at = clock.when_it_shows(next).max(self.now + Duration::from_micros(1));
        let member = &mut self.members[place];
        if at < member.wake_at || member.wake_at <= self.now {
            member.wake_at = at;
            self.plan(at, Happening::Turn(place));
        }
    }

    pub(crate) fn local_now(&self, place: Place) -> Instant {
        self.members[place].clock.shows(self.now)
    }

    fn take_batch(&mut self, place: Place, interface: Interface) {
        let now = self.local_now(place);
        for _ in 0..BATCH_PACKETS_MAX {
            let Some(bytes) = self.members[place].taps[interface].pop_front() else { return };
            self.see(&Sight::Arrived { place, interface, bytes: &bytes });
            let member = &mut self.members[place];
            let Some(node) = &mut member.node else { return };
            node.frame_arrived(
                &mut Turn::new(now, &mut member.plugins, &mut member.out),
                interface,
                Frame::from_bytes(&bytes),
            );
        }
    }

    fn deadlines(&mut self, place: Place) {
        let now = self.local_now(place);
        for (connection, side) in self.open_ends(place) {
            if now >= self.links.connections[&connection].ends[side].heard + DETECTION_TIME {
                self.close_end(connection, side);
            }
        }
        let member = &mut self.members[place];
        let Some(node) = &mut member.node else { return };
        if node.next_deadline().is_some_and(|deadline| deadline <= now) {
            node.deadline_reached(&mut Turn::new(now, &mut member.plugins, &mut member.out));
        }
        self.carry_out(place);
    }

    /// Streams that redirectors have asked for in bulk go as far as the links take them.
    fn send_bulk(&mut self, place: Place) {
        let now = self.local_now(place);
        loop {
            let room = usize::try_from(self.mesh_chance.between(0, 4_000)).unwrap();
            let member = &mut self.members[place];
            let Some(node) = member.node.as_mut().filter(|node| node.has_bulk()) else { return };
            node.send_bulk(&mut Turn::new(now, &mut member.plugins, &mut member.out), &|_| room);
            self.carry_out(place);
        }
    }

    fn treat(&mut self, place: Place, came: Came) {
        let now = self.local_now(place);
        match came {
            Came::Carrier(interface, state) => {
                let member = &mut self.members[place];
                let Some(node) = &mut member.node else { return };
                node.interface_changed(&mut Turn::new(now, &mut member.plugins, &mut member.out), interface, state);
            }
            Came::Refused(peer) => {
                let member = &mut self.members[place];
                let Some(node) = &mut member.node else { return };
                node.peer_refused(&mut Turn::new(now, &mut member.plugins, &mut member.out), id(peer));
            }
            Came::Serve(service) => {
                let member = &mut self.members[place];
                let Some(node) = &mut member.node else { return };
                node.service_changed(&mut Turn::new(now, &mut member.plugins, &mut member.out), service);
            }
            Came::Opened(connection) => {
                let Some(side) = self.side_of(connection, place) else { return };
                self.end_mut(connection, side).heard = now;
                if side == 0 {
                    self.say_hello(connection, side);
                }
            }
            Came::Bytes(connection, lane, bytes) => self.read(place, connection, lane, &bytes),
            Came::FramesOpened(connection) => self.frames_opened(connection, place),
            Came::FramesEnded(connection) => self.frames_ended(connection, place),
            Came::Ended(connection) => {
                if let Some(side) = self.side_of(connection, place) {
                    self.lose(connection, side);
                }
            }
        }
    }

    /// Decodes what came and acts on it.
    fn read(&mut self, place: Place, connection: ConnectionId, lane: Lane, bytes: &[u8]) {
        let Some(side) = self.side_of(connection, place) else { return };
        let mut bytes = bytes;
        loop {
            let now = self.local_now(place);
            let end = self.end_mut(connection, side);
            if !end.open {
                return;
            }
            match end.decoders[crate::links::lane_index(lane)].decode(herald_core::limits::MESSAGE_LEN_MAX) {
                Ok(None) if bytes.is_empty() => return,
                Ok(None) => {
                    let space = end.decoders[crate::links::lane_index(lane)].space();
                    let len = space.len().min(bytes.len());
                    space[..len].copy_from_slice(&bytes[..len]);
                    end.decoders[crate::links::lane_index(lane)].filled(len);
                    bytes = &bytes[len..];
                }
                Ok(Some(spoken)) => {
                    end.heard = now;
                    if !self.spoken(connection, side, spoken) {
                        return;
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    self.see(&Sight::Garbled { place, why: &why });
                    return self.close_end(connection, side);
                }
            }
        }
    }

    /// Something was decoded. False if the link ended by it.
    fn spoken(&mut self, connection: ConnectionId, side: Side, spoken: Spoken) -> bool {
        let Some(pair) = self.links.pair_of(connection) else { return false };
        let [place, peer] = [side, 1 - side].map(|side| self.links.pairs[pair].nodes[side]);
        let up = self.end_mut(connection, side).up;
        let talk = &mut self.members[place].talks[peer];
        let (result, message) = match spoken {
            Spoken::Greeting(greeting) => (self.greeted(connection, side, &greeting), None),
            Spoken::Message(..) | Spoken::Unknown { .. } | Spoken::Received(_) | Spoken::Ping(_) | Spoken::Pong(_)
                if !up =>
            {
                (Ok(()), None)
            }
            Spoken::Received(number) => (talk.acknowledged(number), None),
            Spoken::Unknown { number: Some(number), .. } => (talk.arrived(number).map(|_| ()), None),
            // No node of this world asks: its links are not the program's.
            Spoken::Unknown { number: None, .. } | Spoken::Ping(_) | Spoken::Pong(_) => (Ok(()), None),
            Spoken::Message(None, message) => (Ok(()), Some(message)),
            Spoken::Message(Some(number), message) => match talk.arrived(number) {
                Ok(Arrival::New) => (Ok(()), Some(message)),
                Ok(Arrival::Again) => (Ok(()), None),
                Err(error) => (Err(error), None),
            },
        };
        if let Some(message) = message {
            self.heard(place, pair, side, message);
        }
        if let Err(error) = result {
            let why = error.to_string();
            // What was given up between a greeting and its answer is missed; the next greeting says so.
            if matches!(error, PeerError::WrongNumber { .. }) {
                self.coverage.add("talk began anew", 1);
            } else {
                self.see(&Sight::Garbled { place, why: &why });
            }
            self.close_end(connection, side);
            return false;
        }
        true
    }

    fn greeted(&mut self, connection: ConnectionId, side: Side, greeting: &Greeting) -> Result<(), PeerError> {
        let Some(pair) = self.links.pair_of(connection) else { return Ok(()) };
        let [place, peer] = [side, 1 - side].map(|side| self.links.pairs[pair].nodes[side]);
        let older = self.links.pairs[pair].used[side].filter(|older| *older != connection);
        if let Some(older) = older {
            self.close_end(older, side);
        }
        self.end_mut(connection, side).up = true;
        self.links.pairs[pair].used[side] = Some(connection);
        if side == 0 {
            self.plan(self.now, Happening::DialFrames(connection));
        }
        let hello = &greeting.hello;
        self.members[place].talks[peer].linked(hello.boot, greeting.resume)?;
        if side == 1 {
            self.say_hello(connection, side);
        }
        let missing = self.members[place].talks[peer].unacknowledged().to_vec();
        self.write(connection, side, Lane::Control, &missing);
        let (now, member) = (self.local_now(place), &mut self.members[place]);
        let Some(node) = &mut member.node else { return Ok(()) };
        node.link_up(&mut Turn::new(now, &mut member.plugins, &mut member.out), hello);
        self.carry_out(place);
        Ok(())
    }

    /// A message is given to the node.
    fn heard(&mut self, place: Place, pair: usize, side: Side, message: Message) {
        let from = self.links.pairs[pair].nodes[1 - side];
        let percent = self.scenario.choices.forged;
        if self.forge_chance.happens(percent)
            && let Some(forged) = forge::forged(&message, from, &self.members[place], &mut self.forge_chance)
        {
            self.try_forged(place, from, forged);
        }
        let said = said_to(place, &message);
        self.see(&Sight::Hearing { place, message: &said });
        let now = self.local_now(place);
        let member = &mut self.members[place];
        let Some(node) = &mut member.node else { return };
        node.message_arrived(&mut Turn::new(now, &mut member.plugins, &mut member.out), id(from), message.clone());
        if let Message::Assign(assign) = said {
            member.note_given(said_from(from, &message), assign);
        }
        self.see(&Sight::Heard { place, message: &said });
        self.carry_out(place);
    }

    /// A message that its sender may not send: nothing may change by it.
    fn try_forged(&mut self, place: Place, from: Place, forged: Message) {
        let before = forge::state_of(&self.members[place]);
        let now = self.local_now(place);
        let member = &mut self.members[place];
        let Some(node) = &mut member.node else { return };
        node.message_arrived(&mut Turn::new(now, &mut member.plugins, &mut member.out), id(from), forged.clone());
        let after = forge::state_of(&self.members[place]);
        let changed = (before != after).then(|| format!("{before}\nbecame\n{after}"));
        self.see(&Sight::Forged { place, message: &forged, changed: changed.as_deref() });
        self.carry_out(place);
    }

    /// Carries out what a node decided: messages, then frames; the checkers see everything.
    pub(crate) fn carry_out(&mut self, place: Place) {
        let now = self.local_now(place);
        let member = &mut self.members[place];
        let Some(node) = &mut member.node else { return };
        node.batch_ended(&mut Turn::new(now, &mut member.plugins, &mut member.out));
        member.plugins.take_events().for_each(|event| member.out.tell(event));
        member.out.spent.clear();
        let notes = std::mem::take(&mut member.plugins.notes);
        let events = std::mem::take(&mut member.out.events);
        let messages = std::mem::take(&mut member.out.send);
        let frames = std::mem::take(&mut member.out.transmit);
        for note in &notes {
            self.ended_by_plugins.extend(note.ended());
            self.see(&Sight::Noted { place, note });
        }
        for event in &events {
            if let Event::MemberDied { node } = event {
                let peer = place_of(*node);
                let (pair, side) = self.links.between(place, peer);
                // As the program's links do: nothing is forgotten while there is one.
                if self.links.pairs[pair].used[side].is_none() {
                    self.members[place].talks[peer].forget();
                }
            }
            if let Event::NodeSuspended { .. } = event {
                self.disturb(Disturbance::Process(place));
            }
            self.see(&Sight::Told { place, event });
        }
        for (to, message) in messages {
            let to = place_of(to);
            let (receiver, said) = said_by(place, to, &message);
            self.see(&Sight::Sent { place, to: receiver, message: &said });
            if let Err(reason) = self.send(place, to, &message) {
                self.members[place].out.unsent(&message, reason);
            }
        }
        for (interface, frame, leaving) in frames {
            self.see(&Sight::Left { place, interface, bytes: frame.bytes(), leaving });
            self.plan(self.now, Happening::IntoSwitch(interface, place, frame.bytes().to_vec()));
        }
    }
}

/// What a node says, and to whom: also if it goes by another.
fn said_by(place: Place, to: Place, message: &Message) -> (Place, Message) {
    let Some(relay) = relayed(message) else { return (to, message.clone()) };
    match decode_message(&relay.bytes).filter(|_| relay.source == id(place)) {
        Some(said) => (place_of(relay.target), said),
        None => (to, message.clone()),
    }
}

/// What a node is told: also if it came by another.
fn said_to(place: Place, message: &Message) -> Message {
    let Some(relay) = relayed(message) else { return message.clone() };
    let said = decode_message(&relay.bytes).filter(|_| relay.target == id(place));
    said.unwrap_or_else(|| message.clone())
}

/// Who says what came from a node.
fn said_from(from: Place, message: &Message) -> Place {
    relayed(message).map_or(from, |relay| place_of(relay.source))
}

/// What takes a detour.
fn relayed(message: &Message) -> Option<&Relay> {
    if let Message::Relay(relay) | Message::RelayFrame(RelayFrame(relay)) = message { Some(relay) } else { None }
}
