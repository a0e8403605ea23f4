//! I3: the first packet that a node sends of a stream leaves only after the redirector of its return packets has the
//! session: after that redirector's acknowledgement came, or at once on the holder itself; or after the time-out.

use std::collections::BTreeSet;

use herald_core::flow::FlowKey;
use herald_core::mesh::Message;

use super::has_held;
use crate::scenario::Place;
use crate::sighting::direction;
use crate::stage::part::name;
use crate::stage::record::{Record, Seen};

pub(super) fn broken(record: &Record) -> Vec<String> {
    let mut broken = Vec::new();
    for talk in &record.talks {
        let mut met = BTreeSet::new();
        let opening = direction(&talk.flow);
        for seen in record.left().filter(|seen| direction(&seen.packet.flow) == opening) {
            if met.insert(seen.node) && !may_leave(record, seen, &talk.flow) {
                let node = name(seen.node);
                broken.push(format!("{node} sent the first packet of {} before anybody acknowledged it", talk.flow));
            }
        }
    }
    broken
}

fn may_leave(record: &Record, seen: &Seen, opener: &FlowKey) -> bool {
    let (node, at) = (seen.node, seen.packet.at_nanos);
    let back = opener.reversed(opener.interface().other());
    let acknowledged = record.heard.iter().any(|heard| {
        let is_it = matches!(&heard.message, Message::Acknowledge(word) if word.return_key == back);
        is_it && heard.to == node && heard.at_nanos < at && has_held(record, heard.from, back.interface())
    });
    let told = || record.told.iter().filter(|told| told.node == node && told.at_nanos <= at);
    let mut roles = told().filter(|told| told.event == "holder-changed" && told.interface == Some(back.interface()));
    let holds = roles.next_back().is_some_and(|told| told.about == Some(node));
    let flow = opener.to_string();
    let waited = told().any(|told| told.event == "hold-timed-out" && told.flow == flow);
    acknowledged || holds || waited || is_unheld(told().filter_map(|told| Some((told.event.as_str(), told.about?))))
}

/// True if holding is suspended for a peer, after these events.
fn is_unheld<'a>(events: impl Iterator<Item = (&'a str, Place)>) -> bool {
    let mut open = BTreeSet::new();
    for (event, peer) in events {
        match event {
            "breaker-opened" => open.insert(peer),
            "breaker-closed" => open.remove(&peer),
            _ => false,
        };
    }
    !open.is_empty()
}
