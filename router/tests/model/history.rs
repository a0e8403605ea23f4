//! What has happened so far, as far as a promise is about it, and the promises themselves.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use herald::event::{EndReason, Event, Step};
use herald::flow::FlowKey;
use herald::id::{Epoch, Generation, Interface, PerInterface};
use herald::inspector::{Inspection, Inspector, Line, States, Stream, Totals, Verdict};
use herald::mesh::{Acknowledge, Message};
use herald::session::Standing;
use herald::time::Instant;

use crate::layout::{NODES, PLACES, Place, id, place_of};
use crate::world::World;

/// The plugins of one node: they see everything and pass it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: Vec<FlowKey>,
}

impl Inspector for Watch {
    fn state_len(&self) -> usize {
        0
    }

    fn stream_started(&mut self, _: Instant, _: &Stream, _: &[Cell<Line>]) -> Verdict {
        Verdict::default()
    }

    fn inspect(&mut self, _: Instant, batch: &mut [Inspection], _: &States) {
        self.seen.extend(batch.iter().map(|inspection| inspection.headers.flow_key(inspection.interface)));
    }

    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, _: &[Cell<Line>]) {}
}

impl Watch {
    pub(crate) fn take(&mut self) -> Vec<FlowKey> {
        std::mem::take(&mut self.seen)
    }
}

/// What a cluster promises, by its name in the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    OneInspector,
    OneOwner,
    Acknowledged,
    Epochs,
    Steering,
    Asking,
    Generations,
    Books,
    NoDuplicates,
    Agreement,
    OneHolder,
    Rest,
    NothingLost,
}

impl Promise {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneInspector => "I1: without a fault, one node inspects a stream",
            Self::OneOwner => "I1: when all is said, one node owns a stream",
            Self::Acknowledged => {
                "I3: the first packet leaves after the acknowledgement of the holder that its node obeys"
            }
            Self::Epochs => "I5, I12: a lower epoch changes nothing",
            Self::Steering => "I6: nothing is redirected to a node that is known as dead",
            Self::Asking => "section 6: who is not in sync asks before it chooses",
            Self::Generations => "I7: the highest generation wins",
            Self::Books => "I9: every frame is accounted for",
            Self::NoDuplicates => "I10: no packet leaves twice",
            Self::Agreement => "L1: when all is said, both redirectors name the owner",
            Self::OneHolder => "L1, L2: when all is said, all obey the same living holder",
            Self::Rest => "L6: there is an end to what is said",
            Self::NothingLost => "without a fault nothing is lost",
        }
    }
}

/// A stream, as the flow with which it opened says: its number, and the interface.
type Opener = (usize, Interface);

/// What has happened so far.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct History {
    pub(crate) faults: u8,
    pub(crate) patience: u8,
    /// Packets of each stream that each host has sent.
    pub(crate) sent: [[u8; 2]; 2],
    /// Of those, how many have reached the other host.
    pub(crate) reached: [[u8; 2]; 2],
    /// Who has inspected packets of which stream.
    inspected: [BTreeSet<Place>; 2],
    /// Whom a holder has told in which epoch that it has the session: the epoch, the stream, the owner, its counter.
    words: BTreeSet<(Epoch, Opener, Place, u32)>,
    /// The streams of a node whose acknowledgement has come.
    acknowledged: BTreeSet<(Place, Opener)>,
    /// The flows that a redirector has asked about.
    asked: BTreeSet<(Place, Opener)>,
    /// The epoch that a node has obeyed last.
    obeyed: [[Option<Epoch>; 2]; 3],
    /// What each redirector believes: owner, counter, and whether that was announced.
    beliefs: BTreeMap<(Place, Opener), (Place, u32, bool)>,
    /// Packets that left without an acknowledgement, as each node counts them.
    unacknowledged: [u64; 3],
    /// The first promise that was broken.
    pub(crate) broken: Option<(Promise, String)>,
}

