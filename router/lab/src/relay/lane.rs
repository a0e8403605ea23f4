//! One lane with its fault: what becomes of each frame on it.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::Counts;
use crate::fault::{Fault, Impairment, Lane, Share};
use herald_core::id::Mac;
use herald_core::packet::{Content, Frame, Packet};

/// What becomes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Passed { delay: Duration, copies: Copies, order: Order },
}

/// How often a frame passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copies {
    One,
    Two,
}

/// When a frame passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// In its turn.
    Kept,
    /// After the next one.
    Changed,
}

/// A lane, its fault, its chance and its counts.
#[derive(Debug)]
pub(super) struct ImpairedLane {
    lane: Lane,
    fault: Fault,
    chance: Chance,
    pub(super) counts: Counts,
}

impl ImpairedLane {
    pub(super) fn new(lane: Lane, fault: Fault) -> Self {
        let seed = match &fault {
            Fault::Cut | Fault::CutMulticast | Fault::CutLarger { .. } => 0,
            Fault::Impaired(impairment) => impairment.seed,
        };
        let chance = Chance::new(seed, &lane);
        Self { lane, fault, chance, counts: Counts::default() }
    }

    /// Whether this is the same lane with the same fault, so that its chance and its counts go on.
    pub(super) fn is(&self, lane: &Lane, fault: &Fault) -> bool {
        self.lane == *lane && self.fault == *fault
    }

    /// Whether a frame between these ends is on this lane. `None` stands for those whose ports are not the relay's.
    pub(super) fn has(&self, from: Option<&str>, to: Option<&str>) -> bool {
        let is = |named: &Option<String>, end: Option<&str>| named.as_deref().is_none_or(|named| Some(named) == end);
        is(&self.lane.from, from) && is(&self.lane.to, to)
    }

    /// Decides about one frame and counts it.
    pub(super) fn decide(&mut self, frame: &Frame) -> Fate {
        let is_cut = match &self.fault {
            Fault::Cut => true,
            Fault::CutMulticast => is_to_a_group(frame),
            Fault::CutLarger { than } => wire_len(frame) > usize::from(*than),
            Fault::Impaired(impairment) => return self.impair(impairment.clone()),
        };
        if is_cut {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        self.counts.passed += 1;
        Fate::Passed { delay: Duration::ZERO, copies: Copies::One, order: Order::Kept }
    }

    fn impair(&mut self, impairment: Impairment) -> Fate {
        let Impairment { delay, loss, duplicate, reorder, seed: _ } = impairment;
        // All three are drawn for each frame: what one share is does not change what the others do.
        let [lost, twice, late] = [loss, duplicate, reorder].map(|share| self.chance.draw(share));
        if lost {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        self.counts.passed += 1;
        self.counts.duplicated += u64::from(twice);
        Fate::Passed {
            delay: delay.0,
            copies: if twice { Copies::Two } else { Copies::One },
            order: if late { Order::Changed } else { Order::Kept },
        }
    }
}

fn is_to_a_group(frame: &Frame) -> bool {
    frame.bytes().first_chunk().is_some_and(|to| Mac(*to).is_multicast())
}

/// Bytes of the largest Ethernet frame that this one becomes on a wire. A super-frame becomes segments, each with
/// a copy of its headers; it is lost whole where they are too large.
fn wire_len(frame: &Frame) -> usize {
    let (whole, segment) = (frame.bytes().len(), usize::from(frame.offload().segment_size()));
    match Packet::parse(frame).map(|packet| packet.content) {
        Ok(Content::Ip(headers)) if segment > 0 => whole.min(usize::from(headers.payload_at) + segment),
        Ok(Content::Ip(_) | Content::Fragment(_) | Content::Arp(_)) | Err(_) => whole,
    }
}

/// Numbers that look random and are the same for the same seed and lane.
#[derive(Debug)]
struct Chance {
    seed: u64,
    lane: u64,
    drawn: u64,
}

impl Chance {
    fn new(seed: u64, lane: &Lane) -> Self {
        let mut hasher = SipHasher13::new_with_keys(seed, 0);
        for part in [lane.network.host_name(), lane.from.as_deref().unwrap_or("*"), lane.to.as_deref().unwrap_or("*")] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0);
        }
        Self { seed, lane: hasher.finish(), drawn: 0 }
    }

    fn draw(&mut self, share: Share) -> bool {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hasher = SipHasher13::new_with_keys(self.seed, self.lane);
        hasher.write_u64(self.drawn);
        hasher.finish() % 1_000_000 < u64::from(share.millionths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Network;

    fn lane(from: Option<&str>, to: Option<&str>) -> Lane {
        Lane { network: Network::Mesh, from: from.map(str::to_owned), to: to.map(str::to_owned) }
    }

    fn lossy(seed: u64, from: &str, loss: &str, duplicate: &str) -> Vec<Fate> {
        let [loss, duplicate] = [loss, duplicate].map(|share| share.parse().unwrap());
        let impairment = Impairment { loss, duplicate, seed, ..Impairment::default() };
        let mut lane = ImpairedLane::new(lane(Some(from), Some("b")), Fault::Impaired(impairment));
        (0..10_000).map(|_| lane.decide(&Frame::from_bytes(&[0; 60]))).collect()
    }

    fn lost(fates: &[Fate]) -> Vec<bool> {
        fates.iter().map(|fate| *fate == Fate::Lost).collect()
    }

    #[test]
    fn one_seed_makes_the_same_decisions() {
        let first = lossy(7, "a", "10%", "0%");
        assert_eq!(first, lossy(7, "a", "10%", "0%"));
        assert_ne!(first, lossy(8, "a", "10%", "0%"), "another seed");
        assert_ne!(first, lossy(7, "c", "10%", "0%"), "another lane");
        assert_eq!(lost(&first), lost(&lossy(7, "a", "10%", "50%")), "another share beside it");
        // Ten standard deviations around a tenth of ten thousand.
        let count = lost(&first).iter().filter(|lost| **lost).count();
        assert!((700..1_300).contains(&count), "{count}");
        assert!(lost(&lossy(7, "a", "100%", "0%")).iter().all(|lost| *lost));
        assert!(!lost(&lossy(7, "a", "0%", "100%")).iter().any(|lost| *lost));
    }

    #[test]
    fn a_lane_has_the_frames_between_its_ends() {
        let of = |from, to| ImpairedLane::new(lane(from, to), Fault::Cut);
        for (lane, from, to, expected) in [
            (of(Some("a"), Some("b")), Some("a"), Some("b"), true),
            (of(Some("a"), Some("b")), Some("b"), Some("a"), false),
            (of(Some("a"), Some("b")), Some("a"), None, false),
            (of(Some("a"), None), Some("a"), None, true),
            (of(Some("a"), None), Some("a"), Some("b"), true),
            (of(Some("a"), None), None, Some("a"), false),
            (of(None, Some("a")), None, Some("a"), true),
            (of(None, Some("a")), Some("b"), Some("a"), true),
            (of(None, Some("a")), None, Some("b"), false),
        ] {
            assert_eq!(lane.has(from, to), expected, "{lane:?} {from:?} {to:?}");
        }
    }
}
