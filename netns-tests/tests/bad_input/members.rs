//! What a member with a good certificate may not say.

use std::time::Duration;

use herald_core::flow::FlowKey;
use herald_core::id::{BootId, Epoch, Generation, Interface, NodeId};
use herald_core::limits::BUCKETS;
use herald_core::mesh::codec::{Spoken, encode, encode_numbered};
use herald_core::mesh::{
    Acknowledge, Announce, Answer, Assign, Claim, Close, Compare, Hello, Message, Refresh, Refuse, Relay, SyncEnd,
};
use netns_tests::{Family, Lab, Protocol, Streams, echo};
use serde_json::{Value, json};

use crate::stranger::{CONFIGURATION, Certificate, Issuer, assert_all_is_well, bytes_of, heartbeat, hello, say_to};
use crate::{LIMIT, NODES};

/// How often each message is said.
const TIMES: u64 = 20;

/// Growth of a node's peak memory in KiB: what is refused is not kept.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// The stream that others have no word in: it has one session at its chosen node for as long as the test runs.
const STREAM: Streams = Streams {
    protocol: Protocol::Udp,
    family: Family::V4,
    opened_at: Interface::First,
    source_port: 20_000,
    count: 1,
    len: 100,
    time_max: Duration::from_secs(30),
};

fn generation(counter: u32, node: NodeId) -> Generation {
    Generation { counter, node }
}

/// What the member `0` knows of the cluster whose peace it disturbs.
struct Known {
    arrival: FlowKey,
    return_key: FlowKey,
    /// The stream's chosen node and its boot.
    chosen: (NodeId, BootId),
    /// The epoch of the first redirector.
    epoch: Epoch,
}

impl Known {
    fn new(lab: &Lab, issuer: &Issuer) -> Self {
        let arrival = STREAM.openers().next().unwrap();
        let holder = lab.json("a", &["roles"])["first"]["holder"].as_str().unwrap().to_owned();
        let chosen: NodeId = marker(lab)["chosen"].as_str().unwrap().parse().unwrap();
        let heard = |node: &str| {
            let said = say_to(node, lab, issuer, Certificate::Of("0"), &words(lab, BootId(1), &[]));
            let boot = said.iter().find_map(|spoken| match spoken {
                Spoken::Greeting(greeting) => Some(greeting.hello.boot),
                Spoken::Message(..)
                | Spoken::Received(_)
                | Spoken::Ping(_)
                | Spoken::Pong(_)
                | Spoken::Unknown { .. } => None,
            });
            let view = said.iter().find_map(|spoken| match spoken {
                Spoken::Message(_, Message::Heartbeat(heartbeat)) => heartbeat.epochs.first,
                Spoken::Message(..)
                | Spoken::Greeting(_)
                | Spoken::Received(_)
                | Spoken::Ping(_)
                | Spoken::Pong(_)
                | Spoken::Unknown { .. } => None,
            });
            (boot.unwrap(), view.unwrap())
        };
        let (boot, epoch) = heard(chosen.as_str());
        assert_eq!(epoch.node.as_str(), holder);
        Self { arrival, return_key: arrival.reversed(Interface::Second), chosen: (chosen, boot), epoch }
    }

    fn announce(&self, node: NodeId, boot: BootId) -> Announce {
        let Self { arrival, return_key, .. } = *self;
        Announce { arrival, return_key, choice: 7, boot, generation: generation(9, node) }
    }
}

/// A hello in this boot, a sign of life, and these messages.
fn words(lab: &Lab, boot: BootId, messages: &[Message]) -> Vec<u8> {
    let mut bytes = bytes_of(&Hello { boot, ..hello(lab) });
    encode(&Message::Heartbeat(heartbeat()), &mut bytes).unwrap();
    for (number, message) in (1..).zip(messages) {
        encode_numbered(number, message, &mut bytes).unwrap();
    }
    bytes
}

