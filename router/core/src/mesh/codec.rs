//! Messages as bytes.
//!
//! ```text
//!  0               4       6             14
//! +---------------+-------+-------------+----------------+
//! | length        | kind  | number      | body (postcard)|     length counts all behind it; numbers are big endian
//! +---------------+-------+-------------+----------------+
//!                          only if bit 15 of kind is set
//! ```
//!
//! Every kind has its own greatest length, checked before anything is allocated for it. A kind this version does not
//! know is skipped and counted: that is how version N understands version N + 1. A known kind is understood to its last
//! byte or refused.

mod body;

use serde::Serialize;

use super::error::PeerError;
use super::greeting::Greeting;
use super::kinds::Message;
use super::message::Hello;
use crate::limits;
use crate::mistake::or_mistake;
use crate::mutation::{Mutation, is_on};
pub(super) use body::Body;
use body::whole;

/// Oldest protocol version this node speaks.
pub const VERSION_MIN: u16 = 1;

/// Newest protocol version this node speaks.
pub const VERSION_MAX: u16 = 1;

const _: () = assert!(VERSION_MIN <= VERSION_MAX);

const LENGTH_LEN: usize = 4;
const KIND_LEN: usize = 2;
const NUMBER_LEN: usize = 8;
const HEADER_LEN: usize = LENGTH_LEN + KIND_LEN;

/// The bit of a kind that says that a number follows: also in kinds that this version does not know.
const NUMBERED: u16 = 1 << 15;

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its number on the wire.
    pub(super) number: u16,
    /// The greatest length of kind and body, in bytes.
    pub(super) len_max: usize,
}

impl Kind {
    /// The first message of a connection.
    const HELLO: Self = Self { number: 1, len_max: limits::HELLO_LEN_MAX };

    /// The word that messages were received.
    const RECEIVED: Self = Self { number: 19, len_max: limits::SMALL_MESSAGE_LEN_MAX };

    /// The question whether the other end lives.
    const PING: Self = Self { number: 21, len_max: limits::SMALL_MESSAGE_LEN_MAX };

    /// Its answer.
    const PONG: Self = Self { number: 22, len_max: limits::SMALL_MESSAGE_LEN_MAX };

    /// The kinds that are of a link itself.
    const OF_LINKS: [Self; 4] = [Self::HELLO, Self::RECEIVED, Self::PING, Self::PONG];

    /// The kind with this number, if this version knows it.
    fn known(number: u16) -> Option<Self> {
        Self::OF_LINKS.into_iter().find(|kind| kind.number == number).or_else(|| Message::known(number))
    }
}

const _: () = {
    let [a, b, c, d] = Kind::OF_LINKS;
    assert!(Message::known(a.number).is_none() && Message::known(b.number).is_none());
    assert!(Message::known(c.number).is_none() && Message::known(d.number).is_none());
};

/// What was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// The first message of a connection.
    Greeting(Greeting),
    /// Any later one, with its number if it has one.
    Message(Option<u64>, Message),
    /// The sender has all messages up to the one of this number.
    Received(u64),
    /// Does the receiver live? The number comes back.
    Ping(u64),
    /// The sender lives: the number of a [`Spoken::Ping`].
    Pong(u64),
    /// A kind this version does not know.
    Unknown {
        /// The message's number, if it has one.
        number: Option<u64>,
        /// The kind's number.
        kind: u16,
    },
}

