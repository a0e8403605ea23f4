//! What the core tells: events, and the reason of every dropped frame.

use std::net::IpAddr;

use crate::flow::FlowKey;
use crate::id::{Epoch, Generation, Interface, Mac, NodeId};

/// A step of the method for one stream (US 7,969,991 B2, claim 1). M3 and M11, M8 and M12 are told by the node that
/// does them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The first packet of a stream arrived at the redirector of the interface where the stream opens.
    M1,
    /// That redirector made its session: stream to chosen node.
    M2,
    /// The packet was redirected to the chosen node.
    M3,
    /// The chosen node made a marker session.
    M4,
    /// The packet passed the chain of plugins.
    M5,
    /// A session announcement went to the other redirector.
    M6,
    /// The other redirector made its session and acknowledged.
    M7,
    /// The chosen node itself sent the packet out of the other interface.
    M8,
    /// A return packet arrived at the other redirector.
    M9,
    /// Its session named the chosen node.
    M10,
    /// The return packet was redirected to the chosen node.
    M11,
    /// The return packet passed the chain and the chosen node itself sent it out.
    M12,
}

/// Something that happened and can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step of the method; `node` is the other party, or the node itself.
    Step {
        /// Which step.
        step: Step,
        /// The packet's flow, as it arrived.
        flow: FlowKey,
        /// Redirected, announced or acknowledged to; else the node that tells.
        node: NodeId,
    },
    /// The chosen node may send: the other redirector acknowledged the announcement.
    Acknowledged {
        /// The opener's flow.
        flow: FlowKey,
        /// Who acknowledged.
        node: NodeId,
    },
    /// Another node won this stream; this node's marker session is gone.
    Refused {
        /// The opener's flow.
        flow: FlowKey,
        /// The winner; `None`: another stream has the return key.
        winner: Option<Generation>,
    },
    /// This node took over a stream that another node had.
    TakenOver {
        /// The opener's flow.
        flow: FlowKey,
        /// Counter of the new generation.
        generation: u32,
    },
    /// A stream that was given to another node stays at this one: no redirector heard of the other in time.
    TakenBack {
        /// The opener's flow.
        flow: FlowKey,
        /// The node it was given to.
        from: NodeId,
    },
    /// This redirector knows every stream of its interface.
    InSync {
        /// Which redirector, held or stood by for.
        interface: Interface,
    },
    /// A comparison found sessions whose streams their chosen node does not have.
    Mended {
        /// The chosen node.
        peer: NodeId,
        /// How many sessions were ended.
        sessions: usize,
    },
    /// A hold ran out before its acknowledgement.
    HoldTimedOut {
        /// The opener's flow.
        flow: FlowKey,
    },
    /// No plugin wants to see any more of a stream, and nothing of it ends: it only has to be forwarded.
    InterestEnded {
        /// The opener's flow.
        flow: FlowKey,
    },
    /// A stream ended on its chosen node.
    StreamEnded {
        /// The opener's flow.
        flow: FlowKey,
        /// Why.
        reason: EndReason,
    },
    /// The link to a peer is up.
    LinkUp {
        /// The peer.
        peer: NodeId,
    },
    /// The link to a peer is lost.
    LinkLost {
        /// The peer.
        peer: NodeId,
    },
    /// A member is silent on the mesh, but heard on an interface: it keeps its streams and gets no new ones.
    MemberCut {
        /// The member.
        node: NodeId,
    },
    /// A member is counted as dead.
    MemberDied {
        /// The member.
        node: NodeId,
    },
    /// The adverts of a holder do not come, although it answers probes: the network does not pass its multicast.
    AdvertsUnheard {
        /// On which interface.
        interface: Interface,
        /// The holder.
        holder: NodeId,
    },
    /// This node now knows another holder, which may be itself.
    HolderChanged {
        /// Of which redirector.
        interface: Interface,
        /// The epoch, with its holder; `None`: nobody holds it.
        epoch: Option<Epoch>,
    },
    /// Holding for a peer was suspended after repeated time-outs, or resumed.
    Breaker {
        /// The redirector that does not acknowledge.
        peer: NodeId,
        /// True while holding is suspended.
        open: bool,
    },
    /// A peer and this node refuse each other, or a peer this node, for what only people can mend: told once for each of its
    /// boots.
    KeptApart {
        /// The peer; of an id that is used twice, the id.
        peer: NodeId,
        /// The name of the `PeerError`.
        reason: &'static str,
    },
    /// A peer's configuration differs in what should be equal: told once for each of its boots.
    ConfigurationDiffers {
        /// The peer.
        peer: NodeId,
    },
    /// A router that is no member advertises a virtual router of the cluster: told once for each outbreak.
    ForeignRouter {
        /// The network.
        interface: Interface,
        /// Its address.
        address: IpAddr,
        /// The MAC its advert came from.
        mac: Mac,
        /// The virtual router.
        vrid: u8,
        /// Its priority.
        priority: u8,
    },
    /// This node has no room for new streams, or has it again.
    Full {
        /// True while it has none.
        full: bool,
    },
    /// The machine gives no more memory for one of the tables of sessions.
    ShortOfMemory {
        /// How many there is memory for.
        sessions: usize,
    },
    /// This node ends streams to make room for others; told now and then while that goes on.
    MakingRoom {
        /// One of these streams, by its opener's flow.
        flow: FlowKey,
        /// How many were ended so far.
        ended: u64,
    },
    /// A plugin failed too often and is not asked any more; its fault policy speaks for it.
    PluginSuspended {
        /// The plugin, by its manifest.
        plugin: &'static str,
    },
    /// A plugin of a node, which may be this one, is suspended and its fault policy ends what it would be asked about, so the
    /// node is passed over; or no longer.
    NodeSuspended {
        /// The node.
        node: NodeId,
        /// True while it is so.
        suspended: bool,
    },
    /// Every node that may be chosen is so, and they are chosen all the same; or no longer.
    AllSuspended {
        /// True while it is so.
        suspended: bool,
    },
}

