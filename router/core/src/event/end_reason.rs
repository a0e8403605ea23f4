//! Why a stream ended.

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Both FINs were acknowledged.
    Finished,
    /// A TCP reset.
    Reset,
    /// Nothing came for the state's time.
    TimedOut,
    /// A plugin dropped or rejected the stream.
    Verdict,
    /// Another node won the stream.
    Refused,
    /// Another node has taken it over from this one.
    HandedOver,
    /// A new connection took the key.
    Replaced,
    /// The node stops.
    Shutdown,
    /// It made room for others in a full table.
    Evicted,
}

impl EndReason {
    /// The name in logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::TimedOut => "timed-out",
            Self::Verdict => "verdict",
            Self::Refused => "refused",
            Self::HandedOver => "handed-over",
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
            Self::Evicted => "evicted",
        }
    }
}