impl Spoken {
    /// The number of its kind.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Self::Greeting(_) => Kind::HELLO.number,
            Self::Message(_, message) => message.kind().number,
            Self::Received(_) => Kind::RECEIVED.number,
            Self::Ping(_) => Kind::PING.number,
            Self::Pong(_) => Kind::PONG.number,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

/// Appends a greeting.
///
/// # Errors
///
/// [`PeerError::TooLong`] if it is over a bound; nothing is appended then.
pub fn encode_greeting(greeting: &Greeting, into: &mut Vec<u8>) -> Result<(), PeerError> {
    if !hello_within_bounds(&greeting.hello) {
        return Err(PeerError::TooLong { len: usize::MAX, len_max: Kind::HELLO.len_max });
    }
    append(Kind::HELLO, None, |into| write(greeting, into), into)
}

/// Appends the word that all messages up to the one of this number were received.
///
/// # Errors
///
/// [`PeerError::TooLong`] cannot happen: it is short.
pub fn encode_received(number: u64, into: &mut Vec<u8>) -> Result<(), PeerError> {
    append(Kind::RECEIVED, None, |into| write(&number, into), into)
}

/// Appends the question whether the other end lives.
///
/// # Errors
///
/// [`PeerError::TooLong`] cannot happen: it is short.
pub fn encode_ping(nonce: u64, into: &mut Vec<u8>) -> Result<(), PeerError> {
    append(Kind::PING, None, |into| write(&nonce, into), into)
}

/// Appends the answer to a ping.
///
/// # Errors
///
/// [`PeerError::TooLong`] cannot happen: it is short.
pub fn encode_pong(nonce: u64, into: &mut Vec<u8>) -> Result<(), PeerError> {
    append(Kind::PONG, None, |into| write(&nonce, into), into)
}

/// Appends a message without a number.
///
/// # Errors
///
/// [`PeerError::TooLong`] if it is over a bound; nothing is appended then.
pub fn encode(message: &Message, into: &mut Vec<u8>) -> Result<(), PeerError> {
    encode_message(None, message, into)
}

/// Appends a message with a number.
///
/// # Errors
///
/// [`PeerError::TooLong`] if it is over a bound; nothing is appended then.
pub fn encode_numbered(number: u64, message: &Message, into: &mut Vec<u8>) -> Result<(), PeerError> {
    encode_message(Some(number), message, into)
}

fn encode_message(number: Option<u64>, message: &Message, into: &mut Vec<u8>) -> Result<(), PeerError> {
    append(message.kind(), number, |into| message.write(into), into)
}

/// The one message without a number that these bytes are; `None` if they are anything else.
#[must_use]
pub fn decode_message(bytes: &[u8]) -> Option<Message> {
    let (length, message) = bytes.split_first_chunk::<LENGTH_LEN>()?;
    let (kind, body) = message.split_first_chunk::<KIND_LEN>()?;
    if usize::try_from(u32::from_be_bytes(*length)).ok()? != message.len() {
        return None;
    }
    match decode_body(u16::from_be_bytes(*kind), None, body).ok()? {
        Spoken::Message(_, message) => Some(message),
        Spoken::Greeting(_) | Spoken::Received(_) | Spoken::Ping(_) | Spoken::Pong(_) | Spoken::Unknown { .. } => None,
    }
}

/// Cuts a byte stream into messages. Bytes are read straight into [`Decoder::space`] and decoded where they lie; at most
/// the beginning of one incomplete message is moved, once.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Bytes of the message at `begin`, its length included, as far as it is known.
    awaited: usize,
}

impl Decoder {
    /// Where the next bytes go. Not empty, once [`Decoder::decode`] has given `None`.
    pub fn space(&mut self) -> &mut [u8] {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        let len_wanted = self.awaited.max(limits::LINK_READ_LEN);
        if len_wanted > self.buffer.len() {
            let mut larger = vec![0; len_wanted];
            let kept = or_mistake(self.buffer.get(self.begin..self.end), "a decoder's bytes lie in its buffer");
            if let Some(place) = larger.get_mut(..kept.len()) {
                place.copy_from_slice(kept);
            }
            (self.begin, self.end, self.buffer) = (0, kept.len(), larger);
        } else if self.end == self.buffer.len() || self.begin + self.awaited > self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        or_mistake(self.buffer.get_mut(self.end..), "a decoder's end lies in its buffer")
    }

    /// `len` bytes were written to the beginning of [`Decoder::space`].
    pub fn filled(&mut self, len: usize) {
        self.end = self.buffer.len().min(self.end + len);
    }

    /// The next complete message; `None` until more bytes come. `len_max` bounds kind and body, in bytes, beside the
    /// bound that each kind has anyway.
    ///
    /// # Errors
    ///
    /// [`PeerError::TooLong`], [`PeerError::TooShort`], [`PeerError::Garbage`]: the stream is of no use any more.
    pub fn decode(&mut self, len_max: usize) -> Result<Option<Spoken>, PeerError> {
        let arrived = or_mistake(self.buffer.get(self.begin..self.end), "a decoder's bytes lie in its buffer");
        let Some((length, rest)) = arrived.split_first_chunk::<LENGTH_LEN>() else {
            self.awaited = HEADER_LEN;
            return Ok(None);
        };
        let len = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let kind = rest.first_chunk::<KIND_LEN>().map(|number| u16::from_be_bytes(*number));
        check_length(len, len_max, kind)?;
        let (Some(kind), Some(message)) = (kind, rest.get(..len)) else {
            self.awaited = LENGTH_LEN + len;
            return Ok(None);
        };
        let spoken = decode_numbered(kind, message.get(KIND_LEN..).unwrap_or_default())?;
        self.begin += LENGTH_LEN + len;
        self.awaited = HEADER_LEN;
        Ok(Some(spoken))
    }
}