impl Event {
    /// True for what comes once in a while, with roles, members, links and faults. The others come with streams and packets,
    /// so often that they must not push these out of a node's memory.
    #[must_use]
    pub fn is_rare(&self) -> bool {
        match self {
            Self::InSync { .. }
            | Self::Mended { .. }
            | Self::LinkUp { .. }
            | Self::LinkLost { .. }
            | Self::MemberCut { .. }
            | Self::MemberDied { .. }
            | Self::AdvertsUnheard { .. }
            | Self::HolderChanged { .. }
            | Self::Breaker { .. }
            | Self::Full { .. }
            | Self::ShortOfMemory { .. }
            | Self::MakingRoom { .. }
            | Self::KeptApart { .. }
            | Self::ConfigurationDiffers { .. }
            | Self::ForeignRouter { .. }
            | Self::PluginSuspended { .. }
            | Self::NodeSuspended { .. }
            | Self::AllSuspended { .. } => true,
            Self::Step { .. }
            | Self::Acknowledged { .. }
            | Self::Refused { .. }
            | Self::TakenOver { .. }
            | Self::TakenBack { .. }
            | Self::HoldTimedOut { .. }
            | Self::InterestEnded { .. }
            | Self::StreamEnded { .. } => false,
        }
    }
}

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

drop_reasons! {
    /// A header is cut short or contradicts itself.
    Malformed = "malformed",
    /// The IPv4 header checksum is wrong.
    IpChecksum = "ip-checksum",
    /// The checksum of an ICMP or ICMPv6 message to this node is wrong.
    IcmpChecksum = "icmp-checksum",
    /// A fragment; reassembly does not exist yet.
    Fragment = "fragment",
    /// A VLAN tag on an interface that has none.
    VlanTagged = "vlan-tagged",
    /// Neither ARP, IPv4 nor IPv6.
    EtherType = "ether-type",
    /// An address that may not be on a wire or may not be forwarded (RFC 1812, section 5.3.7; RFC 4291).
    Martian = "martian",
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
    /// TTL or hop limit ran out (ICMP time exceeded was sent).
    TtlExceeded = "ttl-exceeded",
    /// No route (ICMP unreachable was sent).
    NoRoute = "no-route",
    /// The neighbour does not answer (ICMP unreachable was sent).
    NeighbourSilent = "neighbour-silent",
    /// The queue for an unresolved neighbour is full.
    NeighbourQueueFull = "neighbour-queue-full",
    /// The neighbour table is full.
    NeighboursFull = "neighbours-full",
    /// Larger than the next network's MTU.
    TooBig = "too-big",
    /// The route leads back out of the interface the packet arrived at.
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
