//! One neighbour: a state machine without table, time or frames (RFC 4861, sections 7.2 and 7.3, for ARP as well).
//!
//! `Delay` is left out: a router hears no confirmation from upper layers, so a stale neighbour is asked on its first use.
//! Where the standards believe whoever says that a known neighbour has another MAC, here both MACs are asked: one forged
//! message changes nothing as long as the neighbour answers, and one that has a new MAC is reached as soon as its old one has
//! stayed silent.

use crate::id::Mac;
use crate::limits::{NEIGHBOUR_CONTEST_REQUESTS_MAX, NEIGHBOUR_REQUESTS_MAX};

/// How far a neighbour is known.
///
/// ```text
///              used                    told, solicited
///   (unknown) ------> INCOMPLETE -------------------------> REACHABLE <--------+
///       ^  ^  \        |      \                              |     ^           |
///       |  |   \       |       \ told, unsolicited           |     |           |
///       |  |    \      |        v                            |     | told,     | told,
///       |  |     +-----|-----> STALE <-----------------------+     | solicited | solicited
///       |  |  told     |        |  ^    timed out, or told another |           |
///       |  |           |        |  |    MAC without override       |           |
///       |  |           |        |  |                               |         PROBE
///       |  |           |        +--|-------------------------------+           ^ |
///       |  |           |        +---------------- used ------------------------+ |
///       |  +-- unanswered --+---+ timed out                                      |
///       +------------------------------ unanswered ------------------------------+
///
///   REACHABLE, STALE, PROBE -- told another MAC --> CONTESTED --+-- the old one answers ----> REACHABLE, the old one
///                              with override                    +-- only the new one does --> REACHABLE, the new one
///                                                               +-- neither does -----------> PROBE, the old one
/// ```
///
/// "Unanswered" is the time-out after the last of [`NEIGHBOUR_REQUESTS_MAX`] requests; earlier ones ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Asked for by broadcast or multicast, no answer yet; frames wait.
    Incomplete {
        /// Requests sent.
        requests: u8,
    },
    /// It answered lately.
    Reachable {
        /// Where frames go.
        mac: Mac,
    },
    /// Its MAC is known, but not whether that still holds; nothing is sent to it now.
    Stale {
        /// Where the next frame goes.
        mac: Mac,
    },
    /// In use and being asked, by unicast; frames go on meanwhile.
    Probe {
        /// Where frames go.
        mac: Mac,
        /// Requests sent.
        requests: u8,
    },
    /// Somebody said that it has another MAC: both are being asked, by unicast; frames go on to the old one meanwhile.
    Contested {
        /// Where frames go.
        mac: Mac,
        /// The MAC that it is said to have.
        rival: Mac,
        /// Requests sent to each.
        requests: u8,
        /// Which of the two has answered.
        answered: Answered,
    },
}

/// Who has answered of two MACs that were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Neither.
    Nobody,
    /// The old one.
    Old,
    /// The new one.
    New,
    /// Both.
    Both,
}

/// What happens to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A frame wants to go there.
    Used,
    /// A message speaks of its MAC.
    Told(Told),
    /// The state's time is over.
    TimedOut,
}

/// What a message says of a neighbour, in the words of a neighbour advertisement (RFC 4861, section 4.4). An ARP answer
/// is solicited and overrides; an ARP request and a neighbour solicitation are unsolicited and override.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Its MAC; `None`: the message has none.
    pub(super) mac: Option<Mac>,
    /// It answers a request, so it proves that the neighbour is reachable.
    pub(super) solicited: bool,
    /// It replaces another MAC.
    pub(super) overrides: bool,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing; the time of the state runs on.
    Stay,
    /// This state from now on.
    Become(State),
    /// This state; its time runs on.
    Note(State),
    /// This state from now on, and ask: by unicast if the MAC is known.
    Ask(State),
    /// Forget it; what waits for it is undeliverable.
    Forget,
}

impl State {
    /// A neighbour that was just asked for the first time.
    pub(super) const ASKED: Self = Self::Incomplete { requests: 1 };

    /// Where frames go, if that is known.
    pub(super) fn mac(self) -> Option<Mac> {
        match self {
            Self::Incomplete { .. } => None,
            Self::Reachable { mac } | Self::Stale { mac } | Self::Probe { mac, .. } | Self::Contested { mac, .. } => {
                Some(mac)
            }
        }
    }

