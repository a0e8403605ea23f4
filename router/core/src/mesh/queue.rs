//! Bytes that wait to be sent on one connection: one piece, so that one write takes them all.

use super::codec;
use super::error::PeerError;
use super::greeting::Greeting;
use super::kinds::Message;
use super::message::Lane;
use crate::limits::{FRAMES_QUEUE_BYTES_MAX, LINK_QUEUE_BYTES_KEPT, LINK_QUEUE_BYTES_MAX};
use crate::mistake::or_mistake;

/// Encoded messages in order, bounded by what the connection is for.
#[derive(Debug)]
pub(super) struct SendQueue {
    bytes: Vec<u8>,
    written: usize,
    len_max: usize,
}

impl SendQueue {
    /// An empty queue.
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), written: 0, len_max: LINK_QUEUE_BYTES_MAX }
    }

    /// From now on the bound is that of this lane.
    pub(super) fn becomes(&mut self, lane: Lane) {
        self.len_max = match lane {
            Lane::Control => LINK_QUEUE_BYTES_MAX,
            Lane::Frames => FRAMES_QUEUE_BYTES_MAX,
        };
    }

    /// Appends a greeting.
    pub(super) fn push_greeting(&mut self, greeting: &Greeting) -> Result<(), PeerError> {
        codec::encode_greeting(greeting, &mut self.bytes)
    }

    /// Appends a message without a number, or says why not: too long, or the queue is full.
    pub(super) fn push(&mut self, message: &Message) -> Result<(), PeerError> {
        self.make_room()?;
        codec::encode(message, &mut self.bytes)
    }

    /// Appends messages that are encoded already, or says that the queue is full.
    pub(super) fn push_encoded(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        self.make_room()?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends how far the peer's messages have come.
    pub(super) fn push_received(&mut self, number: u64) -> Result<(), PeerError> {
        codec::encode_received(number, &mut self.bytes)
    }

    /// Appends the question whether the peer lives.
    pub(super) fn push_ping(&mut self, nonce: u64) -> Result<(), PeerError> {
        codec::encode_ping(nonce, &mut self.bytes)
    }

    /// Appends its answer, or says that the queue is full.
    pub(super) fn push_pong(&mut self, nonce: u64) -> Result<(), PeerError> {
        self.make_room()?;
        codec::encode_pong(nonce, &mut self.bytes)
    }

    fn make_room(&mut self) -> Result<(), PeerError> {
        let len = self.unsent().len();
        if len > self.len_max {
            return Err(PeerError::QueueFull { len });
        }
        if self.written > LINK_QUEUE_BYTES_KEPT && self.written > len {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    /// What is not yet written.
    pub(super) fn unsent(&self) -> &[u8] {
        or_mistake(self.bytes.get(self.written..), "what is written lies in the queue")
    }

    /// The first `len` bytes of [`SendQueue::unsent`] have been written.
    pub(super) fn written(&mut self, len: usize) {
        self.written += len;
        if self.written >= self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(LINK_QUEUE_BYTES_KEPT);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Interface;
    use crate::mesh::Handover;

    #[test]
    fn the_queue_is_bounded_and_gives_its_memory_back() {
        let message = Message::Handover(Handover { interface: Interface::First, hops: 0, wire: vec![7; 60_000] });
        let mut queue = SendQueue::new();
        let mut pushed = 0;
        let error = loop {
            match queue.push(&message) {
                Ok(()) => pushed += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.name(), "queue-full");
        assert!(pushed > LINK_QUEUE_BYTES_MAX / 60_100 && queue.unsent().len() < LINK_QUEUE_BYTES_MAX + 61_000);
        queue.written(queue.unsent().len());
        assert!(queue.unsent().is_empty() && queue.bytes.capacity() <= LINK_QUEUE_BYTES_KEPT);
    }

    #[test]
    fn a_slow_reader_gets_every_byte_in_order() {
        let message = Message::Handover(Handover { interface: Interface::Second, hops: 0, wire: (0..=255).collect() });
        let (mut queue, mut expected, mut got) = (SendQueue::new(), Vec::new(), Vec::new());
        for round in 0..20_000 {
            queue.push(&message).unwrap();
            codec::encode(&message, &mut expected).unwrap();
            let len = queue.unsent().len().min(250 + round % 23);
            got.extend_from_slice(&queue.unsent()[..len]);
            queue.written(len);
        }
        got.extend_from_slice(queue.unsent());
        assert!(got == expected);
    }
}
