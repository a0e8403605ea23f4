//! What is sent: cases of one packet or several, each with a number that its packets carry.

use std::collections::BTreeSet;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The host's name in the lab.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The last digit of the networks at this end: 10.1.0.0/24 and fd00:1::/64.
    pub(crate) fn digit(self) -> u8 {
        match self {
            Self::Client => 1,
            Self::Server => 2,
        }
    }
}

/// What is odd about a case, as far as a difference may be due to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trait {
    /// The checksum of TCP or UDP is wrong.
    TransportChecksum,
    /// TCP with ACK or RST of which no SYN was seen.
    Midstream,
    /// An ICMP error about a packet that was never sent.
    UnknownQuote,
    /// A fragment of a datagram does not come.
    Incomplete,
    /// A fragment comes twice.
    Duplicate,
    /// Two fragments overlap.
    Overlap,
    /// The first fragment has less than the transport's header.
    Tiny,
    /// A datagram in fragments.
    Fragments,
    /// No route leads to its source.
    UnroutedSource,
    /// Its source is on the other network.
    FarSource,
    /// Its source is an address of the gateway.
    OwnSource,
    /// Its source or destination is link-local.
    LinkLocal,
    /// Its source or destination is an IPv4-mapped one of IPv6, or it goes to the unspecified address.
    Martian,
    /// A unicast packet in a frame to a group.
    GroupFrame,
    /// A hop-by-hop option that says what becomes of the packet where it is not known, or whose header is no good.
    HopByHop,
    /// A routing header of type 0 with a segment left.
    SourceRoute,
    /// IPv4 options that contradict themselves.
    BadOptions,
    /// To an address of the gateway.
    ToGateway,
    /// Extension headers of IPv6.
    Extensions,
    /// Its way out is that of its arrival.
    Hairpin,
    /// The next hop is its sender.
    OnTheSpot,
    /// A length of 0, as jumbograms have it.
    Jumbo,
    /// No route leads to its destination.
    Unrouted,
    /// An ICMP message that this kernel does not know.
    NewIcmp,
    /// An ICMPv6 error of a new type.
    IcmpError,
    /// An ICMP timestamp request.
    TimeQuestion,
    /// A solicitation that was sent to the one it asks for.
    UnicastQuestion,
    /// A question for an address of another network.
    OtherNetwork,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The gateway.
    Gateway,
    Mac([u8; 6]),
}

/// A frame to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) from: End,
    pub(crate) to: To,
    /// The VLAN tag in front of it.
    pub(crate) tag: Option<u16>,
    pub(crate) ether_type: u16,
    pub(crate) payload: Vec<u8>,
}

impl Sent {
    pub(crate) fn ip(from: End, packet: Vec<u8>) -> Self {
        let ether_type = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
        Self { from, to: To::Gateway, tag: None, ether_type, payload: packet }
    }
}

/// Some frames that belong together, and what becomes of them is compared together.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) number: u16,
    pub(crate) what: String,
    pub(crate) traits: BTreeSet<Trait>,
    /// Frames that are sent one after the other; those of a round when those of the one before are through.
    pub(crate) rounds: Vec<Vec<Sent>>,
}

impl Case {
    pub(crate) fn new(number: u16) -> Self {
        Self { number, what: String::new(), traits: BTreeSet::new(), rounds: Vec::new() }
    }

    pub(crate) fn has(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }

    pub(crate) fn frames(&self) -> usize {
        self.rounds.iter().map(Vec::len).sum()
    }

    /// Adds to its description.
    pub(crate) fn say(&mut self, what: &str) {
        if !self.what.is_empty() {
            self.what.push_str(", ");
        }
        self.what.push_str(what);
    }
}
