//! What has happened so far, as far as a promise is about it, and the promises themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::{Epoch, Generation, Interface};
use herald_core::inspector::{Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals};
use herald_core::time::Instant;

use crate::layout::{NODES, Place, id, place_of};
use crate::member::Effect;
use crate::memo::{Belief, NodeState};
use crate::scenario::Scenario;
use crate::state::State;

/// The plugins of one node: they see everything and pass it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What they have seen in this turn.
    pub(crate) seen: Vec<FlowKey>,
}

impl Inspector for Watch {
    type Part = ();

    fn stream_started(&mut self, _: Instant, _: &Stream, (): &mut ()) -> PerDirection<Standing> {
        PerDirection::default()
    }

    fn inspect(&mut self, _: Instant, batch: &mut [Inspection], _: &mut dyn Parts<()>) {
        self.seen.extend(batch.iter().map(|inspection| inspection.arrival.key()));
    }

    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, (): &mut ()) {}

    fn readiness(&self) -> Readiness {
        Readiness::Ready
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
pub(crate) type Opener = (usize, Interface);

/// What a holder has told a node: in this epoch, it has the session of that node's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Word {
    pub(crate) epoch: Epoch,
    pub(crate) opener: Opener,
    pub(crate) to: Place,
    pub(crate) counter: u32,
}

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
    words: BTreeSet<Word>,
    /// The streams of a node whose acknowledgement has come.
    acknowledged: BTreeSet<(Place, Opener)>,
    /// The flows that a redirector has asked about.
    asked: BTreeSet<(Place, Opener)>,
    /// The first promise that was broken.
    pub(crate) broken: Option<(Promise, String)>,
}

