//! A stream as bytes: for moves between nodes, reloads and replay.

use crate::half::{Half, Watch};
use crate::limits::{STREAM_BYTES_MAX, STREAM_PIECES_MAX};
use crate::stream::Stream;

/// The version of the form; another one is refused.
const VERSION: u8 = 2;

/// Offsets end here: long after any connection.
const OFFSET_MAX: u64 = 1 << 62;

/// Bytes that are no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Another version of the form.
    #[error("a stream of version {0}; this engine reads version {VERSION}")]
    Version(u8),
    /// They end too early, or go on.
    #[error("not the bytes of a stream")]
    Form,
    /// What they say contradicts itself, or is more than a stream keeps.
    #[error("a stream that contradicts itself")]
    Contradiction,
}

impl Stream {
    /// Everything that the engine knows of this stream. What is imported from it judges each later segment as this one would,
    /// and exports the same bytes.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        // Writing numbers and bytes to a vector cannot fail.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// Reads what [`Stream::export`] wrote. The engine that follows it then adopts it.
    ///
    /// # Errors
    /// The bytes are none, or of another version.
    pub fn import(bytes: &[u8]) -> Result<Box<Self>, ImportError> {
        let (&version, rest) = bytes.split_first().ok_or(ImportError::Form)?;
        if version != VERSION {
            return Err(ImportError::Version(version));
        }
        let (stream, behind) = postcard::take_from_bytes::<Self>(rest).map_err(|_| ImportError::Form)?;
        if !behind.is_empty() {
            return Err(ImportError::Form);
        }
        let is_sound = stream.opener.is_sound() && stream.answerer.is_sound() && stream.cost() <= STREAM_BYTES_MAX;
        if is_sound { Ok(Box::new(stream)) } else { Err(ImportError::Contradiction) }
    }
}

impl Half {
    fn is_sound(&self) -> bool {
        let (from, to) = self.shown;
        let next = self.kept.next();
        let leaving = match self.watch {
            Watch::Leaving(at) => at,
            Watch::On | Watch::Off => 0,
        };
        let [lost, needed] = [self.lost, self.needed].map(Option::unwrap_or_default);
        let numbers = [self.fin.unwrap_or_default(), self.syn_len, self.wake, lost, leaving, needed];
        self.kept.is_sound(OFFSET_MAX)
            && self.kept.pieces() <= STREAM_PIECES_MAX
            && numbers.into_iter().all(|number| number < OFFSET_MAX)
            && from <= to
            && to <= next
            && self.kept.base() <= to
            && self.acknowledged <= self.edge()
            && (self.is_watched() || self.kept.cost() == 0)
    }
}
