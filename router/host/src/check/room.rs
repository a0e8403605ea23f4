//! Room for what a plugin is lent: bytes at the edge of a page behind which there is nothing, and states between canaries.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Bytes of a page, at most: guards are as large.
const PAGE: usize = 64 * 1024;

/// Where bytes lie in their pages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    /// They end where the next page cannot be touched.
    Behind,
    /// They begin where the page before cannot be touched.
    Before,
    /// They begin so many bytes behind the beginning of a page.
    Offset(usize),
}

/// Bytes between two pages that nobody may touch.
#[derive(Debug)]
pub(super) struct Guarded {
    map: NonNull<c_void>,
    map_len: usize,
    at: usize,
    len: usize,
}

impl Guarded {
    /// A copy of these bytes.
    ///
    /// # Panics
    /// When there is no memory: the test cannot be run then.
    pub(super) fn new(bytes: &[u8], edge: Edge) -> Self {
        let room = (bytes.len() + 8).next_multiple_of(PAGE);
        let map_len = room + 2 * PAGE;
        let at = PAGE
            + match edge {
                Edge::Behind => room - bytes.len(),
                Edge::Before => 0,
                Edge::Offset(offset) => offset,
            };
        let size = NonZeroUsize::new(map_len).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: a new mapping, wherever the kernel has room.
        let map = unsafe { mmap_anonymous(None, size, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) };
        let map = map.unwrap_or_else(|error| panic!("no memory for a test: {error}"));
        // SAFETY: the pages are this mapping's, between its first and last PAGE bytes, and the copy fits into them.
        unsafe {
            let inner = map.byte_add(PAGE);
            let opened = mprotect(inner, room, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
            opened.unwrap_or_else(|error| panic!("no memory for a test: {error}"));
            map.byte_add(at).cast::<u8>().as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Self { map, map_len, at, len: bytes.len() }
    }

    /// The bytes as they are now.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: they lie in the readable part of the mapping, which lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.map.byte_add(self.at).cast().as_ptr(), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nobody has its bytes any more.
        let _ = unsafe { munmap(self.map, self.map_len) };
    }
}

/// What lies round a state.
const CANARY: u8 = 0xa5;
const CANARY_LEN: usize = 256;

/// A plugin's state of one stream, with canaries on both sides.
#[derive(Debug)]
pub(super) struct State {
    memory: Vec<u8>,
    at: usize,
    len: usize,
}

impl State {
    /// Zeroes of this size and alignment.
    pub(super) fn new(len: usize, align: usize) -> Self {
        let mut memory = vec![CANARY; 2 * CANARY_LEN + len + align];
        let begin = memory.as_ptr().addr() + CANARY_LEN;
        let at = CANARY_LEN + begin.next_multiple_of(align) - begin;
        memory.iter_mut().skip(at).take(len).for_each(|byte| *byte = 0);
        Self { memory, at, len }
    }

    /// Where it lies. It stays there.
    pub(super) fn place(&mut self) -> *mut c_void {
        self.memory.as_mut_ptr().wrapping_add(self.at).cast()
    }

    /// Nothing was written beside it.
    pub(super) fn is_within(&self) -> bool {
        let (before, rest) = self.memory.split_at(self.at);
        before.iter().chain(rest.iter().skip(self.len)).all(|byte| *byte == CANARY)
    }
}

/// Bytes of the heap that are in use: of this program and of the plugins, which share the C library's allocator.
pub(super) fn heap_in_use() -> usize {
    // SAFETY: it reads the allocator's own counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_at_their_edge() {
        let bytes = [7; 100];
        for edge in [Edge::Behind, Edge::Before, Edge::Offset(3)] {
            let guarded = Guarded::new(&bytes, edge);
            assert_eq!(guarded.bytes(), bytes);
            let address = guarded.bytes().as_ptr().addr();
            match edge {
                Edge::Behind => assert!((address + 100).is_multiple_of(4096)),
                Edge::Before => assert!(address.is_multiple_of(4096)),
                Edge::Offset(offset) => assert_eq!(address % 4096, offset),
            }
        }
    }

    #[test]
    fn a_byte_beside_a_state_is_seen() {
        for (len, align) in [(0, 1), (24, 8), (100, 64)] {
            let mut state = State::new(len, align);
            let place = state.place().cast::<u8>();
            assert!(place.addr().is_multiple_of(align) && state.is_within());
            // SAFETY: the canaries are this value's, too.
            unsafe { place.add(len).write(0) };
            assert!(!state.is_within());
        }
    }
}
