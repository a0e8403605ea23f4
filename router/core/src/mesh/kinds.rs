//! The kinds of messages: one entry for each, from which its number on the wire, its connection, its urgency, its bound and its
//! way through the codec follow. Beside it a kind has its structure in `message.rs` and its reader in `node/messages.rs`.

use super::codec::{Body, Kind};
use super::message::{
    Acknowledge, Announce, Answer, Assign, Astray, Claim, Close, Compare, Decline, Fence, Handover, Heartbeat, Inquiry,
    Lane, NeighbourChanged, Query, Redirect, Refresh, Refuse, Relay, RelayFrame, SyncEnd, Unheard,
};
use crate::limits::{
    CONTROL_MESSAGE_LEN_MAX, DIGESTS_LEN_MAX, HEARTBEAT_LEN_MAX, INQUIRY_LEN_MAX, MESSAGE_LEN_MAX,
    SMALL_MESSAGE_LEN_MAX,
};

/// Whether a message may take a detour by another member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It may: what is said of streams does, and their frames.
    Relayed,
    /// It may not: a sign of life or a claim by hearsay is none.
    Direct,
}

/// When a message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// At once.
    Now,
    /// Some milliseconds later, with more of its kind, unless its sender waits for the receiver's answer.
    Later,
}

/// Declares the kinds: `Kind = NUMBER: LANE, WAY, URGENCY, greatest length of kind and body in bytes`.
macro_rules! messages {
    ($($(#[$doc:meta])* $kind:ident = $number:literal: $lane:ident, $way:ident, $urgency:ident, $len_max:ident;)*) => {
        /// What travels over an established link.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Message { $($(#[$doc])* $kind($kind),)* }

        impl Message {
            /// The connection that the message takes.
            #[must_use]
            pub fn lane(&self) -> Lane {
                match self { $(Self::$kind(_) => Lane::$lane,)* }
            }

            /// True for a message that may take a detour by a member that has links to both ends.
            #[must_use]
            pub fn may_be_relayed(&self) -> bool {
                match self { $(Self::$kind(_) => Way::$way == Way::Relayed,)* }
            }

            /// When it leaves.
            pub(crate) fn urgency(&self) -> Urgency {
                match self { $(Self::$kind(_) => Urgency::$urgency,)* }
            }

            /// Its kind, as it is written here.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => stringify!($kind),)* }
            }

            /// Its kind's number and bound.
            pub(super) fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind { number: $number, len_max: $len_max },)* }
            }

            /// Writes its body; false if it is over a bound.
            pub(super) fn write(&self, into: &mut Vec<u8>) -> bool {
                match self { $(Self::$kind(body) => body.is_within_bounds() && body.write(into),)* }
            }

            /// Reads the body of a message of this kind; `None` if it is not one.
            pub(super) fn read(kind: u16, body: &[u8]) -> Option<Self> {
                match kind {
                    $($number => $kind::read(body).filter(Body::is_within_bounds).map(Self::$kind),)*
                    _ => None,
                }
            }

            /// The kind with this number, if this version knows it.
            pub(super) const fn known(number: u16) -> Option<Kind> {
                match number {
                    $($number => Some(Kind { number: $number, len_max: $len_max }),)*
                    _ => None,
                }
            }
        }
    };
}

// A number is never given to another meaning. 1, 19, 21 and 22 are those of the greeting, of the word
// that messages were received, and of a ping and its answer.
messages! {
    /// The sender's view.
    Heartbeat = 2: Control, Direct, Now, HEARTBEAT_LEN_MAX;
    /// A role.
    Claim = 3: Control, Direct, Now, SMALL_MESSAGE_LEN_MAX;
    /// A session announcement.
    Announce = 4: Control, Relayed, Later, SMALL_MESSAGE_LEN_MAX;
    /// Its positive answer.
    Acknowledge = 5: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// Its negative answer.
    Refuse = 6: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// Streams that live on.
    Refresh = 7: Control, Relayed, Now, CONTROL_MESSAGE_LEN_MAX;
    /// A stream that ended.
    Close = 8: Control, Relayed, Later, SMALL_MESSAGE_LEN_MAX;
    /// A frame for the node that has its stream now.
    Handover = 9: Frames, Relayed, Now, MESSAGE_LEN_MAX;
    /// A question about a stream.
    Query = 10: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// Its answer.
    Answer = 11: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// A stream for the receiver.
    Assign = 12: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// The end of a stream's stragglers.
    Fence = 13: Frames, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// A frame for its chosen node.
    Redirect = 14: Frames, Relayed, Now, MESSAGE_LEN_MAX;
    /// Digests of what the sender knows of the receiver's streams.
    Compare = 15: Control, Relayed, Now, DIGESTS_LEN_MAX;
    /// The end of what a comparison asked for.
    SyncEnd = 16: Control, Relayed, Now, DIGESTS_LEN_MAX;
    /// Announcements that go unanswered.
    Unheard = 17: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// A message that takes a detour.
    Relay = 18: Control, Direct, Now, CONTROL_MESSAGE_LEN_MAX;
    /// A frame that takes a detour.
    RelayFrame = 28: Frames, Direct, Now, MESSAGE_LEN_MAX;
    /// A frame that only the holder can place.
    Astray = 20: Frames, Relayed, Now, MESSAGE_LEN_MAX;
    /// A stream without room.
    Decline = 23: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
    /// A question to the whole cluster, or a piece of its answer.
    Inquiry = 27: Control, Relayed, Later, INQUIRY_LEN_MAX;
    /// A neighbour's new MAC.
    NeighbourChanged = 24: Control, Relayed, Now, SMALL_MESSAGE_LEN_MAX;
}

impl Message {
    /// True for a message that has a number and is sent again after a reconnect. A heartbeat is not: the next one says
    /// what is true by then. Frames are not: what does not fit is dropped.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.lane() == Lane::Control && !matches!(self, Self::Heartbeat(_))
    }
}