    /// The one table of transitions.
    pub(super) fn after(self, event: Event) -> Next {
        match (self, event) {
            (
                Self::Incomplete { .. } | Self::Reachable { .. } | Self::Probe { .. } | Self::Contested { .. },
                Event::Used,
            ) => Next::Stay,
            (Self::Stale { mac }, Event::Used) => Next::Ask(Self::Probe { mac, requests: 1 }),
            (Self::Incomplete { .. }, Event::Told(Told { mac: None, .. })) => Next::Stay,
            (Self::Incomplete { .. }, Event::Told(Told { mac: Some(mac), solicited: true, .. })) => {
                Next::Become(Self::Reachable { mac })
            }
            (Self::Incomplete { .. }, Event::Told(Told { mac: Some(mac), solicited: false, .. })) => {
                Next::Become(Self::Stale { mac })
            }
            (Self::Reachable { mac } | Self::Stale { mac } | Self::Probe { mac, .. }, Event::Told(told)) => {
                self.told_again(mac, told)
            }
            (Self::Contested { mac, rival, requests, answered }, Event::Told(told)) => {
                match answered.by(told, mac, rival) {
                    Some(answered) => Next::Note(Self::Contested { mac, rival, requests, answered }),
                    None => Next::Stay,
                }
            }
            (Self::Contested { mac, rival, requests, answered }, Event::TimedOut) => {
                decided(mac, rival, requests, answered)
            }
            (Self::Incomplete { requests }, Event::TimedOut) if requests < NEIGHBOUR_REQUESTS_MAX => {
                Next::Ask(Self::Incomplete { requests: requests + 1 })
            }
            (Self::Probe { mac, requests }, Event::TimedOut) if requests < NEIGHBOUR_REQUESTS_MAX => {
                Next::Ask(Self::Probe { mac, requests: requests + 1 })
            }
            (Self::Reachable { mac }, Event::TimedOut) => Next::Become(Self::Stale { mac }),
            (Self::Incomplete { .. } | Self::Stale { .. } | Self::Probe { .. }, Event::TimedOut) => Next::Forget,
        }
    }

    /// RFC 4861, section 7.2.5, for a neighbour whose MAC `known` is.
    fn told_again(self, known: Mac, told: Told) -> Next {
        let mac = told.mac.unwrap_or(known);
        if mac != known && !told.overrides {
            let doubted = matches!(self, Self::Reachable { .. });
            return if doubted { Next::Become(Self::Stale { mac: known }) } else { Next::Stay };
        }
        if mac != known {
            Next::Ask(Self::Contested { mac: known, rival: mac, requests: 1, answered: Answered::Nobody })
        } else if told.solicited {
            Next::Become(Self::Reachable { mac })
        } else {
            Next::Stay
        }
    }
}

impl Answered {
    /// What is known after a message, if that is more than before. A message without a MAC says nothing of which it is.
    fn by(self, told: Told, old: Mac, new: Mac) -> Option<Self> {
        let mac = told.mac.filter(|_| told.solicited)?;
        match self {
            Self::Nobody if mac == old => Some(Self::Old),
            Self::Nobody if mac == new => Some(Self::New),
            Self::Old if mac == new => Some(Self::Both),
            Self::New if mac == old => Some(Self::Both),
            Self::Nobody | Self::Old | Self::New | Self::Both => None,
        }
    }
}

