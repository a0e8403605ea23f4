//! How bytes get from node to node, and how they do not.

use std::time::Duration;

use herald_core::event::DropReason;
use herald_core::mesh::codec;

use herald_core::mesh::{Greeting, Lane, Message, Padding};
use herald_core::turn::Turn;

use crate::links::{Connection, ConnectionId, End, Side, lane_index};
use crate::member::{Came, Place, Process};
use crate::scenario::Way;
use crate::world::{Disturbance, Happening, World};

/// After so many messages a node says with its next one how far it has come.
const TOLD_AFTER: u64 = 4;

/// What Linux waits at least, beside the time of a way there and back, before it sends a lost segment again (TCP_RTO_MIN).
const RETRANSMISSION_TIME: Duration = Duration::from_millis(200);

impl World {
    pub(crate) fn side_of(&self, connection: ConnectionId, place: Place) -> Option<Side> {
        self.links.connections.get(&connection)?.nodes.iter().position(|node| *node == place)
    }

    pub(crate) fn end_mut(&mut self, connection: ConnectionId, side: Side) -> &mut End {
        &mut self.links.connections.get_mut(&connection).unwrap().ends[side]
    }

    /// The ends of a node that are open and have begun.
    pub(crate) fn open_ends(&self, place: Place) -> Vec<(ConnectionId, Side)> {
        let ends = self.links.connections.iter().flat_map(|(id, connection)| {
            [0, 1].map(|side| (*id, side, connection.nodes[side], &connection.ends[side]))
        });
        ends.filter(|(_, _, node, end)| *node == place && end.open && end.heard.as_nanos() > 0)
            .map(|(id, side, _, _)| (id, side))
            .collect()
    }

    /// The pairs of a node whose lower node has no connection dial soon.
    pub(crate) fn dial_from(&mut self, node: Place) {
        for pair in 0..self.links.pairs.len() {
            if self.links.pairs[pair].nodes.contains(&node) {
                self.plan_dial(pair);
            }
        }
    }

    fn plan_dial(&mut self, pair: usize) {
        if !std::mem::replace(&mut self.links.pairs[pair].dial_planned, true) {
            let pause = Duration::from_millis(self.mesh_chance.between(50, 500));
            self.plan(self.now + pause, Happening::Dial(pair));
        }
    }

    /// The lower node of a pair dials, unless it has a connection.
    pub(crate) fn dial(&mut self, index: usize) {
        self.links.pairs[index].dial_planned = false;
        let [low, high] = self.links.pairs[index].nodes;
        let has_one = self.links.connections.values().any(|c| c.nodes == [low, high] && c.ends[0].open);
        if has_one || self.members[low].process == Process::Off {
            return;
        }
        let reaches = self.links.pairs[index].cut == [false; 2] && self.members[high].process != Process::Off;
        if !reaches || self.members[low].process == Process::Stopped {
            return self.plan_dial(index);
        }
        let connection = self.links.connect(index);
        for side in [1, 0] {
            let delay = self.mesh_delay() * if side == 0 { 2 } else { 1 };
            self.plan(self.now + delay, Happening::Opened(connection, side));
        }
    }

    pub(crate) fn opened(&mut self, connection: ConnectionId, side: Side) {
        let Some(found) = self.links.connections.get(&connection) else { return };
        let node = found.nodes[side];
        if self.members[node].process == Process::Off {
            return self.ended_for_other(connection, side);
        }
        self.give(node, Came::Opened(connection));
    }

    fn mesh_delay(&mut self) -> Duration {
        let most = self.scenario.choices.mesh_us;
        Duration::from_micros(self.mesh_chance.between(20, 20 + most))
    }

    pub(crate) fn say_hello(&mut self, connection: ConnectionId, side: Side) {
        let nodes = self.links.connections[&connection].nodes;
        let (node, peer) = (nodes[side], nodes[1 - side]);
        let (hello, resume) = (self.members[node].hello(), self.members[node].talks[peer].resume());
        let mut bytes = Vec::new();
        let padding = Padding::whole();
        let greeting = Greeting { hello, lane: Lane::Control, resume, taken: None, padding };
        codec::encode_greeting(&greeting, &mut bytes).unwrap();
        self.write(connection, side, Lane::Control, &bytes);
    }

