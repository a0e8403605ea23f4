//! Fragments wait here until all of their datagram have come; then they go on as one frame that was joined from them
//! ([`Frame::join`]). Every node does that with every fragment that it takes in, whoever sent it, before it asks whose stream
//! it is: only the first fragment says so. Off the way of ordinary packets.
//!
//! ```text
//!  fragment --> kept --all have come--> joined
//!                |  \--overlap, contradiction, too many--> spoiled: all of it ends, and whatever comes of it
//!                |--time--> the source is told, if the first one is there
//!                \--room for others--> ended
//! ```

mod datagram;
#[cfg(test)]
mod tests;

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use self::datagram::{Datagram, Step};
use crate::event::DropReason;
use crate::flow::{HashKey, SourceNetwork};
use crate::id::{Epoch, Interface, Mac, NodeId};
use crate::limits::{
    FRAGMENTS_BYTES_MAX, FRAGMENTS_DISTANCE_MAX, FRAGMENTS_MAX, FRAGMENTS_SOURCE_BYTES_MAX, FRAGMENTS_SOURCE_MAX,
    FRAGMENTS_TIME_MAX,
};
use crate::mistake::mistake;
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::{Fragment, Frame};
use crate::time::Instant;

/// How fragments came to this node: only those that came the same way are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// On a network, from one MAC to another.
    Network {
        /// Ethernet destination.
        destination: Mac,
        /// Ethernet source.
        source: Mac,
    },
    /// Over the mesh from a redirector, in an epoch.
    Redirect(NodeId, Epoch),
    /// Over the mesh from a node that had their stream, with so many hops left.
    Handover {
        /// How often they may be handed over once more.
        hops: u8,
    },
    /// Over the mesh from a member that does not know whose they are.
    Astray(NodeId),
}

/// Tells a datagram from all others (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    interface: Interface,
    way: Way,
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Of IPv4 only: of IPv6 the first fragment alone says it.
    protocol: Option<u8>,
}

/// A datagram and its place among the others.
#[derive(Debug)]
struct Waiting {
    /// Grows with every datagram that begins.
    number: u64,
    /// How many its source had begun with it.
    rank: u64,
    datagram: Datagram,
}

/// What one source has here.
#[derive(Debug, Default)]
struct Share {
    /// Datagrams that it has begun since it has some here.
    begun: u64,
    load: Load,
    /// Its datagrams by number: the oldest first.
    datagrams: BTreeMap<u64, Key>,
}

/// What datagrams take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    /// Fragments, and one for each datagram without any.
    places: usize,
    /// Bytes.
    cost: usize,
}

impl Load {
    fn of(datagram: &Datagram) -> Self {
        Self { places: datagram.frames().max(1), cost: datagram.cost() }
    }

    fn change(&mut self, before: Self, after: Self) {
        self.places = self.places + after.places - before.places;
        self.cost = self.cost + after.cost - before.cost;
    }

    fn exceeds(self, places: usize, cost: usize) -> bool {
        self.places > places || self.cost > cost
    }
}

/// A datagram that was waited for in vain.
#[derive(Debug)]
pub struct Overdue {
    /// Where it came in.
    pub interface: Interface,
    /// What has come of it, in the order of offsets.
    pub parts: Vec<(Fragment, Frame)>,
}

/// All datagrams of which some fragments have come.
pub struct Fragments {
    datagrams: HashMap<Key, Waiting, HashKey>,
    /// By number, each with the end of its time: the oldest first.
    by_age: BTreeMap<u64, (Instant, Key)>,
    shares: BTreeMap<SourceNetwork, Share>,
    /// Sources by what they take.
    by_cost: BTreeSet<(usize, SourceNetwork)>,
    begun: u64,
    frames: usize,
    load: Load,
}

/// In the order in which they began, so that equal tables look equal.
impl fmt::Debug for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = |(until, key): &(Instant, Key)| (*until, *key, self.datagrams.get(key).map(|waiting| waiting.rank));
        f.debug_list().entries(self.by_age.values().map(kept)).finish()
    }
}

impl Fragments {
    /// Nothing has come.
    #[must_use]
    pub fn new(hash_key: HashKey) -> Self {
        Self {
            datagrams: HashMap::with_hasher(hash_key),
            by_age: BTreeMap::new(),
            shares: BTreeMap::new(),
            by_cost: BTreeSet::new(),
            begun: 0,
            frames: 0,
            load: Load::default(),
        }
    }

    /// A fragment came. The joined frame, if all of its datagram have come.
    pub fn arrived(
        &mut self,
        now: Instant,
        (interface, way): (Interface, Way),
        fragment: Fragment,
        frame: Frame,
        out: &mut Outbox,
    ) -> Option<Frame> {
        if frame.offload().segment_size() != 0 {
            out.drop(frame, DropReason::FragmentSize);
            return None;
        }
        let Fragment { source, destination, identification, protocol, .. } = fragment;
        let protocol = source.is_ipv4().then_some(protocol);
        let key = Key { interface, way, source, destination, identification, protocol };
        if self.is_outrun(&key) {
            self.end(&key, DropReason::FragmentTimedOut, out);
        }
        let step = match self.datagrams.get(&key) {
            Some(waiting) => waiting.datagram.step(&fragment, &frame),
            None => {
                self.begin(now, key);
                Step::Waits
            }
        };
        match step {
            Step::Repeats => out.drop(frame, DropReason::FragmentDuplicate),
            Step::Spoils(reason) => {
                let parts = self.change(&key, |datagram| datagram.spoil(reason)).unwrap_or_default();
                parts.into_iter().for_each(|(_, part)| out.drop(part, reason));
                out.drop(frame, reason);
            }
            Step::Waits | Step::Completes => {
                let own = Frame::from_bytes(frame.bytes().get(..fragment.end as usize).unwrap_or_default());
                out.spent.push(frame);
                self.change(&key, |datagram| datagram.keep(fragment, own));
                if step == Step::Completes {
                    return self.complete(&key, out);
                }
                self.make_room(SourceNetwork::of(source), out);
            }
        }
        None
    }