/// Each bound leaves room for a number, whether there is one or not.
/// The bound of all kinds comes before the one of the message's own kind, which may not be known yet: so the error is the
/// same however the bytes come.
fn check_length(len: usize, len_max: usize, kind: Option<u16>) -> Result<(), PeerError> {
    let known = kind.and_then(|kind| Kind::known(kind & !NUMBERED));
    let numbered = kind.is_some_and(|kind| kind & NUMBERED != 0);
    let len_min = if numbered { KIND_LEN + NUMBER_LEN } else { KIND_LEN };
    if len < len_min {
        return Err(PeerError::TooShort { len });
    }
    let of_all = len_max.min(limits::MESSAGE_LEN_MAX);
    for bound in [Some(of_all), known.map(|kind| of_all.min(kind.len_max))].into_iter().flatten() {
        let len_max = bound + NUMBER_LEN;
        if len > len_max {
            return Err(PeerError::TooLong { len, len_max });
        }
    }
    Ok(())
}

fn decode_numbered(kind: u16, rest: &[u8]) -> Result<Spoken, PeerError> {
    if kind & NUMBERED == 0 {
        return decode_body(kind, None, rest);
    }
    let kind = kind & !NUMBERED;
    let (number, body) = rest.split_first_chunk::<NUMBER_LEN>().ok_or(PeerError::Garbage { kind })?;
    decode_body(kind, Some(u64::from_be_bytes(*number)), body)
}

fn decode_body(kind_number: u16, number: Option<u64>, body: &[u8]) -> Result<Spoken, PeerError> {
    if Kind::known(kind_number).is_none() {
        if is_on(Mutation::RefuseUnknown) {
            return Err(PeerError::Garbage { kind: kind_number });
        }
        return Ok(Spoken::Unknown { number, kind: kind_number });
    }
    let is = |kind: Kind| kind.number == kind_number;
    let spoken = if is(Kind::HELLO) {
        let greeting = whole::<Greeting>(body).filter(|greeting| hello_within_bounds(&greeting.hello));
        greeting.filter(|_| number.is_none()).map(Spoken::Greeting)
    } else if is(Kind::RECEIVED) {
        whole(body).filter(|_| number.is_none()).map(Spoken::Received)
    } else if is(Kind::PING) {
        whole(body).filter(|_| number.is_none()).map(Spoken::Ping)
    } else if is(Kind::PONG) {
        whole(body).filter(|_| number.is_none()).map(Spoken::Pong)
    } else {
        Message::read(kind_number, body).map(|message| Spoken::Message(number, message))
    };
    spoken.ok_or(PeerError::Garbage { kind: kind_number })
}

fn hello_within_bounds(hello: &Hello) -> bool {
    hello.cluster.len() <= limits::CLUSTER_NAME_LEN_MAX
        && hello.addresses.first.len() <= limits::ADDRESSES_MAX
        && hello.addresses.second.len() <= limits::ADDRESSES_MAX
        && hello.configuration.len() <= limits::COMPARED_KEYS_MAX
        && hello.configuration.iter().all(|setting| setting.key.len() <= limits::COMPARED_KEY_LEN_MAX)
}

fn write<T: Serialize>(value: &T, into: &mut Vec<u8>) -> bool {
    postcard::to_io(value, into).is_ok()
}

/// Appends a message whose body `write` appends, or nothing.
fn append(
    kind: Kind,
    number: Option<u64>,
    write: impl FnOnce(&mut Vec<u8>) -> bool,
    into: &mut Vec<u8>,
) -> Result<(), PeerError> {
    let begin = into.len();
    into.extend_from_slice(&[0; LENGTH_LEN]);
    match number {
        None => into.extend_from_slice(&kind.number.to_be_bytes()),
        Some(number) => {
            into.extend_from_slice(&(kind.number | NUMBERED).to_be_bytes());
            into.extend_from_slice(&number.to_be_bytes());
        }
    }
    let len_max = kind.len_max + NUMBER_LEN;
    let written = write(into);
    let len = into.len() - begin - LENGTH_LEN;
    let place = into.get_mut(begin..).and_then(<[u8]>::first_chunk_mut::<LENGTH_LEN>);
    match (u32::try_from(len), place) {
        (Ok(length), Some(place)) if written && len <= len_max => {
            *place = length.to_be_bytes();
            Ok(())
        }
        _ => {
            into.truncate(begin);
            Err(PeerError::TooLong { len, len_max })
        }
    }
}

#[cfg(test)]
mod tests;