    /// A node sends a message over the link it has, or keeps it for the next one.
    pub(crate) fn send(&mut self, from: Place, to: Place, message: &Message) -> Result<(), DropReason> {
        let (pair, side) = self.links.between(from, to);
        let up = |id: &ConnectionId| {
            let end = &self.links.connections[id].ends[side];
            end.up && end.open
        };
        let connection = self.links.pairs[pair].used[side].filter(up);
        let talk = &mut self.members[from].talks[to];
        let mut bytes = Vec::new();
        let numbered = message.lane() == Lane::Control && !matches!(message, Message::Heartbeat(_));
        if numbered && (connection.is_some() || talk.is_expected()) {
            bytes.extend_from_slice(talk.keep(message).map_err(|_| DropReason::MeshQueueFull)?);
        } else {
            codec::encode(message, &mut bytes).unwrap();
        }
        if talk.untold() >= TOLD_AFTER
            && let Some(number) = talk.tell()
        {
            codec::encode_received(number, &mut bytes).unwrap();
        }
        let has_lane =
            |id: &ConnectionId| message.lane() == Lane::Control || self.links.connections[id].ends[side].has_frames;
        let Some(connection) = connection.filter(has_lane) else { return Err(DropReason::MeshUnreachable) };
        self.write(connection, side, message.lane(), &bytes);
        Ok(())
    }

