//! Who holds one interface's redirector: the state machine of VRRP (RFC 9568, section 6.4), one for both families and
//! without a clock or a view of the cluster. Membership tells it what it heard, whether the holder's adverts have ceased
//! and how this node stands among the living; it answers with its state.

use crate::id::{BootId, Epoch, NodeId};
use crate::limits::EPOCH_STEP_MAX;
use crate::mutation::{Mutation, is_on};

/// Who told of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teller {
    /// The epoch's own holder.
    Holder,
    /// A member that obeys it.
    Member,
}

/// How this node stands among those it knows to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has just started, has just slept too long, or hears a holder that it cannot speak with: it takes no role now.
    Waiting,
    /// Its interface does not work or is heard by nobody, it is not in sync, it gives up its roles, or it is on the
    /// smaller side of a cut.
    Unfit,
    /// Another is to hold.
    Behind,
    /// It has the highest priority.
    Best,
}

/// What is seen of the holder this node follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It is dead, has resigned, or cannot hold any more.
    Gone,
    /// Its adverts have ceased for the `Active_Down_Interval`, but nothing else says that it is gone.
    Silent,
    /// It lives, and nothing says that this node is to take its place.
    Stays,
    /// It lives, and this node may take its place: it preempts it, or succeeds it as it drains.
    Yields,
}

/// Who holds the role, as this node knows. Vacant is `Initialize` of RFC 9568, or `Backup` without a holder; Following is
/// `Backup`, Holding is `Active`.
///
/// ```text
///                 best: takes it, counter + 1
///        ┌──────────────────────────────────────▶ Holding ──┐
///        │  ┌─ unfit: gives it up; lease lapsed ──┘  ▲      │
///        │  ▼                                        │      │ higher epoch heard
///      Vacant ◀────── holder gone ────────┐    best, and    │
///        │                                │    the holder   │
///        └──────── epoch heard ───────▶ Following ─ silent ─┘ (or gone, or yields)
///                                         │   ▲  ◀──────────┘
///                                         └───┘ higher epoch heard
/// ```
///
/// A node never obeys an epoch below the highest it has heard of, and takes a role only with a counter above that. So no
/// epoch is used twice, and of two holders the one with the lower epoch steps down when it hears of the other, whatever
/// its priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Vacant,
    Following(Epoch),
    Holding(Epoch),
}

/// The election of one interface's holder, as one node sees it.
#[derive(Clone, Debug)]
pub(super) struct Election {
    node: NodeId,
    boot: BootId,
    state: State,
    /// The highest epoch heard of or taken.
    highest: Option<Epoch>,
}

impl Election {
    /// An election nothing is known of.
    pub(super) fn new(node: NodeId, boot: BootId) -> Self {
        Self { node, boot, state: State::Vacant, highest: None }
    }

