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

mod frames;
mod kind;

use serde::{Deserialize, Serialize};

use super::error::PeerError;
use super::greeting::Greeting;
use super::message::{Hello, Message};
use crate::limits;
use crate::mutation::{Mutation, is_on};
use frames::{HandoverBytes, RedirectBytes};
use kind::Kind;

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

/// What was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// The first message of a connection.
    Greeting(Greeting),
    /// Any later one, with its number if it has one.
    Message(Option<u64>, Message),
    /// The sender has all messages up to the one of this number.
    Received(u64),
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
            Self::Greeting(_) => Kind::Hello.number(),
            Self::Message(_, message) => Kind::of(message).number(),
            Self::Received(_) => Kind::Received.number(),
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
        return Err(PeerError::TooLong { len: usize::MAX, len_max: Kind::Hello.len_max() });
    }
    append(Kind::Hello, None, greeting, into)
}

/// Appends the word that all messages up to the one of this number were received.
///
/// # Errors
///
/// [`PeerError::TooLong`] cannot happen: it is short.
pub fn encode_received(number: u64, into: &mut Vec<u8>) -> Result<(), PeerError> {
    append(Kind::Received, None, &number, into)
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
    let kind = Kind::of(message);
    if !message_within_bounds(message) {
        return Err(PeerError::TooLong { len: usize::MAX, len_max: kind.len_max() });
    }
    match message {
        Message::Heartbeat(body) => append(kind, number, body, into),
        Message::Claim(body) => append(kind, number, body, into),
        Message::Announce(body) => append(kind, number, body, into),
        Message::Acknowledge(body) => append(kind, number, body, into),
        Message::Refuse(body) => append(kind, number, body, into),
        Message::Refresh(body) => append(kind, number, body, into),
        Message::Close(body) => append(kind, number, body, into),
        Message::Assign(body) => append(kind, number, body, into),
        Message::Fence(body) => append(kind, number, body, into),
        Message::Handover(body) => append(kind, number, &HandoverBytes::from(body), into),
        Message::Redirect(body) => append(kind, number, &RedirectBytes::from(body), into),
        Message::Query(body) => append(kind, number, body, into),
        Message::Answer(body) => append(kind, number, body, into),
        Message::Compare(body) => append(kind, number, body, into),
        Message::SyncEnd(body) => append(kind, number, body, into),
        Message::Unheard(body) => append(kind, number, body, into),
        Message::Relay(body) => append(kind, number, body, into),
    }
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
        Spoken::Greeting(_) | Spoken::Received(_) | Spoken::Unknown { .. } => None,
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
            let kept = self.buffer.get(self.begin..self.end).unwrap_or_default();
            if let Some(place) = larger.get_mut(..kept.len()) {
                place.copy_from_slice(kept);
            }
            (self.begin, self.end, self.buffer) = (0, kept.len(), larger);
        } else if self.end == self.buffer.len() || self.begin + self.awaited > self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
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
        let arrived = self.buffer.get(self.begin..self.end).unwrap_or_default();
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
fn check_length(len: usize, len_max: usize, kind: Option<u16>) -> Result<(), PeerError> {
    let known = kind.and_then(|kind| Kind::from_number(kind & !NUMBERED));
    let numbered = kind.is_some_and(|kind| kind & NUMBERED != 0);
    let len_max = len_max.min(known.map_or(limits::MESSAGE_LEN_MAX, Kind::len_max)) + NUMBER_LEN;
    let len_min = if numbered { KIND_LEN + NUMBER_LEN } else { KIND_LEN };
    if len < len_min {
        Err(PeerError::TooShort { len })
    } else if len > len_max {
        Err(PeerError::TooLong { len, len_max })
    } else {
        Ok(())
    }
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
    let Some(kind) = Kind::from_number(kind_number) else {
        if is_on(Mutation::RefuseUnknown) {
            return Err(PeerError::Garbage { kind: kind_number });
        }
        return Ok(Spoken::Unknown { number, kind: kind_number });
    };
    let spoken = match kind {
        Kind::Hello | Kind::Received if number.is_some() => None,
        Kind::Hello => whole(body).map(Spoken::Greeting),
        Kind::Received => whole(body).map(Spoken::Received),
        Kind::Heartbeat => whole(body).map(|b| Spoken::Message(number, Message::Heartbeat(b))),
        Kind::Claim => whole(body).map(|b| Spoken::Message(number, Message::Claim(b))),
        Kind::Announce => whole(body).map(|b| Spoken::Message(number, Message::Announce(b))),
        Kind::Acknowledge => whole(body).map(|b| Spoken::Message(number, Message::Acknowledge(b))),
        Kind::Refuse => whole(body).map(|b| Spoken::Message(number, Message::Refuse(b))),
        Kind::Refresh if !streams_fit(body) => None,
        Kind::Refresh => whole(body).map(|b| Spoken::Message(number, Message::Refresh(b))),
        Kind::Close => whole(body).map(|b| Spoken::Message(number, Message::Close(b))),
        Kind::Assign => whole(body).map(|b| Spoken::Message(number, Message::Assign(b))),
        Kind::Fence => whole(body).map(|b| Spoken::Message(number, Message::Fence(b))),
        Kind::Handover => {
            whole::<HandoverBytes<'_>>(body).map(|b| Spoken::Message(number, Message::Handover(b.into())))
        }
        Kind::Redirect => {
            whole::<RedirectBytes<'_>>(body).map(|b| Spoken::Message(number, Message::Redirect(b.into())))
        }
        Kind::Query => whole(body).map(|b| Spoken::Message(number, Message::Query(b))),
        Kind::Answer => whole(body).map(|b| Spoken::Message(number, Message::Answer(b))),
        Kind::Compare => whole(body).map(|b| Spoken::Message(number, Message::Compare(b))),
        Kind::SyncEnd => whole(body).map(|b| Spoken::Message(number, Message::SyncEnd(b))),
        Kind::Unheard => whole(body).map(|b| Spoken::Message(number, Message::Unheard(b))),
        Kind::Relay => whole(body).map(|b| Spoken::Message(number, Message::Relay(b))),
    };
    spoken.filter(within_bounds).ok_or(PeerError::Garbage { kind: kind_number })
}

