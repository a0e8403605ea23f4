//! Claims that a known neighbour has another MAC than the one in the table.

use std::net::IpAddr;

use super::{Neighbours, Overdue, Place};
use crate::forward::neighbour::{Answered, Event, Next, State, Told};
use crate::id::Mac;
use crate::limits::{CONFLICT_TIME, NEIGHBOUR_CONTEST_PAUSE};
use crate::time::{Bucket, Instant};

/// Who said that a neighbour has another MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::forward) enum Informant {
    /// A frame of the network.
    Frame,
    /// A member, which has heard an answer: it has told the others, too.
    Member,
}

/// A claim that was looked into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contest {
    rival: Mac,
    begun: Instant,
    informant: Informant,
}

impl Neighbours {
    /// A message or a frame speaks of a neighbour: if it has another MAC than is known, both are to be asked now, the known one
    /// first. Not again for the same MAC within [`NEIGHBOUR_CONTEST_PAUSE`], and not more than `contests` allows.
    pub(in crate::forward) fn contested(
        &mut self,
        now: Instant,
        address: IpAddr,
        (told, informant): (Told, Informant),
        contests: &mut Bucket,
    ) -> Option<[Mac; 2]> {
        let neighbour = self.known.get_mut(&Place(address))?;
        if let (State::Contested { rival, .. }, Informant::Member, Some(contest)) =
            (neighbour.state, informant, &mut neighbour.contest)
            && told.mac == Some(rival)
        {
            contest.informant = Informant::Member;
        }
        let Next::Ask(state) = neighbour.state.after(Event::Told(told)) else { return None };
        let State::Contested { mac, rival, .. } = state else { return None };
        let is_again = |c: Contest| c.rival == rival && now < c.begun + NEIGHBOUR_CONTEST_PAUSE;
        if neighbour.contest.is_some_and(is_again) {
            return None;
        }
        contests.take(now)?;
        neighbour.contest = Some(Contest { rival, begun: now, informant });
        self.enter(now, address, state);
        Some([mac, rival])
    }

    /// True while both MACs are asked that a neighbour may have.
    pub(in crate::forward) fn is_contested(&self, address: IpAddr) -> bool {
        self.known.get(&Place(address)).is_some_and(|n| matches!(n.state, State::Contested { .. }))
    }

    /// A state has ended: what others must know if it was a contest.
    pub(super) fn decided(&mut self, now: Instant, address: IpAddr, before: State) -> Option<Overdue> {
        let State::Contested { mac, rival, answered, .. } = before else { return None };
        let neighbour = self.known.get_mut(&Place(address))?;
        match answered {
            Answered::New => {
                let is_own = neighbour.contest.is_none_or(|contest| contest.informant == Informant::Frame);
                is_own.then_some(Overdue::Changed(address, rival))
            }
            Answered::Both => {
                let last = neighbour.conflict.replace(now);
                self.conflicts += 1;
                let is_new = last.is_none_or(|last| last + CONFLICT_TIME <= now);
                is_new.then_some(Overdue::Conflict(address, [mac, rival]))
            }
            Answered::Old | Answered::Nobody => None,
        }
    }

    /// How often two answered for one address.
    pub(in crate::forward) fn conflicts(&self) -> u64 {
        self.conflicts
    }
}
