//! What is odd about a packet and yet forwarded as any router does, unless it is configured to be strict.

use super::TcpFlags;
use crate::event::DropReason;

/// What is odd about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Nothing.
    No,
    /// An IPv6 extension header that is cut short, out of place or one of too many, that has an option which a destination
    /// discards unless it knows it, or a way that is not at its end.
    Header,
    /// The transport header is cut short, or a TCP header's length is none.
    Transport,
    /// The length of a UDP header is not that of the packet.
    UdpLength,
    /// A UDP packet over IPv6 without a checksum.
    UdpChecksum,
    /// Control bits of TCP that no end sends together.
    TcpFlags,
    /// A protocol number that is not assigned, or an IPv6 extension header's in IPv4.
    Protocol,
}

impl Odd {
    /// Why it is dropped by a node that is strict.
    #[must_use]
    pub fn reason(self) -> Option<DropReason> {
        Some(match self {
            Self::No => return None,
            Self::Header => DropReason::OddHeader,
            Self::Transport => DropReason::OddTransport,
            Self::UdpLength => DropReason::OddUdpLength,
            Self::UdpChecksum => DropReason::OddUdpChecksum,
            Self::TcpFlags => DropReason::OddTcpFlags,
            Self::Protocol => DropReason::OddProtocol,
        })
    }

    /// What is odd about the control bits of a TCP segment.
    pub(super) fn of_flags(flags: TcpFlags) -> Self {
        match (flags.syn(), flags.ack(), flags.fin(), flags.rst()) {
            (true, _, false, false) | (false, _, false, true) | (false, true, _, false) => Self::No,
            (true | false, true | false, true | false, true | false) => Self::TcpFlags,
        }
    }

    /// What is odd about a protocol number, by IANA's list of 2025.
    pub(super) fn of_protocol(protocol: u8, is_ipv6: bool) -> Self {
        match protocol {
            148..=255 => Self::Protocol,
            0 | 43 | 44 | 60 if !is_ipv6 => Self::Protocol,
            _ => Self::No,
        }
    }
}
