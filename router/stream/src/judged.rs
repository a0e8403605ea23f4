//! What the engine says of a segment.

use std::ops::Range;

use crate::settings::Exception;
use crate::side::Side;

/// Why a segment is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its checksum is wrong.
    Checksum,
    /// It stands behind IPv6 options for which its receiver may discard it.
    OddOptions,
    /// It is signed though nobody agreed on it, or it would have to be changed though it is signed.
    Signature,
    /// Control bits that no end sends together.
    Flags,
    /// It does not acknowledge, as everything behind a SYN must.
    NoAcknowledgement,
    /// It has data before the handshake is over.
    NotOpen,
    /// Its timestamp is older than what came before (RFC 7323, section 5).
    Timestamp,
    /// It ends behind the receiver's window.
    BeyondWindow,
    /// It asks a closed window with data of its own; the router asks in its place.
    WindowProbe,
    /// It is older than any window is long.
    TooOld,
    /// It acknowledges what was not sent.
    AcknowledgesUnsent,
    /// It acknowledges less than an end would still say (RFC 5961, section 5).
    AcknowledgesLongAgo,
    /// A SYN in an open connection (RFC 5961, section 4); the router challenges it.
    SynInConnection,
    /// A RST that is not exactly in sequence (RFC 5961, section 3).
    ResetOutOfSequence,
    /// It comes after a RST.
    AfterReset,
    /// It has data behind its sender's FIN.
    AfterFin,
    /// A FIN where its sender had sent data, or another FIN.
    FalseFin,
    /// Its bytes differ from the first copy, and the policy drops such segments.
    Conflict,
    /// Urgent data, and the policy drops it.
    Urgent,
    /// The engine cannot follow it, and the policy drops it.
    Exception(Exception),
}

impl Reason {
    /// All but those of exceptions, in the order of their counters.
    pub const ALL: [Self; 19] = [
        Self::Checksum,
        Self::OddOptions,
        Self::Signature,
        Self::Flags,
        Self::NoAcknowledgement,
        Self::NotOpen,
        Self::Timestamp,
        Self::BeyondWindow,
        Self::WindowProbe,
        Self::TooOld,
        Self::AcknowledgesUnsent,
        Self::AcknowledgesLongAgo,
        Self::SynInConnection,
        Self::ResetOutOfSequence,
        Self::AfterReset,
        Self::AfterFin,
        Self::FalseFin,
        Self::Conflict,
        Self::Urgent,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Checksum => "tcp-checksum",
            Self::OddOptions => "tcp-odd-options",
            Self::Signature => "tcp-signature",
            Self::Flags => "tcp-flags",
            Self::NoAcknowledgement => "tcp-no-acknowledgement",
            Self::NotOpen => "tcp-not-open",
            Self::Timestamp => "tcp-timestamp",
            Self::BeyondWindow => "tcp-beyond-window",
            Self::WindowProbe => "tcp-window-probe",
            Self::TooOld => "tcp-too-old",
            Self::AcknowledgesUnsent => "tcp-acknowledges-unsent",
            Self::AcknowledgesLongAgo => "tcp-acknowledges-long-ago",
            Self::SynInConnection => "tcp-syn-in-connection",
            Self::ResetOutOfSequence => "tcp-reset-out-of-sequence",
            Self::AfterReset => "tcp-after-reset",
            Self::AfterFin => "tcp-after-fin",
            Self::FalseFin => "tcp-false-fin",
            Self::Conflict => "tcp-conflict",
            Self::Urgent => "tcp-urgent",
            Self::Exception(exception) => exception.name(),
        }
    }
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It leaves, as [`Edit`] says.
    Pass,
    /// It ends here.
    Drop(Reason),
    /// It ends here, and the stream is to be reset both ways.
    Reset(Exception),
}

/// How a segment that passes is changed; its bytes are rewritten in place already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Bytes to cut from the beginning of its payload; the sequence number grows by as many.
    pub cut: usize,
    /// Bytes of payload that it leaves with.
    pub keep: usize,
    /// Bytes of its payload were rewritten.
    pub is_rewritten: bool,
    /// The urgent mark and pointer are to be cleared.
    pub clears_urgent: bool,
}

impl Edit {
    /// True if a segment with so many bytes of payload leaves as it came.
    #[must_use]
    pub fn is_none(&self, payload_len: usize) -> bool {
        self.cut == 0 && self.keep == payload_len && !self.is_rewritten && !self.clears_urgent
    }
}

/// Bytes that a hook is to see now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Their number; [`crate::Stream::fresh`] has them all, until the next segment.
    pub len: usize,
    /// Where they lie in the segment's payload as it leaves, if they all do: the ordinary case, and nothing is copied for it.
    pub in_packet: Option<Range<usize>>,
}

/// How a direction, or the stream, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All bytes before a FIN have come.
    Fin,
    /// A valid RST.
    Reset,
}

/// A bare acknowledgement that the router sends in the place of a segment that it dropped, so that both ends still learn what
/// they would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whom it is for.
    pub to: Side,
    /// Its sequence number.
    pub sequence: u32,
    /// Its acknowledgement number.
    pub acknowledgement: u32,
    /// Its window, without scale: what the end in whose place it is sent said last.
    pub window: u16,
}

/// All that follows from a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What becomes of it.
    pub action: Action,
    /// How it is changed.
    pub edit: Edit,
    /// What its direction's hook is to see.
    pub fresh: Fresh,
    /// It had bytes that differ from the first copy.
    pub is_conflict: bool,
    /// The stream goes on without inspection because of this.
    pub gap: Option<Exception>,
    /// Its direction ended with it, or the whole stream by a reset.
    pub end: Option<End>,
    /// What the router is to send besides.
    pub answer: Option<Answer>,
}

impl Judged {
    /// A segment with so many bytes of payload passes untouched.
    pub(crate) fn pass(payload_len: usize) -> Self {
        Self {
            action: Action::Pass,
            edit: Edit { keep: payload_len, ..Edit::default() },
            fresh: Fresh::default(),
            is_conflict: false,
            gap: None,
            end: None,
            answer: None,
        }
    }
}
