//! The kinds of messages: their numbers on the wire and their greatest lengths.

use crate::limits;
use crate::mesh::Message;

/// Declares the kinds with their numbers, so that both ways agree.
macro_rules! kinds {
    ($($variant:ident = $number:literal,)*) => {
        /// The kinds of this version. A number is never given to another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($variant,)* }

        impl Kind {
            pub(super) fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            pub(super) fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    Hello = 1,
    Heartbeat = 2,
    Claim = 3,
    Announce = 4,
    Acknowledge = 5,
    Refuse = 6,
    Refresh = 7,
    Close = 8,
    Handover = 9,
    Query = 10,
    Answer = 11,
    Assign = 12,
    Fence = 13,
    Redirect = 14,
    Compare = 15,
    SyncEnd = 16,
    Unheard = 17,
    Relay = 18,
    Received = 19,
}

impl Kind {
    /// The kind of a message.
    pub(super) fn of(message: &Message) -> Self {
        match message {
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::Claim(_) => Self::Claim,
            Message::Announce(_) => Self::Announce,
            Message::Acknowledge(_) => Self::Acknowledge,
            Message::Refuse(_) => Self::Refuse,
            Message::Refresh(_) => Self::Refresh,
            Message::Close(_) => Self::Close,
            Message::Assign(_) => Self::Assign,
            Message::Fence(_) => Self::Fence,
            Message::Handover(_) => Self::Handover,
            Message::Redirect(_) => Self::Redirect,
            Message::Query(_) => Self::Query,
            Message::Answer(_) => Self::Answer,
            Message::Compare(_) => Self::Compare,
            Message::SyncEnd(_) => Self::SyncEnd,
            Message::Unheard(_) => Self::Unheard,
            Message::Relay(_) => Self::Relay,
        }
    }

    /// The greatest length of kind and body, in bytes.
    pub(super) fn len_max(self) -> usize {
        match self {
            Self::Hello => limits::HELLO_LEN_MAX,
            Self::Heartbeat => limits::HEARTBEAT_LEN_MAX,
            Self::Claim
            | Self::Announce
            | Self::Acknowledge
            | Self::Refuse
            | Self::Close
            | Self::Assign
            | Self::Fence
            | Self::Unheard
            | Self::Query
            | Self::Answer
            | Self::Received => limits::SMALL_MESSAGE_LEN_MAX,
            Self::Compare | Self::SyncEnd => limits::DIGESTS_LEN_MAX,
            Self::Refresh | Self::Relay => limits::CONTROL_MESSAGE_LEN_MAX,
            Self::Handover | Self::Redirect => limits::MESSAGE_LEN_MAX,
        }
    }
}
