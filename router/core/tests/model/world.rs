//! What one step does to a state: an input for one node or two, and all that follows at once where nothing is slow.

use std::sync::Arc;

use herald_core::id::Interface;
use herald_core::mesh::{Lane, Message};

use crate::action::Action;
use crate::history::Promise;
use crate::layout::{NODES, Place, packet, pairs};
use crate::member::{Effect, Input, Letter, Member};
use crate::memo::Memo;
use crate::scenario::{Channel, Scenario};
use crate::state::{By, State, Way};
use crate::story;

/// What may follow from one step at once; where nothing is slow a take-over takes some dozen messages.
const PROMPT_MAX: usize = 500;

/// A state that changes.
pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    memo: &'a Memo,
    pub(crate) state: State,
    /// What happened, in words, if anybody wants to know.
    pub(crate) story: Option<Vec<String>>,
    /// Nodes that take every turn themselves.
    beside: Option<[Member; 3]>,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, memo: &'a Memo, state: State) -> Self {
        Self { scenario, memo, state, story: None, beside: None }
    }

    /// With real nodes beside it, which take every turn themselves and must do the same.
    pub(crate) fn beside(self, nodes: [Member; 3]) -> Self {
        Self { beside: Some(nodes), ..self }
    }

    /// Does one step, which must be possible.
    pub(crate) fn step(&mut self, action: Action) {
        self.tell(|_| action.to_string());
        let before = self.state.nodes.clone();
        match action {
            Action::HostSends { stream, from, at } => {
                let (port, kind) = self.scenario.packet(stream, from);
                self.state.history.sent[stream][from as usize] += 1;
                self.takes(at, &Letter::new(Input::Frame(from, packet(from, port, kind))));
            }
            Action::FrameArrives { interface, from, to } => self.arrives(Way { from, to, by: By::Network(interface) }),
            Action::MessageArrives { from, to } => self.arrives(Way { from, to, by: By::Control }),
            Action::HandoverArrives { from, to } => self.arrives(Way { from, to, by: By::Handover }),
            Action::PatienceEnds { at } => {
                self.state.history.patience += 1;
                self.takes(at, &Letter::new(Input::PatienceEnds));
            }
            Action::RoleTaken { interface, by } => {
                self.state.history.faults += 1;
                self.takes(by, &Letter::new(Input::IsHeard(interface)));
            }
            Action::SuccessorHeard { interface, at } => {
                self.takes(at, &Letter::new(Input::SuccessorHeard(interface)));
            }
            Action::Dies { node } => self.dies(node),
            Action::DeathNoticed { dead, by } => self.notices(dead, by),
            Action::LinkBreaks { one, other } => self.link_breaks(one, other),
        }
        let is_endless = (0..PROMPT_MAX).all(|_| self.deliver_promptly());
        let mut history = std::mem::take(&mut self.state.history);
        history.check(self.scenario, &self.state, &before);
        if is_endless {
            history.breaks(Promise::Rest, || "there is no end after one step".to_owned());
        }
        self.state.history = history;
    }

    /// Delivers one thing that is on its way where nothing is slow. False if there is none.
    fn deliver_promptly(&mut self) -> bool {
        for (from, to) in pairs() {
            let is_prompt = |way: &Way| (way.from, way.to) == (from, to) && !self.scenario.is_slow(way.channel());
            let prompt = self.state.ways().find(is_prompt);
            if let Some(way) = prompt {
                if !way.is_link() {
                    self.tell(|_| format!("  it reaches {} at once", NODES[to]));
                }
                self.arrives(way);
                return true;
            }
            if self.state.may_notice(from, to) && !self.scenario.is_slow(Channel::Link(from, to)) {
                self.notices(from, to);
                return true;
            }
        }
        for interface in Interface::BOTH {
            let lingering = self.state.living().find(|node| node.lingers[interface as usize]).map(|node| node.place);
            if let Some(at) = lingering.filter(|_| !self.scenario.is_slow(Channel::Network(interface))) {
                self.takes(at, &Letter::new(Input::SuccessorHeard(interface)));
                return true;
            }
        }
        false
    }

    fn arrives(&mut self, way: Way) {
        let letter = self.state.arrives(way).unwrap();
        if let Input::Message(from, message) = &letter.input {
            self.tell(|world| format!("  {} hears {}", NODES[way.to], story::said(world.scenario, *from, message)));
        }
        self.takes(way.to, &letter);
    }

    /// What is on its way to a dead node is lost.
    fn dies(&mut self, dead: Place) {
        self.state.history.faults += 1;
        self.state.alive[dead] = false;
        self.state.lose(|way| way.to == dead);
    }

    /// A node learns of a death.
    fn notices(&mut self, dead: Place, by: Place) {
        self.tell(|_| format!("  {} finds {} dead", NODES[by], NODES[dead]));
        self.state.noticed[by][dead] = true;
        self.takes(by, &Letter::new(Input::FindsDead(dead)));
    }

    /// Control messages are sent again after the break; frames are lost.
    fn link_breaks(&mut self, one: Place, other: Place) {
        self.state.history.faults += 1;
        let ends = |way: Way| (way.from, way.to) == (one, other) || (way.from, way.to) == (other, one);
        self.state.lose(|way| way.by == By::Handover && ends(way));
        self.takes(one, &Letter::new(Input::LinkBreaks(other)));
        self.takes(other, &Letter::new(Input::LinkBreaks(one)));
    }

    /// A node takes a turn.
    fn takes(&mut self, place: Place, letter: &Arc<Letter>) {
        let turn = self.memo.turn(&self.state.nodes[place], letter);
        self.state.nodes[place] = Arc::clone(&turn.next);
        if let Some(nodes) = &mut self.beside {
            let effects = nodes[place].take(&letter.input, self.scenario).effects;
            let told = |effects: &Vec<Effect>| format!("{effects:?}");
            assert_eq!(told(&effects), told(&turn.effects), "{} does not do what the model says", NODES[place]);
            assert_eq!(nodes[place].print(), turn.next.print, "{} is not in its state of the model", NODES[place]);
        }
        turn.effects.iter().for_each(|effect| self.comes_about(place, effect));
    }

    fn comes_about(&mut self, place: Place, effect: &Effect) {
        if self.story.is_some()
            && let Some(line) = story::effect(self.scenario, place, effect)
        {
            self.tell(|_| line);
        }
        let State { alive, noticed, history, .. } = &mut self.state;
        match effect {
            Effect::Says(to, letter) => {
                let by = way_of(letter);
                if let Some(by) = by.filter(|_| alive[*to]) {
                    self.state.leaves(Way { from: place, to: *to, by }, Arc::clone(letter));
                }
            }
            Effect::Redirects(interface, to, letter) => {
                if noticed[place][*to] {
                    history.breaks(Promise::Steering, || format!("{} redirects to {}", NODES[place], NODES[*to]));
                }
                if alive[*to] {
                    let way = Way { from: place, to: *to, by: By::Network(*interface) };
                    self.state.leaves(way, Arc::clone(letter));
                }
            }
            other => history.saw(place, other),
        }
    }

    fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = line(self);
            self.story.get_or_insert_default().push(line);
        }
    }
}

/// Heartbeats do not leave, they are the model's to give: of their own accord they tell nothing new.
fn way_of(letter: &Letter) -> Option<By> {
    match &letter.input {
        Input::Message(_, Message::Heartbeat(_)) => None,
        Input::Message(_, message) => Some(match message.lane() {
            Lane::Control => By::Control,
            Lane::Frames => By::Handover,
        }),
        _ => None,
    }
}
