//! Bytes of a TCP stream in order.

use std::cell::Cell;
use std::time::Duration;

use super::{Direction, of_a_stream, stream_effects};
use crate::abi::{self, HeraldStreamBytes};

/// Bytes of one direction of a TCP stream, in order, as its receiver's application will read them: whatever the sender does with
/// segments that overlap, come twice or in another order. None of them has left yet that was not seen before.
#[derive(Clone, Copy, Debug)]
pub struct StreamBytes<'a> {
    raw: &'a HeraldStreamBytes,
    want: &'a Cell<u64>,
}

impl<'a> StreamBytes<'a> {
    /// # Safety
    /// `raw.fresh` is readable and stays unchanged for `'a`.
    pub(crate) unsafe fn new(raw: &'a HeraldStreamBytes, want: &'a Cell<u64>) -> Self {
        Self { raw, want }
    }

    /// Hooks that are about one stream know it as the first.
    fn at(&self) -> u32 {
        0
    }

    fn times(&self) -> (u64, u64) {
        (self.raw.now, self.raw.unix_now)
    }

    stream_effects!();
    of_a_stream!();

    /// The bytes that this plugin has not seen yet. None if the call is about an end or a gap alone.
    #[must_use]
    pub fn fresh(&self) -> &'a [u8] {
        if self.raw.fresh.len == 0 {
            return &[];
        }
        // SAFETY: promised to `new`.
        unsafe { std::slice::from_raw_parts(self.raw.fresh.bytes, self.raw.fresh.len) }
    }

    /// Where [`fresh`](Self::fresh) begins: bytes of this direction behind its SYN, or behind what came first of a stream that had
    /// begun before it came to this node.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.raw.offset
    }

    /// Bytes are missing in front of these: the stream had begun before it came to this node, or an earlier plugin has accepted
    /// them.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.raw.marks & abi::HERALD_BYTES_GAP != 0
    }

    /// Behind these bytes the sender has closed this direction.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.raw.marks & abi::HERALD_BYTES_END != 0
    }

    /// The host cannot go on, and its exception policy lets the rest of the stream pass without inspection: this is the last call.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.raw.marks & abi::HERALD_BYTES_LOST != 0
    }

    /// Do not call me again for this direction until so many more bytes are there, or it ends. At most
    /// [`HERALD_WANT_MAX`](abi::HERALD_WANT_MAX). The next call's [`fresh`](Self::fresh) begins where this one's ends.
    pub fn want(&self, more: usize) {
        self.want.set(more as u64);
    }
}
