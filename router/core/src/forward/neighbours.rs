//! The neighbour table of one interface: address to MAC, with the frames that wait for an answer.
//!
//! Bounded in every direction, and in what a stranger can do to it: addresses that never answered have a share of their
//! own, in which the oldest makes room, and each source of packets a part of that; what a neighbour says unasked never pushes
//! out another, and the first to go at the cap is the one whose last answer is the oldest (never answered: first of all).
//! Claims that a neighbour has another MAC are in `contests`.

mod contests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use super::neighbour::{Event, Next, State, Told};
use super::unresolved::{Question, Unresolved};
use crate::event::DropReason;
use crate::flow::HashKey;
use crate::id::Mac;
use crate::limits::{
    NEIGHBOUR_CONTEST_INTERVAL, NEIGHBOUR_QUEUE_FRAMES_MAX, NEIGHBOUR_QUEUES_FRAMES_MAX, NEIGHBOUR_REACHABLE_TIME,
    NEIGHBOUR_REQUEST_INTERVAL, NEIGHBOUR_STALE_TIME, NEIGHBOURS_MAX,
};
use crate::outbox::Outbox;
use crate::packet::{Frame, Headers};
use crate::time::Instant;
use contests::Contest;
pub(super) use contests::Informant;

/// Frames that the queues of one interface keep: half of what all may keep, so that one dead network leaves room for the
/// other.
const QUEUES_FRAMES_MAX: usize = NEIGHBOUR_QUEUES_FRAMES_MAX / 2;

/// A frame that waits for its neighbour's MAC. It is as it arrived; TTL and MACs are written when it leaves.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) frame: Frame,
    pub(super) origin: Origin,
}

/// Where a frame that waits came from.
#[derive(Debug)]
pub(super) enum Origin {
    /// From the other interface; its headers.
    Transit(Headers),
    /// Made by this node.
    Generated,
}

impl Waiting {
    /// Ends the frame with a reason.
    pub(super) fn drop(self, reason: DropReason, out: &mut Outbox) {
        match self.origin {
            Origin::Transit(_) => out.drop(self.frame, reason),
            Origin::Generated => out.drop_generated(self.frame, reason),
        }
    }
}

/// Where a frame to a neighbour goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this MAC.
    Known(Mac),
    /// To this MAC, which must also be asked whether it still holds.
    Doubtful(Mac),
    /// Into the queue; the neighbour is being asked.
    Asked,
    /// Into the queue; the neighbour must be asked now.
    Unasked,
    /// Nowhere: the table is full.
    Full,
}

/// May a message about an unknown neighbour make it known?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It may.
    Learn,
    /// It may not.
    Ignore,
}

/// What a time-out asks for.
#[derive(Debug)]
pub(super) enum Overdue {
    /// Ask this neighbour again, by unicast if there is a MAC.
    Ask(IpAddr, Option<Mac>),
    /// Ask both MACs that it may have, again.
    AskBoth(IpAddr, [Mac; 2]),
    /// This neighbour has this MAC now, by what this node has heard itself.
    Changed(IpAddr, Mac),
    /// The address has been claimed by two who both answer, the first of whom keeps it; told once in an outbreak.
    Conflict(IpAddr, [Mac; 2]),
    /// This neighbour was asked and is silent; these frames waited for it.
    Silent(IpAddr, VecDeque<Waiting>),
}

#[derive(Debug)]
struct Neighbour {
    state: State,
    deadline: Instant,
    /// Last answer to a request; `None` if it only spoke by itself.
    answered: Option<Instant>,
    /// While it has never had a MAC.
    question: Option<Question>,
    /// The last claim that it has another MAC.
    contest: Option<Contest>,
    /// When two answered for it last.
    conflict: Option<Instant>,
    queue: VecDeque<Waiting>,
}

/// An address as the table hashes it: in one write, because it is done for every packet.
#[derive(Debug, PartialEq, Eq)]
struct Place(IpAddr);

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpAddr::V4(v4) => state.write_u32(v4.to_bits()),
            IpAddr::V6(v6) => state.write_u128(v6.to_bits()),
        }
    }
}

/// The neighbours of one interface.
#[derive(Debug)]
pub(super) struct Neighbours {
    known: HashMap<Place, Neighbour, HashKey>,
    /// One deadline for each neighbour.
    deadlines: BTreeSet<(Instant, IpAddr)>,
    /// Those with a MAC, in the order in which they may be pushed out.
    resolved: BTreeSet<(Option<Instant>, IpAddr)>,
    unresolved: Unresolved,
    /// What waited for those that have just made room, until [`keep`](Self::keep): handing it out of [`used`](Self::used) costs
    /// each packet more than the look-up.
    pushed_out: VecDeque<Waiting>,
    /// Where the last frame went, as long as the next one goes there without more ado: frames come in trains.
    last: Option<(IpAddr, Mac)>,
    queued: usize,
    /// How often two answered for one address.
    conflicts: u64,
}

