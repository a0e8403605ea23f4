//! Handshake messages out of records: a message may lie in many records, and a record may have many messages
//! (RFC 8446, section 5.1).

use crate::Oddity;
use crate::limits::RECORD_BYTES_MAX;

/// Content types of records.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// The first content type and the one behind the last.
const TYPES: std::ops::Range<u8> = 20..25;

const RECORD_HEADER_LEN: usize = 5;
const MESSAGE_HEADER_LEN: usize = 4;

/// What the next bytes were.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// So many more bytes are needed, at least.
    Need(usize),
    /// A message of this type is whole: [`Messages::body`]. Of a type that nobody reads, only its header has been seen.
    Message(u8),
    /// A record that says: what follows is encrypted, or that says nothing (RFC 8446, appendix D.4).
    ChangeCipherSpec,
    /// A record that carries no handshake; the reader goes no further.
    OtherRecord,
    /// No records of TLS.
    NotTls,
    /// They break the rules of records, or exceed a bound.
    Broken(Oddity),
}

/// Where in records and messages the reader is.
#[derive(Debug, Default)]
pub(super) struct Messages {
    header: [u8; RECORD_HEADER_LEN],
    /// How much of the header is there.
    header_len: usize,
    /// Bytes of the record's content that are still to come.
    content_left: usize,
    /// A record that is skipped: its one byte is still to come.
    is_skipping: bool,
    /// Header and body of the current message, as far as they have come.
    message: Vec<u8>,
    /// The message was handed out; the next one begins.
    is_told: bool,
    /// There was a record before.
    has_begun: bool,
}

impl Messages {
    /// The body of the message that the last step told.
    pub(super) fn body(&self) -> &[u8] {
        self.message.get(MESSAGE_HEADER_LEN..).unwrap_or_default()
    }

    /// Takes bytes up to the next whole message, or all. The limit says how long a message of a type may be.
    pub(super) fn next(&mut self, bytes: &mut &[u8], limit: fn(u8) -> Option<(usize, Oddity)>) -> Step {
        if self.is_told {
            self.message.clear();
            self.is_told = false;
        }
        loop {
            let wanted = match self.wanted(limit) {
                Ok(wanted) => wanted,
                Err(step) => return step,
            };
            if wanted == 0 {
                self.is_told = true;
                return Step::Message(self.message.first().copied().unwrap_or_default());
            }
            if self.content_left == 0
                && let Some(step) = self.record(bytes)
            {
                return step;
            }
            let len = wanted.min(self.content_left).min(bytes.len());
            if len == 0 {
                return Step::Need(wanted.min(self.content_left));
            }
            let (taken, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
            *bytes = rest;
            self.message.extend_from_slice(taken);
            self.content_left -= taken.len();
        }
    }

    /// How many bytes the message still wants.
    fn wanted(&self, limit: fn(u8) -> Option<(usize, Oddity)>) -> Result<usize, Step> {
        let Some(([kind, length @ ..], body)) = self.message.split_first_chunk::<MESSAGE_HEADER_LEN>() else {
            return Ok(MESSAGE_HEADER_LEN - self.message.len());
        };
        let [high, middle, low] = length.map(usize::from);
        let len = high << 16 | middle << 8 | low;
        match limit(*kind) {
            None => Err(Step::Message(*kind)),
            Some((max, oddity)) if len > max => Err(Step::Broken(oddity)),
            Some(_) => Ok(len - body.len()),
        }
    }

    /// Reads the header of the next record. Comes back with a step unless a record of the handshake begins.
    fn record(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        if self.is_skipping {
            let Some((_, rest)) = bytes.split_first() else { return Some(Step::Need(1)) };
            *bytes = rest;
            self.is_skipping = false;
            return Some(Step::ChangeCipherSpec);
        }
        while self.header_len < RECORD_HEADER_LEN {
            let Some((byte, rest)) = bytes.split_first() else {
                return Some(Step::Need(RECORD_HEADER_LEN - self.header_len));
            };
            *bytes = rest;
            if let Some(place) = self.header.get_mut(self.header_len) {
                *place = *byte;
            }
            self.header_len += 1;
            if let Some(step) = self.check() {
                return Some(step);
            }
        }
        let [kind, _, _, high, low] = self.header;
        let len = usize::from(high) << 8 | usize::from(low);
        self.header_len = 0;
        self.has_begun = true;
        match (kind, len) {
            (HANDSHAKE, 1..=RECORD_BYTES_MAX) => {
                self.content_left = len;
                None
            }
            (CHANGE_CIPHER_SPEC, 1) if self.message.is_empty() => {
                self.is_skipping = true;
                self.record(bytes)
            }
            (HANDSHAKE | CHANGE_CIPHER_SPEC, _) => Some(Step::Broken(Oddity::TlsRecord)),
            _ if !self.message.is_empty() => Some(Step::Broken(Oddity::TlsRecord)),
            _ => Some(Step::OtherRecord),
        }
    }

    /// Checks the header as far as it has come.
    fn check(&self) -> Option<Step> {
        let [kind, major, ..] = self.header;
        let fits = match self.header_len {
            1 if self.has_begun => TYPES.contains(&kind),
            1 => matches!(kind, HANDSHAKE | ALERT),
            2 => major == 3,
            _ => true,
        };
        match (fits, self.has_begun) {
            (true, _) => None,
            (false, true) => Some(Step::Broken(Oddity::TlsRecord)),
            (false, false) => Some(Step::NotTls),
        }
    }
}
