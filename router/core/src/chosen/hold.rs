//! The hold: frames that wait until the other redirector has acknowledged their stream, in order, bounded.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use slab::Slab;

use crate::event::DropReason;
use crate::flow::{HashKey, Hop};
use crate::id::{Interface, Slot};
use crate::limits::{HOLDS_BYTES_MAX, HOLDS_FRAMES_MAX};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::{Frame, Headers};
use crate::time::Instant;

/// What one stream's hold may take.
#[derive(Clone, Copy, Debug)]
pub struct HoldMax {
    /// How long it lasts.
    pub time: Duration,
    /// How many frames it keeps.
    pub frames: usize,
    /// How many Ethernet bytes it keeps.
    pub bytes: usize,
}

/// A frame that waits, ready to go.
#[derive(Debug)]
pub struct Held {
    /// The bytes.
    pub frame: Frame,
    /// Their checked headers.
    pub headers: Headers,
    /// Where the frame arrived.
    pub arrived: Interface,
    /// Where it goes next.
    pub hop: Hop,
}

#[derive(Debug)]
struct Link {
    held: Held,
    next: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    head: usize,
    tail: usize,
    frames: usize,
    bytes: usize,
}

/// All holds of a node. Slots and ids are those of the marker sessions.
pub struct Hold {
    max: HoldMax,
    bytes: usize,
    links: Slab<Link>,
    queues: HashMap<Slot, Queue, HashKey>,
    deadlines: VecDeque<(Instant, Slot, u64)>,
}

/// With every frame, which a slab leaves out.
impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold ")?;
        let (queues, deadlines) = (&self.queues, &self.deadlines);
        f.debug_map().entries(self.links.iter()).entry(&"queues", queues).entry(&"deadlines", deadlines).finish()
    }
}

impl Hold {
    /// Nothing held.
    #[must_use]
    pub fn new(max: HoldMax, key: HashKey) -> Self {
        Self { max, bytes: 0, links: Slab::new(), queues: HashMap::with_hasher(key), deadlines: VecDeque::new() }
    }

    /// A hold begins: its time runs from now.
    pub fn begin(&mut self, now: Instant, slot: Slot, id: u64) {
        self.deadlines.push_back((now + self.max.time, slot, id));
    }

    /// Keeps a frame behind those of its stream.
    ///
    /// # Errors
    /// The frame and why there was no room for it.
    pub fn keep(&mut self, slot: Slot, held: Held, out: &mut Outbox) -> Result<(), (Frame, DropReason)> {
        let bytes = held.frame.bytes().len();
        if self.links.len() >= HOLDS_FRAMES_MAX || self.bytes + bytes > HOLDS_BYTES_MAX {
            return Err((held.frame, DropReason::HoldsFull));
        }
        let queue = self.queues.get(&slot).copied();
        let (frames_kept, bytes_kept) = queue.map_or((0, 0), |queue| (queue.frames, queue.bytes));
        let full = frames_kept >= self.max.frames || bytes_kept + bytes > self.max.bytes;
        if full && !is_on(Mutation::UnboundedHold) {
            return Err((held.frame, DropReason::HoldFull));
        }
        self.bytes += bytes;
        let held = Held { frame: out.packed(held.frame), ..held };
        let place = self.links.insert(Link { held, next: None });
        let queue = match queue {
            None => Queue { head: place, tail: place, frames: 1, bytes },
            Some(queue) => {
                if let Some(last) = self.links.get_mut(queue.tail) {
                    last.next = Some(place);
                }
                Queue { tail: place, frames: queue.frames + 1, bytes: queue.bytes + bytes, ..queue }
            }
        };
        self.queues.insert(slot, queue);
        Ok(())
    }

