//! What a plugin sees: packets, streams and their ends, as safe views of the contract's structures.

mod bytes;
mod packet;
mod stream;

pub use bytes::StreamBytes;
pub use packet::{Checksum, Packet, Segmentation};
pub use stream::{End, EndReason, Expected, StreamInfo};

use crate::abi;

/// What may be said in a hook about the stream that it is about.
macro_rules! stream_effects {
    () => {
        /// The stream has this mark from now on: later plugins and reports see it.
        ///
        /// # Errors
        /// [`Refused`](crate::Refused) says why not.
        pub fn set_mark(&self, mark: u32) -> Result<(), crate::Refused> {
            crate::host::set_mark(self.at(), mark)
        }

        /// Notes a value under a name, for later plugins and for reports, as in `note("sni", "example.org")`. A later value
        /// takes the place of the former one.
        ///
        /// # Errors
        /// The stream has as many notes as it may have, or a text is too long.
        pub fn note(&self, name: &str, value: &str) -> Result<(), crate::Refused> {
            crate::host::note(self.at(), name, value)
        }

        /// What was noted under a name, copied into `room`.
        #[must_use]
        pub fn noted<'b>(&self, name: &str, room: &'b mut [u8]) -> Option<&'b str> {
            crate::host::noted(self.at(), name, room)
        }

        /// Calls [`Plugin::timer`](crate::Plugin::timer) for this stream once, after this time, with this token.
        /// Reserved: not yet built, and always [`Refused::NoCall`](crate::Refused::NoCall).
        ///
        /// # Errors
        /// Too many timers wait.
        pub fn timer(&self, after: Duration, token: u64) -> Result<(), crate::Refused> {
            crate::host::timer(self.at(), after, token)
        }

        /// Expects a related stream. Reserved: not yet built, and always [`Refused::NoCall`](crate::Refused::NoCall).
        ///
        /// # Errors
        /// Too many are expected.
        pub fn expect(&self, expected: &crate::Expected) -> Result<(), crate::Refused> {
            crate::host::expect(self.at(), expected)
        }
    };
}
use stream_effects;

/// Who sent a packet, seen from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the opener of the stream.
    FromOpener,
    /// To the opener.
    ToOpener,
}

/// One of the two networks the cluster sits between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// The first network.
    First,
    /// The second network.
    Second,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::FromOpener => Self::ToOpener,
            Self::ToOpener => Self::FromOpener,
        }
    }

    pub(crate) const fn to_abi(self) -> u8 {
        match self {
            Self::FromOpener => abi::HERALD_DIRECTION_FROM_OPENER,
            Self::ToOpener => abi::HERALD_DIRECTION_TO_OPENER,
        }
    }
}

impl Interface {
    /// `"first"` or `"second"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }

    const fn from_abi(number: u8) -> Self {
        if number == abi::HERALD_INTERFACE_FIRST { Self::First } else { Self::Second }
    }
}

/// What the router parsed of a packet's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP: ports and control bits.
    Tcp,
    /// UDP: ports.
    Udp,
    /// ICMP or ICMPv6 echo: both ports are the identifier.
    Echo,
    /// An ICMP or ICMPv6 error that quotes a packet of this stream.
    IcmpError,
    /// Anything else.
    Other,
}