impl History {
    pub(crate) fn breaks(&mut self, promise: Promise, how: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some((promise, how()));
        }
    }

    /// Something came of a node's turn.
    pub(crate) fn saw(&mut self, place: Place, effect: &Effect) {
        match effect {
            Effect::Inspected(stream) => _ = self.inspected[*stream].insert(place),
            Effect::GaveWord(word) => _ = self.words.insert(*word),
            Effect::Asked(opener) => _ = self.asked.insert((place, *opener)),
            Effect::HeardWord { opener, from, obeyed, counter } => {
                self.heard_word(place, *opener, *from, obeyed.zip(*counter));
            }
            Effect::Chose { opener, knows } => self.chose(place, *opener, *knows),
            Effect::FirstLeft(opener) => self.first_left(place, *opener),
            Effect::Breaks(promise, how) => self.breaks(*promise, || how.clone()),
            Effect::Reaches(stream, interface) => self.reached[*stream][interface.other() as usize] += 1,
            Effect::Says(..) | Effect::Redirects(..) => {}
        }
    }

    /// A redirector chose a node: it knows every stream, or has asked about this one, or is alone.
    fn chose(&mut self, place: Place, opener: Opener, knows: bool) {
        if !knows && !self.asked.contains(&(place, opener)) {
            self.breaks(Promise::Asking, || {
                format!("{} is not in sync and chooses a node for stream {}", NODES[place], opener.0 + 1)
            });
        }
    }

    /// An acknowledgement counted: the holder whose epoch its reader obeys must have given one.
    fn heard_word(&mut self, place: Place, opener: Opener, from: Place, obeyed: Option<(Epoch, u32)>) {
        let said = obeyed.map(|(epoch, counter)| Word { epoch, opener, to: place, counter });
        if from != place && said.is_none_or(|word| !self.words.contains(&word)) {
            self.breaks(Promise::Acknowledged, || {
                format!(
                    "{} counts an acknowledgement of {} for stream {}, but obeys {}, in which nobody gave one",
                    NODES[place],
                    NODES[from],
                    opener.0 + 1,
                    obeyed.map_or("no epoch".to_owned(), |(epoch, _)| name(epoch)),
                )
            });
        }
        self.acknowledged.insert((place, opener));
    }

    fn first_left(&mut self, place: Place, opener: Opener) {
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
    pub(crate) fn check(&mut self, scenario: &Scenario, state: &State, before: &[Arc<NodeState>; 3]) {
        for node in state.living() {
            self.check_epochs(&before[node.place], node);
            self.check_beliefs(scenario, &before[node.place], node);
        }
        self.check_packets(scenario);
        if state.is_quiet() {
            for (stream, _) in scenario.streams() {
                self.check_owner(state, stream);
            }
            self.check_arrivals(scenario, state);
        }
    }

    fn is_undisturbed(&self) -> bool {
        self.faults == 0 && self.patience == 0
    }

    fn check_epochs(&mut self, before: &NodeState, now: &NodeState) {
        for interface in Interface::BOTH {
            let Some(epoch) = now.epochs[interface as usize] else { continue };
            if let Some(before) = before.epochs[interface as usize].filter(|before| *before > epoch) {
                self.breaks(Promise::Epochs, || {
                    let (node, before, epoch) = (NODES[now.place], name(before), name(epoch));
                    format!("{node} obeyed {before} for the {interface} redirector, and now {epoch}")
                });
            }
        }
    }

    fn check_beliefs(&mut self, scenario: &Scenario, before: &NodeState, now: &NodeState) {
        for (stream, _) in scenario.streams() {
            for interface in Interface::BOTH {
                let beliefs = |node: &NodeState| node.beliefs[stream][interface as usize];
                let (Some(was), Some(is)) = (beliefs(before), beliefs(now)) else { continue };
                let generation = |belief: Belief| Generation { counter: belief.counter, node: id(belief.owner) };
                let falls = generation(was) != generation(is) && !generation(is).wins_over(generation(was));
                if was.announced && now.knows_living[was.owner] && falls {
                    self.breaks(Promise::Generations, || {
                        format!(
                            "{} believed that {} owns stream {} in generation {}, and now {} in {}",
                            NODES[now.place],
                            NODES[was.owner],
                            stream + 1,
                            was.counter,
                            NODES[is.owner],
                            is.counter
                        )
                    });
                }
            }
        }
    }

    fn check_packets(&mut self, scenario: &Scenario) {
        for (stream, it) in scenario.streams() {
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
    fn check_owner(&mut self, state: &State, stream: usize) {
        let owners: Vec<_> = state.living().filter_map(|node| Some((node.place, node.owned[stream]?))).collect();
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
            for holder in state.living().filter(|node| node.holds[interface as usize]) {
                let believed = holder.beliefs[stream][interface as usize].map(|belief| (belief.owner, belief.counter));
                if believed != Some((owner, counter)) {
                    self.breaks(Promise::Agreement, || {
                        let believed = believed.map_or("nobody".to_owned(), |(b, c)| format!("{} in {c}", NODES[b]));
                        format!(
                            "{} owns stream {} in generation {counter}; {}, which holds the {interface} redirector, names {believed}",
                            NODES[owner],
                            stream + 1,
                            NODES[holder.place]
                        )
                    });
                }
            }
        }
    }

    /// Nothing is on its way any more: without a fault, all that was sent has arrived; and each role has one holder.
    fn check_arrivals(&mut self, scenario: &Scenario, state: &State) {
        for (stream, _) in scenario.streams() {
            if self.is_undisturbed() && self.sent[stream] != self.reached[stream] {
                let (sent, reached) = (self.sent[stream], self.reached[stream]);
                self.breaks(Promise::NothingLost, || {
                    format!("of stream {}, {sent:?} packets came from the networks, {reached:?} left", stream + 1)
                });
            }
        }
        for interface in Interface::BOTH {
            let obeyed: BTreeSet<_> = state.living().map(|node| node.epochs[interface as usize]).collect();
            // The first epochs are old enough for a proven death to vacate them; of a younger one time would have to pass.
            let is_kept = |epoch: Epoch| state.alive[place_of(epoch.node)] || epoch.counter > 1;
            let is_held = obeyed.first().is_some_and(|epoch| epoch.is_some_and(is_kept));
            if obeyed.len() != 1 || !is_held {
                self.breaks(Promise::OneHolder, || {
                    format!("for the {interface} redirector, the living obey {obeyed:?}")
                });
            }
        }
    }
}

fn name(epoch: Epoch) -> String {
    format!("epoch {} of {}", epoch.counter, epoch.node)
}
