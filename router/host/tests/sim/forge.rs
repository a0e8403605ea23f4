//! Messages that their sender may not send: about another's streams, of another boot, in an epoch that is over.

use std::fmt::Write;

use herald_core::id::{BootId, Epoch, Generation, Interface};
use herald_core::mesh::{Acknowledge, Announce, Assign, Claim, Close, Fence, Message, Refresh};
use herald_core::session::{Announced, Life, Standing};

use crate::member::{Member, NODES, Place, id};
use herald_testing::chance::Chance;

/// A forged copy, for `to`, of a true message. In the place of one of a kind without any, now and then, a word about a stream
/// that moves, which are rare.
pub(crate) fn forged(message: &Message, from: Place, to: &Member, chance: &mut Chance) -> Option<Message> {
    let to_holds = |interface| to.node.as_ref().is_some_and(|node| node.membership().holds(interface));
    let other = id((from + 1 + usize::from(chance.happens(50))) % NODES.len());
    match message {
        Message::Announce(announce) => Some(Message::Announce(forge_announce(*announce, other, chance))),
        Message::Refresh(refresh) => {
            let streams = refresh.streams.iter().map(|announce| forge_announce(*announce, other, chance)).collect();
            Some(Message::Refresh(Refresh { streams }))
        }
        Message::Acknowledge(acknowledge) => {
            let counter = acknowledge.epoch.counter.saturating_sub(1);
            let epoch = if chance.happens(50) {
                Epoch { counter, ..acknowledge.epoch }
            } else {
                Epoch { node: other, ..acknowledge.epoch }
            };
            Some(Message::Acknowledge(Acknowledge { epoch, ..*acknowledge }))
        }
        Message::Close(close) => {
            let mut generation = close.generation;
            generation.node = other;
            Some(Message::Close(Close { generation, ..*close }))
        }
        Message::Claim(claim) => {
            let (counter, boot) = (claim.epoch.counter + 5, BootId(claim.epoch.boot.0 ^ 0xff00));
            // Of another boot, or for a node that does not claim the role.
            let epoch = if to_holds(claim.interface) || chance.happens(50) {
                Epoch { counter, node: id(from), boot }
            } else {
                Epoch { counter, node: other, ..claim.epoch }
            };
            Some(Message::Claim(Claim { epoch, ..*claim }))
        }
        Message::Assign(assign) => {
            Some(Message::Assign(Assign { generation: Generation { node: other, ..assign.generation }, ..*assign }))
                .filter(|_| other != id(to.place))
        }
        Message::Fence(fence) => {
            let generation = Generation { counter: fence.generation.counter + 1, ..fence.generation };
            Some(Message::Fence(Fence { generation, ..*fence }))
        }
        Message::Heartbeat(_)
        | Message::Refuse(_)
        | Message::Handover(_)
        | Message::Astray(_)
        | Message::Redirect(_)
        | Message::Query(_)
        | Message::Answer(_)
        | Message::Compare(_)
        | Message::SyncEnd(_)
        | Message::Unheard(_)
        | Message::Decline(_)
        | Message::Inquiry(_)
        | Message::NeighbourChanged(_)
        | Message::Relay(_)
        | Message::RelayFrame(_) => {
            let is_moved = chance.happens(10);
            is_moved.then(|| forge_fence(from, to).or_else(|| forge_assign(from, to, chance))).flatten()
        }
    }
}

/// The fence of a stream that another node gave away last.
fn forge_fence(from: Place, to: &Member) -> Option<Message> {
    let (giver, assign) = to.given?;
    let markers = to.node.as_ref()?.markers();
    let (slot, _) = markers.find(&assign.arrival)?;
    let forged = Message::Fence(Fence { arrival: assign.arrival, generation: assign.generation });
    (giver != from && markers.at(slot).fenced).then_some(forged)
}

/// A stream that is a third node's, or the receiver's own.
fn forge_assign(from: Place, to: &Member, chance: &mut Chance) -> Option<Message> {
    let node = to.node.as_ref()?;
    let linked = |owner| node.membership().member(owner).is_some_and(|member| member.link_up);
    let holds = Interface::BOTH.iter().any(|interface| node.membership().holder(*interface) == Some(id(from)));
    let of_others = node.redirector().iter().filter(|(_, session)| {
        let owner = session.generation.node;
        session.standing == Standing::Announced && owner != id(from) && owner != id(to.place) && linked(owner)
    });
    let of_others = of_others.map(|(key, session)| (*key, session.generation.counter));
    let own = node.markers().iter().map(|(_, session)| session);
    let own = own.filter(|session| session.alive && session.announced == Announced::Acknowledged);
    let mut streams: Vec<_> = of_others.chain(own.map(|session| (session.opener, session.generation))).collect();
    streams.sort_unstable();
    let place = usize::try_from(chance.below(streams.len() as u64)).unwrap();
    let (arrival, counter) = *streams.get(place)?;
    let life = (holds || chance.happens(50)).then(|| Life::picked_up(arrival.protocol()));
    let generation = Generation { counter: counter + 1, node: id(to.place) };
    let return_key = arrival.reversed(arrival.interface().other());
    Some(Message::Assign(Assign { arrival, return_key, choice: 0, generation, life }))
}

fn forge_announce(mut announce: Announce, other: herald_core::id::NodeId, chance: &mut Chance) -> Announce {
    if chance.happens(50) {
        announce.generation.node = other;
    } else {
        announce.boot = BootId(announce.boot.0 ^ 0xff00);
    }
    announce
}

/// What of a node a message may change: its sessions, the roles it knows, what it keeps and what it wants done.
pub(crate) fn state_of(member: &Member) -> String {
    let Some(node) = &member.node else { return String::new() };
    let mut lines: Vec<_> = node
        .all_rows()
        .map(|row| {
            let (kind, interface, opener, chosen) = (row.kind, row.interface, row.opener, row.chosen);
            format!("{kind:?} {interface} {opener:?} {chosen} {} {}", row.generation, row.state)
        })
        .collect();
    let fenced = node.markers().iter().filter(|(_, session)| session.fenced);
    lines.extend(fenced.map(|(_, session)| format!("fenced {:?}", session.opener)));
    lines.sort();
    let mut text = lines.join("\n");
    for interface in Interface::BOTH {
        write!(text, "\n{interface} {:?}", node.membership().epoch(interface)).unwrap();
    }
    let (frames, messages) = (member.out.transmit.len(), member.out.events.len());
    write!(text, "\nkept {} frames {frames} events {messages}", node.frames_kept()).unwrap();
    text
}