/// The marker session of the stream.
fn marker(lab: &Lab) -> Value {
    let rows: Vec<Value> = NODES.iter().flat_map(|node| markers(lab, node)).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

fn markers(lab: &Lab, node: &str) -> Vec<Value> {
    let rows = lab.json(node, &["sessions"]);
    rows.as_array().unwrap().iter().filter(|row| row["kind"] == "marker").cloned().collect()
}

/// Who holds what, and whose the streams are, as each node knows it.
fn state(lab: &Lab) -> Value {
    let of = |node: &&str| {
        let sessions = lab.json(node, &["sessions"]);
        let rows = sessions.as_array().unwrap().iter();
        let keys = ["kind", "interface", "source", "destination", "chosen", "generation", "state"];
        let mut rows: Vec<String> = rows.map(|row| keys.map(|key| row[key].to_string()).join(" ")).collect();
        rows.sort();
        json!([node, lab.json(node, &["roles"]), rows])
    };
    NODES.iter().map(of).collect()
}

/// A message, whom it is said to, and what its refusal is counted as.
type Case = (&'static str, NodeId, Message, &'static str);

/// All of them name a stream of another node, an epoch or boot that is over, or an epoch that is not there yet.
fn cases(known: &Known, own: NodeId, boot: BootId) -> Vec<Case> {
    let Known { arrival, return_key, chosen: (chosen, chosen_boot), epoch } = *known;
    let (holder, first, old) = (epoch.node, Interface::First, BootId(boot.0 - 1));
    let other = NODES.iter().map(|node| node.parse().unwrap()).find(|node| *node != holder).unwrap();
    let others = known.announce(chosen, chosen_boot);
    let claim = |counter, node, boot| Message::Claim(Claim { interface: first, epoch: Epoch { counter, node, boot } });
    let close = Close { arrival, return_key, generation: generation(1, chosen) };
    let answer = Answer { id: 1 << 63, key: arrival, believed: None, owned: Some(others) };
    vec![
        ("another's stream", holder, Message::Announce(others), "unauthorised"),
        ("a stream of an old boot", holder, Message::Announce(known.announce(own, old)), "stale"),
        ("another's streams", holder, Message::Refresh(Refresh { streams: vec![others] }), "unauthorised"),
        ("the end of another's stream", holder, Message::Close(close), "unauthorised"),
        ("another's stream as an answer", holder, Message::Answer(answer), "unauthorised"),
        ("a role in an old epoch", holder, claim(0, own, boot), "stale"),
        ("a role in a future epoch of an old boot", holder, claim(u64::MAX, own, old), "unauthorised"),
        ("a future epoch of another", other, claim(epoch.counter + 5, holder, epoch.boot), "unauthorised"),
        ("a future epoch of the holder itself", holder, claim(epoch.counter + 5, holder, epoch.boot), "unauthorised"),
        ("the last epoch of all", holder, claim(u64::MAX, own, boot), "unauthorised"),
    ]
}

fn more_cases(known: &Known, own: NodeId, boot: BootId) -> Vec<Case> {
    let Known { arrival, return_key, chosen: (chosen, _), epoch } = *known;
    let (holder, first) = (epoch.node, Interface::First);
    let (ours, digests) = (generation(1, chosen), vec![7; BUCKETS]);
    let of = |counter| Epoch { counter, node: own, boot };
    let acknowledge = |epoch| Message::Acknowledge(Acknowledge { return_key, generation: ours, epoch });
    let compare = |counter| Compare { interface: first, epoch: of(counter), round: 1, digests: digests.clone() };
    let end =
        |counter| SyncEnd { interface: first, epoch: of(counter), round: 1, sent: vec![0], digests: digests.clone() };
    let assign = Assign { arrival, return_key, choice: 7, generation: generation(9, holder), life: None };
    let refuse = Refuse { return_key, generation: ours, winner: Some(generation(9, own)) };
    let relay = |bytes: &[u8]| Message::Relay(Relay { source: holder, target: chosen, bytes: bytes.to_vec() });
    let mut refusal = Vec::new();
    encode(&Message::Refuse(refuse), &mut refusal).unwrap();
    vec![
        ("an acknowledgement in another's name", chosen, acknowledge(epoch), "unauthorised"),
        ("an acknowledgement in an old epoch", chosen, acknowledge(of(0)), "stale"),
        ("an acknowledgement in a future epoch", chosen, acknowledge(of(u64::MAX)), "stale"),
        ("a comparison in an old epoch", chosen, Message::Compare(compare(0)), "stale"),
        ("the end of a comparison in an old epoch", holder, Message::SyncEnd(end(0)), "stale"),
        ("the end of a comparison in a future epoch", holder, Message::SyncEnd(end(u64::MAX)), "stale"),
        ("a refusal by one who holds nothing", chosen, Message::Refuse(refuse), "unauthorised"),
        ("a stream for somebody else", chosen, Message::Assign(assign), "unauthorised"),
        ("garbage passed on", chosen, relay(b"garbage"), "unauthorised"),
        ("the word of one who speaks itself", chosen, relay(&refusal), "unauthorised"),
    ]
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn what_a_member_may_not_say_is_counted_and_changes_nothing() {
    let lab = Lab::up("members").configuration(CONFIGURATION).start();
    let _echo = echo(&lab);
    let _answered = STREAM.open(&lab).wait(LIMIT).ok();
    let (roles, issuer) = (lab.await_mesh(LIMIT, &NODES), Issuer::new(&lab));
    let known = Known::new(&lab, &issuer);
    let own: NodeId = "0".parse().unwrap();
    let (before, memory_before, packets) = (state(&lab), lab.memory("VmHWM:"), marker(&lab)["packets"].clone());
    let list = |boot| cases(&known, own, boot).into_iter().chain(more_cases(&known, own, boot));
    for place in 0..list(BootId(1)).count() {
        // Each in a boot of its own, so that its numbers begin anew.
        let boot = BootId(100 + 10 * u64::try_from(place).unwrap());
        let (what, to, message, reason) = list(boot).nth(place).unwrap();
        let counts = || lab.json(to.as_str(), &["status"])["messages"].clone();
        let expected = counts()[reason].as_u64().unwrap() + TIMES;
        let bytes = words(&lab, boot, &vec![message; usize::try_from(TIMES).unwrap()]);
        let said = say_to(to.as_str(), &lab, &issuer, Certificate::Of("0"), &bytes);
        assert!(matches!(said.first(), Some(Spoken::Greeting(_))), "{what}: the hello is accepted: {said:?}");
        assert_eq!(counts()[reason], expected, "{what}");
        assert_eq!(state(&lab), before, "{what}");
    }
    // The stream goes on where it was.
    let _answered = STREAM.open(&lab).wait(LIMIT).ok();
    assert_eq!(marker(&lab)["packets"].as_u64().unwrap(), 2 * packets.as_u64().unwrap());
    assert_all_is_well(&lab, &roles);
    lab.memory("VmHWM:").assert_grown_by_less(GROWTH_KIB_MAX, &memory_before);
}
