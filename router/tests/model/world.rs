//! The cluster in one state: three real nodes, what is on its way between them, and what has happened so far. Nodes are
//! moved, not copied, so a state is made anew by doing again what led to it.

use std::collections::VecDeque;

use herald::id::{Interface, NodeId, PerInterface};
use herald::membership::InterfaceState;
use herald::mesh::{Heartbeat, Lane, Message};
use herald::node::Node;
use herald::outbox::{Leaving, Outbox};
use herald::packet::Frame;
use herald::time::Instant;

use crate::action::Action;
use crate::history::{History, Promise, Watch};
use crate::layout::{
    NODES, PATIENCE, PLACES, Place, arp_reply, hello, id, node_mac, packet, pairs, place_of, settings,
};
use crate::scenario::{Channel, Scenario};
use crate::sights::Sights;
use crate::story;

/// When the nodes meet.
const MET: Instant = Instant::from_nanos(1_000_000_000);

/// When the first packet may come: longer after the last advert than one advert interval, so that a proven death costs the
/// dead its roles at once, and sooner than any silence counts.
const START: Instant = Instant::from_nanos(1_150_000_000);

/// What may follow from one step at once; where nothing is slow a take-over takes some dozen messages.
const PROMPT_MAX: usize = 500;

/// One node with what surrounds it.
pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) out: Outbox,
    pub(crate) plugins: Watch,
    pub(crate) clock: Instant,
}

/// A queue from each node to each.
type Between<T> = [[VecDeque<T>; 3]; 3];

/// The cluster.
pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) members: [Member; 3],
    pub(crate) alive: [bool; 3],
    /// Who has noticed whose death.
    pub(crate) noticed: [[bool; 3]; 3],
    pub(crate) control: Between<Message>,
    pub(crate) handovers: Between<Message>,
    pub(crate) wire: PerInterface<Between<Vec<u8>>>,
    pub(crate) history: History,
    is_warm: bool,
    /// The nodes that the last step has changed.
    pub(crate) touched: [bool; 3],
    /// What the last step has shown, of the things that a run should have seen.
    pub(crate) sights: Sights,
    /// What happened, in words, if anybody wants to know.
    pub(crate) story: Option<Vec<String>>,
}

