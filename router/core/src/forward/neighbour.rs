//! One neighbour: a state machine without table, time or frames (RFC 4861, sections 7.2 and 7.3, for ARP as well).
//!
//! `Delay` is left out: a router hears no confirmation from upper layers, so a stale neighbour is asked on its first use.

use crate::id::Mac;
use crate::limits::NEIGHBOUR_REQUESTS_MAX;

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
///       |  |           |        |  +------- told another MAC ------|---------- PROBE
///       |  |           |        +----------------------------------+           ^ |
///       |  |           |        +---------------- used ------------------------+ |
///       |  +-- unanswered --+---+ timed out                                      |
///       +------------------------------ unanswered ------------------------------+
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
            Self::Reachable { mac } | Self::Stale { mac } | Self::Probe { mac, .. } => Some(mac),
        }
    }

    /// The one table of transitions.
    pub(super) fn after(self, event: Event) -> Next {
        match (self, event) {
            (Self::Incomplete { .. } | Self::Reachable { .. } | Self::Probe { .. }, Event::Used) => Next::Stay,
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
        if told.solicited {
            Next::Become(Self::Reachable { mac })
        } else if mac != known {
            Next::Become(Self::Stale { mac })
        } else {
            Next::Stay
        }
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
            other => panic!("{other}"),
        }
    }

    fn next(text: &str) -> Next {
        match text {
            "-" => Next::Stay,
            "x" => Next::Forget,
            _ => match text.strip_prefix('?') {
                Some(asked) => Next::Ask(state(asked)),
                None => Next::Become(state(text)),
            },
        }
    }

    /// Every state against every event; `-` stays, `x` forgets, `?` asks, `'` has the new MAC.
    const TABLE: &str = "
        event      I1   I3   R    S    P1   P3
        used       -    -    -    ?P1  -    -
        timed-out  ?I2  x    S    x    ?P2  x
        none       -    -    -    -    -    -
        none-o     -    -    -    -    -    -
        none-s     -    -    R    R    R    R
        none-so    -    -    R    R    R    R
        old        S    S    -    -    -    -
        old-o      S    S    -    -    -    -
        old-s      R    R    R    R    R    R
        old-so     R    R    R    R    R    R
        new        S'   S'   S    -    -    -
        new-o      S'   S'   S'   S'   S'   S'
        new-s      R'   R'   S    -    -    -
        new-so     R'   R'   R'   R'   R'   R'";

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
        assert_eq!(checked, 14 * 6);
    }
}
