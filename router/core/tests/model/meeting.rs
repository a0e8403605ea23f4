//! How the nodes meet: what comes to each of them before the first packet.

use std::collections::VecDeque;
use std::sync::Arc;

use herald_core::id::Interface;
use herald_core::membership::InterfaceState;

use crate::layout::{PLACES, Place, START};
use crate::member::{Effect, Input, Letter, Member, outranking};
use crate::scenario::Scenario;

/// What comes to each node until they are linked and in sync, the first holding the first redirector and the second the
/// second.
pub(crate) fn meet(scenario: &Scenario) -> [Vec<Arc<Letter>>; 3] {
    let mut meeting =
        Meeting { scenario, members: PLACES.map(Member::new), under_way: VecDeque::new(), came: Default::default() };
    meeting.link();
    // Time goes on until everybody has just been heard.
    PLACES.into_iter().for_each(|place| meeting.comes(place, &Letter::new(Input::TimeIs(START))));
    meeting.deliver_all();
    let [a, b, c] = meeting.members.map(|member| Interface::BOTH.map(|i| member.node.membership().holds(i)));
    assert_eq!((a, b, c), ([true, false], [false, true], [false, false]), "the roles at the start");
    meeting.came
}

struct Meeting<'a> {
    scenario: &'a Scenario,
    members: [Member; 3],
    under_way: VecDeque<(Place, Arc<Letter>)>,
    came: [Vec<Arc<Letter>>; 3],
}

impl Meeting<'_> {
    /// Who outranks an interface's first holder has a cable that does not work yet, so it does not hold.
    fn link(&mut self) {
        for place in PLACES {
            for interface in Interface::BOTH {
                let late = outranking(interface) == place;
                let state = if late { InterfaceState::Down } else { InterfaceState::Up };
                self.comes(place, &Letter::new(Input::Interface(interface, state)));
            }
        }
        for place in PLACES {
            for peer in PLACES.into_iter().filter(|peer| *peer != place) {
                self.comes(place, &Letter::new(Input::Meets(peer)));
            }
        }
        self.deliver_all();
        for interface in Interface::BOTH {
            let up = Input::Interface(interface, InterfaceState::Up);
            self.comes(outranking(interface), &Letter::new(up));
        }
        self.deliver_all();
    }

    fn comes(&mut self, place: Place, letter: &Arc<Letter>) {
        self.came[place].push(Arc::clone(letter));
        for effect in self.members[place].take(&letter.input, self.scenario).effects {
            if let Effect::Says(to, letter) = effect {
                self.under_way.push_back((to, letter));
            }
        }
    }

    fn deliver_all(&mut self) {
        while let Some((to, letter)) = self.under_way.pop_front() {
            self.comes(to, &letter);
        }
    }
}
