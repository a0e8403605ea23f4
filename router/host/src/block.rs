//! Room for the plugins' states of the streams of one chain: for each stream a block at an address that never moves. Another
//! chain has other plugins and another layout, and so an arena of its own.
//!
//! Who initialises what: the host gives a block of zeroes, and each plugin makes its own state in its place of it when the
//! stream starts. From then on the host neither reads nor writes the block until the stream has ended; then it is
//! anybody's, and zeroed before it is given away again.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::num::NonZeroU32;
use std::ptr::NonNull;

/// Blocks in one chunk of memory.
const CHUNK_BLOCKS: usize = 1024;

/// The place of a stream's block: its number, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(NonZeroU32);

/// How the states of a chain's plugins lie in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateLayout {
    len: usize,
    align: usize,
}

impl StateLayout {
    /// Of no plugin.
    pub(super) const EMPTY: Self = Self { len: 0, align: 1 };

    /// Adds a state of `len` bytes with this alignment, a power of two; returns where it lies.
    pub(super) fn add(&mut self, len: usize, align: usize) -> usize {
        let at = self.len.next_multiple_of(align);
        (self.len, self.align) = (at + len, self.align.max(align));
        at
    }

    /// Bytes of a block.
    pub(super) fn stride(self) -> usize {
        self.len.next_multiple_of(self.align)
    }
}

/// The blocks of one chain.
#[derive(Debug)]
pub(super) struct Blocks {
    stride: usize,
    /// Of a whole chunk.
    layout: Layout,
    chunks: Vec<NonNull<u8>>,
    free: Vec<Block>,
    /// How many were ever in use.
    used: u32,
}

// SAFETY: the chunks are memory of this value alone; a plugin's states are used on the thread that has the chain.
unsafe impl Send for Blocks {}

impl Blocks {
    /// No blocks yet.
    pub(super) fn new(states: StateLayout) -> Self {
        let stride = states.stride();
        // At most 32 plugins with 4 KiB each: far below the largest layout.
        let layout = Layout::from_size_align(stride * CHUNK_BLOCKS, states.align);
        let layout = layout.unwrap_or_else(|_| unreachable!("manifests bound sizes and alignments"));
        Self { stride, layout, chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// Bytes of a block.
    pub(super) fn stream_len(&self) -> usize {
        self.stride
    }

    /// Takes a block of zeroes; `None` where plugins keep no state.
    pub(super) fn take(&mut self) -> Option<Block> {
        if self.stride == 0 {
            return None;
        }
        if let Some(block) = self.free.pop() {
            // SAFETY: the block is within its chunk and nobody uses it.
            unsafe { self.start(block).write_bytes(0, self.stride) };
            return Some(block);
        }
        if self.used as usize == self.chunks.len() * CHUNK_BLOCKS && !self.grow() {
            handle_alloc_error(self.layout);
        }
        self.used = self.used.checked_add(1)?;
        NonZeroU32::new(self.used).map(Block)
    }

    /// Makes room for so many blocks in all. False if there is no memory for that.
    pub(super) fn reserve(&mut self, blocks: usize) -> bool {
        self.stride == 0
            || self.free.try_reserve(blocks.saturating_sub(self.free.len())).is_ok()
                && (self.chunks.len()..blocks.div_ceil(CHUNK_BLOCKS)).all(|_| self.grow())
    }

    fn grow(&mut self) -> bool {
        if self.chunks.try_reserve(1).is_err() {
            return false;
        }
        // SAFETY: a block has at least one byte, and so the layout has.
        let chunk = NonNull::new(unsafe { alloc_zeroed(self.layout) });
        self.chunks.extend(chunk);
        chunk.is_some()
    }

    /// Gives a block back, of which no plugin has a state any more.
    pub(super) fn give(&mut self, block: Block) {
        self.free.push(block);
    }

    /// The place in a stream's block that begins after so many bytes. Without a block it is no place that may be used.
    pub(super) fn place(&self, block: Option<Block>, at: usize) -> *mut c_void {
        block.map_or(std::ptr::null_mut(), |block| self.start(block).wrapping_add(at).cast())
    }

    fn start(&self, Block(number): Block) -> *mut u8 {
        let number = number.get() as usize - 1;
        let chunk = self.chunks.get(number / CHUNK_BLOCKS).map_or(std::ptr::null_mut(), |chunk| chunk.as_ptr());
        chunk.wrapping_add(number % CHUNK_BLOCKS * self.stride)
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            // SAFETY: it was allocated with this layout.
            unsafe { dealloc(chunk.as_ptr(), self.layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_lie_where_their_alignment_allows() {
        let mut layout = StateLayout::EMPTY;
        assert_eq!([layout.add(3, 1), layout.add(0, 1), layout.add(8, 8), layout.add(1, 64)], [0, 3, 8, 64]);
        assert_eq!((layout.stride(), StateLayout::EMPTY.stride()), (128, 0));
        assert!(Blocks::new(StateLayout::EMPTY).take().is_none());
    }

    #[test]
    fn a_block_is_zero_whoever_had_it_before_and_never_moves() {
        let mut layout = StateLayout::EMPTY;
        layout.add(40, 32);
        let mut blocks = Blocks::new(layout);
        let first = blocks.take();
        let place = blocks.place(first, 0);
        assert!(place.cast::<[u8; 32]>().is_aligned() && place.addr().is_multiple_of(32));
        // SAFETY: the block has 64 bytes.
        unsafe { place.cast::<u8>().write_bytes(0xee, 64) };
        let others: Vec<_> = (0..2 * CHUNK_BLOCKS).map(|_| blocks.take().unwrap()).collect();
        assert_eq!((blocks.place(first, 0), others.contains(&first.unwrap())), (place, false));
        blocks.give(first.unwrap());
        assert_eq!(blocks.take(), first);
        // SAFETY: as above.
        assert_eq!(unsafe { place.cast::<[u8; 64]>().read() }, [0; 64]);
    }
}
