//! What can be chosen: policies, bounds, and which direction is looked at.

use serde::{Deserialize, Serialize};

use crate::limits::{BYTES_MAX, STREAM_BYTES_MAX, STREAM_PIECES_MAX, STREAMS_MAX};

/// What the engine cannot follow. Each has a policy and a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// The stream keeps as many bytes as it may.
    StreamBytes,
    /// As many pieces wait behind holes as may.
    StreamPieces,
    /// All streams together keep as many bytes as they may.
    AllBytes,
    /// As many streams are followed as may be.
    AllStreams,
    /// The stream had begun before its first segment came here.
    Midstream,
    /// Bytes were lost on their way here, though their receiver has them.
    Lost,
}

impl Exception {
    /// All, in the order of their counters.
    pub const ALL: [Self; 6] =
        [Self::StreamBytes, Self::StreamPieces, Self::AllBytes, Self::AllStreams, Self::Midstream, Self::Lost];

    /// Its name in reports and settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamBytes => "stream-bytes",
            Self::StreamPieces => "stream-pieces",
            Self::AllBytes => "all-bytes",
            Self::AllStreams => "all-streams",
            Self::Midstream => "midstream",
            Self::Lost => "lost",
        }
    }
}

/// What becomes of a segment that the engine cannot follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It is dropped; its sender repeats it, and there may be room then.
    #[default]
    Drop,
    /// The stream is reset.
    Reset,
    /// The stream passes without inspection from here on; that is a gap.
    Pass,
}

/// A policy for each exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    /// For [`Exception::StreamBytes`].
    pub stream_bytes: Policy,
    /// For [`Exception::StreamPieces`].
    pub stream_pieces: Policy,
    /// For [`Exception::AllBytes`].
    pub all_bytes: Policy,
    /// For [`Exception::AllStreams`].
    pub all_streams: Policy,
    /// For [`Exception::Midstream`]; `None`: it is followed from here on, after a gap.
    pub midstream: Option<Policy>,
}

impl Policies {
    /// The policy for an exception.
    #[must_use]
    pub fn of(&self, exception: Exception) -> Policy {
        match exception {
            Exception::StreamBytes => self.stream_bytes,
            Exception::StreamPieces => self.stream_pieces,
            Exception::AllBytes => self.all_bytes,
            Exception::AllStreams => self.all_streams,
            Exception::Midstream => self.midstream.unwrap_or_default(),
            // Who acknowledges what did not come here is not believed, but for what `Engine::lost` is told.
            Exception::Lost => Policy::Drop,
        }
    }
}

/// Of what differs from the first copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// The later copy is rewritten to the first.
    Rewrite,
    /// The later segment is dropped.
    Drop,
}

/// Of urgent data, which a receiver may take out of the stream (RFC 6093).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgent {
    /// The mark is cleared: the byte stays in the stream, where the hook sees it.
    Clear,
    /// Such segments are dropped.
    Drop,
}

/// Which directions a hook wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watched {
    /// What the opener sends.
    Opener,
    /// What the other end sends.
    Answerer,
    /// Both.
    Both,
}

/// The engine's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of copies that differ.
    pub conflicts: Conflicts,
    /// Of urgent data.
    pub urgent: Urgent,
    /// Of what cannot be followed.
    pub policies: Policies,
    /// At most [`STREAM_BYTES_MAX`].
    pub stream_bytes_max: usize,
    /// At most [`STREAM_PIECES_MAX`].
    pub stream_pieces_max: usize,
    /// At most [`BYTES_MAX`].
    pub bytes_max: usize,
    /// At most [`STREAMS_MAX`].
    pub streams_max: usize,
}

impl Default for Settings {
    /// Copies are rewritten, urgent marks cleared; what there is no room for is dropped, closed by default; a stream that had
    /// begun is followed from where it is.
    fn default() -> Self {
        Self {
            conflicts: Conflicts::Rewrite,
            urgent: Urgent::Clear,
            policies: Policies {
                stream_bytes: Policy::Drop,
                stream_pieces: Policy::Drop,
                all_bytes: Policy::Drop,
                all_streams: Policy::Drop,
                midstream: None,
            },
            stream_bytes_max: STREAM_BYTES_MAX,
            stream_pieces_max: STREAM_PIECES_MAX,
            bytes_max: BYTES_MAX,
            streams_max: STREAMS_MAX,
        }
    }
}
