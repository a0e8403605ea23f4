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

/// Whose packet or bytes these are, and when: what the contract's structures of both have alike. The view says its own `times`.
macro_rules! of_a_stream {
    () => {
        /// Number of the stream on this node.
        #[must_use]
        pub fn stream(&self) -> u64 {
            self.raw.stream
        }

        /// Who sent it.
        #[must_use]
        pub fn direction(&self) -> Direction {
            if self.from_opener() { Direction::FromOpener } else { Direction::ToOpener }
        }

        /// The opener of the stream sent it.
        #[must_use]
        pub fn from_opener(&self) -> bool {
            self.raw.direction == crate::abi::HERALD_DIRECTION_FROM_OPENER
        }

        /// The stream's mark when this came to the plugin.
        #[must_use]
        pub fn mark(&self) -> u32 {
            self.raw.mark
        }

        /// Now, as time since the beginning of the host's monotonic clock.
        #[must_use]
        pub fn now(&self) -> Duration {
            let (now, _) = self.times();
            Duration::from_nanos(now)
        }

        /// Now, as time since 1970-01-01 00:00 UTC.
        #[must_use]
        pub fn unix_now(&self) -> Duration {
            let (_, unix_now) = self.times();
            Duration::from_nanos(unix_now)
        }
    };
}
use of_a_stream;

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