/// The time for an answer is over. The old MAC stays if it has answered; the new one must be alone twice, as a request may be
/// lost.
fn decided(mac: Mac, rival: Mac, requests: u8, answered: Answered) -> Next {
    match answered {
        Answered::Old | Answered::Both => Next::Become(State::Reachable { mac }),
        Answered::Nobody | Answered::New if requests < NEIGHBOUR_CONTEST_REQUESTS_MAX => {
            Next::Ask(State::Contested { mac, rival, requests: requests + 1, answered })
        }
        Answered::New => Next::Become(State::Reachable { mac: rival }),
        Answered::Nobody => Next::Ask(State::Probe { mac, requests: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const NEW: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn event(text: &str) -> Event {
        let told = |mac, solicited, overrides| Event::Told(Told { mac, solicited, overrides });
        match text {
            "used" => Event::Used,
            "timed-out" => Event::TimedOut,
            "none" => told(None, false, false),
            "none-o" => told(None, false, true),
            "none-s" => told(None, true, false),
            "none-so" => told(None, true, true),
            "old" => told(Some(OLD), false, false),
            "old-o" => told(Some(OLD), false, true),
            "old-s" => told(Some(OLD), true, false),
            "old-so" => told(Some(OLD), true, true),
            "new" => told(Some(NEW), false, false),
            "new-o" => told(Some(NEW), false, true),
            "new-s" => told(Some(NEW), true, false),
            "new-so" => told(Some(NEW), true, true),
            other => panic!("{other}"),
        }
    }

    fn state(text: &str) -> State {
        match text {
            "I1" => State::Incomplete { requests: 1 },
            "I2" => State::Incomplete { requests: 2 },
            "I3" => State::Incomplete { requests: 3 },
            "R" => State::Reachable { mac: OLD },
            "S" => State::Stale { mac: OLD },
            "P1" => State::Probe { mac: OLD, requests: 1 },
            "P2" => State::Probe { mac: OLD, requests: 2 },
            "P3" => State::Probe { mac: OLD, requests: 3 },
            "R'" => State::Reachable { mac: NEW },
            "S'" => State::Stale { mac: NEW },
            "C1" => contested(1, Answered::Nobody),
            "C1o" => contested(1, Answered::Old),
            "C1n" => contested(1, Answered::New),
            "C1b" => contested(1, Answered::Both),
            "C2" => contested(2, Answered::Nobody),
            "C2o" => contested(2, Answered::Old),
            "C2n" => contested(2, Answered::New),
            "C2b" => contested(2, Answered::Both),
            other => panic!("{other}"),
        }
    }

    fn next(text: &str) -> Next {
        match text {
            "-" => Next::Stay,
            "x" => Next::Forget,
            _ => match (text.strip_prefix('?'), text.strip_prefix('=')) {
                (Some(asked), _) => Next::Ask(state(asked)),
                (None, Some(noted)) => Next::Note(state(noted)),
                (None, None) => Next::Become(state(text)),
            },
        }
    }

    fn contested(requests: u8, answered: Answered) -> State {
        State::Contested { mac: OLD, rival: NEW, requests, answered }
    }

    /// Every state against every event; `-` stays, `x` forgets, `?` asks, `=` keeps the time, `'` has the new MAC. What follows
    /// a `C` says who has answered: the old MAC, the new one, both.
    const TABLE: &str = "
        event      I1   I3   R    S    P1   P3   C1    C1o   C1n   C1b  C2    C2n   C2b
        used       -    -    -    ?P1  -    -    -     -     -     -    -     -     -
        timed-out  ?I2  x    S    x    ?P2  x    ?C2   R     ?C2n  R    ?P1   R'    R
        none       -    -    -    -    -    -    -     -     -     -    -     -     -
        none-o     -    -    -    -    -    -    -     -     -     -    -     -     -
        none-s     -    -    R    R    R    R    -     -     -     -    -     -     -
        none-so    -    -    R    R    R    R    -     -     -     -    -     -     -
        old        S    S    -    -    -    -    -     -     -     -    -     -     -
        old-o      S    S    -    -    -    -    -     -     -     -    -     -     -
        old-s      R    R    R    R    R    R    =C1o  -     =C1b  -    =C2o  =C2b  -
        old-so     R    R    R    R    R    R    =C1o  -     =C1b  -    =C2o  =C2b  -
        new        S'   S'   S    -    -    -    -     -     -     -    -     -     -
        new-o      S'   S'   ?C1  ?C1  ?C1  ?C1  -     -     -     -    -     -     -
        new-s      R'   R'   S    -    -    -    =C1n  =C1b  -     -    =C2n  -     -
        new-so     R'   R'   ?C1  ?C1  ?C1  ?C1  =C1n  =C1b  -     -    =C2n  -     -";

    #[test]
    fn every_state_and_event_has_its_transition() {
        let mut rows = TABLE.trim().lines().map(str::split_whitespace);
        let states: Vec<State> = rows.next().unwrap().skip(1).map(state).collect();
        let mut checked = 0;
        for mut row in rows {
            let name = row.next().unwrap();
            for (from, to) in states.iter().zip(row) {
                assert_eq!(from.after(event(name)), next(to), "{from:?} {name}");
                checked += 1;
            }
        }
        assert_eq!(checked, 14 * 13);
    }
}
