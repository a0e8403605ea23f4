//! One node, taking one thing after another. All that it does with one thing is a turn; what comes of a turn depends on the
//! node alone, so it can be told as a list of effects, to be carried out in any state of the others.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use herald_core::event::{Event, Step};
use herald_core::flow::FlowKey;
use herald_core::id::{Epoch, Interface, NodeId};
use herald_core::limits::CROSSING_TIME_MAX;
use herald_core::membership::InterfaceState;
use herald_core::mesh::{Acknowledge, Heartbeat, Message, Padding, codec};
use herald_core::node::Node;
use herald_core::outbox::{Leaving, Outbox};
use herald_core::packet::Frame;
use herald_core::session::Standing;
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_testing::layout::{arp_answer, hello, node_mac};

use crate::history::{Opener, Promise, Watch, Word};
use crate::layout::{MET, NODES, PATIENCE, PLACES, Place, advert, id, place_of, settings};
use crate::scenario::Scenario;
use crate::sights::Sights;

/// What comes to a node.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Before the first packet: its cable works or does not.
    Interface(Interface, InterfaceState),
    /// Before the first packet: its link to another node is up.
    Meets(Place),
    /// Before the first packet: it is this late.
    TimeIs(Instant),
    /// A frame comes in at an interface, from a host or a redirector.
    Frame(Interface, Vec<u8>),
    /// Another node says something.
    Message(Place, Message),
    /// What waits here has waited for long enough.
    PatienceEnds,
    /// Every other member says once more what it said last, and that it hears this node on the interface.
    IsHeard(Interface),
    /// The advert of the holder that it obeys, written after all that this node wrote.
    SuccessorHeard(Interface),
    /// The link's end, and the refusal of a new connection.
    FindsDead(Place),
    /// The link breaks and is made again.
    LinkBreaks(Place),
}

/// An input with what tells it from others.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) input: Input,
    pub(crate) print: u64,
}

impl Letter {
    pub(crate) fn new(input: Input) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        std::mem::discriminant(&input).hash(&mut hasher);
        match &input {
            Input::Interface(interface, state) => (interface, *state == InterfaceState::Up).hash(&mut hasher),
            Input::TimeIs(time) => time.hash(&mut hasher),
            Input::Frame(interface, bytes) => (interface, bytes).hash(&mut hasher),
            Input::Message(from, message) => {
                let mut bytes = Vec::new();
                codec::encode(message, &mut bytes).unwrap();
                (from, bytes).hash(&mut hasher);
            }
            Input::Meets(place) | Input::FindsDead(place) | Input::LinkBreaks(place) => place.hash(&mut hasher),
            Input::IsHeard(interface) | Input::SuccessorHeard(interface) => interface.hash(&mut hasher),
            Input::PatienceEnds => {}
        }
        Arc::new(Self { print: hasher.finish(), input })
    }
}

/// What comes of a turn, in the order in which it does.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The plugins have seen a packet of this stream.
    Inspected(usize),
    /// A holder gives its word that it has a session.
    GaveWord(Word),
    /// A redirector asks whose a stream is.
    Asked(Opener),
    /// An acknowledgement counts, in the epoch that the node obeys and for the generation that it has.
    HeardWord { opener: Opener, from: Place, obeyed: Option<Epoch>, counter: Option<u32> },
    /// A redirector chooses; it may if it knows every stream, or is alone.
    Chose { opener: Opener, knows: bool },
    /// The first packet of a stream leaves, not for want of an acknowledgement.
    FirstLeft(Opener),
    /// A promise is broken, whatever the others do.
    Breaks(Promise, String),
    /// A message leaves for another node.
    Says(Place, Arc<Letter>),
    /// A frame is redirected.
    Redirects(Interface, Place, Arc<Letter>),
    /// A packet of this stream reaches the host on the interface.
    Reaches(usize, Interface),
}

/// What a turn has shown.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) effects: Vec<Effect>,
    pub(crate) sights: Sights,
}

/// One node with what surrounds it.
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) node: Node<()>,
    out: Outbox,
    plugins: Watch,
    clock: Instant,
    /// Packets that left without an acknowledgement.
    unacknowledged: u64,
}

