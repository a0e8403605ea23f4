//! The parking: frames of a redirector that wait until it is known whose stream they belong to. Bounded in frames, bytes
//! and time.

use std::collections::{HashMap, VecDeque};

use crate::event::DropReason;
use crate::flow::{FlowKey, HashKey};
use crate::id::{Interface, NodeId};
use crate::limits::{
    PARK_TIME, PARKED_BYTES_MAX, PARKED_FRAMES_MAX, PARKED_STREAM_FRAMES_MAX, QUERIES_BURST_MAX, QUERIES_PER_SECOND_MAX,
};
use crate::outbox::Outbox;
use crate::packet::{Arrival, Frame};
use crate::time::{Bucket, Instant};

/// What waits for one key.
#[derive(Debug)]
struct Queue {
    /// Number of the query; also tells this queue from later ones of the same key.
    id: u64,
    /// Who has not answered yet; empty while an announcement is waited for.
    awaited: Vec<NodeId>,
    frames: Vec<Arrival>,
}

/// All frames that wait.
#[derive(Debug)]
pub struct Parking {
    queues: HashMap<FlowKey, Queue, HashKey>,
    deadlines: VecDeque<(Instant, FlowKey, u64)>,
    frames: usize,
    bytes: usize,
    queries: Bucket,
    last_id: u64,
}

impl Parking {
    /// Nothing waits.
    #[must_use]
    pub fn new(now: Instant, key: HashKey) -> Self {
        Self {
            queues: HashMap::with_hasher(key),
            deadlines: VecDeque::new(),
            frames: 0,
            bytes: 0,
            queries: Bucket::new(now, QUERIES_PER_SECOND_MAX, QUERIES_BURST_MAX),
            last_id: 0,
        }
    }

    /// True if frames wait for this key.
    #[must_use]
    pub fn has(&self, key: &FlowKey) -> bool {
        !self.queues.is_empty() && self.queues.contains_key(key)
    }

    /// Puts a frame behind those of its key, whose time goes on. For a key's first frame the answers of `awaited` are
    /// waited for, or an announcement if that is empty; `Some` is the number for the query.
    ///
    /// # Errors
    /// The frame and why there was no room for it.
    pub fn park(
        &mut self,
        now: Instant,
        key: FlowKey,
        parked: Arrival,
        awaited: impl FnOnce() -> Vec<NodeId>,
        out: &mut Outbox,
    ) -> Result<Option<u64>, (Frame, DropReason)> {
        let bytes = parked.frame.bytes().len();
        if self.frames >= PARKED_FRAMES_MAX || self.bytes + bytes > PARKED_BYTES_MAX {
            return Err((parked.frame, DropReason::ParkingFull));
        }
        if let Some(queue) = self.queues.get_mut(&key) {
            if queue.frames.len() >= PARKED_STREAM_FRAMES_MAX {
                return Err((parked.frame, DropReason::ParkFull));
            }
            queue.frames.push(out.packed_arrival(parked));
            (self.frames, self.bytes) = (self.frames + 1, self.bytes + bytes);
            return Ok(None);
        }
        if self.queries.take(now).is_none() {
            return Err((parked.frame, DropReason::QueryRate));
        }
        self.last_id += 1;
        let id = self.last_id;
        let frames = vec![out.packed_arrival(parked)];
        self.queues.insert(key, Queue { id, awaited: awaited(), frames });
        self.deadlines.push_back((now + PARK_TIME, key, id));
        (self.frames, self.bytes) = (self.frames + 1, self.bytes + bytes);
        Ok(Some(id))
    }

    /// `from` does not own the key of query `id`. True if nobody is left who might.
    pub fn disowned(&mut self, key: &FlowKey, id: u64, from: NodeId) -> bool {
        let Some(queue) = self.queues.get_mut(key).filter(|queue| queue.id == id) else { return false };
        let asked = !queue.awaited.is_empty();
        queue.awaited.retain(|node| *node != from);
        asked && queue.awaited.is_empty()
    }

    /// A node will not answer any more. The keys for which nobody is left to answer.
    pub fn member_left(&mut self, node: NodeId) -> Vec<FlowKey> {
        let mut keys = Vec::new();
        for (key, queue) in &mut self.queues {
            let asked = !queue.awaited.is_empty();
            queue.awaited.retain(|awaited| *awaited != node);
            if asked && queue.awaited.is_empty() {
                keys.push(*key);
            }
        }
        keys.sort_unstable();
        keys
    }

    /// Takes what waits for a key, oldest first.
    pub fn take(&mut self, key: &FlowKey) -> Vec<Arrival> {
        let frames = self.queues.remove(key).map(|queue| queue.frames).unwrap_or_default();
        self.frames -= frames.len();
        self.bytes -= frames.iter().map(|parked| parked.frame.bytes().len()).sum::<usize>();
        frames
    }