impl Neighbours {
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            known: HashMap::with_hasher(key),
            deadlines: BTreeSet::new(),
            resolved: BTreeSet::new(),
            unresolved: Unresolved::default(),
            pushed_out: VecDeque::new(),
            last: None,
            queued: 0,
            conflicts: 0,
        }
    }

    /// A frame from `source` wants to go to `address`. One look-up at most if the neighbour is known.
    #[inline]
    pub(super) fn used(&mut self, now: Instant, source: &IpAddr, address: IpAddr) -> Way {
        if let Some((_, mac)) = self.last.filter(|(last, _)| *last == address) {
            return Way::Known(mac);
        }
        self.looked_up(now, source, address)
    }

    #[inline(never)]
    fn looked_up(&mut self, now: Instant, source: &IpAddr, address: IpAddr) -> Way {
        let Some(neighbour) = self.known.get(&Place(address)) else { return self.start(now, source, address) };
        let mac = neighbour.state.mac();
        match neighbour.state.after(Event::Used) {
            Next::Stay => {
                self.last = mac.map(|mac| (address, mac)).or(self.last);
                mac.map_or(Way::Asked, Way::Known)
            }
            Next::Become(state) | Next::Note(state) => {
                self.enter(now, address, state);
                mac.map_or(Way::Asked, Way::Known)
            }
            Next::Ask(state) => {
                self.enter(now, address, state);
                mac.map_or(Way::Unasked, Way::Doubtful)
            }
            Next::Forget => {
                self.forget(address);
                Way::Full
            }
        }
    }

    /// Keeps a frame until its neighbour answers. The oldest frame of a full queue makes room (RFC 4861, section
    /// 7.2.2); when all queues together are full, this frame is dropped.
    pub(super) fn keep(&mut self, address: IpAddr, waiting: Waiting, out: &mut Outbox) {
        self.pushed_out.drain(..).for_each(|waiting| waiting.drop(DropReason::NeighboursFull, out));
        let Some(neighbour) = self.known.get_mut(&Place(address)) else {
            return waiting.drop(DropReason::NeighboursFull, out);
        };
        if neighbour.queue.len() >= NEIGHBOUR_QUEUE_FRAMES_MAX
            && let Some(oldest) = neighbour.queue.pop_front()
        {
            self.queued -= 1;
            oldest.drop(DropReason::NeighbourQueueFull, out);
        }
        if self.queued >= QUEUES_FRAMES_MAX {
            return waiting.drop(DropReason::NeighbourQueueFull, out);
        }
        self.queued += 1;
        neighbour.queue.push_back(Waiting { frame: out.packed(waiting.frame), ..waiting });
    }

    /// A message spoke of a neighbour. The answer are the frames that may leave now, and where to.
    pub(super) fn told(
        &mut self,
        now: Instant,
        address: IpAddr,
        told: Told,
        unknown: Unknown,
    ) -> Option<(Mac, VecDeque<Waiting>)> {
        let Some(neighbour) = self.known.get_mut(&Place(address)) else {
            if let (Some(mac), Unknown::Learn) = (told.mac, unknown) {
                self.learn(now, address, mac);
            }
            return None;
        };
        match neighbour.state.after(Event::Told(told)) {
            Next::Become(state) => {
                let queue = std::mem::take(&mut neighbour.queue);
                self.queued -= queue.len();
                self.enter(now, address, state);
                state.mac().map(|mac| (mac, queue))
            }
            Next::Note(state) => {
                neighbour.state = state;
                None
            }
            // To ask is for who calls `contested`.
            Next::Ask(_) | Next::Stay | Next::Forget => None,
        }
    }

    /// The MAC of a neighbour, if it is known.
    pub(super) fn mac(&self, address: IpAddr) -> Option<Mac> {
        self.known.get(&Place(address)).and_then(|neighbour| neighbour.state.mac())
    }

    /// True if the neighbour has been asked and has not answered yet.
    pub(super) fn is_asked(&self, address: IpAddr) -> bool {
        self.known.get(&Place(address)).is_some_and(|n| {
            matches!(n.state, State::Incomplete { .. } | State::Probe { .. } | State::Contested { .. })
        })
    }

    /// Takes the next time-out that is due and asks for something.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        while let Some(&(deadline, address)) = self.deadlines.first() {
            if deadline > now {
                return None;
            }
            let Some(neighbour) = self.known.get(&Place(address)) else {
                self.deadlines.pop_first();
                continue;
            };
            let before = neighbour.state;
            match before.after(Event::TimedOut) {
                Next::Ask(state) => {
                    self.enter(now, address, state);
                    return Some(match state {
                        State::Contested { mac, rival, .. } => Overdue::AskBoth(address, [mac, rival]),
                        State::Incomplete { .. }
                        | State::Reachable { .. }
                        | State::Stale { .. }
                        | State::Probe { .. } => Overdue::Ask(address, state.mac()),
                    });
                }
                Next::Become(state) | Next::Note(state) => {
                    self.enter(now, address, state);
                    let decided = self.decided(now, address, before);
                    if decided.is_some() {
                        return decided;
                    }
                }
                Next::Stay | Next::Forget => {
                    let was_asked = self.is_asked(address);
                    let queue = self.forget(address);
                    if was_asked {
                        return Some(Overdue::Silent(address, queue));
                    }
                }
            }
        }
        None
    }

    /// The next time-out.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Frames in the queues that came from the other interface.
    pub(super) fn transit_kept(&self) -> usize {
        let transit = |w: &&Waiting| matches!(w.origin, Origin::Transit(_));
        self.known.values().map(|n| n.queue.iter().filter(transit).count()).sum()
    }

    /// Every neighbour with the number of frames that wait for it, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, State, usize)> {
        self.known.iter().map(|(place, n)| (place.0, n.state, n.queue.len()))
    }

    /// A frame wants to go to an unknown neighbour.
    #[cold]
    fn start(&mut self, now: Instant, source: &IpAddr, address: IpAddr) -> Way {
        let question = Question::new(now, *source, address);
        if let Some(victim) = self.unresolved.victim(&question) {
            let mut queue = self.forget(victim);
            self.pushed_out.append(&mut queue);
        } else if self.known.len() >= NEIGHBOURS_MAX
            && let Some(&(_, oldest)) = self.resolved.first()
        {
            self.forget(oldest);
        }
        self.insert(now, address, State::ASKED, Some(question));
        Way::Unasked
    }

    /// A neighbour spoke by itself, to this node.
    fn learn(&mut self, now: Instant, address: IpAddr, mac: Mac) {
        if self.known.len() < NEIGHBOURS_MAX {
            self.insert(now, address, State::Stale { mac }, None);
        }
    }

    fn insert(&mut self, now: Instant, address: IpAddr, state: State, question: Option<Question>) {
        let deadline = now + time_in(state);
        let neighbour = Neighbour {
            state,
            deadline,
            answered: None,
            question,
            contest: None,
            conflict: None,
            queue: VecDeque::new(),
        };
        self.known.insert(Place(address), neighbour);
        question.into_iter().for_each(|question| self.unresolved.insert(question));
        self.deadlines.insert((deadline, address));
        if state.mac().is_some() {
            self.resolved.insert((None, address));
        }
    }

    /// A known neighbour's state begins now.
    fn enter(&mut self, now: Instant, address: IpAddr, state: State) {
        let Some(neighbour) = self.known.get_mut(&Place(address)) else { return };
        self.last = None;
        self.deadlines.remove(&(neighbour.deadline, address));
        self.resolved.remove(&(neighbour.answered, address));
        neighbour.state = state;
        neighbour.deadline = now + time_in(state);
        if let State::Reachable { .. } = state {
            neighbour.answered = Some(now);
        }
        self.deadlines.insert((neighbour.deadline, address));
        if state.mac().is_some() {
            self.resolved.insert((neighbour.answered, address));
            if let Some(question) = neighbour.question.take() {
                self.unresolved.remove(&question);
            }
        }
    }

    fn forget(&mut self, address: IpAddr) -> VecDeque<Waiting> {
        let Some(neighbour) = self.known.remove(&Place(address)) else { return VecDeque::new() };
        self.last = None;
        self.deadlines.remove(&(neighbour.deadline, address));
        self.resolved.remove(&(neighbour.answered, address));
        if let Some(question) = neighbour.question {
            self.unresolved.remove(&question);
        }
        self.queued -= neighbour.queue.len();
        neighbour.queue
    }
}

/// How long a state lasts by itself.
fn time_in(state: State) -> Duration {
    match state {
        State::Incomplete { .. } | State::Probe { .. } => NEIGHBOUR_REQUEST_INTERVAL,
        State::Contested { .. } => NEIGHBOUR_CONTEST_INTERVAL,
        State::Reachable { .. } => NEIGHBOUR_REACHABLE_TIME,
        State::Stale { .. } => NEIGHBOUR_STALE_TIME,
    }
}

#[cfg(test)]
mod tests;
