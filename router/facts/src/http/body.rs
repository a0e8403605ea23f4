//! Bodies, which are skipped: by their length, or chunk by chunk (RFC 9112, sections 6 and 7).

use crate::limits::HTTP_CHUNK_LINE_BYTES_MAX;
use crate::{Oddity, Progress};

/// What is left of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Body {
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// The line with a chunk's size.
    ChunkSize(Line),
    /// So many bytes of a chunk, then its end.
    Chunk(u64),
    /// The CR and LF behind a chunk, as far as they have come.
    ChunkEnd(Line),
    /// A line of the trailer; the empty one ends the body.
    Trailer(Line),
    /// All that comes.
    UntilClose,
}

/// A line as far as it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Line {
    /// Its bytes, CR included.
    len: usize,
    size: u64,
    /// The hexadecimal digits of the size so far.
    digits: u8,
    /// The digits are over.
    is_over: bool,
    has_carriage_return: bool,
}

/// Digits of a chunk's size that are read: more are an attack on the receiver's arithmetic.
const CHUNK_DIGITS_MAX: u8 = 15;

/// Bytes of one line of the trailer.
const TRAILER_LINE_BYTES_MAX: usize = 8 * 1024;

impl Body {
    /// A chunked body's begin.
    pub(super) fn chunked() -> Self {
        Self::ChunkSize(Line::default())
    }

    /// Takes the bytes that belong to the body. `Done` says that it is over.
    pub(super) fn skip(&mut self, bytes: &mut &[u8]) -> Progress {
        loop {
            match *self {
                Self::None => return Progress::Done,
                Self::UntilClose => {
                    *bytes = &[];
                    return Progress::Need(1);
                }
                Self::Length(left) | Self::Chunk(left) if left > 0 => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    if taken == 0 {
                        return Progress::Need(usize::try_from(left).unwrap_or(usize::MAX));
                    }
                    *bytes = bytes.get(taken..).unwrap_or_default();
                    // `taken` is no more than `left`, so it fits.
                    let left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                    *self = if matches!(self, Self::Chunk(_)) { Self::Chunk(left) } else { Self::Length(left) };
                }
                Self::Length(_) => *self = Self::None,
                Self::Chunk(_) => *self = Self::ChunkEnd(Line::default()),
                Self::ChunkSize(_) | Self::ChunkEnd(_) | Self::Trailer(_) => {
                    let Some((byte, rest)) = bytes.split_first() else { return Progress::Need(1) };
                    *bytes = rest;
                    match self.line(*byte) {
                        Some(next) => *self = next,
                        None => return Progress::Refused(Oddity::HttpChunk),
                    }
                }
            }
        }
    }

    /// The state after a byte of a line. A line must end in CR and LF: where receivers take an LF alone, or skip bytes
    /// behind a chunk, requests are smuggled.
    fn line(self, byte: u8) -> Option<Self> {
        match self {
            Self::ChunkSize(line) => match line.size(byte)? {
                Read::More(line) => Some(Self::ChunkSize(line)),
                Read::Whole(line) if line.digits == 0 => None,
                Read::Whole(line) if line.size == 0 => Some(Self::Trailer(Line::default())),
                Read::Whole(line) => Some(Self::Chunk(line.size)),
            },
            Self::ChunkEnd(line) => match line.next(byte, 1)? {
                Read::More(line) => line.has_carriage_return.then_some(Self::ChunkEnd(line)),
                Read::Whole(_) => Some(Self::chunked()),
            },
            Self::Trailer(line) => match line.next(byte, TRAILER_LINE_BYTES_MAX)? {
                Read::More(line) => Some(Self::Trailer(line)),
                Read::Whole(line) if line.len == 1 => Some(Self::None),
                Read::Whole(_) => Some(Self::Trailer(Line::default())),
            },
            Self::None | Self::Length(_) | Self::Chunk(_) | Self::UntilClose => Some(self),
        }
    }
}

/// A line after one more byte.
enum Read {
    More(Line),
    Whole(Line),
}

impl Line {
    fn next(mut self, byte: u8, len_max: usize) -> Option<Read> {
        if byte == b'\n' {
            return self.has_carriage_return.then_some(Read::Whole(self));
        }
        self.len += 1;
        if self.has_carriage_return || self.len > len_max {
            return None;
        }
        self.has_carriage_return = byte == b'\r';
        Some(Read::More(self))
    }

    /// The same for the line of a size: digits, then perhaps extensions.
    fn size(mut self, byte: u8) -> Option<Read> {
        match char::from(byte).to_digit(16) {
            Some(digit) if !self.is_over => {
                self.digits += 1;
                self.size = self.size << 4 | u64::from(digit);
                if self.digits > CHUNK_DIGITS_MAX {
                    return None;
                }
            }
            _ if self.is_over || matches!(byte, b';' | b'\r' | b' ' | b'\t') => self.is_over = true,
            _ => return None,
        }
        self.next(byte, HTTP_CHUNK_LINE_BYTES_MAX)
    }
}
