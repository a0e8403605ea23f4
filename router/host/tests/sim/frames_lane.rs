//! The lane for frames of a connection: a connection of its own, which the lower node dials when the other is up and dials
//! again when it is lost.

use std::time::Duration;

use herald_core::mesh::Lane;
use herald_core::mesh::codec::Decoder;
use herald_core::turn::Turn;

use crate::links::{ConnectionId, Side, lane_index};
use crate::member::{Came, Place, Process, id};
use crate::world::{Disturbance, Happening, World};

/// An end has learned of a break by then.
const LEARNED_MAX: Duration = Duration::from_millis(50);

/// Ways from one node to the other until the one that dials may send: for TCP, for TLS, for the hellos.
const WAYS: u32 = 3;

impl World {
    /// The lower node dials, if there is still a use for it.
    pub(crate) fn dial_frames(&mut self, connection: ConnectionId) {
        let Some(found) = self.links.connections.get(&connection) else { return };
        let ([low, high], end) = (found.nodes, &found.ends[0]);
        if !end.open || !end.up || end.has_frames {
            return;
        }
        let pair = &self.links.pairs[self.links.pair_of(connection).unwrap()];
        let reaches = pair.cut == [false; 2] && pair.no_frames_until <= self.now;
        if !reaches || !self.members[low].runs() || self.members[high].process == Process::Off {
            return self.dial_frames_later(connection);
        }
        let delay = self.frames_delay() * WAYS;
        self.frames_come_about(connection, 1, delay);
    }

    fn dial_frames_later(&mut self, connection: ConnectionId) {
        let pause = Duration::from_millis(self.frames_chance.between(50, 200));
        self.plan(self.now + pause, Happening::DialFrames(connection));
    }

    fn frames_delay(&mut self) -> Duration {
        let most = self.scenario.choices.mesh_us;
        Duration::from_micros(self.frames_chance.between(20, 20 + most))
    }

    /// The lane opens at this end after a while; what comes over it comes later, and nothing of an older one does.
    fn frames_come_about(&mut self, connection: ConnectionId, side: Side, delay: Duration) {
        let at = self.now + delay;
        let end = self.end_mut(connection, side);
        end.kept_back.retain(|(lane, _)| *lane != Lane::Frames);
        let last = &mut end.last_in[lane_index(Lane::Frames)];
        *last = at.max(*last);
        let at = *last;
        self.plan(at, Happening::FramesOpened(connection, side));
    }

    /// The new lane is there: what comes from now on is of it, whenever the node looks.
    pub(crate) fn lane_opened(&mut self, connection: ConnectionId, side: Side) {
        if let Some(found) = self.links.connections.get_mut(&connection) {
            found.ends[side].frames_left = None;
        }
        self.tell_of_frames(connection, side, Came::FramesOpened);
    }

    /// An end's node hears of it, if it still has the connection.
    pub(crate) fn tell_of_frames(&mut self, connection: ConnectionId, side: Side, came: fn(ConnectionId) -> Came) {
        let Some(found) = self.links.connections.get(&connection) else { return };
        if found.ends[side].open {
            let node = found.nodes[side];
            self.give(node, came(connection));
        }
    }

    /// A node has the lane; who was dialled answers.
    pub(crate) fn frames_opened(&mut self, connection: ConnectionId, place: Place) {
        let Some(side) = self.side_of(connection, place) else { return };
        let end = self.end_mut(connection, side);
        if !end.open || !end.up {
            return;
        }
        end.has_frames = true;
        end.decoders[lane_index(Lane::Frames)] = Decoder::default();
        let peer = id(self.links.connections[&connection].nodes[1 - side]);
        let (now, member) = (self.local_now(place), &mut self.members[place]);
        if let Some(node) = &mut member.node {
            node.frames_up(&mut Turn::new(now, &mut member.plugins, &mut member.out), peer);
        }
        if side == 1 {
            let delay = self.frames_delay();
            self.frames_come_about(connection, 0, delay);
        }
    }

    /// A node has lost the lane; who dialled it dials again.
    pub(crate) fn frames_ended(&mut self, connection: ConnectionId, place: Place) {
        let Some(side) = self.side_of(connection, place) else { return };
        self.end_mut(connection, side).has_frames = false;
        let peer = id(self.links.connections[&connection].nodes[1 - side]);
        let (now, member) = (self.local_now(place), &mut self.members[place]);
        if let Some(node) = &mut member.node {
            node.frames_lost(&mut Turn::new(now, &mut member.plugins, &mut member.out), peer);
        }
        if side == 0 {
            self.dial_frames_later(connection);
        }
    }

    /// The lane of two nodes breaks, and no other comes about for a while: each end gets some of the bytes on their way and
    /// learns of it in its own time.
    pub(crate) fn cut_frames(&mut self, from: Place, to: Place, ms: u64) {
        self.disturb(Disturbance::Network);
        let (pair, side) = self.links.between(from, to);
        self.links.pairs[pair].no_frames_until = self.now + Duration::from_millis(ms);
        let Some(connection) = self.links.pairs[pair].used[side] else { return };
        for side in [0, 1] {
            let left = self.frames_chance.below(300);
            let end = self.end_mut(connection, side);
            if end.has_frames && end.frames_left.is_none() {
                end.frames_left = Some(left);
                let delay = self.frames_chance.up_to(LEARNED_MAX);
                self.plan(self.now + delay, Happening::FramesEnded(connection, side));
            }
        }
    }
}
