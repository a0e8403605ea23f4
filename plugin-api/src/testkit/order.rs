//! Bytes of a TCP stream in order, as far as a test needs them: the first copy of a byte stands, and nothing is bounded. The
//! router's own engine checks and rewrites segments besides.

use std::collections::BTreeMap;

use crate::abi::{HERALD_BYTES_END, HERALD_BYTES_GAP, HERALD_WANT_MAX};

use super::frame::{FIN, SYN};

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// Its offset.
    offset: u64,
    /// Bytes that have come, by their offsets, but those that were shown.
    bytes: BTreeMap<u64, u8>,
    /// Offset behind what was shown.
    shown: u64,
    /// The plugin sleeps until so many bytes are there.
    wake: u64,
    fin: Option<u64>,
    marks: u8,
}

/// What the plugin is to see now.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) marks: u8,
    pub(super) offset: u64,
    pub(super) fresh: Vec<u8>,
}

impl Order {
    /// A segment has come.
    pub(super) fn take(&mut self, flags: u8, sequence: u32, payload: &[u8]) -> Option<Shown> {
        if flags & SYN != 0 {
            self.next = Some(sequence.wrapping_add(1));
            return None;
        }
        if self.next.is_none() {
            self.marks |= HERALD_BYTES_GAP;
        }
        let next = *self.next.get_or_insert(sequence);
        let at = self.offset.saturating_add_signed(sequence.wrapping_sub(next).cast_signed().into());
        // What lies before the first byte of all is cut off.
        let early = next.wrapping_sub(sequence);
        let early = if early.cast_signed() > 0 { u64::from(early).saturating_sub(self.offset) } else { 0 };
        let payload = payload.get(usize::try_from(early).unwrap_or(usize::MAX)..).unwrap_or_default();
        for (place, byte) in (at..).zip(payload).filter(|(place, _)| *place >= self.offset) {
            self.bytes.entry(place).or_insert(*byte);
        }
        if flags & FIN != 0 {
            self.fin.get_or_insert(at + payload.len() as u64);
        }
        let before = self.offset;
        while self.bytes.contains_key(&self.offset) {
            self.offset += 1;
        }
        let came = self.offset - before;
        self.next = Some(next.wrapping_add(u32::try_from(came).unwrap_or_default()));
        self.show()
    }

    /// The plugin sleeps until so many more bytes are there.
    pub(super) fn want(&mut self, more: u64) {
        self.wake = self.shown + more.min(HERALD_WANT_MAX);
    }

    fn show(&mut self) -> Option<Shown> {
        let ends = self.fin.is_some_and(|fin| fin <= self.offset) && self.marks & HERALD_BYTES_END == 0;
        if !ends && (self.offset == self.shown || self.offset < self.wake) {
            return None;
        }
        let marks = self.marks & HERALD_BYTES_GAP | if ends { HERALD_BYTES_END } else { 0 };
        self.marks = self.marks & HERALD_BYTES_END | marks & HERALD_BYTES_END;
        let (offset, behind) = (self.shown, self.bytes.split_off(&self.offset));
        let fresh = std::mem::replace(&mut self.bytes, behind).into_values().collect();
        self.shown = self.offset;
        Some(Shown { marks, offset, fresh })
    }
}