impl History {
    /// Nothing has happened: what the nodes obey and believe now is what it is measured by.
    pub(crate) fn new(world: &World<'_>) -> Self {
        let mut history = Self::default();
        history.check(world);
        history
    }

    pub(crate) fn breaks(&mut self, promise: Promise, how: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some((promise, how()));
        }
    }

    /// A node has ended a turn: what it tells, says and transmits.
    pub(crate) fn saw(&mut self, world: &mut World<'_>, place: Place) {
        for flow in world.members[place].plugins.take() {
            if let Some(stream) = world.scenario.number_of(&flow) {
                world.tell(|_| format!("  the plugins of {} see it", NODES[place]));
                self.inspected[stream].insert(place);
            }
        }
        let world = &*world;
        let out = &world.members[place].out;
        for (to, message) in &out.send {
            match message {
                Message::Acknowledge(acknowledge) => self.gave_word(world, place, place_of(*to), acknowledge),
                Message::Query(query) => self.asked.extend(opener_of(world, &query.key).map(|opener| (place, opener))),
                _ => {}
            }
        }
        let fell_back = out.ledger.unacknowledged > self.unacknowledged[place];
        self.unacknowledged[place] = out.ledger.unacknowledged;
        for event in &out.events {
            match event {
                Event::Acknowledged { flow, node } => self.heard_word(world, place, flow, place_of(*node)),
                Event::Step { step: Step::M2, flow, .. } => self.chose(world, place, flow),
                Event::Step { step: Step::M8, flow, .. } if !fell_back => self.first_left(world, place, flow),
                _ => {}
            }
        }
    }

    /// A redirector chose a node: it knows every stream, or has asked about this one, or is alone.
    fn chose(&mut self, world: &World<'_>, place: Place, flow: &FlowKey) {
        let Some(opener) = opener_of(world, flow) else { return };
        let membership = world.members[place].node.membership();
        let knows_all = membership.member(id(place)).is_some_and(|own| own.synced[flow.interface()]);
        let is_alone = membership.members().all(|member| member.node == id(place) || !member.lives());
        if !knows_all && !is_alone && !self.asked.contains(&(place, opener)) {
            self.breaks(Promise::Asking, || {
                format!("{} is not in sync and chooses a node for stream {}", NODES[place], opener.0 + 1)
            });
        }
    }

    /// A redirector acknowledges: it must have the session.
    fn gave_word(&mut self, world: &World<'_>, place: Place, to: Place, said: &Acknowledge) {
        let Some(opener) = opener_of(world, &said.return_key.reversed(said.return_key.interface().other())) else {
            return;
        };
        let session = world.members[place].node.tables().redirector.get(&said.return_key).map(|session| *session);
        if session.is_none_or(|session| session.standing == Standing::Provisional) {
            self.breaks(Promise::Acknowledged, || {
                format!("{} acknowledges stream {} and has no session of it", NODES[place], opener.0 + 1)
            });
        }
        self.words.insert((said.epoch, opener, to, said.generation.counter));
    }

    /// An acknowledgement counted: the holder whose epoch its reader obeys must have given one.
    fn heard_word(&mut self, world: &World<'_>, place: Place, flow: &FlowKey, from: Place) {
        let Some(opener) = opener_of(world, flow) else { return };
        let node = &world.members[place].node;
        let back = opener.1.other();
        let obeyed = node.membership().epoch(back);
        let counter = node.tables().markers.get(flow).map(|entry| entry.generation);
        let was_said = match (obeyed, counter) {
            (Some(epoch), Some(counter)) => self.words.contains(&(epoch, opener, place, counter)),
            _ => false,
        };
        if from != place && !was_said {
            self.breaks(Promise::Acknowledged, || {
                let epoch =
                    obeyed.map_or("no epoch".to_owned(), |epoch| format!("epoch {} of {}", epoch.counter, epoch.node));
                format!(
                    "{} counts an acknowledgement of {} for stream {}, but obeys {epoch}, in which nobody gave one",
                    NODES[place],
                    NODES[from],
                    opener.0 + 1
                )
            });
        }
        self.acknowledged.insert((place, opener));
    }

    fn first_left(&mut self, world: &World<'_>, place: Place, flow: &FlowKey) {
        let Some(opener) = opener_of(world, flow) else { return };
        if !self.acknowledged.contains(&(place, opener)) {
            self.breaks(Promise::Acknowledged, || {
                format!(
                    "the first packet of stream {} leaves {} without an acknowledgement",
                    opener.0 + 1,
                    NODES[place]
                )
            });
        }
    }

    /// Everything that must hold after a step.
    pub(crate) fn check(&mut self, world: &World<'_>) {
        for place in PLACES.into_iter().filter(|place| world.alive[*place]) {
            self.check_epochs(world, place);
            self.check_beliefs(world, place);
            self.check_books(world, place);
        }
        self.check_packets(world);
        if world.is_quiet() {
            for (stream, _) in world.scenario.streams() {
                self.check_owner(world, stream);
            }
            self.check_arrivals(world);
        }
    }

    fn is_undisturbed(&self) -> bool {
        self.faults == 0 && self.patience == 0
    }

    fn check_epochs(&mut self, world: &World<'_>, place: Place) {
        for interface in Interface::BOTH {
            let Some(epoch) = world.members[place].node.membership().epoch(interface) else { continue };
            let before = self.obeyed[place][interface as usize].replace(epoch);
            if let Some(before) = before.filter(|before| *before > epoch) {
                self.breaks(Promise::Epochs, || {
                    let name = |epoch: Epoch| format!("epoch {} of {}", epoch.counter, epoch.node);
                    let (before, epoch) = (name(before), name(epoch));
                    format!("{} obeyed {before} for the {interface} redirector, and now {epoch}", NODES[place])
                });
            }
        }
    }

    fn check_beliefs(&mut self, world: &World<'_>, place: Place) {
        let node = &world.members[place].node;
        for (stream, _) in world.scenario.streams() {
            for interface in Interface::BOTH {
                let key = world.scenario.flow(stream, interface);
                let session = node.tables().redirector.get(&key).map(|session| *session);
                let Some(session) = session else {
                    self.beliefs.remove(&(place, (stream, interface)));
                    continue;
                };
                let now = session.generation;
                let belief = (place_of(now.node), now.counter, session.standing != Standing::Provisional);
                let Some(before) = self.beliefs.insert((place, (stream, interface)), belief) else { continue };
                let (owner, counter, announced) = before;
                let was = Generation { counter, node: id(owner) };
                let lives = node.membership().member(was.node).is_some_and(|member| member.lives());
                if announced && lives && was != now && !now.wins_over(was) {
                    self.breaks(Promise::Generations, || {
                        format!(
                            "{} believed that {} owns stream {} in generation {counter}, and now {} in {}",
                            NODES[place],
                            was.node,
                            stream + 1,
                            now.node,
                            now.counter
                        )
                    });
                }
            }
        }
    }

    fn check_books(&mut self, world: &World<'_>, place: Place) {
        let member = &world.members[place];
        let books = &member.out.ledger;
        let came = books.arrived.first + books.arrived.second + books.arrived_mesh;
        let dropped = member.out.drops().map(|(_, count)| count).sum::<u64>() - books.generated_dropped;
        let went = books.forwarded + books.redirected + books.handed_over + books.consumed + dropped;
        let kept = member.node.frames_kept() as u64;
        if came != went + kept {
            self.breaks(Promise::Books, || format!("{}: {came} came, {went} went, {kept} are kept", NODES[place]));
        }
    }

    fn check_packets(&mut self, world: &World<'_>) {
        for (stream, it) in world.scenario.streams() {
            for interface in Interface::BOTH {
                let (sent, reached) = (self.sent[stream][interface as usize], self.reached[stream][interface as usize]);
                if reached > sent {
                    self.breaks(Promise::NoDuplicates, || {
                        format!(
                            "of stream {}, {sent} packets came from the {interface} network, {reached} left",
                            stream + 1
                        )
                    });
                }
            }
            let inspectors = &self.inspected[stream];
            if self.is_undisturbed() && inspectors.len() > 1 && !it.is_contested() {
                let names: Vec<_> = inspectors.iter().map(|place| NODES[*place]).collect();
                self.breaks(Promise::OneInspector, || {
                    format!("{} inspected stream {}", names.join(" and "), stream + 1)
                });
            }
        }
    }

    /// Nothing is on its way any more: a stream has one owner at most, and both redirectors name it.
    fn check_owner(&mut self, world: &World<'_>, stream: usize) {
        let keys = PerInterface::from_fn(|interface| world.scenario.flow(stream, interface));
        let owned = |place: &Place| {
            let markers = &world.members[*place].node.tables().markers;
            let entry = markers.get(&keys.first).or_else(|| markers.get(&keys.second))?;
            entry.state.map(|_| (*place, entry.generation))
        };
        let owners: Vec<_> = PLACES.into_iter().filter(|p| world.alive[*p]).filter_map(|p| owned(&p)).collect();
        let (owner, counter) = match owners[..] {
            [] => return,
            [one] => one,
            [(one, _), (other, _), ..] => {
                return self.breaks(Promise::OneOwner, || {
                    format!("{} and {} both own stream {}", NODES[one], NODES[other], stream + 1)
                });
            }
        };
        for interface in Interface::BOTH {
            let key = keys[interface];
            for place in PLACES.into_iter().filter(|place| world.alive[*place]) {
                let node = &world.members[place].node;
                if !node.membership().holds(interface) {
                    continue;
                }
                let believed = node.tables().redirector.get(&key).map(|session| session.generation);
                if believed != Some(Generation { counter, node: id(owner) }) {
                    self.breaks(Promise::Agreement, || {
                        let believed = believed.map_or("nobody".to_owned(), |g| format!("{} in {}", g.node, g.counter));
                        format!(
                            "{} owns stream {} in generation {counter}; {}, which holds the {interface} redirector, names {believed}",
                            NODES[owner],
                            stream + 1,
                            NODES[place]
                        )
                    });
                }
            }
        }
    }

    /// Nothing is on its way any more: without a fault, all that was sent has arrived; and each role has one holder.
    fn check_arrivals(&mut self, world: &World<'_>) {
        for (stream, _) in world.scenario.streams() {
            if self.is_undisturbed() && self.sent[stream] != self.reached[stream] {
                let (sent, reached) = (self.sent[stream], self.reached[stream]);
                self.breaks(Promise::NothingLost, || {
                    format!("of stream {}, {sent:?} packets came from the networks, {reached:?} left", stream + 1)
                });
            }
        }
        for interface in Interface::BOTH {
            let living: Vec<_> = PLACES.into_iter().filter(|place| world.alive[*place]).collect();
            let epochs = |place: &Place| world.members[*place].node.membership().epoch(interface);
            let obeyed: BTreeSet<_> = living.iter().map(epochs).collect();
            // The first epochs are old enough for a proven death to vacate them; of a younger one time would have to pass.
            let is_kept = |epoch: Epoch| world.alive[place_of(epoch.node)] || epoch.counter > 1;
            let is_held = obeyed.first().is_some_and(|epoch| epoch.is_some_and(is_kept));
            if obeyed.len() != 1 || !is_held {
                self.breaks(Promise::OneHolder, || {
                    format!("for the {interface} redirector, the living obey {obeyed:?}")
                });
            }
        }
    }
}

/// The stream that this flow opened.
fn opener_of(world: &World<'_>, flow: &FlowKey) -> Option<Opener> {
    world.scenario.number_of(flow).map(|stream| (stream, flow.interface()))
}
