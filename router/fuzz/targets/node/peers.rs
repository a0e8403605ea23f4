//! What the peers b and c say: anything, or what fits to what the node has asked.

use herald_core::id::{BootId, Epoch, Generation, NodeId, PerInterface};
use herald_core::mesh::{
    Acknowledge, Announce, Answer, Astray, Claim, Fence, Handover, Heartbeat, Message, Padding, Redirect, Refuse,
    SyncEnd, codec,
};
use herald_core::packet::OFFLOAD_HEADER_LEN;

use herald_testing::layout;

use super::input::Input;
use super::{World, packets};

/// b is 0 and c is 1.
fn place_of(number: u8) -> layout::Place {
    1 + usize::from(number & 1)
}

fn peer_of(number: u8) -> (NodeId, BootId) {
    let place = place_of(number);
    (layout::id(place), layout::hello(place).boot)
}

impl World {
    fn message(&mut self, from: NodeId, message: Message) {
        self.turn(|node, turn| node.message_arrived(turn, from, message));
    }

    /// Kind and body as they are: who says it, kind, length, body.
    pub(super) fn raw_message(&mut self, input: &mut Input<'_>) {
        let ((from, _), kind) = (peer_of(input.byte()), input.byte());
        let len = input.byte();
        let body = input.take(usize::from(len));
        let length = u32::try_from(2 + body.len()).unwrap_or_default();
        let bytes = [&length.to_be_bytes()[..], &[0, kind], body].concat();
        if let Some(message) = codec::decode_message(&bytes) {
            self.message(from, message);
        }
    }

    pub(super) fn frame_over_the_mesh(&mut self, input: &mut Input<'_>) {
        let ((from, boot), hops) = (peer_of(input.byte()), input.byte());
        let (interface, bytes) = packets::packet(input);
        let mut offload = [0; OFFLOAD_HEADER_LEN];
        if hops & 8 != 0 {
            offload.fill_with(|| input.byte());
        }
        let wire = [&offload[..], &bytes].concat();
        let own = Epoch { counter: 1, node: from, boot };
        let epoch = self.node.membership().epoch(interface).unwrap_or(own);
        self.message(
            from,
            match hops & 17 {
                0 | 16 => Message::Handover(Handover { interface, hops: hops >> 1 & 3, wire }),
                17 => Message::Astray(Astray { interface, wire }),
                _ => Message::Redirect(Redirect { interface, epoch, wire }),
            },
        );
    }

    /// Answers one of the node's last messages: which, and how.
    pub(super) fn answer(&mut self, input: &mut Input<'_>) {
        let (which, how) = (usize::from(input.byte()), input.byte());
        if self.asked.is_empty() {
            return;
        }
        let (from, asked) = self.asked.remove(self.asked.len() - 1 - which % self.asked.len());
        let boot = layout::hello(layout::place_of(from)).boot;
        let counter = u32::from(how >> 2 & 3) + 1;
        let theirs = Generation { counter, node: from };
        match asked {
            Message::Announce(Announce { return_key, generation, .. }) if how & 1 == 0 => {
                let own = Epoch { counter: 1, node: from, boot };
                let epoch = self.node.membership().epoch(return_key.interface()).unwrap_or(own);
                self.message(from, Message::Acknowledge(Acknowledge { return_key, generation, epoch }));
            }
            Message::Announce(Announce { return_key, generation, .. }) => {
                let winner = (how & 2 == 0).then_some(theirs);
                self.message(from, Message::Refuse(Refuse { return_key, generation, winner }));
            }
            Message::Query(query) => {
                let (arrival, return_key) = (query.key, query.key.reversed(query.key.interface().other()));
                let announce = Announce { arrival, return_key, choice: 7, boot, generation: theirs };
                let (believed, owned) = ((how & 1 == 0).then_some(theirs), (how & 2 == 0).then_some(announce));
                self.message(from, Message::Answer(Answer { id: query.id, key: query.key, believed, owned }));
            }
            Message::Compare(compare) => {
                let (interface, epoch, round, digests) =
                    (compare.interface, compare.epoch, compare.round, compare.digests);
                self.message(from, Message::SyncEnd(SyncEnd { interface, epoch, round, sent: Vec::new(), digests }));
            }
            Message::Assign(assign) => {
                let (arrival, return_key, generation) = (assign.arrival, assign.return_key, assign.generation);
                let announce = Announce { arrival, return_key, choice: assign.choice, boot, generation };
                self.message(from, Message::Announce(announce));
                self.message(from, Message::Fence(Fence { arrival, generation }));
            }
            Message::Redirect(Redirect { interface, wire, .. }) => {
                self.message(from, Message::Handover(Handover { interface, hops: how & 3, wire }));
            }
            other => self.message(from, other),
        }
    }

    /// `flags`: not in sync, draining (and suspended, if not synced), silent interfaces, no links, weight, not synced.
    pub(super) fn heartbeat(&mut self, peer: u8, flags: u8) {
        let (from, _) = peer_of(peer);
        let others = [layout::id(0), peer_of(!peer).0];
        let bit = |number: u8| flags >> number & 1 != 0;
        let membership = self.node.membership();
        let heartbeat = Heartbeat {
            priorities: PerInterface { first: 99, second: if bit(7) { 200 } else { 97 } },
            epochs: PerInterface::from_fn(|i| membership.epoch(i)),
            weight: if bit(5) { 0 } else { 100 },
            in_sync: !bit(0),
            synced: PerInterface::from_fn(|_| !bit(6)),
            draining: bit(1),
            suspended: bit(1) && bit(6),
            full: bit(5) && bit(6),
            interfaces: PerInterface { first: !bit(2), second: !bit(3) },
            heard: PerInterface::from_fn(|_| if bit(2) { Vec::new() } else { others.to_vec() }),
            links: if bit(4) { Vec::new() } else { others.to_vec() },
            padding: Padding::default(),
        };
        self.message(from, Message::Heartbeat(heartbeat));
    }

    /// A peer says that it holds a role: who, where, how much higher its epoch is.
    pub(super) fn claim(&mut self, input: &mut Input<'_>) {
        let ((from, boot), interface) = (peer_of(input.byte()), input.interface());
        let known = self.node.membership().epoch(interface).map_or(0, |epoch| epoch.counter);
        let epoch = Epoch { counter: known + u64::from(input.byte() & 3), node: from, boot };
        self.message(from, Message::Claim(Claim { interface, epoch }));
    }

    pub(super) fn link(&mut self, peer: u8, what: u8) {
        let mut hello = layout::hello(place_of(peer));
        // A peer that was started anew says so in its hello.
        if what & 8 != 0 {
            hello.boot.0 += 10;
        }
        self.turn(|node, turn| match what % 5 {
            0 => node.link_up(turn, &hello),
            1 => node.frames_up(turn, hello.node),
            2 => node.link_lost(turn, hello.node),
            3 => node.frames_lost(turn, hello.node),
            _ => node.peer_refused(turn, hello.node),
        });
    }
}
