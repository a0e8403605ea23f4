//! Numbers for the messages of two boots, so that each arrives once and in order however often their link breaks.
//!
//! ```text
//!        acknowledged        kept: sent again after a reconnect
//!  1 ────────────────────┤├──────────────────────────────────────┤
//!                         first_kept                         sent
//! ```
//!
//! A message keeps its number and its bytes until the peer says that it has it. The receiver takes numbers in order,
//! discards those it has, and says now and then how far it has come; both ends say it, too, when they greet each other
//! again ([`Resume`]). A new boot of either end begins from zero. The bytes kept are bounded: beyond it they are given
//! up, the next greeting says from where on, and what was lost thereby is found by comparing digests.

use std::collections::VecDeque;

use super::codec;
use super::error::PeerError;
use super::greeting::Resume;
use super::kinds::Message;
use crate::id::BootId;
use crate::limits::{LINK_QUEUE_BYTES_KEPT, RESEND_BYTES_MAX};
use crate::mistake::or_mistake;

/// No talk comes that far: a greater number is a lie.
const NUMBER_MAX: u64 = 1 << 62;

/// What a numbered message is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one.
    New,
    /// It was there before.
    Again,
}

/// The numbered messages between this boot and a peer's.
#[derive(Debug)]
pub struct Resend {
    own: BootId,
    peer: Option<BootId>,
    /// Messages are kept although there is no link: the peer is expected back.
    expected: bool,
    /// The number of the last message for the peer.
    sent: u64,
    /// The encoded messages that the peer has not acknowledged, behind `begin`.
    bytes: Vec<u8>,
    begin: usize,
    /// Their lengths.
    lens: VecDeque<usize>,
    /// The number of the last message from the peer.
    received: u64,
    /// What of it the peer knows.
    told: u64,
    given_up: u64,
}

impl Resend {
    /// No word yet with any boot of the peer.
    #[must_use]
    pub fn new(own: BootId) -> Self {
        Self {
            own,
            peer: None,
            expected: false,
            sent: 0,
            bytes: Vec::new(),
            begin: 0,
            lens: VecDeque::new(),
            received: 0,
            told: 0,
            given_up: 0,
        }
    }

    /// What a greeting to the peer says.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        let (received, first_kept) = (self.received, self.first_kept());
        self.peer.map(|boot| Resume { boot, received, first_kept })
    }

    /// The peer greeted: with which boot, and what it says of the talk so far. Then [`Resend::unacknowledged`] is what is
    /// to be sent first.
    ///
    /// # Errors
    ///
    /// [`PeerError::WrongNumber`] if it says that it has what was never sent. All is forgotten then, so that the next
    /// greeting goes on with what the peer has.
    pub fn linked(&mut self, peer: BootId, theirs: Option<Resume>) -> Result<(), PeerError> {
        let theirs = theirs.filter(|resume| resume.boot == self.own);
        let (received, first_kept) = theirs.map_or((0, 1), |resume| (resume.received, resume.first_kept));
        if received.max(first_kept) > NUMBER_MAX {
            return Err(PeerError::WrongNumber { number: received.max(first_kept) });
        }
        if self.peer != Some(peer) {
            self.give_up();
            // Zero for a new boot. It is more where this boot was talking to the peer's before and has forgotten: another
            // process with the peer's id came between.
            (self.peer, self.sent, self.received) = (Some(peer), received, 0);
        }
        self.expected = true;
        self.acknowledged(received).inspect_err(|_| self.peer = None)?;
        self.received = self.received.max(first_kept.saturating_sub(1));
        self.told = self.received;
        Ok(())
    }

    /// Encodes a message with the next number, keeps it, and gives its bytes.
    ///
    /// # Errors
    ///
    /// [`PeerError::QueueFull`] if too much is kept: all of it is given up then, and so must be the link.
    /// [`PeerError::TooLong`] if the message is over its bound: it alone is lost.
    pub fn keep(&mut self, message: &Message) -> Result<&[u8], PeerError> {
        let len = self.bytes_kept();
        if len > RESEND_BYTES_MAX {
            self.give_up();
            return Err(PeerError::QueueFull { len });
        }
        if self.begin > LINK_QUEUE_BYTES_KEPT && self.begin > len {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        let before = self.bytes.len();
        codec::encode_numbered(self.sent + 1, message, &mut self.bytes)?;
        self.sent += 1;
        self.lens.push_back(self.bytes.len() - before);
        Ok(or_mistake(self.bytes.get(before..), "a message was put behind the others"))
    }

    /// The peer has all messages up to this number.
    ///
    /// # Errors
    ///
    /// [`PeerError::WrongNumber`] if there is no such message yet.
    pub fn acknowledged(&mut self, number: u64) -> Result<(), PeerError> {
        if number > self.sent {
            return Err(PeerError::WrongNumber { number });
        }
        while self.first_kept() <= number {
            let Some(len) = self.lens.pop_front() else { break };
            self.begin += len;
        }
        if self.lens.is_empty() {
            self.clear();
        }
        Ok(())
    }

    /// A numbered message came.
    ///
    /// # Errors
    ///
    /// [`PeerError::WrongNumber`] if one before it is missing.
    pub fn arrived(&mut self, number: u64) -> Result<Arrival, PeerError> {
        if number <= self.received {
            return Ok(Arrival::Again);
        }
        if number - self.received > 1 {
            return Err(PeerError::WrongNumber { number });
        }
        self.received = number;
        Ok(Arrival::New)
    }

    /// How many messages have come that the peer does not know of.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.received - self.told
    }

    /// The number to tell the peer, which counts as told then; `None` if it knows.
    pub fn tell(&mut self) -> Option<u64> {
        let news = self.untold() > 0;
        self.told = self.received;
        news.then_some(self.received)
    }

    /// The encoded messages that the peer has not acknowledged, in order.
    #[must_use]
    pub fn unacknowledged(&self) -> &[u8] {
        or_mistake(self.bytes.get(self.begin..), "what is kept lies in the buffer")
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes_kept(&self) -> usize {
        self.bytes.len() - self.begin
    }

    /// True if messages may be kept although there is no link now.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.expected
    }

    /// The peer is dead: nothing is kept for it until it greets again.
    pub fn forget(&mut self) {
        self.give_up();
        self.expected = false;
    }

    /// Messages that were kept and given up.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    fn first_kept(&self) -> u64 {
        self.sent + 1 - self.lens.len() as u64
    }

    fn give_up(&mut self) {
        self.given_up += self.lens.len() as u64;
        self.lens.clear();
        self.clear();
    }

    /// Nothing is kept any more; most of the memory goes.
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(LINK_QUEUE_BYTES_KEPT);
        self.lens.shrink_to(LINK_QUEUE_BYTES_KEPT / size_of::<usize>());
        self.begin = 0;
    }
}

#[cfg(test)]
mod tests;