impl<'a> World<'a> {
    /// Linked, in sync, the first node holding the first redirector and the second the second.
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let member = |place| Member {
            node: Node::new(MET, settings(place), 0).unwrap(),
            out: Outbox::default(),
            plugins: Watch::default(),
            clock: MET,
        };
        let mut world = Self {
            scenario,
            members: PLACES.map(member),
            alive: [true; 3],
            noticed: [[false; 3]; 3],
            control: Between::default(),
            handovers: Between::default(),
            wire: PerInterface::default(),
            history: History::default(),
            is_warm: false,
            touched: [true; 3],
            sights: Sights::default(),
            story: None,
        };
        world.meet();
        world.warm_up();
        world.is_warm = true;
        world.history = History::new(&world);
        world
    }

    /// Who outranks an interface's first holder has a cable that does not work yet, so it does not hold.
    fn meet(&mut self) {
        for place in PLACES {
            for interface in Interface::BOTH {
                let late = outranking(interface) == place;
                let state = if late { InterfaceState::Down } else { InterfaceState::Up };
                let Member { node, plugins, out, clock } = &mut self.members[place];
                node.interface_changed(*clock, interface, state, plugins, out);
            }
        }
        for place in PLACES {
            for peer in PLACES.into_iter().filter(|peer| *peer != place) {
                let Member { node, plugins, out, clock } = &mut self.members[place];
                node.link_up(*clock, &hello(peer), plugins, out);
            }
        }
        self.deliver_all();
        for interface in Interface::BOTH {
            let Member { node, plugins, out, clock } = &mut self.members[outranking(interface)];
            node.interface_changed(*clock, interface, InterfaceState::Up, plugins, out);
        }
        self.deliver_all();
    }

    /// Time goes on until everybody has just been heard.
    fn warm_up(&mut self) {
        for member in &mut self.members {
            member.clock = START;
            member.node.deadline_reached(START, &mut member.plugins, &mut member.out);
        }
        self.deliver_all();
    }

    fn deliver_all(&mut self) {
        PLACES.into_iter().for_each(|place| self.settle(place));
        loop {
            let waiting = |(from, to): &(Place, Place)| !self.control[*from][*to].is_empty();
            let Some((from, to)) = pairs().find(waiting) else { return };
            self.message_arrives(from, to);
            self.settle(to);
        }
    }

    /// Does one step, which must be possible.
    pub(crate) fn step(&mut self, action: Action) {
        self.tell(|_| action.to_string());
        self.touched = [false; 3];
        self.sights = Sights::default();
        let touched: &[Place] = match action {
            Action::HostSends { stream, from, at } => {
                let (port, kind) = self.scenario.packet(stream, from);
                self.history.sent[stream][from as usize] += 1;
                self.frame_arrives(from, at, &packet(from, port, kind));
                &[at]
            }
            Action::FrameArrives { interface, from, to } => {
                let frame = self.wire[interface][from][to].pop_front().unwrap();
                self.frame_arrives(interface, to, &frame);
                &[to]
            }
            Action::MessageArrives { from, to } => {
                self.message_arrives(from, to);
                &[to]
            }
            Action::HandoverArrives { from, to } => {
                let message = self.handovers[from][to].pop_front().unwrap();
                self.hear(from, to, message);
                &[to]
            }
            Action::PatienceEnds { at } => {
                self.history.patience += 1;
                let Member { node, plugins, out, clock } = &mut self.members[at];
                *clock = *clock + PATIENCE;
                node.deadline_reached(*clock, plugins, out);
                &[at]
            }
            Action::RoleTaken { interface, by } => {
                self.history.faults += 1;
                self.let_preempt(interface, by);
                &[by]
            }
            Action::Dies { node } => {
                self.history.faults += 1;
                self.die(node);
                &[]
            }
            Action::DeathNoticed { dead, by } => {
                self.notice(dead, by);
                &[by]
            }
            Action::LinkBreaks { one, other } => {
                self.history.faults += 1;
                self.break_link(one, other);
                &[one, other]
            }
        };
        touched.iter().for_each(|place| self.settle(*place));
        let is_endless = (0..PROMPT_MAX).all(|_| self.deliver_promptly());
        let mut history = std::mem::take(&mut self.history);
        history.check(self);
        if is_endless {
            history.breaks(Promise::Rest, || "there is no end after one step".to_owned());
        }
        self.history = history;
    }

    /// Delivers one thing that is on its way where nothing is slow. False if there is none.
    fn deliver_promptly(&mut self) -> bool {
        for (from, to) in pairs() {
            for interface in Interface::BOTH {
                if !self.scenario.is_slow(Channel::Network(interface))
                    && let Some(frame) = self.wire[interface][from][to].pop_front()
                {
                    self.tell(|_| format!("  it reaches {} at once", NODES[to]));
                    self.frame_arrives(interface, to, &frame);
                    self.settle(to);
                    return true;
                }
            }
            if self.scenario.is_slow(Channel::Link(from, to)) {
                continue;
            }
            if let Some(message) = self.control[from][to].pop_front().or_else(|| self.handovers[from][to].pop_front()) {
                self.hear(from, to, message);
                self.settle(to);
                return true;
            }
            if self.may_notice(from, to) {
                self.notice(from, to);
                self.settle(to);
                return true;
            }
        }
        false
    }

    /// A death shows when all that was said before it has arrived.
    pub(crate) fn may_notice(&self, dead: Place, by: Place) -> bool {
        !self.alive[dead]
            && self.alive[by]
            && !self.noticed[by][dead]
            && self.control[dead][by].is_empty()
            && self.handovers[dead][by].is_empty()
    }

    fn frame_arrives(&mut self, interface: Interface, at: Place, bytes: &[u8]) {
        let Member { node, plugins, out, clock } = &mut self.members[at];
        node.frame_arrived(*clock, interface, Frame::from_bytes(bytes), plugins, out);
    }

    fn message_arrives(&mut self, from: Place, to: Place) {
        let message = self.control[from][to].pop_front().unwrap();
        self.hear(from, to, message);
    }

    fn hear(&mut self, from: Place, to: Place, message: Message) {
        self.tell(|world| format!("  {} hears {}", NODES[to], story::said(world.scenario, from, &message)));
        let Member { node, plugins, out, clock } = &mut self.members[to];
        node.message_arrived(*clock, id(from), message, plugins, out);
    }

    /// A node ends its turn: as in the event loop, its batch, its bulks and what is due.
    fn settle(&mut self, place: Place) {
        self.touched[place] = true;
        loop {
            let Member { node, plugins, out, clock } = &mut self.members[place];
            node.batch_ended(*clock, plugins, out);
            while node.send_bulk(*clock, &|_| usize::MAX, plugins, out) {}
            if node.next_deadline().is_some_and(|due| due <= *clock) {
                node.deadline_reached(*clock, plugins, out);
                node.batch_ended(*clock, plugins, out);
            }
            if !self.carry_out(place) {
                return;
            }
        }
    }

    /// Carries out what a node wants done. True if that came back to it.
    fn carry_out(&mut self, place: Place) -> bool {
        let mut history = std::mem::take(&mut self.history);
        history.saw(self, place);
        self.history = history;
        let out = &mut self.members[place].out;
        out.events.iter().for_each(|event| self.sights.told(event));
        out.events.clear();
        out.spent.clear();
        let (frames, messages) = (std::mem::take(&mut out.transmit), std::mem::take(&mut out.send));
        for (to, message) in messages {
            self.send(place, place_of(to), message);
        }
        let mut answered = false;
        for (interface, frame, leaving) in frames {
            match leaving {
                Leaving::Forwarded => self.reaches_host(place, interface, &frame),
                Leaving::Redirected => {
                    let to = PLACES.into_iter().find(|to| frame.bytes()[..6] == node_mac(interface, *to).0).unwrap();
                    self.tell(|_| format!("  {} redirects it to {}", NODES[place], NODES[to]));
                    if self.noticed[place][to] {
                        self.history
                            .breaks(Promise::Steering, || format!("{} redirects to {}", NODES[place], NODES[to]));
                    }
                    if self.alive[to] {
                        self.wire[interface][place][to].push_back(frame.bytes().to_vec());
                    }
                }
                Leaving::Generated => {
                    if let Some(reply) = arp_reply(interface, frame.bytes()) {
                        self.frame_arrives(interface, place, &reply);
                        answered = true;
                    }
                }
            }
        }
        answered
    }

    fn reaches_host(&mut self, place: Place, interface: Interface, frame: &Frame) {
        let Some(stream) = self.scenario.stream_of(frame) else { return };
        self.tell(|_| format!("  {} transmits it: it reaches the host on the {interface} network", NODES[place]));
        self.history.reached[stream][interface.other() as usize] += 1;
    }

    /// Heartbeats are the model's to give: of their own accord they tell nothing new.
    fn send(&mut self, from: Place, to: Place, message: Message) {
        let message = match message {
            Message::Heartbeat(_) if self.is_warm => return,
            Message::Heartbeat(heartbeat) => Message::Heartbeat(unheard(heartbeat, to)),
            other => other,
        };
        self.sights.said(&message);
        if !self.alive[to] {
            return;
        }
        self.tell(|world| {
            format!("  {} says to {}: {}", NODES[from], NODES[to], story::words(world.scenario, &message))
        });
        match message.lane() {
            Lane::Control => self.control[from][to].push_back(message),
            Lane::Frames => self.handovers[from][to].push_back(message),
        }
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = line(self);
            self.story.get_or_insert_default().push(line);
        }
    }

    /// Nothing is on its way, nothing waits, and everybody knows who is dead.
    pub(crate) fn is_quiet(&self) -> bool {
        let still = |between: &Between<Message>| between.iter().flatten().all(VecDeque::is_empty);
        let wires = [&self.wire.first, &self.wire.second];
        let living = || PLACES.into_iter().filter(|place| self.alive[*place]);
        let knows = |by: Place| PLACES.into_iter().all(|dead| self.alive[dead] || self.noticed[by][dead]);
        still(&self.control)
            && still(&self.handovers)
            && wires.iter().all(|wire| wire.iter().flatten().all(VecDeque::is_empty))
            && living().all(|place| self.members[place].node.frames_kept() == 0 && knows(place))
    }
}

/// The node that would take an interface's role from its first holder.
pub(crate) fn outranking(interface: Interface) -> Place {
    match interface {
        Interface::First => 1,
        Interface::Second => 0,
    }
}

/// The report as it is while its sender does not hear the receiver where that outranks the holder: then that does not
/// preempt.
fn unheard(mut heartbeat: Heartbeat, by: Place) -> Heartbeat {
    let by: NodeId = id(by);
    for interface in Interface::BOTH {
        if id(outranking(interface)) == by {
            heartbeat.heard[interface].retain(|node| *node != by);
        }
    }
    heartbeat
}
