//! The switch of a relay. It is told the time; what it sends it gives back.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::lane::{Copies, Fate, ImpairedLane, Order};
use super::{Counts, Course};
use herald_core::id::Mac;
use herald_core::limits::{RELAY_BYTES_MAX, RELAY_FRAMES_MAX, RELAY_MACS_MAX, RELAY_REORDER_TIME_MAX};
use herald_core::packet::Frame;
use herald_core::time::Instant;

/// Sends a frame out of a port.
type Sent<'a> = dyn FnMut(usize, &Frame) + 'a;

/// The switch. Port 0 is the uplink, port 1 that of the course's first node, and so on.
#[derive(Debug, Default)]
pub struct Switch {
    nodes: Vec<String>,
    lanes: Vec<ImpairedLane>,
    /// Behind which port an Ethernet address is.
    learned: HashMap<Mac, usize>,
    queue: Queue,
}

/// Frames on their way.
#[derive(Debug, Default)]
struct Queue {
    /// In the order in which they leave.
    waiting: BTreeMap<(Instant, u64), (usize, Frame)>,
    bytes: usize,
    sequence: u64,
    /// For each lane and port the frame that waits for the next one, and how long it does at most.
    overtaken: BTreeMap<(usize, usize), (Instant, Frame)>,
}

/// What the lanes between two ports have decided about one copy of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Passage {
    delay: Duration,
    /// The lane on which the next frame is to overtake it.
    overtaken_on: Option<usize>,
}

impl Switch {
    /// Ports and faults from now on. What was on its way is lost, as the ports change; lanes that stay as they are go on
    /// with their chance and their counts.
    pub fn take(&mut self, course: Course) {
        let mut before = std::mem::take(&mut self.lanes);
        for (lane, fault) in course.lanes {
            let same = before.iter().position(|old| old.is(&lane, &fault));
            self.lanes.push(same.map_or_else(|| ImpairedLane::new(lane, fault), |place| before.swap_remove(place)));
        }
        if self.nodes != course.nodes {
            self.queue = Queue::default();
        }
        self.queue.overtaken.clear();
        self.nodes = course.nodes;
        self.learned.clear();
    }

    /// What was done on each lane, in the order of the course.
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        self.lanes.iter().map(|lane| lane.counts).collect()
    }

    /// A frame has come in at a port. What need not wait is sent at once.
    pub fn frame_arrived(&mut self, now: Instant, from: usize, frame: &Frame, send: &mut Sent<'_>) {
        let (Some(to), Some(source)) = (mac(frame, 0), mac(frame, 6)) else { return };
        if self.learned.len() >= RELAY_MACS_MAX {
            self.learned.clear();
        }
        self.learned.insert(source, from);
        match self.learned.get(&to) {
            Some(port) if *port == from => {}
            Some(port) => self.pass(now, (from, *port), frame, send),
            None => {
                for port in (0..=self.nodes.len()).filter(|port| *port != from) {
                    self.pass(now, (from, port), frame, send);
                }
            }
        }
    }

    /// Sends what has waited long enough.
    pub fn deadline_reached(&mut self, now: Instant, send: &mut Sent<'_>) {
        let queue = &mut self.queue;
        while let Some(key) = queue.overtaken.iter().find(|(_, (until, _))| *until <= now).map(|(key, _)| *key) {
            // Nothing came that could have overtaken it.
            if let Some((until, frame)) = queue.overtaken.remove(&key) {
                queue.wait(until, key.1, frame);
            }
        }
        while let Some(first) = queue.waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            let (port, frame) = first.remove();
            queue.bytes = queue.bytes.saturating_sub(frame.wire().len());
            send(port, &frame);
        }
    }

    /// When [`Switch::deadline_reached`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.queue.waiting.keys().next().map(|(due, _)| *due);
        let overtaken = self.queue.overtaken.values().map(|(until, _)| *until).min();
        waiting.into_iter().chain(overtaken).min()
    }

    /// Passes a frame through the lanes between two ports.
    fn pass(&mut self, now: Instant, (from, to): (usize, usize), frame: &Frame, send: &mut Sent<'_>) {
        let name = |port: usize| port.checked_sub(1).and_then(|place| self.nodes.get(place)).map(String::as_str);
        let ends = (name(from), name(to));
        let mut passages = vec![Passage::default()];
        let mut on = Vec::new();
        for (place, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.has(ends.0, ends.1)) {
            passages = passages.into_iter().flat_map(|passage| decide(passage, place, (lane, frame))).collect();
            on.push(place);
        }
        for passage in passages {
            let free = |lane: &usize| !self.queue.overtaken.contains_key(&(*lane, to));
            if let Some(lane) = passage.overtaken_on.filter(free) {
                self.keep_back((lane, to), now + passage.delay, frame);
            } else {
                self.leave(now, (to, passage.delay), &on, frame, send);
                self.overtake(now + passage.delay, to, &on);
            }
        }
        // What has been overtaken by a frame that left at once leaves at once, too.
        self.deadline_reached(now, send);
    }

    fn keep_back(&mut self, place: (usize, usize), due: Instant, frame: &Frame) {
        if let Some(copy) = frame.copied() {
            self.queue.overtaken.insert(place, (due + RELAY_REORDER_TIME_MAX, copy));
        }
    }

    fn leave(
        &mut self,
        now: Instant,
        (to, delay): (usize, Duration),
        on: &[usize],
        frame: &Frame,
        send: &mut Sent<'_>,
    ) {
        if delay.is_zero() {
            return send(to, frame);
        }
        if self.queue.is_full(frame) {
            if let Some(lane) = on.last().and_then(|place| self.lanes.get_mut(*place)) {
                lane.counts.overflowed += 1;
            }
            return;
        }
        if let Some(copy) = frame.copied() {
            self.queue.wait(now + delay, to, copy);
        }
    }

    /// Lets the frames that wait to be overtaken on these lanes leave right after one that leaves at `due`.
    fn overtake(&mut self, due: Instant, to: usize, on: &[usize]) {
        for place in on {
            if let Some((_, frame)) = self.queue.overtaken.remove(&(*place, to)) {
                if let Some(lane) = self.lanes.get_mut(*place) {
                    lane.counts.reordered += 1;
                }
                self.queue.wait(due, to, frame);
            }
        }
    }
}