/// A value that takes the whole body, to the last byte.
fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    postcard::take_from_bytes(body).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The count in front of a refresh's streams, checked before they are allocated: a stream in memory is several times as
/// large as the shortest bytes for one.
fn streams_fit(body: &[u8]) -> bool {
    postcard::take_from_bytes::<u64>(body).is_ok_and(|(count, _)| count <= limits::REFRESH_STREAMS_MAX as u64)
}

fn within_bounds(spoken: &Spoken) -> bool {
    match spoken {
        Spoken::Greeting(greeting) => hello_within_bounds(&greeting.hello),
        Spoken::Message(_, message) => message_within_bounds(message),
        Spoken::Received(_) | Spoken::Unknown { .. } => true,
    }
}

fn hello_within_bounds(hello: &Hello) -> bool {
    hello.cluster.len() <= limits::CLUSTER_NAME_LEN_MAX
        && hello.addresses.first.len() <= limits::ADDRESSES_MAX
        && hello.addresses.second.len() <= limits::ADDRESSES_MAX
}

fn message_within_bounds(message: &Message) -> bool {
    match message {
        Message::Heartbeat(heartbeat) => [&heartbeat.links, &heartbeat.heard.first, &heartbeat.heard.second]
            .iter()
            .all(|list| list.len() <= limits::MEMBERS_MAX),
        Message::Refresh(refresh) => refresh.streams.len() <= limits::REFRESH_STREAMS_MAX,
        Message::Handover(handover) => handover.wire.len() <= crate::packet::BUFFER_LEN,
        Message::Redirect(redirect) => redirect.wire.len() <= crate::packet::BUFFER_LEN,
        Message::Compare(compare) => compare.digests.len() == limits::BUCKETS,
        Message::SyncEnd(end) => end.digests.len() == limits::BUCKETS && end.sent.len() <= limits::BUCKETS,
        Message::Claim(_)
        | Message::Announce(_)
        | Message::Acknowledge(_)
        | Message::Refuse(_)
        | Message::Close(_)
        | Message::Assign(_)
        | Message::Fence(_)
        | Message::Unheard(_)
        | Message::Relay(_)
        | Message::Query(_)
        | Message::Answer(_) => true,
    }
}

fn append<T: Serialize>(kind: Kind, number: Option<u64>, body: &T, into: &mut Vec<u8>) -> Result<(), PeerError> {
    let begin = into.len();
    into.extend_from_slice(&[0; LENGTH_LEN]);
    match number {
        None => into.extend_from_slice(&kind.number().to_be_bytes()),
        Some(number) => {
            into.extend_from_slice(&(kind.number() | NUMBERED).to_be_bytes());
            into.extend_from_slice(&number.to_be_bytes());
        }
    }
    let len_max = kind.len_max() + NUMBER_LEN;
    let written = postcard::to_io(body, &mut *into).is_ok();
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
