//! Messages in words.

use herald_core::flow::FlowKey;
use herald_core::id::Epoch;
use herald_core::mesh::{Announce, Message};

use crate::layout::{NODES, Place};
use crate::member::{Effect, Input};
use crate::scenario::Scenario;

/// What a node said.
pub(crate) fn said(scenario: &Scenario, from: Place, message: &Message) -> String {
    format!("from {}: {}", NODES[from], words(scenario, message))
}

/// An effect, if it can be seen from outside.
pub(crate) fn effect(scenario: &Scenario, place: Place, effect: &Effect) -> Option<String> {
    let node = NODES[place];
    Some(match effect {
        Effect::Inspected(_) => format!("  the plugins of {node} see it"),
        Effect::Says(to, letter) => {
            let Input::Message(_, message) = &letter.input else { return None };
            if matches!(message, Message::Heartbeat(_)) {
                return None;
            }
            format!("  {node} says to {}: {}", NODES[*to], words(scenario, message))
        }
        Effect::Redirects(_, to, _) => format!("  {node} redirects it to {}", NODES[*to]),
        Effect::Reaches(_, interface) => {
            format!("  {node} transmits it: it reaches the host on the {interface} network")
        }
        Effect::GaveWord(_)
        | Effect::Asked(_)
        | Effect::HeardWord { .. }
        | Effect::Chose { .. }
        | Effect::FirstLeft(_)
        | Effect::Breaks(..) => return None,
    })
}

/// A message.
pub(crate) fn words(scenario: &Scenario, message: &Message) -> String {
    let stream = |flow: &FlowKey| scenario.number_of(flow).map_or(0, |number| number + 1);
    let announced =
        |a: &Announce| format!("stream {} is mine in generation {}", stream(&a.arrival), a.generation.counter);
    match message {
        Message::Heartbeat(_) => "Heartbeat".to_owned(),
        Message::Claim(claim) => format!("Claim, {} holds the {} redirector", epoch(&claim.epoch), claim.interface),
        Message::Announce(a) => format!("Announce, {}", announced(a)),
        Message::Acknowledge(a) => {
            format!(
                "Acknowledge, I have stream {} of {} in epoch {}",
                stream(&a.return_key),
                a.generation.node,
                a.epoch.counter
            )
        }
        Message::Refuse(r) => {
            let winner =
                r.winner.map_or("another stream has its key".to_owned(), |winner| format!("it is {}'s", winner.node));
            format!("Refuse, stream {} is not yours, {winner}", stream(&r.return_key))
        }
        Message::Refresh(r) => {
            let streams: Vec<_> = r.streams.iter().map(announced).collect();
            format!("Refresh, {}", streams.join(", "))
        }
        Message::Close(c) => format!("Close, stream {} in generation {}", stream(&c.arrival), c.generation.counter),
        Message::Assign(a) => {
            format!("Assign, stream {} is yours in generation {}", stream(&a.arrival), a.generation.counter)
        }
        Message::Fence(fence) => format!("Fence, stream {}", stream(&fence.arrival)),
        Message::Handover(_) => "Handover of a frame".to_owned(),
        Message::Astray(_) => "Astray, a frame for the holder".to_owned(),
        Message::Redirect(_) => "Redirect of a frame".to_owned(),
        Message::Query(query) => format!("Query, whose is stream {}?", stream(&query.key)),
        Message::Answer(answer) => match &answer.owned {
            Some(announce) => format!("Answer, {}", announced(announce)),
            None => format!("Answer, stream {} is not mine", stream(&answer.key)),
        },
        Message::Compare(compare) => {
            format!("Compare, the {} redirector's sessions in epoch {}", compare.interface, compare.epoch.counter)
        }
        Message::SyncEnd(end) => {
            format!("SyncEnd, that was all for the {} redirector in epoch {}", end.interface, end.epoch.counter)
        }
        Message::Unheard(unheard) => format!("Unheard, the {} redirector does not answer", unheard.interface),
        Message::Decline(d) => format!("Decline, no room for stream {}", stream(&d.arrival)),
        Message::Inquiry(_) => "Inquiry".to_owned(),
        Message::NeighbourChanged(changed) => format!("NeighbourChanged, {} is at {}", changed.address, changed.mac),
        Message::Relay(_) => "Relay".to_owned(),
        Message::RelayFrame(_) => "RelayFrame".to_owned(),
    }
}

fn epoch(epoch: &Epoch) -> String {
    format!("in epoch {} {}", epoch.counter, epoch.node)
}
