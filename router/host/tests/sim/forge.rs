//! Messages that their sender may not send: about another's streams, of another boot, in an epoch that is over.

use std::fmt::Write;

use herald_core::id::{BootId, Epoch, Interface};
use herald_core::mesh::{Acknowledge, Announce, Claim, Close, Message, Refresh};

use crate::chance::Chance;
use crate::member::{Member, NODES, Place, id};

/// A forged copy, for `to`, of a true message; `None` for kinds that have none.
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
        Message::Heartbeat(_)
        | Message::Refuse(_)
        | Message::Assign(_)
        | Message::Fence(_)
        | Message::Handover(_)
        | Message::Redirect(_)
        | Message::Query(_)
        | Message::Answer(_)
        | Message::Compare(_)
        | Message::SyncEnd(_)
        | Message::Unheard(_)
        | Message::Relay(_) => None,
    }
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
        .map(|row| format!("{:?} {} {:?} {} {}", row.kind, row.interface, row.opener, row.chosen, row.state))
        .collect();
    lines.sort();
    let mut text = lines.join("\n");
    for interface in Interface::BOTH {
        write!(text, "\n{interface} {:?}", node.membership().epoch(interface)).unwrap();
    }
    let (frames, messages) = (member.out.transmit.len(), member.out.events.len());
    write!(text, "\nkept {} frames {frames} events {messages}", node.frames_kept()).unwrap();
    text
}
