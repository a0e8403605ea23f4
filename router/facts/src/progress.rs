//! What a parser says after each piece.

use crate::Oddity;

/// What a parser wants next. All but [`Progress::Need`] are ends: the parser keeps nothing more, and says the same of
/// whatever follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing new can be said before so many more bytes, at least one, have come.
    Need(usize),
    /// All that the parser looks for has been seen.
    Done,
    /// The bytes are of another protocol.
    NotThis,
    /// They are of this protocol, but break it or exceed a bound: what follows cannot be told for certain.
    Refused(Oddity),
}

impl Progress {
    /// True if the parser takes no more bytes.
    pub fn is_end(self) -> bool {
        match self {
            Self::Need(_) => false,
            Self::Done | Self::NotThis | Self::Refused(_) => true,
        }
    }
}
