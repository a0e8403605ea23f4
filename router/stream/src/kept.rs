//! The bytes of one direction that are kept: a ring of those in order, pieces of those behind holes. What is kept first stays.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::limits::{PIECE_COST, PIECE_LEN_MAX, RING_SPARE_LEN};
use crate::settings::Exception;

/// Offsets count bytes of payload from the first one behind the SYN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Offset of the ring's first byte.
    base: u64,
    ring: VecDeque<u8>,
    /// Neither empty nor touching what is in order; none overlaps another.
    pieces: BTreeMap<u64, Vec<u8>>,
    /// Bytes of all pieces.
    pieces_len: usize,
}

/// What may still be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of this stream.
    pub(crate) stream: usize,
    /// Bytes of all streams.
    pub(crate) all: usize,
    /// Pieces of this direction, those that wait already included.
    pub(crate) pieces: usize,
}

impl Kept {
    pub(crate) fn at(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Offset of the next byte in order.
    pub(crate) fn next(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// Offset behind the last byte of all.
    pub(crate) fn top(&self) -> u64 {
        self.pieces.last_key_value().map_or(self.next(), |(at, piece)| at + piece.len() as u64)
    }

    pub(crate) fn has_hole(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Places where bytes are missing in front of some that came.
    pub(crate) fn holes(&self) -> u64 {
        let mut end = self.next();
        let mut holes = 0;
        for (&at, piece) in &self.pieces {
            holes += u64::from(at != end);
            end = at + piece.len() as u64;
        }
        holes
    }

    /// Bytes that it takes, by count.
    pub(crate) fn cost(&self) -> usize {
        self.ring.len() + self.pieces_len + self.pieces.len() * PIECE_COST
    }

    /// Rewrites what is known of these bytes to the first copy, without keeping anything. True if something differed.
    pub(crate) fn overlay(&self, at: u64, payload: &mut [u8]) -> bool {
        let mut differs = false;
        if at < self.next() {
            let (one, two) = self.ring.as_slices();
            differs |= rewrite(at, payload, self.base, one);
            differs |= rewrite(at, payload, self.base + one.len() as u64, two);
        }
        let end = at + payload.len() as u64;
        for (&from, piece) in self.pieces.range(..end).rev() {
            if from + piece.len() as u64 <= at {
                break;
            }
            differs |= rewrite(at, payload, from, piece);
        }
        differs
    }

    /// Keeps what is new of these bytes, which agree with what is kept.
    ///
    /// # Errors
    /// There is no room; nothing is changed.
    pub(crate) fn take(&mut self, at: u64, payload: &[u8], room: Room) -> Result<(), Exception> {
        let end = at + payload.len() as u64;
        let next = self.next();
        if end <= next {
            return Ok(());
        }
        if at <= next {
            let new = if self.pieces.is_empty() { end - next } else { missing(&self.gaps(next, end)) };
            self.check(length(new), 0, room)?;
            self.ring.extend(payload.get(length(next - at)..).unwrap_or_default());
            self.join();
            return Ok(());
        }
        let gaps = self.gaps(at, end);
        self.check(length(missing(&gaps)), gaps.len(), room)?;
        for (from, to) in gaps {
            self.store(from, payload.get(length(from - at)..length(to - at)).unwrap_or_default());
        }
        Ok(())
    }

    /// Parts of these bytes that no piece has.
    fn gaps(&self, at: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let before = self.pieces.range(..=at).next_back();
        let mut cursor = before.map_or(at, |(from, piece)| at.max(from + piece.len() as u64));
        for (&from, piece) in self.pieces.range(at..end) {
            if from > cursor {
                gaps.push((cursor, from));
            }
            cursor = cursor.max(from + piece.len() as u64);
        }
        if cursor < end {
            gaps.push((cursor, end));
        }
        gaps
    }

    fn check(&self, bytes: usize, pieces: usize, room: Room) -> Result<(), Exception> {
        let cost = bytes + pieces * PIECE_COST;
        if pieces > 0 && self.pieces.len() + pieces > room.pieces {
            Err(Exception::StreamPieces)
        } else if cost > room.stream {
            Err(Exception::StreamBytes)
        } else if cost > room.all {
            Err(Exception::AllBytes)
        } else {
            Ok(())
        }
    }

    /// Keeps a piece behind a hole, in one with the piece that it follows where that is short enough.
    fn store(&mut self, at: u64, bytes: &[u8]) {
        self.pieces_len += bytes.len();
        if let Some((from, piece)) = self.pieces.range_mut(..at).next_back()
            && from + piece.len() as u64 == at
            && piece.len() + bytes.len() <= PIECE_LEN_MAX
        {
            piece.extend_from_slice(bytes);
        } else {
            self.pieces.insert(at, bytes.to_vec());
        }
    }

    /// Pieces that are in order now become part of the ring.
    fn join(&mut self) {
        while let Some(entry) = self.pieces.first_entry()
            && *entry.key() <= self.base + self.ring.len() as u64
        {
            let (at, piece) = entry.remove_entry();
            self.pieces_len -= piece.len();
            let known = length(self.next() - at);
            self.ring.extend(piece.get(known..).unwrap_or_default());
        }
    }

    /// Where the next hole ends.
    pub(crate) fn hole_end(&self) -> Option<u64> {
        self.pieces.first_key_value().map(|(at, _)| *at)
    }

    /// Forgets what is in order, and goes on at an offset behind, at most where the next hole ends.
    pub(crate) fn skip(&mut self, to: u64) {
        self.base = to;
        self.ring.clear();
        self.join();
    }

    /// Forgets what is in order before an offset.
    pub(crate) fn free(&mut self, to: u64) {
        let gone = length(to.saturating_sub(self.base)).min(self.ring.len());
        if gone == 0 {
            return;
        }
        self.base += gone as u64;
        if gone == self.ring.len() {
            self.ring.clear();
        } else {
            self.ring.drain(..gone);
        }
        let len = self.ring.len();
        if self.ring.capacity() > RING_SPARE_LEN && self.ring.capacity() / 8 > len {
            self.ring.shrink_to(len * 2);
        }
    }

    /// Forgets everything; what comes next comes at an offset.
    pub(crate) fn forget(&mut self, next: u64) {
        *self = Self::at(next);
    }

    /// The bytes in order between two offsets.
    pub(crate) fn slices(&self, from: u64, to: u64) -> (&[u8], &[u8]) {
        let (one, two) = self.ring.as_slices();
        let cut = |base: u64, part: &'_ [u8]| -> (usize, usize) {
            let place = |offset: u64| length(offset.saturating_sub(base)).min(part.len());
            (place(from), place(to))
        };
        let (a, b) = cut(self.base, one);
        let (c, d) = cut(self.base + one.len() as u64, two);
        (one.get(a..b).unwrap_or_default(), two.get(c..d).unwrap_or_default())
    }

    /// True if it keeps what it says about itself; of one that came from elsewhere.
    pub(crate) fn is_sound(&self, end_max: u64) -> bool {
        let mut end = self.base.saturating_add(self.ring.len() as u64);
        let mut len = 0_usize;
        for (at, piece) in &self.pieces {
            if piece.is_empty() || *at < end || len == 0 && *at == end {
                return false;
            }
            len = len.saturating_add(piece.len());
            end = at.saturating_add(piece.len() as u64);
        }
        len == self.pieces_len && end < end_max
    }

    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }
}

fn missing(gaps: &[(u64, u64)]) -> u64 {
    gaps.iter().map(|(from, to)| to - from).sum()
}

/// A number of bytes that lie in memory.
pub(crate) fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Writes what `known` has of the bytes at an offset over them. True if something differed.
fn rewrite(at: u64, payload: &mut [u8], from: u64, known: &[u8]) -> bool {
    let (start, end) = (at.max(from), (at + payload.len() as u64).min(from + known.len() as u64));
    if start >= end {
        return false;
    }
    let place = payload.get_mut(length(start - at)..length(end - at));
    let right = known.get(length(start - from)..length(end - from));
    match (place, right) {
        (Some(place), Some(right)) if place != right => {
            place.copy_from_slice(right);
            true
        }
        (Some(_) | None, Some(_) | None) => false,
    }
}
