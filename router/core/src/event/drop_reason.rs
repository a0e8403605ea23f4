//! Why a frame was dropped.

/// Declares the drop reasons with their names, so that no reason lacks one.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame ended here. Every dropped frame has one, and each is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        impl DropReason {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in logs, reports and JSON.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

impl DropReason {
    /// True for what plugins ended.
    #[must_use]
    pub fn is_verdict(self) -> bool {
        matches!(self, Self::Verdict | Self::Rejected | Self::PluginFault)
    }
}

drop_reasons! {
    /// A header is cut short or contradicts itself.
    Malformed = "malformed",
    /// The IPv4 header checksum is wrong.
    IpChecksum = "ip-checksum",
    /// The TCP or UDP checksum is wrong: no end would take the packet.
    TransportChecksum = "transport-checksum",
    /// The checksum of an ICMP or ICMPv6 message to this node is wrong.
    IcmpChecksum = "icmp-checksum",
    /// `strict`: an extension header that is cut short, out of place or one of too many, or that only its destination knows.
    OddHeader = "odd-header",
    /// `strict`: a transport header that is cut short or contradicts itself.
    OddTransport = "odd-transport",
    /// `strict`: the length of a UDP header is not that of the packet.
    OddUdpLength = "odd-udp-length",
    /// `strict`: UDP over IPv6 without a checksum.
    OddUdpChecksum = "odd-udp-checksum",
    /// `strict`: control bits of TCP that no end sends together.
    OddTcpFlags = "odd-tcp-flags",
    /// `strict`: a protocol number that is not assigned.
    OddProtocol = "odd-protocol",
    /// A fragment of what may not be fragmented: neighbour discovery (RFC 6980), or a fragment.
    Fragment = "fragment",
    /// A first fragment without all headers up to the transport's (RFC 7112; RFC 1858).
    FragmentTiny = "fragment-tiny",
    /// A fragment that is empty, is not the last and no multiple of 8 bytes long, or makes a packet too long.
    FragmentSize = "fragment-size",
    /// A fragment that came twice.
    FragmentDuplicate = "fragment-duplicate",
    /// A fragment of a datagram of which two overlap or contradict each other (RFC 5722).
    FragmentOverlap = "fragment-overlap",
    /// A fragment of a datagram that came in too many.
    FragmentsMany = "fragments-many",
    /// A fragment made room for others: too many wait, or too many of its source.
    FragmentsFull = "fragments-full",
    /// The rest of a fragment's datagram did not come in time (ICMP time exceeded was sent if the first was there).
    FragmentTimedOut = "fragment-timed-out",
    /// A VLAN tag on an interface that has none, or a second one.
    VlanTagged = "vlan-tagged",
    /// Not the VLAN tag of the interface, or none.
    WrongVlan = "wrong-vlan",
    /// Neither ARP, IPv4 nor IPv6.
    EtherType = "ether-type",
    /// An address that may not be on a wire or may not be forwarded (RFC 1812, section 5.3.7; RFC 4291).
    Martian = "martian",
    /// There is no route to the packet's source, or it leads over another interface than that of its arrival (RFC 3704).
    ReversePath = "reverse-path",
    /// Its source says by which routers it is to go (RFC 7126, sections 4.3 and 4.4; RFC 5095).
    SourceRoute = "source-route",
    /// Multicast or broadcast that is not for this node; none is forwarded.
    Multicast = "multicast",
    /// Ethernet destination is neither this node's MAC nor one it answers for (switches flood).
    OtherMac = "other-mac",
    /// To the virtual MAC, but another node holds this redirector.
    NotHolder = "not-holder",
    /// This node does not take part yet: no member has admitted it.
    NotAdmitted = "not-admitted",
    /// A transit packet to this node's MAC that did not come from the holder, and there is none to ask, or it was forged.
    NotFromHolder = "not-from-holder",
    /// Too many packets came to this node of which the holder has to say whose they are.
    AstrayRate = "astray-rate",
    /// A member's frame came to the virtual MAC: it is no transit ingress.
    MemberSource = "member-source",
    /// An address of the cluster was asked for something it does not answer.
    LocalUnhandled = "local-unhandled",
    /// Too many frames of the key wait for an answer.
    ParkFull = "park-full",
    /// Too many frames wait for answers.
    ParkingFull = "parking-full",
    /// The members were asked about too many keys.
    QueryRate = "query-rate",
    /// Not every member that may own the stream answered in time.
    QueryTimedOut = "query-timed-out",
    /// The node that the stream was assigned to did not announce it in time.
    MoveTimedOut = "move-timed-out",
    /// Its stream was handed over more often than a frame may follow it.
    Straggler = "straggler",
    /// Too many frames of streams that were handed over wait for their fence.
    FencedFull = "fenced-full",
    /// TCP in mid-stream without a session.
    MidStream = "mid-stream",
    /// An ICMP error about a stream that no session knows.
    UnknownQuote = "unknown-quote",
    /// No member may be chosen.
    NoCandidate = "no-candidate",
    /// The chosen node has left.
    ChosenGone = "chosen-gone",
    /// The table of redirector sessions is full.
    RedirectorSessionsFull = "redirector-sessions-full",
    /// The table of marker sessions is full.
    MarkerSessionsFull = "marker-sessions-full",
    /// The packet's source has as many streams at this node as one may have.
    SourceSessionsFull = "source-sessions-full",
    /// All nodes that may be chosen are full.
    NodesFull = "nodes-full",
    /// Its stream made room for others.
    Evicted = "evicted",
    /// The stream's key is still that of a finished stream.
    Tombstone = "tombstone",
    /// A plugin's verdict.
    Verdict = "verdict",
    /// A plugin rejected the stream.
    Rejected = "rejected",
    /// A plugin failed and its fault policy is closed.
    PluginFault = "plugin-fault",
    /// In order for plugins: what is said to be TCP is no segment that an end reads.
    TcpNoSegment = "tcp-no-segment",
    /// In order for plugins: a segment behind IPv6 options for which its receiver may discard it.
    TcpOddOptions = "tcp-odd-options",
    /// In order for plugins: a signed segment that nobody agreed on, or that would have to be changed (RFC 2385; RFC 5925).
    TcpSignature = "tcp-signature",
    /// In order for plugins: control bits that no end sends together.
    TcpFlags = "tcp-flags",
    /// In order for plugins: a segment that does not acknowledge, as all behind a SYN must.
    TcpNoAcknowledgement = "tcp-no-acknowledgement",
    /// In order for plugins: data before the handshake is over.
    TcpNotOpen = "tcp-not-open",
    /// In order for plugins: a timestamp that is older than what came before (RFC 7323, section 5).
    TcpTimestamp = "tcp-timestamp",
    /// In order for plugins: a segment that ends behind the receiver's window.
    TcpBeyondWindow = "tcp-beyond-window",
    /// In order for plugins: data that asks a closed window; the router asks in its place.
    TcpWindowProbe = "tcp-window-probe",
    /// In order for plugins: a segment that is older than any window is long.
    TcpTooOld = "tcp-too-old",
    /// In order for plugins: a segment that acknowledges what was not sent.
    TcpAcknowledgesUnsent = "tcp-acknowledges-unsent",
    /// In order for plugins: a segment that acknowledges less than an end would still say (RFC 5961, section 5).
    TcpAcknowledgesLongAgo = "tcp-acknowledges-long-ago",
    /// In order for plugins: a SYN in an open connection (RFC 5961, section 4); the router challenges it.
    TcpSynInConnection = "tcp-syn-in-connection",
    /// In order for plugins: a RST that is not exactly in sequence (RFC 5961, section 3).
    TcpResetOutOfSequence = "tcp-reset-out-of-sequence",
    /// In order for plugins: a segment behind a RST.
    TcpAfterReset = "tcp-after-reset",
    /// In order for plugins: data behind its sender's FIN.
    TcpAfterFin = "tcp-after-fin",
    /// In order for plugins: a FIN where its sender had sent data, or another FIN.
    TcpFalseFin = "tcp-false-fin",
    /// In order for plugins: bytes that differ from the first copy.
    TcpConflict = "tcp-conflict",
    /// In order for plugins: urgent data.
    TcpUrgent = "tcp-urgent",
    /// In order for plugins: the stream keeps as many bytes as it may.
    TcpStreamBytes = "tcp-stream-bytes",
    /// In order for plugins: as many pieces wait behind holes of the stream as may.
    TcpStreamPieces = "tcp-stream-pieces",
    /// In order for plugins: all streams together keep as many bytes as they may.
    TcpAllBytes = "tcp-all-bytes",
    /// In order for plugins: as many streams are put in order as may be.
    TcpAllStreams = "tcp-all-streams",
    /// In order for plugins: a stream that had begun before it came to this node.
    TcpMidstream = "tcp-midstream",
    /// TTL or hop limit ran out (ICMP time exceeded was sent).
    TtlExceeded = "ttl-exceeded",
    /// No route (ICMP unreachable was sent).
    NoRoute = "no-route",
    /// The neighbour does not answer (ICMP unreachable was sent).
    NeighbourSilent = "neighbour-silent",
    /// The queue for an unresolved neighbour is full.
    NeighbourQueueFull = "neighbour-queue-full",
    /// Too many neighbours were asked for and had not answered: this one was the oldest, or the oldest of its source.
    NeighboursFull = "neighbours-full",
    /// Larger than the next network's MTU.
    TooBig = "too-big",
    /// The route leads back to the host that the packet is from.
    SameInterface = "same-interface",
    /// The stream's hold is full.
    HoldFull = "hold-full",
    /// All holds together are full.
    HoldsFull = "holds-full",
    /// The hold ran out, and the return packets would not find this node.
    HoldTimedOut = "hold-timed-out",
    /// Another node won the stream and cannot be reached.
    Refused = "refused",
    /// The return packets would have the key of another stream.
    ReturnKeyTaken = "return-key-taken",
    /// A frame that awaits its sender's claim found no place or no claim.
    ClaimWait = "claim-wait",
    /// A frame that was handed over before the assignment of its stream found no place or no assignment.
    AssignWait = "assign-wait",
    /// The TAP did not take the frame.
    TapFull = "tap-full",
    /// The TAP refused the frame.
    TapError = "tap-error",
    /// Too many frames wait for the peer that should have this one.
    MeshQueueFull = "mesh-queue-full",
    /// The peer that should have the frame cannot be reached over the mesh now.
    MeshUnreachable = "mesh-unreachable",
    /// An advert crossed a router: its TTL or hop limit is not 255 (RFC 9568, section 7.1).
    VrrpHopLimit = "vrrp-hop-limit",
    /// An advert of another version of VRRP than 3.
    VrrpVersion = "vrrp-version",
    /// A VRRP message that is no advert.
    VrrpType = "vrrp-type",
    /// An advert without addresses, cut short, or longer than its addresses.
    VrrpLength = "vrrp-length",
    /// The checksum of an advert is wrong.
    VrrpChecksum = "vrrp-checksum",
    /// An advert for another virtual router.
    VrrpVrid = "vrrp-vrid",
    /// An advert for other addresses than the cluster's.
    VrrpAddresses = "vrrp-addresses",
    /// An advert that comes from no member: by its address, or not by the virtual MAC.
    VrrpStranger = "vrrp-stranger",
    /// An advert that contradicts what its sender says over a living link.
    VrrpContradicts = "vrrp-contradicts",
    /// An advert of a member that has neither a living link nor answered a challenge on this interface of late.
    VrrpUnproven = "vrrp-unproven",
    /// A challenge or an answer that comes from no member's MAC.
    ProbeStranger = "probe-stranger",
    /// Too many challenges or answers come from one member's MAC.
    ProbeRate = "probe-rate",
    /// An answer to no open challenge: a second one, a late one, or to what was never asked.
    ProbeStale = "probe-stale",
    /// A challenge or an answer whose tag its sender did not make for this node's present boot.
    ProbeUnproven = "probe-unproven",
    /// Another host says that it has an address of this node or of the cluster.
    AddressConflict = "address-conflict",
    /// No buffer was free.
    PoolEmpty = "pool-empty",
    /// Its stream ended because the node stops.
    Stopping = "stopping",
    /// The program met a state that must not be; debug builds stop there.
    Internal = "internal",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_reasons_have_distinct_names_and_dense_numbers() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len());
        for (number, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
    }
}