impl Member {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            node: Node::new(MET, settings(place)).unwrap(),
            out: Outbox::default(),
            plugins: Watch::default(),
            clock: MET,
            unacknowledged: 0,
        }
    }

    /// Takes a turn.
    pub(crate) fn take(&mut self, input: &Input, scenario: &Scenario) -> Told {
        let mut told = Told::default();
        self.begin(input);
        loop {
            self.settle();
            self.show(scenario, &mut told.effects);
            self.want_done(scenario, &mut told);
            if !self.carry_out() {
                break;
            }
        }
        self.check_books(&mut told.effects);
        told
    }

    /// Takes a turn of which everything is known.
    pub(crate) fn take_again(&mut self, input: &Input) {
        self.begin(input);
        loop {
            self.settle();
            if !self.carry_out() {
                break;
            }
        }
    }

    /// A hash of all that the node remembers, as it would print it, so that no two states are taken for one.
    pub(crate) fn print(&self) -> u64 {
        let mut sink = Sink(DefaultHasher::new());
        write!(sink, "{:?}", self.node).unwrap();
        self.clock.hash(&mut sink.0);
        sink.0.finish()
    }

    fn begin(&mut self, input: &Input) {
        let Self { node, plugins, out, clock, .. } = self;
        match input {
            Input::Interface(interface, state) => {
                node.interface_changed(&mut Turn::new(*clock, plugins, out), *interface, *state)
            }
            Input::Meets(peer) => node.link_up(&mut Turn::new(*clock, plugins, out), &hello(*peer)),
            Input::TimeIs(time) => {
                *clock = *time;
                node.deadline_reached(&mut Turn::new(*clock, plugins, out));
            }
            Input::Frame(interface, bytes) => {
                node.frame_arrived(&mut Turn::new(*clock, plugins, out), *interface, Frame::from_bytes(bytes));
            }
            Input::Message(from, message) => {
                node.message_arrived(&mut Turn::new(*clock, plugins, out), id(*from), message.clone())
            }
            Input::PatienceEnds => {
                *clock = *clock + PATIENCE;
                node.deadline_reached(&mut Turn::new(*clock, plugins, out));
            }
            Input::IsHeard(interface) => self.is_heard(*interface),
            Input::SuccessorHeard(interface) => {
                let successor = node.membership().holder(*interface).unwrap();
                *clock = *clock + CROSSING_TIME_MAX;
                node.frame_arrived(
                    &mut Turn::new(*clock, plugins, out),
                    *interface,
                    advert(*interface, place_of(successor)),
                );
            }
            Input::FindsDead(dead) => {
                node.link_lost(&mut Turn::new(*clock, plugins, out), id(*dead));
                node.peer_refused(&mut Turn::new(*clock, plugins, out), id(*dead));
            }
            Input::LinkBreaks(peer) => {
                node.link_lost(&mut Turn::new(*clock, plugins, out), id(*peer));
                node.link_up(&mut Turn::new(*clock, plugins, out), &hello(*peer));
            }
        }
    }

    fn is_heard(&mut self, interface: Interface) {
        let Self { node, plugins, out, clock, .. } = self;
        for from in PLACES.into_iter().filter(|place| *place != self.place) {
            let Some(said) = node.membership().member(id(from)).filter(|member| member.lives()) else { continue };
            let mut heard = said.heard_on.clone();
            heard[interface].push(id(self.place));
            let report = Heartbeat {
                priorities: said.priorities.unwrap(),
                epochs: said.epochs,
                weight: said.weight,
                in_sync: said.in_sync,
                synced: said.synced,
                draining: said.draining,
                suspended: said.suspended,
                full: said.full,
                interfaces: said.interfaces,
                heard,
                links: said.links.clone(),
                padding: Padding::default(),
            };
            node.message_arrived(&mut Turn::new(*clock, plugins, out), id(from), Message::Heartbeat(report));
        }
    }

    /// As in the event loop: a batch, bulks and what is due.
    fn settle(&mut self) {
        let Self { node, plugins, out, clock, .. } = self;
        node.batch_ended(&mut Turn::new(*clock, plugins, out));
        while node.send_bulk(&mut Turn::new(*clock, plugins, out), &|_| usize::MAX) {}
        if node.next_deadline().is_some_and(|due| due <= *clock) {
            node.deadline_reached(&mut Turn::new(*clock, plugins, out));
            node.batch_ended(&mut Turn::new(*clock, plugins, out));
        }
    }

    /// What a promise is about, of what the node tells and says.
    fn show(&self, scenario: &Scenario, effects: &mut Vec<Effect>) {
        effects.extend(self.plugins.seen.iter().filter_map(|flow| scenario.number_of(flow)).map(Effect::Inspected));
        for (to, message) in &self.out.send {
            match message {
                Message::Acknowledge(said) => self.gives_word(scenario, place_of(*to), said, effects),
                Message::Query(query) => effects.extend(scenario.opener_of(&query.key).map(Effect::Asked)),
                _ => {}
            }
        }
        let fell_back = self.out.ledger.unacknowledged > self.unacknowledged;
        for event in &self.out.events {
            let effect = match event {
                Event::Acknowledged { flow, node } => self.hears_word(scenario, flow, place_of(*node)),
                Event::Step { step: Step::M2, flow, .. } => self.chooses(scenario, flow),
                Event::Step { step: Step::M8, flow, .. } if !fell_back => {
                    scenario.opener_of(flow).map(Effect::FirstLeft)
                }
                _ => None,
            };
            effects.extend(effect);
        }
    }

    /// A redirector acknowledges: it must have the session.
    fn gives_word(&self, scenario: &Scenario, to: Place, said: &Acknowledge, effects: &mut Vec<Effect>) {
        let arrival = said.return_key.reversed(said.return_key.interface().other());
        let Some(opener) = scenario.opener_of(&arrival) else { return };
        let session = self.node.redirector().session(&said.return_key).copied();
        if session.is_none_or(|session| session.standing == Standing::Provisional) {
            let how = format!("{} acknowledges stream {} and has no session of it", NODES[self.place], opener.0 + 1);
            effects.push(Effect::Breaks(Promise::Acknowledged, how));
        }
        effects.push(Effect::GaveWord(Word { epoch: said.epoch, opener, to, counter: said.generation.counter }));
    }

    fn hears_word(&self, scenario: &Scenario, flow: &FlowKey, from: Place) -> Option<Effect> {
        let opener = scenario.opener_of(flow)?;
        let obeyed = self.node.membership().epoch(opener.1.other());
        let counter = self.node.markers().find(flow).map(|(slot, _)| self.node.markers().at(slot).generation);
        Some(Effect::HeardWord { opener, from, obeyed, counter })
    }

    fn chooses(&self, scenario: &Scenario, flow: &FlowKey) -> Option<Effect> {
        let (opener, own) = (scenario.opener_of(flow)?, id(self.place));
        let membership = self.node.membership();
        let knows_all = membership.member(own).is_some_and(|own| own.synced[flow.interface()]);
        let is_alone = membership.members().all(|member| member.node == own || !member.lives());
        Some(Effect::Chose { opener, knows: knows_all || is_alone })
    }

    /// What the node wants done, where the others notice it.
    fn want_done(&self, scenario: &Scenario, told: &mut Told) {
        self.out.events.iter().for_each(|event| told.sights.told(event));
        for (to, message) in &self.out.send {
            told.sights.said(message);
            let to = place_of(*to);
            let letter = Letter::new(Input::Message(self.place, unheard(message.clone(), to)));
            told.effects.push(Effect::Says(to, letter));
        }
        for (interface, frame, leaving) in &self.out.transmit {
            match leaving {
                Leaving::Forwarded => {
                    told.effects.extend(scenario.stream_of(frame).map(|stream| Effect::Reaches(stream, *interface)));
                }
                Leaving::Redirected => {
                    let to = PLACES.into_iter().find(|to| frame.bytes()[..6] == node_mac(*interface, *to).0).unwrap();
                    let letter = Letter::new(Input::Frame(*interface, frame.bytes().to_vec()));
                    told.effects.push(Effect::Redirects(*interface, to, letter));
                }
                Leaving::Generated => {}
            }
        }
    }

    /// The node's outbox is emptied, and the hosts answer its questions. True if they did.
    fn carry_out(&mut self) -> bool {
        self.unacknowledged = self.out.ledger.unacknowledged;
        self.plugins.seen.clear();
        self.out.events.clear();
        self.out.spent.clear();
        self.out.send.clear();
        let mut answered = false;
        for (interface, frame, leaving) in std::mem::take(&mut self.out.transmit) {
            let reply = arp_answer(interface, frame.bytes()).filter(|_| leaving == Leaving::Generated);
            if let Some(reply) = reply {
                self.begin(&Input::Frame(interface, reply));
                answered = true;
            }
        }
        answered
    }

    fn check_books(&self, effects: &mut Vec<Effect>) {
        let books = &self.out.ledger;
        let came = books.arrived.first + books.arrived.second + books.arrived_mesh + books.cut + books.injected;
        let dropped = self.out.drops().map(|(_, count)| count).sum::<u64>() - books.generated_dropped;
        let went = books.forwarded + books.redirected + books.handed_over + books.consumed + books.joined + dropped;
        let kept = self.node.frames_kept() as u64;
        if came != went + kept {
            let how = format!("{}: {came} came, {went} went, {kept} are kept", NODES[self.place]);
            effects.push(Effect::Breaks(Promise::Books, how));
        }
    }
}

/// The node that would take an interface's role from its first holder.
pub(crate) fn outranking(interface: Interface) -> Place {
    match interface {
        Interface::First => 1,
        Interface::Second => 0,
    }
}

/// A report as it is while its sender does not hear the receiver where that outranks the holder: then that does not
/// preempt.
fn unheard(message: Message, by: Place) -> Message {
    let Message::Heartbeat(mut heartbeat) = message else { return message };
    let by: NodeId = id(by);
    for interface in Interface::BOTH {
        if id(outranking(interface)) == by {
            heartbeat.heard[interface].retain(|node| *node != by);
        }
    }
    Message::Heartbeat(heartbeat)
}

/// Hashes text as it is written.
struct Sink(DefaultHasher);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