impl Queue {
    fn is_full(&self, frame: &Frame) -> bool {
        self.waiting.len() >= RELAY_FRAMES_MAX || self.bytes.saturating_add(frame.wire().len()) > RELAY_BYTES_MAX
    }

    fn wait(&mut self, due: Instant, port: usize, frame: Frame) {
        self.sequence += 1;
        self.bytes += frame.wire().len();
        self.waiting.insert((due, self.sequence), (port, frame));
    }
}

/// What becomes of a copy on one more lane: no copy, one or two. A frame that comes twice keeps its place.
fn decide(passage: Passage, place: usize, (lane, frame): (&mut ImpairedLane, &Frame)) -> Vec<Passage> {
    match lane.decide(frame) {
        Fate::Lost => Vec::new(),
        Fate::Passed { delay, copies, order } => {
            let delay = passage.delay + delay;
            match (copies, order) {
                (Copies::Two, Order::Kept | Order::Changed) => vec![Passage { delay, overtaken_on: None }; 2],
                (Copies::One, Order::Changed) => vec![Passage { delay, overtaken_on: Some(place) }],
                (Copies::One, Order::Kept) => vec![Passage { delay, ..passage }],
            }
        }
    }
}

/// The Ethernet address at this place of a frame; `None` if the frame is shorter.
fn mac(frame: &Frame, at: usize) -> Option<Mac> {
    frame.bytes().get(at..)?.first_chunk().copied().map(Mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    use crate::fault::{Fault, Impairment, Lane};
    use crate::plan::Network;

    const NOW: Instant = Instant::from_nanos(1_000_000_000);
    const EVERYBODY: u8 = 0xff;

    /// A frame whose last byte is its number.
    fn frame(to: u8, from: u8, number: u8) -> Frame {
        let mut bytes = [0; 60];
        bytes[..6].fill(to);
        bytes[6..12].fill(from);
        bytes[59] = number;
        Frame::from_bytes(&bytes)
    }

    fn lane(from: Option<&str>, to: Option<&str>) -> Lane {
        Lane { network: Network::Mesh, from: from.map(str::to_owned), to: to.map(str::to_owned) }
    }

    fn impaired(change: impl FnOnce(&mut Impairment)) -> Fault {
        let mut impairment = Impairment::default();
        change(&mut impairment);
        Fault::Impaired(impairment)
    }

    /// A switch with the ports of a and b, 1 and 2, where address 1 is a's, 2 is b's, 9 is somebody else's.
    fn switch(lanes: Vec<(Lane, Fault)>) -> Switch {
        let mut switch = Switch::default();
        switch.take(Course { nodes: vec!["a".into(), "b".into()], lanes, vlan: None });
        for (port, address) in [(0, 9), (1, 1), (2, 2)] {
            switch.learned.insert(Mac([address; 6]), port);
        }
        switch
    }

    fn arrived(switch: &mut Switch, from: usize, frame: &Frame) -> Vec<(usize, u8)> {
        let mut sent = Vec::new();
        switch.frame_arrived(NOW, from, frame, &mut |port, frame| sent.push((port, frame.bytes()[59])));
        sent
    }

    fn later(switch: &mut Switch, millis: u64) -> Vec<(usize, u8)> {
        let mut sent = Vec::new();
        let now = NOW + Duration::from_millis(millis);
        switch.deadline_reached(now, &mut |port, frame| sent.push((port, frame.bytes()[59])));
        sent
    }

    #[test]
    fn frames_go_where_their_address_was_seen() {
        let mut switch = switch(Vec::new());
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 5)), [(2, 5)]);
        assert_eq!(arrived(&mut switch, 1, &frame(9, 1, 5)), [(0, 5)]);
        assert_eq!(arrived(&mut switch, 1, &frame(EVERYBODY, 1, 5)), [(0, 5), (2, 5)]);
        assert_eq!(arrived(&mut switch, 0, &frame(7, 9, 5)), [(1, 5), (2, 5)], "unknown");
        assert_eq!(arrived(&mut switch, 1, &frame(1, 1, 5)), [], "not back to where it came from");
        // The address of b moves to the uplink.
        assert_eq!(arrived(&mut switch, 0, &frame(EVERYBODY, 2, 5)), [(1, 5), (2, 5)]);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 5)), [(0, 5)]);
        assert_eq!(arrived(&mut switch, 1, &Frame::from_bytes(&[2; 8])), [], "too short to be one");
    }

    #[test]
    fn a_cut_lane_carries_nothing_and_the_others_everything() {
        let mut switch = switch(vec![(lane(Some("a"), Some("b")), Fault::Cut)]);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 5)), []);
        assert_eq!(arrived(&mut switch, 1, &frame(EVERYBODY, 1, 5)), [(0, 5)]);
        assert_eq!(arrived(&mut switch, 2, &frame(1, 2, 5)), [(1, 5)], "the other way");
        assert_eq!(switch.counts(), [Counts { lost: 2, ..Counts::default() }]);
    }

    #[test]
    fn a_lane_is_cut_for_multicast_alone() {
        let mut switch = switch(vec![(lane(Some("a"), None), Fault::CutMulticast)]);
        assert_eq!(arrived(&mut switch, 1, &frame(EVERYBODY, 1, 5)), []);
        assert_eq!(arrived(&mut switch, 1, &frame(0x33, 1, 5)), [], "a group");
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 5)), [(2, 5)]);
        assert_eq!(arrived(&mut switch, 2, &frame(EVERYBODY, 2, 5)), [(0, 5), (1, 5)], "the other way");
        assert_eq!(switch.counts(), [Counts { passed: 1, lost: 4, ..Counts::default() }]);
    }

    /// A TCP segment of b with this much payload; as a super-frame if its segments have a size.
    fn segment(payload: usize, segment_size: u16) -> Frame {
        let mut bytes = Vec::new();
        let headers = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, 9, 0, 11], [10, 9, 0, 12], 64);
        headers.tcp(7_400, 7_400, 0, 1_024).write(&mut bytes, &vec![0; payload]).unwrap();
        // Flags, kind (1 is TCP over IPv4), length of the headers, bytes of a segment, two of the checksum.
        let [low, high] = segment_size.to_ne_bytes();
        let mut wire = vec![0, u8::from(segment_size > 0), 0, 0, low, high, 0, 0, 0, 0];
        wire.extend(bytes);
        Frame::from_wire(&wire).unwrap()
    }

    #[test]
    fn a_lane_is_cut_for_large_frames_alone() {
        let mut switch = switch(vec![(lane(Some("a"), Some("b")), Fault::CutLarger { than: 154 })]);
        // 54 bytes of headers.
        for (payload, segment_size, passes) in
            [(100, 0, true), (101, 0, false), (5_000, 100, true), (5_000, 101, false), (50, 101, true)]
        {
            let sent = arrived(&mut switch, 1, &segment(payload, segment_size));
            assert_eq!(!sent.is_empty(), passes, "{payload} bytes, segments of {segment_size}");
        }
        assert_eq!(switch.counts(), [Counts { passed: 3, lost: 2, ..Counts::default() }]);
    }

    #[test]
    fn delayed_frames_keep_their_order() {
        let late = impaired(|i| i.delay = "50ms".parse().unwrap());
        let mut switch = switch(vec![(lane(Some("a"), None), late.clone()), (lane(None, Some("b")), late)]);
        assert_eq!(arrived(&mut switch, 1, &frame(9, 1, 1)), []);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 2)), [], "two lanes, twice the delay");
        assert_eq!(arrived(&mut switch, 1, &frame(9, 1, 3)), []);
        assert_eq!(switch.next_deadline(), Some(NOW + Duration::from_millis(50)));
        assert_eq!((later(&mut switch, 49), later(&mut switch, 50)), (vec![], vec![(0, 1), (0, 3)]));
        assert_eq!((later(&mut switch, 99), later(&mut switch, 100)), (vec![], vec![(2, 2)]));
        assert_eq!((switch.next_deadline(), switch.queue.bytes), (None, 0));
    }

    #[test]
    fn doubled_frames_come_twice() {
        let mut switch = switch(vec![(lane(None, Some("b")), impaired(|i| i.duplicate = "100%".parse().unwrap()))]);
        assert_eq!(arrived(&mut switch, 0, &frame(2, 9, 5)), [(2, 5), (2, 5)]);
        assert_eq!(switch.counts(), [Counts { passed: 1, duplicated: 1, ..Counts::default() }]);
    }

    #[test]
    fn a_reordered_frame_leaves_after_the_next_one_or_in_time() {
        let reorder = impaired(|i| i.reorder = "100%".parse().unwrap());
        let mut switch = switch(vec![(lane(Some("a"), Some("b")), reorder)]);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 1)), []);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 2)), [(2, 2), (2, 1)]);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 3)), []);
        let limit = u64::try_from(RELAY_REORDER_TIME_MAX.as_millis()).unwrap();
        assert_eq!((later(&mut switch, limit - 1), later(&mut switch, limit)), (vec![], vec![(2, 3)]));
        assert_eq!(switch.counts()[0].reordered, 1);
    }

    #[test]
    fn reordering_and_delay_add_up() {
        let fault = impaired(|i| (i.reorder, i.delay) = ("100%".parse().unwrap(), "50ms".parse().unwrap()));
        let mut switch = switch(vec![(lane(Some("a"), Some("b")), fault)]);
        for number in [1, 2] {
            assert_eq!(arrived(&mut switch, 1, &frame(2, 1, number)), []);
        }
        assert_eq!((later(&mut switch, 49), later(&mut switch, 50)), (vec![], vec![(2, 2), (2, 1)]));
    }

    #[test]
    fn the_queue_is_bounded() {
        let late = impaired(|i| i.delay = "1s".parse().unwrap());
        let mut switch = switch(vec![(lane(Some("a"), Some("b")), late)]);
        for _ in 0..RELAY_FRAMES_MAX + 3 {
            assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 1)), []);
        }
        assert_eq!((switch.queue.waiting.len(), switch.counts()[0].overflowed), (RELAY_FRAMES_MAX, 3));
    }

    #[test]
    fn a_lane_that_stays_goes_on_counting() {
        let kept = (lane(Some("a"), Some("b")), Fault::Cut);
        let mut switch = switch(vec![(lane(Some("b"), None), Fault::Cut), kept.clone()]);
        assert_eq!(arrived(&mut switch, 1, &frame(2, 1, 1)), []);
        switch.take(Course { nodes: vec!["a".into(), "b".into()], lanes: vec![kept], vlan: None });
        assert_eq!(switch.counts(), [Counts { lost: 1, ..Counts::default() }]);
    }
}