    /// Takes the next datagram whose time is over.
    pub fn pop_overdue(&mut self, now: Instant) -> Option<Overdue> {
        let (_, &(until, key)) = self.by_age.first_key_value()?;
        if until > now {
            return None;
        }
        let parts = self.take(&key)?.into_parts();
        Some(Overdue { interface: key.interface, parts })
    }

    /// When a datagram's time is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_age.first_key_value().map(|(_, (until, _))| *until)
    }

    /// Fragments that wait now.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    fn begin(&mut self, now: Instant, key: Key) {
        self.begun += 1;
        let number = self.begun;
        let share = self.shares.entry(SourceNetwork::of(key.source)).or_default();
        share.begun += 1;
        share.datagrams.insert(number, key);
        let waiting = Waiting { number, rank: share.begun, datagram: Datagram::default() };
        let load = Load::of(&waiting.datagram);
        self.by_age.insert(number, (now + FRAGMENTS_TIME_MAX, key));
        self.datagrams.insert(key, waiting);
        self.count(SourceNetwork::of(key.source), Load::default(), load);
    }

    /// All fragments of a datagram have come.
    fn complete(&mut self, key: &Key, out: &mut Outbox) -> Option<Frame> {
        let mut parts = self.take(key)?.into_parts();
        if is_on(Mutation::LoseFragment)
            && let Some((_, lost)) = parts.pop()
        {
            out.drop(lost, DropReason::Fragment);
        }
        let Some(whole) = Frame::join(&parts) else {
            parts.into_iter().for_each(|(_, part)| out.drop(part, DropReason::FragmentSize));
            return None;
        };
        out.ledger.joined += whole.pieces() - 1;
        Some(whole)
    }

    /// True if the source has begun so many datagrams since that this one's identification may be in use again.
    fn is_outrun(&self, key: &Key) -> bool {
        let Some(waiting) = self.datagrams.get(key) else { return false };
        let begun = self.shares.get(&SourceNetwork::of(key.source)).map_or(0, |share| share.begun);
        begun.saturating_sub(waiting.rank) > FRAGMENTS_DISTANCE_MAX
    }

    /// The oldest datagrams of the source, and then of whoever has most, end until all is within its bounds.
    fn make_room(&mut self, source: SourceNetwork, out: &mut Outbox) {
        while self
            .shares
            .get(&source)
            .is_some_and(|share| share.load.exceeds(FRAGMENTS_SOURCE_MAX, FRAGMENTS_SOURCE_BYTES_MAX))
        {
            self.end_oldest(source, out);
        }
        while self.load.exceeds(FRAGMENTS_MAX, FRAGMENTS_BYTES_MAX) {
            let Some(&(_, greediest)) = self.by_cost.last() else { return mistake("what is kept has a source") };
            self.end_oldest(greediest, out);
        }
    }

    fn end_oldest(&mut self, source: SourceNetwork, out: &mut Outbox) {
        let share = self.shares.get(&source);
        match share.and_then(|share| share.datagrams.first_key_value()).map(|(_, key)| *key) {
            Some(key) => self.end(&key, DropReason::FragmentsFull, out),
            None => mistake("a source has datagrams"),
        }
    }

    /// Ends a datagram and all that has come of it.
    fn end(&mut self, key: &Key, reason: DropReason, out: &mut Outbox) {
        let parts = self.take(key).map(Datagram::into_parts).unwrap_or_default();
        parts.into_iter().for_each(|(_, frame)| out.drop(frame, reason));
    }

    fn take(&mut self, key: &Key) -> Option<Datagram> {
        let Waiting { number, datagram, .. } = self.datagrams.remove(key)?;
        let source = SourceNetwork::of(key.source);
        self.by_age.remove(&number);
        self.frames -= datagram.frames();
        self.count(source, Load::of(&datagram), Load::default());
        if let Entry::Occupied(mut share) = self.shares.entry(source) {
            share.get_mut().datagrams.remove(&number);
            if share.get().datagrams.is_empty() {
                self.by_cost.remove(&(share.get().load.cost, source));
                share.remove();
            }
        }
        Some(datagram)
    }

    /// Changes a datagram and what is counted of it.
    fn change<T>(&mut self, key: &Key, change: impl FnOnce(&mut Datagram) -> T) -> Option<T> {
        let datagram = &mut self.datagrams.get_mut(key)?.datagram;
        let (frames, before) = (datagram.frames(), Load::of(datagram));
        let changed = change(datagram);
        self.frames = self.frames + datagram.frames() - frames;
        let after = Load::of(datagram);
        self.count(SourceNetwork::of(key.source), before, after);
        Some(changed)
    }

    fn count(&mut self, source: SourceNetwork, before: Load, after: Load) {
        self.load.change(before, after);
        let Some(share) = self.shares.get_mut(&source) else { return mistake("a datagram has a source") };
        self.by_cost.remove(&(share.load.cost, source));
        share.load.change(before, after);
        self.by_cost.insert((share.load.cost, source));
    }
}
