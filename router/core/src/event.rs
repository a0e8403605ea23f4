//! What the core tells: events, why a stream ended, and why a frame was dropped.

mod drop_reason;
mod end_reason;

use std::net::IpAddr;

use crate::flow::{FlowKey, SourceNetwork};
use crate::id::{Epoch, Generation, Interface, Mac, NodeId};

pub use drop_reason::DropReason;
pub use end_reason::EndReason;

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

/// A fault of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginFault {
    /// The plugin, by its manifest.
    pub plugin: &'static str,
    /// What failed: a hook, or what the plugin said.
    pub cause: &'static str,
    /// Who opened the stream.
    pub source: SourceNetwork,
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
    /// The adverts of a holder do not come, although it answers challenges: the network does not pass its multicast.
    AdvertsUnheard {
        /// On which interface.
        interface: Interface,
        /// The holder.
        holder: NodeId,
    },
    /// Nobody hears a member on an interface, or it hears nobody there, frames to groups included, although others hear each
    /// other; or that is over. It takes no role there and gets no new streams.
    InterfaceUnheard {
        /// The member, which may be this node.
        node: NodeId,
        /// On which interface.
        interface: Interface,
        /// False when that is over.
        unheard: bool,
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
    /// A peer acknowledges announcements only after the hold for them has run out, or in time again.
    AcknowledgesLate {
        /// The redirector.
        peer: NodeId,
        /// True while it is late.
        late: bool,
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
    /// Another host uses an address of this node or of the cluster: told once for each outbreak.
    AddressConflict {
        /// The network.
        interface: Interface,
        /// The address.
        address: IpAddr,
        /// The MAC that claims it.
        mac: Mac,
    },
    /// Two hosts answer for one address: told once for each outbreak.
    NeighbourConflict {
        /// The network.
        interface: Interface,
        /// The address.
        address: IpAddr,
        /// The MAC that had it and keeps it.
        mac: Mac,
        /// The other one.
        rival: Mac,
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
    /// A plugin failed in too large a share of what it was asked, or failed when it was tried: it is not asked for some time,
    /// and its fault policy speaks for it.
    PluginSuspended {
        /// The last fault.
        fault: PluginFault,
    },
    /// A plugin that was suspended has judged a packet, and is asked as ever.
    PluginResumed {
        /// The plugin, by its manifest.
        plugin: &'static str,
    },
    /// A plugin failed too often at streams of one source: for what that source opens, its fault policy speaks until some of
    /// the faults are forgiven.
    SourceLimited {
        /// The last fault.
        fault: PluginFault,
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
            | Self::InterfaceUnheard { .. }
            | Self::HolderChanged { .. }
            | Self::Breaker { .. }
            | Self::AcknowledgesLate { .. }
            | Self::Full { .. }
            | Self::ShortOfMemory { .. }
            | Self::MakingRoom { .. }
            | Self::KeptApart { .. }
            | Self::ConfigurationDiffers { .. }
            | Self::ForeignRouter { .. }
            | Self::AddressConflict { .. }
            | Self::NeighbourConflict { .. }
            | Self::PluginSuspended { .. }
            | Self::PluginResumed { .. }
            | Self::SourceLimited { .. }
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