    /// Bytes go on their way, in pieces.
    pub(crate) fn write(&mut self, connection: ConnectionId, side: Side, lane: Lane, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let whole = self.mesh_chance.happens(80);
            let len = if whole { rest.len() as u64 } else { self.mesh_chance.between(1, rest.len() as u64) };
            let (piece, behind) = rest.split_at(usize::try_from(len).unwrap());
            self.carry(connection, side, lane, piece.to_vec());
            rest = behind;
        }
    }

    fn carry(&mut self, connection: ConnectionId, side: Side, lane: Lane, bytes: Vec<u8>) {
        let Some(index) = self.links.pair_of(connection) else { return };
        let (cut, until) = (self.links.pairs[index].cut[side], self.links.pairs[index].stalled_until[side]);
        let too_large = self.links.pairs[index].larger[side].is_some_and(|than| bytes.len() > than);
        let cut_whole = cut || until > self.now;
        let delay = self.mesh_delay() + self.impaired_delay(index);
        let now = self.now;
        let end = self.end_mut(connection, 1 - side);
        // What is kept back stays before what comes later: of its own lane, where only large pieces are.
        if cut_whole || too_large || end.kept_back.iter().any(|(kept, _)| *kept == lane) {
            end.kept_back.push((lane, bytes));
            return;
        }
        let at = (now + delay).max(end.last_in[lane_index(lane)]);
        end.last_in[lane_index(lane)] = at;
        self.plan(at, Happening::Bytes(connection, 1 - side, lane, bytes));
    }

    /// What an impairment adds: a lost packet is sent again after a way there and back and some time.
    fn impaired_delay(&mut self, pair: usize) -> Duration {
        let (delay_us, loss) = self.links.pairs[pair].impaired;
        let mut delay = Duration::from_micros(delay_us);
        if loss > 0 && self.mesh_chance.happens(loss) {
            delay += RETRANSMISSION_TIME + Duration::from_micros(2 * delay_us);
        }
        delay
    }

    pub(crate) fn bytes_came(&mut self, connection: ConnectionId, side: Side, lane: Lane, mut bytes: Vec<u8>) {
        let Some(found) = self.links.connections.get_mut(&connection) else { return };
        let (node, end) = (found.nodes[side], &mut found.ends[side]);
        if let Some(left) = &mut end.left {
            bytes.truncate(usize::try_from(*left).unwrap());
            *left -= bytes.len() as u64;
        }
        if let (Lane::Frames, Some(left)) = (lane, &mut end.frames_left) {
            bytes.truncate(usize::try_from(*left).unwrap());
            *left -= bytes.len() as u64;
        }
        let open = end.open;
        self.trace.note(&self.now.as_nanos().to_le_bytes());
        self.trace.note(&bytes);
        if bytes.is_empty() {
            return;
        }
        if open {
            self.give(node, Came::Bytes(connection, lane, bytes));
        } else if self.members[node].process != Process::Off {
            self.ended_for_other(connection, side);
        }
    }

    /// The other end learns that this one is closed, if the way there is open.
    fn ended_for_other(&mut self, connection: ConnectionId, side: Side) {
        let Some(index) = self.links.pair_of(connection) else { return };
        // The end of a connection comes behind what was written before it.
        let is_stuck = self.links.pairs[index].larger[side].is_some()
            && !self.links.connections[&connection].ends[1 - side].kept_back.is_empty();
        if self.links.pairs[index].cut[side] || is_stuck {
            return;
        }
        let delay = self.mesh_delay();
        let last = self.links.connections[&connection].ends[1 - side].last_in.into_iter().max().unwrap();
        self.plan((self.now + delay).max(last), Happening::Ended(connection, 1 - side));
    }

    pub(crate) fn ended(&mut self, connection: ConnectionId, side: Side) {
        let Some(found) = self.links.connections.get(&connection) else { return };
        if found.ends[side].open {
            let node = found.nodes[side];
            self.give(node, Came::Ended(connection));
        }
    }

    /// A node closes its end.
    pub(crate) fn close_end(&mut self, connection: ConnectionId, side: Side) {
        self.lose(connection, side);
        self.ended_for_other(connection, side);
    }

    /// This end is no more; the node hears it if its link was up.
    pub(crate) fn lose(&mut self, connection: ConnectionId, side: Side) {
        let Some(index) = self.links.pair_of(connection) else { return };
        let end = self.end_mut(connection, side);
        if !std::mem::replace(&mut end.open, false) {
            return;
        }
        let was_up = std::mem::replace(&mut end.up, false);
        if self.links.pairs[index].used[side] == Some(connection) {
            self.links.pairs[index].used[side] = None;
        }
        let [place, peer] = [side, 1 - side].map(|side| self.links.pairs[index].nodes[side]);
        if side == 0 {
            self.plan_dial(index);
        }
        let now = self.members[place].clock.shows(self.now);
        let member = &mut self.members[place];
        if let (true, Some(node)) = (was_up, &mut member.node) {
            node.link_lost(&mut Turn::new(now, &mut member.plugins, &mut member.out), crate::member::id(peer));
            self.plan_knock(place, peer);
        }
        self.forget_closed();
    }

    /// Who lost a link tries to connect; the answer takes a way there and back.
    fn plan_knock(&mut self, node: Place, peer: Place) {
        let most = self.scenario.choices.mesh_us;
        let delay = Duration::from_micros(self.knock_chance.between(40, 40 + 2 * most));
        self.plan(self.now + delay, Happening::Knock(node, peer));
    }

    /// The kernel of a machine that lives refuses for a process that is gone; everything else proves nothing.
    pub(crate) fn knock(&mut self, node: Place, peer: Place) {
        let (pair, _) = self.links.between(node, peer);
        let refuses = self.members[peer].process == Process::Off && self.members[peer].has_kernel;
        if refuses && self.links.pairs[pair].cut == [false; 2] {
            self.give(node, Came::Refused(peer));
        }
    }

    /// A node's process is gone; its kernel closes its connections, if there is one left.
    pub(crate) fn close_all_of(&mut self, node: Place, kernel_lives: bool) {
        let all: Vec<_> = self.links.connections.iter().map(|(id, c)| (*id, c.nodes)).collect();
        for (connection, nodes) in all {
            let Some(side) = nodes.iter().position(|n| *n == node) else { continue };
            if self.links.connections.contains_key(&connection) {
                let open = self.links.connections[&connection].ends[side].open;
                if open && kernel_lives {
                    self.ended_for_other(connection, side);
                }
                self.lose(connection, side);
            }
        }
    }

    fn forget_closed(&mut self) {
        let both_closed = |c: &Connection| !c.ends[0].open && !c.ends[1].open;
        self.links.connections.retain(|_, connection| !both_closed(connection));
    }

    // Faults.

    pub(crate) fn cut_mesh(&mut self, from: Place, to: Place, way: Way) {
        self.disturb(Disturbance::Network);
        let (pair, side) = self.links.between(from, to);
        match way {
            Way::Both => self.links.pairs[pair].cut = [true; 2],
            Way::Out => self.links.pairs[pair].cut[side] = true,
            Way::In => self.links.pairs[pair].cut[1 - side] = true,
        }
    }

    pub(crate) fn cut_mesh_for_larger(&mut self, (from, to): (Place, Place), than: u16, way: Way) {
        self.disturb(Disturbance::Network);
        let (pair, side) = self.links.between(from, to);
        let sides: &[Side] = match way {
            Way::Both => &[0, 1],
            Way::Out => &[side],
            Way::In => &[1 - side],
        };
        for side in sides {
            self.links.pairs[pair].larger[*side] = Some(usize::from(than));
        }
    }

    pub(crate) fn impair_mesh(&mut self, from: Place, to: Place, delay_us: u64, loss: u64) {
        self.disturb(Disturbance::Network);
        let (pair, _) = self.links.between(from, to);
        self.links.pairs[pair].impaired = (delay_us, loss);
    }

    /// The connection of two nodes breaks: each end gets some of the bytes on their way and learns of it in its own time.
    pub(crate) fn break_connection(&mut self, from: Place, to: Place) {
        self.disturb(Disturbance::Network);
        let (pair, side) = self.links.between(from, to);
        let Some(connection) = self.links.pairs[pair].used[side] else { return };
        for side in [0, 1] {
            let left = self.mesh_chance.below(300);
            self.end_mut(connection, side).left = Some(left);
            let delay = self.mesh_chance.up_to(Duration::from_millis(50));
            self.plan(self.now + delay, Happening::Ended(connection, side));
        }
    }

    pub(crate) fn stall(&mut self, from: Place, to: Place, ms: u64) {
        self.disturb(Disturbance::Network);
        let (pair, side) = self.links.between(from, to);
        let until = self.now + Duration::from_millis(ms);
        self.links.pairs[pair].stalled_until[side] = until;
        self.plan(until, Happening::Flush(pair));
    }

    /// Bytes that were kept back come through, if nothing keeps them back any more.
    pub(crate) fn flush_kept_back(&mut self, pair: usize) {
        let nodes = self.links.pairs[pair].nodes;
        let of_pair = self.links.connections.iter().filter(|(_, c)| c.nodes == nodes);
        for connection in of_pair.map(|(id, _)| *id).collect::<Vec<_>>() {
            for side in [0, 1] {
                if self.links.pairs[pair].cut[side] || self.links.pairs[pair].stalled_until[side] > self.now {
                    continue;
                }
                for (lane, bytes) in std::mem::take(&mut self.end_mut(connection, 1 - side).kept_back) {
                    self.carry(connection, side, lane, bytes);
                }
                let ends = &self.links.connections[&connection].ends;
                if !ends[side].open && ends[1 - side].open {
                    self.ended_for_other(connection, side);
                }
            }
        }
    }

    /// A message of a kind that nobody knows goes over a link: a newer version's.
    pub(crate) fn send_unknown(&mut self, from: Place, to: Place) {
        let (pair, side) = self.links.between(from, to);
        let Some(connection) = self.links.pairs[pair].used[side] else { return };
        let body = self.mesh_chance.between(0, 40);
        let len = u32::try_from(body).unwrap() + 2;
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend_from_slice(&0x7ff0_u16.to_be_bytes());
        bytes.extend((0..body).map(|i| i.to_le_bytes()[0]));
        self.write(connection, side, Lane::Control, &bytes);
    }
}
