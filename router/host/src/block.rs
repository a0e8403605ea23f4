//! Room for the plugins' states of the streams of one chain: for each stream a block at an address that never moves. Another
//! chain has other plugins and another layout, and so an arena of its own.
//!
//! Who initialises what: the host gives a block of zeroes, and each plugin makes its own state in its place of it when the
//! stream starts. From then on the host neither reads nor writes the block until the stream has ended; then it is
//! anybody's, and zeroed before it is given away again.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::ptr::NonNull;

use herald_core::limits::MARKER_SESSIONS_MAX;

/// Blocks in one chunk of memory.
const CHUNK_BLOCKS: usize = 1024;

/// Which of a node's chains, counted from one in the order in which they were made; 0 is none. No two of those with streams
/// have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainGeneration(u8);

impl ChainGeneration {
    /// The chain that a node starts with.
    pub(super) const FIRST: Self = Self(1);
}

/// Where the plugins' states of a stream lie: the generation of its chain in the highest byte, for another chain's blocks have
/// the same numbers; in the others the number of its block, counted from one, and 0 where plugins keep no state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Home(u32);

impl Home {
    const NUMBER: u32 = 0x00ff_ffff;

    fn new(ChainGeneration(chain): ChainGeneration, number: u32) -> Self {
        Self(u32::from(chain) << 24 | number & Self::NUMBER)
    }

    fn chain(self) -> ChainGeneration {
        let [chain, ..] = self.0.to_be_bytes();
        ChainGeneration(chain)
    }

    fn number(self) -> u32 {
        self.0 & Self::NUMBER
    }
}

const _: () = assert!(MARKER_SESSIONS_MAX < Home::NUMBER as usize);

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
    chain: ChainGeneration,
    stride: usize,
    /// Of a whole chunk.
    layout: Layout,
    chunks: Vec<NonNull<u8>>,
    free: Vec<Home>,
    /// How many were ever in use.
    used: u32,
}

// SAFETY: the chunks are memory of this value alone; a plugin's states are used on the thread that has the chain.
unsafe impl Send for Blocks {}

impl Blocks {
    /// No blocks yet, for a chain of plugins with these states.
    pub(super) fn new(chain: ChainGeneration, states: StateLayout) -> Self {
        let stride = states.stride();
        // At most 32 plugins with 4 KiB each: far below the largest layout.
        let layout = Layout::from_size_align(stride * CHUNK_BLOCKS, states.align);
        let layout = layout.unwrap_or_else(|_| unreachable!("manifests bound sizes and alignments"));
        Self { chain, stride, layout, chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// Bytes of a block.
    pub(super) fn stream_len(&self) -> usize {
        self.stride
    }

    /// Takes room for a stream of this chain: a block of zeroes, if plugins keep a state.
    pub(super) fn take(&mut self) -> Home {
        if self.stride == 0 {
            return Home::new(self.chain, 0);
        }
        if let Some(home) = self.free.pop() {
            // SAFETY: the block is within its chunk and nobody uses it.
            unsafe { self.start(home).write_bytes(0, self.stride) };
            return home;
        }
        if self.used as usize == self.chunks.len() * CHUNK_BLOCKS && !self.grow() {
            handle_alloc_error(self.layout);
        }
        self.used += 1;
        Home::new(self.chain, self.used)
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

    /// Gives a stream's room back, in which no plugin has a state any more.
    pub(super) fn give(&mut self, home: Home) {
        debug_assert_eq!(home.chain(), self.chain, "the stream lives in another chain");
        if home.number() > 0 {
            self.free.push(home);
        }
    }

    /// The place in a stream's block that begins after so many bytes. Without a block it is no place that may be used.
    pub(super) fn place(&self, home: Home, at: usize) -> *mut c_void {
        debug_assert_eq!(home.chain(), self.chain, "the stream lives in another chain");
        self.start(home).wrapping_add(at).cast()
    }

    fn start(&self, home: Home) -> *mut u8 {
        let Some(number) = home.number().checked_sub(1) else { return std::ptr::null_mut() };
        let number = number as usize;
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
        let home = Blocks::new(ChainGeneration::FIRST, StateLayout::EMPTY).take();
        assert_eq!((home.number(), home.chain()), (0, ChainGeneration::FIRST));
    }

    #[test]
    fn a_block_is_zero_whoever_had_it_before_and_never_moves() {
        let mut layout = StateLayout::EMPTY;
        layout.add(40, 32);
        let mut blocks = Blocks::new(ChainGeneration::FIRST, layout);
        let first = blocks.take();
        let place = blocks.place(first, 0);
        assert!(place.cast::<[u8; 32]>().is_aligned() && place.addr().is_multiple_of(32));
        // SAFETY: the block has 64 bytes.
        unsafe { place.cast::<u8>().write_bytes(0xee, 64) };
        let others: Vec<_> = (0..2 * CHUNK_BLOCKS).map(|_| blocks.take()).collect();
        assert_eq!((blocks.place(first, 0), others.contains(&first)), (place, false));
        blocks.give(first);
        assert_eq!(blocks.take(), first);
        // SAFETY: as above.
        assert_eq!(unsafe { place.cast::<[u8; 64]>().read() }, [0; 64]);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_stream_is_not_looked_for_in_another_chain() {
        let layout = StateLayout { len: 8, align: 8 };
        let mut first = Blocks::new(ChainGeneration::FIRST, layout);
        let home = first.take();
        let second = Blocks::new(ChainGeneration(2), layout);
        assert!(!first.place(home, 0).is_null());
        for stranger in [home, Home::default()] {
            let looked = std::panic::catch_unwind(|| second.place(stranger, 0));
            assert!(looked.is_err(), "{stranger:?}");
        }
    }
}
