//! DNS messages (RFC 1035), in datagrams and over TCP.

mod message;
mod name;
#[cfg(test)]
mod tests;

use crate::{FactName, Facts, Progress};

/// Reads one datagram, query or answer. A message that is broken anywhere says nothing but that.
pub fn datagram(bytes: &[u8], facts: &mut Facts) -> Progress {
    match message::Message::parse(bytes) {
        Ok(message) => {
            message.tell(facts);
            Progress::Done
        }
        Err(oddity) => {
            facts.add_oddity(FactName::DnsOddities, oddity);
            Progress::Refused(oddity)
        }
    }
}

/// Reads one direction of DNS over TCP: messages with their lengths before them (RFC 1035, section 4.2.2).
#[derive(Debug, Default)]
pub struct Parser {
    /// The length and the message, as far as they have come.
    bytes: Vec<u8>,
    has_begun: bool,
    end: Option<Progress>,
}

/// Bytes of the length before a message.
const LENGTH_LEN: usize = 2;

impl Parser {
    /// A parser at the stream's first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. Messages follow one another for as long as the connection stands.
    pub fn feed(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.end {
            return end;
        }
        let progress = self.read(bytes, facts);
        if progress.is_end() {
            self.end = Some(progress);
            self.bytes = Vec::new();
        }
        progress
    }

    fn read(&mut self, mut bytes: &[u8], facts: &mut Facts) -> Progress {
        loop {
            let wanted = self.wanted();
            if wanted > 0 {
                if bytes.is_empty() {
                    return Progress::Need(wanted);
                }
                let (taken, rest) = bytes.split_at_checked(wanted.min(bytes.len())).unwrap_or((bytes, &[]));
                self.bytes.extend_from_slice(taken);
                bytes = rest;
                continue;
            }
            let message = self.bytes.get(LENGTH_LEN..).unwrap_or_default();
            match message::Message::parse(message) {
                Ok(message) => message.tell(facts),
                Err(_) if !self.has_begun && !is_plausible(message) => return Progress::NotThis,
                Err(oddity) => {
                    facts.add_oddity(FactName::DnsOddities, oddity);
                    return Progress::Refused(oddity);
                }
            }
            self.has_begun = true;
            self.bytes.clear();
        }
    }

    /// How many bytes the length or the message still wants. Two bytes bound it.
    fn wanted(&self) -> usize {
        match self.bytes.split_first_chunk::<LENGTH_LEN>() {
            None => LENGTH_LEN - self.bytes.len(),
            Some((length, message)) => usize::from(u16::from_be_bytes(*length)).saturating_sub(message.len()),
        }
    }
}

/// Bytes of a header (RFC 1035, section 4.1.1).
pub(crate) const HEADER_LEN: usize = 12;

/// True if the bytes may begin a message: a known operation, the reserved bit clear, at most one question.
pub(crate) fn is_plausible(message: &[u8]) -> bool {
    let Some([_, _, flags, more, questions @ ..]) = message.get(..HEADER_LEN) else { return false };
    let operation = flags >> 3 & 0x0f;
    operation <= 6 && more & 0x40 == 0 && matches!(questions, [0, 0 | 1, ..])
}
