//! What a packet without a session may be.

use crate::packet::{Headers, Transport};

/// What to do with TCP in mid-stream that no session knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Midstream {
    /// Take it up, as if it were new.
    PickUp,
    /// Drop it.
    Drop,
    /// Drop it, and reset its sender, as an end does that knows no such connection (RFC 9293, section 3.10.7.1).
    Reset,
}

/// What a packet without a session may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A TCP SYN, which opens a connection.
    Connects,
    /// A packet that may open a stream without connection: a datagram, an echo, any other protocol, TCP with flags that mean
    /// nothing.
    Opens,
    /// TCP in mid-stream.
    Midstream,
    /// An ICMP error about a stream.
    Quotes,
}

impl Opening {
    /// What a packet with these headers may be.
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        match headers.transport {
            Transport::Tcp { flags, .. } if flags.opens() => Self::Connects,
            Transport::Tcp { flags, .. } if flags.ack() || flags.rst() => Self::Midstream,
            // No end takes such a segment for one of its connection.
            Transport::Tcp { .. } => Self::Opens,
            Transport::IcmpError { .. } => Self::Quotes,
            Transport::Udp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::Discovery { .. }
            | Transport::Other => Self::Opens,
        }
    }
}