    /// The epoch this node obeys.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self.state {
            State::Vacant => None,
            State::Following(epoch) | State::Holding(epoch) => Some(epoch),
        }
    }

    /// The epoch of another holder, which this node follows.
    pub(super) fn followed(&self) -> Option<Epoch> {
        match self.state {
            State::Following(epoch) => Some(epoch),
            State::Vacant | State::Holding(_) => None,
        }
    }

    /// The epoch in which this node holds the role.
    pub(super) fn held(&self) -> Option<Epoch> {
        match self.state {
            State::Holding(epoch) => Some(epoch),
            State::Vacant | State::Following(_) => None,
        }
    }

    /// True until anybody has been heard to hold the role.
    pub(super) fn is_first(&self) -> bool {
        self.highest.is_none()
    }

    /// False for an epoch that nobody can have taken: of this node's own boot, yet above all that it knows of; or so far
    /// above them that it was not counted up.
    pub(super) fn may_be(&self, epoch: Epoch) -> bool {
        let known = self.highest.map_or(0, |highest| highest.counter);
        let is_own = epoch.node == self.node && epoch.boot == self.boot;
        !(is_own && Some(epoch) > self.highest) && epoch.counter <= known.saturating_add(EPOCH_STEP_MAX)
    }

    /// Somebody named an epoch. The answer is the highest epoch if a holder named a lower one: it has to learn of it, or
    /// it would hold a role in which nobody follows it.
    pub(super) fn heard(&mut self, epoch: Epoch, teller: Teller) -> Option<Epoch> {
        let is_news = match teller {
            // A holder counted as gone may say that it is not.
            Teller::Holder => Some(epoch) >= self.highest,
            Teller::Member => Some(epoch) > self.highest,
        };
        if is_news || is_on(Mutation::ObeyOldEpoch) {
            self.highest = Some(epoch);
            // This node's own id: an earlier boot's epoch, or one it has given up. It is known, but nobody holds in it.
            let keeps = is_on(Mutation::KeepRole) && self.held().is_some();
            if !keeps {
                self.state = if epoch.node == self.node { State::Vacant } else { State::Following(epoch) };
            }
        }
        self.highest.filter(|highest| *highest > epoch && teller == Teller::Holder)
    }

    /// The view has changed. `sight` is that of the holder this node follows.
    pub(super) fn judged(&mut self, standing: Standing, sight: Sight) {
        self.state = match (self.state, standing, sight) {
            (State::Holding(_), Standing::Unfit, _) => State::Vacant,
            (State::Holding(epoch), Standing::Waiting | Standing::Behind | Standing::Best, _) => State::Holding(epoch),
            (State::Vacant | State::Following(_), Standing::Best, _)
                if is_on(Mutation::NeverTake) && self.highest.is_some() =>
            {
                State::Vacant
            }
            (State::Vacant, Standing::Best, _)
            | (State::Following(_), Standing::Best, Sight::Gone | Sight::Silent | Sight::Yields) => self.taken(),
            (State::Following(epoch), Standing::Best, Sight::Stays) => State::Following(epoch),
            (State::Vacant, Standing::Waiting | Standing::Unfit | Standing::Behind, _) => State::Vacant,
            (State::Following(_), Standing::Waiting | Standing::Unfit | Standing::Behind, Sight::Gone) => State::Vacant,
            (
                State::Following(epoch),
                Standing::Waiting | Standing::Unfit | Standing::Behind,
                Sight::Silent | Sight::Stays | Sight::Yields,
            ) => State::Following(epoch),
        };
    }

    /// This node did not run for so long that another may have taken its role.
    pub(super) fn lapsed(&mut self) {
        self.state = match self.state {
            State::Holding(_) | State::Vacant => State::Vacant,
            State::Following(epoch) => State::Following(epoch),
        };
    }

    fn taken(&mut self) -> State {
        let counter = self.highest.map_or(0, |epoch| epoch.counter).checked_add(1);
        // After the last number nobody takes the role any more: an epoch is never used twice.
        let Some(counter) = counter else { return State::Vacant };
        let counter = if is_on(Mutation::ReuseEpoch) { 1 } else { counter };
        let epoch = Epoch { counter, node: self.node, boot: self.boot };
        self.highest = Some(epoch);
        State::Holding(epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(counter: u64, node: &str) -> Epoch {
        Epoch { counter, node: node.parse().unwrap(), boot: BootId(1) }
    }

    /// Node b's election in that state, having heard of nothing above counter 5.
    fn election(state: State) -> Election {
        Election {
            state,
            highest: Some(epoch(5, "b").max(epoch(5, "c"))),
            ..Election::new(epoch(1, "b").node, BootId(1))
        }
    }

    #[test]
    fn every_state_with_every_standing_and_sight() {
        let (vacant, following, holding) =
            (State::Vacant, State::Following(epoch(5, "c")), State::Holding(epoch(5, "b")));
        let taken = State::Holding(epoch(6, "b"));
        let standings = [Standing::Waiting, Standing::Unfit, Standing::Behind, Standing::Best];
        let sights = [Sight::Gone, Sight::Silent, Sight::Stays, Sight::Yields];
        let stays = [vacant, following, following, following];
        let table = [
            (vacant, [[vacant; 4], [vacant; 4], [vacant; 4], [taken; 4]]),
            (following, [stays, stays, stays, [taken, taken, following, taken]]),
            (holding, [[holding; 4], [vacant; 4], [holding; 4], [holding; 4]]),
        ];
        for (state, lapsed) in [(vacant, vacant), (following, following), (holding, vacant)] {
            let mut election = election(state);
            election.lapsed();
            assert_eq!(election.state, lapsed);
        }
        for (state, rows) in table {
            for (standing, row) in standings.into_iter().zip(rows) {
                for (sight, expected) in sights.into_iter().zip(row) {
                    let mut election = election(state);
                    election.judged(standing, sight);
                    assert_eq!(election.state, expected, "{state:?} {standing:?} {sight:?}");
                }
            }
        }
    }

    #[test]
    fn every_state_with_every_epoch_heard() {
        let (vacant, following, holding) =
            (State::Vacant, State::Following(epoch(5, "c")), State::Holding(epoch(5, "b")));
        let after = |counter, node| State::Following(epoch(counter, node));
        // State, epoch heard, then the state if its holder said so and if a member did.
        let table = [
            (vacant, epoch(4, "a"), vacant, vacant),
            (vacant, epoch(5, "c"), after(5, "c"), vacant),
            (vacant, epoch(6, "a"), after(6, "a"), after(6, "a")),
            (following, epoch(4, "a"), following, following),
            (following, epoch(5, "a"), following, following),
            (following, epoch(5, "c"), following, following),
            (following, epoch(5, "d"), after(5, "d"), after(5, "d")),
            (following, epoch(6, "b"), vacant, vacant),
            (holding, epoch(4, "c"), holding, holding),
            (holding, epoch(6, "a"), after(6, "a"), after(6, "a")),
            (holding, epoch(6, "b"), vacant, vacant),
        ];
        for (state, heard, from_holder, from_member) in table {
            for (teller, expected) in [(Teller::Holder, from_holder), (Teller::Member, from_member)] {
                let mut election = election(state);
                let known = election.highest;
                let answer = election.heard(heard, teller);
                assert_eq!(election.state, expected, "{state:?} {heard:?} {teller:?}");
                let expected = known.filter(|known| *known > heard && teller == Teller::Holder);
                assert_eq!(answer, expected, "{state:?} {heard:?} {teller:?}");
            }
        }
    }

    #[test]
    fn nobody_can_have_taken_an_epoch_of_this_boot_unknown_to_it_or_one_far_above_all() {
        let own = Epoch { boot: BootId(1), ..epoch(5, "b") };
        let election = Election { highest: Some(own), ..election(State::Holding(own)) };
        let table = [
            (own, true),
            (epoch(4, "b"), true),
            (epoch(6, "b"), false),
            (Epoch { boot: BootId(2), ..epoch(6, "b") }, true),
            (epoch(6, "a"), true),
            (epoch(5 + EPOCH_STEP_MAX, "a"), true),
            (epoch(6 + EPOCH_STEP_MAX, "a"), false),
            (epoch(u64::MAX, "c"), false),
        ];
        for (heard, may_be) in table {
            assert_eq!(election.may_be(heard), may_be, "{heard:?}");
        }
        let last = Election::new(epoch(1, "b").node, BootId(1));
        assert!(last.may_be(epoch(EPOCH_STEP_MAX, "a")) && !last.may_be(epoch(EPOCH_STEP_MAX + 1, "a")));
    }

    #[test]
    fn the_last_number_is_not_used_twice() {
        let mut election = election(State::Vacant);
        election.heard(epoch(u64::MAX, "a"), Teller::Member);
        election.judged(Standing::Best, Sight::Gone);
        assert_eq!(election.epoch(), None);
    }
}
