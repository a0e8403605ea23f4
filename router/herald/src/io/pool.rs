//! Buffers for frames, used again and again so that nothing is allocated on a frame's way.

use herald_core::limits::{BATCH_PACKETS_MAX, HEADROOM_LEN};
use herald_core::memory::has_headroom;
use herald_core::packet::{BUFFER_LEN, Frame};

/// Buffers that the pool makes without asking: what the machine has left when tables grow no more is for these, too
/// ([`HEADROOM_LEN`](herald_core::limits::HEADROOM_LEN)), so that frames of streams that live are read still.
const FRAMES_UNASKED: usize = 2 * BATCH_PACKETS_MAX;

/// Further buffers after which the pool asks whether there is memory for more: some hundred KiB.
const HEADROOM_FRAMES: usize = 8;

const _: () = assert!(FRAMES_UNASKED * (BUFFER_LEN + 1024) < HEADROOM_LEN / 2);

/// A bounded stock of full-size buffers. The buffer given back last is taken first: it is still in the cache.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Frame>,
    made: usize,
    frames_max: usize,
}

impl Pool {
    /// An empty pool that will make at most `frames_max` buffers, each when it is first needed and while there
    /// is memory.
    #[must_use]
    pub fn new(frames_max: usize) -> Self {
        Self { free: Vec::with_capacity(frames_max), made: 0, frames_max }
    }

    /// A buffer that takes any frame; `None` while all are on their way.
    pub fn take(&mut self) -> Option<Frame> {
        self.free.pop().or_else(|| self.make())
    }

    /// Takes a buffer back. One that was made to measure, and one that the pool has no room for, goes to the allocator.
    pub fn give(&mut self, frame: Frame) {
        if frame.has_full_buffer() && self.free.len() < self.made {
            self.free.push(frame);
        }
    }

    /// How many buffers are on their way: in a batch, held, or waiting for a neighbour.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.made - self.free.len()
    }

    fn make(&mut self) -> Option<Frame> {
        let looks = self.made >= FRAMES_UNASKED && self.made.is_multiple_of(HEADROOM_FRAMES);
        if self.made == self.frames_max || looks && !has_headroom() {
            return None;
        }
        self.made += 1;
        Some(Frame::with_full_buffer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_bounded_and_takes_buffers_back() {
        let mut pool = Pool::new(2);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(pool.take().is_none());
        assert_eq!(pool.taken(), 2);
        pool.give(first);
        pool.give(second);
        assert_eq!(pool.taken(), 0);
        assert!(pool.take().is_some());
    }

    #[test]
    fn the_buffer_given_last_is_taken_first() {
        let mut pool = Pool::new(2);
        let (first, mut second) = (pool.take().unwrap(), pool.take().unwrap());
        second.filled(100);
        let len = second.bytes().len();
        pool.give(first);
        pool.give(second);
        assert_eq!(pool.take().unwrap().bytes().len(), len);
    }

    #[test]
    fn foreign_buffers_do_not_fill_the_pool() {
        let mut pool = Pool::new(1);
        pool.give(Frame::from_bytes(&[0; 60]));
        pool.give(Frame::with_full_buffer());
        assert_eq!(pool.taken(), 0);
        assert!(pool.take().is_some() && pool.take().is_none());
    }
}