    /// Takes the oldest frame of a stream.
    pub fn take(&mut self, slot: Slot) -> Option<Held> {
        let queue = *self.queues.get(&slot)?;
        let link = self.links.try_remove(queue.head)?;
        let bytes = link.held.frame.bytes().len();
        self.bytes -= bytes;
        match link.next {
            Some(head) => {
                let (frames, bytes) = (queue.frames - 1, queue.bytes - bytes);
                self.queues.insert(slot, Queue { head, frames, bytes, ..queue })
            }
            None => self.queues.remove(&slot),
        };
        Some(link.held)
    }

    /// The streams that have frames here, by slot.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.queues.keys().copied()
    }

    /// A hold whose time is over: slot and id. It may have ended otherwise before.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Slot, u64)> {
        let &(at, slot, id) = self.deadlines.front()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_front();
        Some((slot, id))
    }

    /// When the oldest hold's time is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _, _)| *at)
    }

    /// Frames held now.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.links.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Content, Packet};
    use herald_testing::frames;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn held(number: u32) -> Held {
        let ip = frames::ip([[1; 6], [2; 6]], [10, 0, 0, 1], [10, 0, 0, 2], 9);
        let frame = Frame::from_bytes(&frames::udp(ip, (1, 2), &number.to_be_bytes()));
        let Content::Ip(headers) = Packet::parse(&frame).unwrap().content else { unreachable!() };
        let hop = Hop { interface: Interface::Second, next_hop: headers.destination };
        Held { frame, headers, arrived: Interface::First, hop }
    }

    const MAX: HoldMax = HoldMax { time: Duration::from_millis(20), frames: 4, bytes: 10_000 };

    fn number(held: &Held) -> u32 {
        u32::from_be_bytes(*held.frame.bytes().last_chunk().unwrap())
    }

    proptest! {
        #[test]
        fn frames_leave_in_their_streams_order(steps in proptest::collection::vec((0u32..4, any::<bool>()), 0..400)) {
            let (mut out, mut hold) = (Outbox::default(), Hold::new(MAX, HashKey([1; 16])));
            let mut model: [VecDeque<u32>; 4] = Default::default();
            for (serial, (slot, keeps)) in (0u32..).zip(steps) {
                let expected = &mut model[slot as usize];
                if keeps {
                    let kept = hold.keep(Slot::new(slot), held(serial), &mut out).is_ok();
                    prop_assert_eq!(kept, expected.len() < MAX.frames);
                    if kept { expected.push_back(serial); }
                } else {
                    prop_assert_eq!(hold.take(Slot::new(slot)).map(|h| number(&h)), expected.pop_front());
                }
                prop_assert_eq!(hold.frames(), model.iter().map(VecDeque::len).sum::<usize>());
            }
        }
    }

    #[test]
    fn all_holds_together_are_bounded() {
        let (mut out, mut hold) = (Outbox::default(), Hold::new(MAX, HashKey([1; 16])));
        let streams = u32::try_from(HOLDS_FRAMES_MAX).unwrap();
        for slot in 0..streams {
            hold.keep(Slot::new(slot), held(slot), &mut out).unwrap();
        }
        let mut frame = Frame::with_full_buffer();
        frame.filled(100);
        let (refused, reason) = hold.keep(Slot::new(streams), Held { frame, ..held(0) }, &mut out).unwrap_err();
        assert_eq!(reason, DropReason::HoldsFull);
        assert!(refused.has_full_buffer() && out.spent.is_empty(), "what is refused is not copied");
    }

    #[test]
    fn a_hold_is_bounded_in_bytes() {
        let len = held(0).frame.bytes().len();
        let (mut out, mut hold) = (Outbox::default(), Hold::new(HoldMax { bytes: 2 * len, ..MAX }, HashKey([1; 16])));
        hold.keep(Slot::new(0), held(0), &mut out).unwrap();
        hold.keep(Slot::new(0), held(1), &mut out).unwrap();
        assert_eq!(hold.keep(Slot::new(0), held(2), &mut out).unwrap_err().1, DropReason::HoldFull);
        hold.keep(Slot::new(1), held(3), &mut out).unwrap();
        hold.take(Slot::new(0)).unwrap();
        hold.keep(Slot::new(0), held(4), &mut out).unwrap();
    }
}