    /// Takes all that waits at an interface.
    pub fn take_all(&mut self, interface: Interface) -> Vec<Arrival> {
        let mut keys: Vec<FlowKey> = self.queues.keys().filter(|key| key.interface() == interface).copied().collect();
        keys.sort_unstable();
        keys.iter().flat_map(|key| self.take(key)).collect()
    }

    /// Takes what has waited in vain for the longest time, and whether that was for an announcement.
    pub fn pop_due(&mut self, now: Instant) -> Option<(bool, Vec<Arrival>)> {
        loop {
            let &(at, key, id) = self.deadlines.front()?;
            let queue = self.queues.get(&key).filter(|queue| queue.id == id);
            if queue.is_some() && at > now {
                return None;
            }
            let announced = queue.map(|queue| queue.awaited.is_empty());
            self.deadlines.pop_front();
            if let Some(announced) = announced {
                return Some((announced, self.take(&key)));
            }
        }
    }

    /// When something has waited for long enough.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _, _)| *at)
    }

    /// Frames that wait now.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::packet::Came;
    use herald_testing::frames;

    fn key(port: u16) -> FlowKey {
        let end = |last, port| (IpAddr::from(Ipv4Addr::new(10, 0, 0, last)), port);
        FlowKey::new(Interface::First, 17, end(1, port), end(2, 53))
    }

    fn parked() -> Arrival {
        let ip = frames::ip([[2; 6], [4; 6]], [10, 0, 0, 1], [10, 0, 0, 2], 9);
        let bytes = frames::udp(ip, (1, 53), b"hello");
        Arrival::parse(Interface::First, Frame::from_bytes(&bytes), Came::Directly).unwrap()
    }

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    const START: Instant = Instant::from_nanos(1);

    #[test]
    fn a_key_waits_for_every_answer_and_no_longer_than_its_time() {
        let (mut out, mut parking) = (Outbox::default(), Parking::new(START, HashKey([1; 16])));
        let id = parking.park(START, key(1), parked(), || nodes(&["b", "c", "d"]), &mut out).unwrap().unwrap();
        assert_eq!(parking.park(START, key(1), parked(), Vec::new, &mut out).unwrap(), None, "asked once");
        assert!(!parking.disowned(&key(1), id, nodes(&["b"])[0]));
        assert!(!parking.disowned(&key(1), id + 1, nodes(&["c"])[0]), "an answer to another query");
        assert!(parking.member_left(nodes(&["d"])[0]).is_empty());
        assert!(parking.disowned(&key(1), id, nodes(&["c"])[0]));
        assert_eq!((parking.take(&key(1)).len(), parking.frames(), parking.bytes), (2, 0, 0));
        parking.park(START, key(1), parked(), || nodes(&["b"]), &mut out).unwrap();
        assert!(parking.pop_due(START).is_none());
        assert_eq!(parking.member_left(nodes(&["b"])[0]), [key(1)]);
        assert_eq!(parking.pop_due(START + PARK_TIME).map(|(_, frames)| frames.len()), Some(1));
        assert!(parking.pop_due(START + PARK_TIME).is_none() && parking.next_deadline().is_none());
    }

    #[test]
    fn an_announcement_is_waited_for_without_answers() {
        let (mut out, mut parking) = (Outbox::default(), Parking::new(START, HashKey([1; 16])));
        let id = parking.park(START, key(1), parked(), Vec::new, &mut out).unwrap().unwrap();
        assert!(!parking.disowned(&key(1), id, nodes(&["b"])[0]));
        assert!(parking.member_left(nodes(&["b"])[0]).is_empty());
        assert_eq!(parking.take_all(Interface::Second).len(), 0);
        assert_eq!(parking.take_all(Interface::First).len(), 1);
    }

    #[test]
    fn every_bound_has_its_reason() {
        let (mut out, mut parking) = (Outbox::default(), Parking::new(START, HashKey([1; 16])));
        let reason = |refused: Result<_, (Frame, DropReason)>| refused.unwrap_err().1;
        for _ in 0..PARKED_STREAM_FRAMES_MAX {
            parking.park(START, key(0), parked(), Vec::new, &mut out).unwrap();
        }
        assert_eq!(reason(parking.park(START, key(0), parked(), Vec::new, &mut out)), DropReason::ParkFull);
        let mut port = 1;
        while parking.frames() < PARKED_FRAMES_MAX {
            parking.park(START, key(port), parked(), Vec::new, &mut out).unwrap();
            port += 1;
        }
        assert_eq!(reason(parking.park(START, key(port), parked(), Vec::new, &mut out)), DropReason::ParkingFull);
        let (mut out, mut parking) = (Outbox::default(), Parking::new(START, HashKey([1; 16])));
        for port in 0..u16::try_from(QUERIES_BURST_MAX).unwrap() {
            parking.park(START, key(port), parked(), Vec::new, &mut out).unwrap();
            parking.take(&key(port));
        }
        assert_eq!(reason(parking.park(START, key(0), parked(), Vec::new, &mut out)), DropReason::QueryRate);
    }
}
