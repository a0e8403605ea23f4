//! Bytes that wait to be sent on one link: one piece, so that one write takes them all.

use super::codec;
use super::error::PeerError;
use super::message::{Hello, Message};
use crate::limits::{LINK_QUEUE_BYTES_KEPT, LINK_QUEUE_BYTES_MAX};

/// Encoded messages in order, bounded by `limits::LINK_QUEUE_BYTES_MAX`.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    bytes: Vec<u8>,
    written: usize,
}

impl SendQueue {
    /// Appends a hello.
    pub(super) fn push_hello(&mut self, hello: &Hello) -> Result<(), PeerError> {
        codec::encode_hello(hello, &mut self.bytes)
    }

    /// Appends a message, or says why not: too long, or the queue is full.
    pub(super) fn push(&mut self, message: &Message) -> Result<(), PeerError> {
        let len = self.unsent().len();
        if len > LINK_QUEUE_BYTES_MAX {
            return Err(PeerError::QueueFull { len });
        }
        if self.written > LINK_QUEUE_BYTES_KEPT && self.written > len {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        codec::encode(message, &mut self.bytes)
    }

    /// What is not yet written.
    pub(super) fn unsent(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
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
        let mut queue = SendQueue::default();
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
        let (mut queue, mut expected, mut got) = (SendQueue::default(), Vec::new(), Vec::new());
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
