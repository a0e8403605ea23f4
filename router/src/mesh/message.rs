//! What nodes say to each other.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::FlowKey;
use crate::id::{BootId, Epoch, Generation, Interface, Mac, NodeId, PerInterface};

/// The first message of each side of a link: who speaks, and what it understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest protocol version the sender speaks.
    pub version_min: u16,
    /// Newest protocol version the sender speaks.
    pub version_max: u16,
    /// Name of the cluster; only equal ones talk.
    pub cluster: String,
    /// The sender.
    pub node: NodeId,
    /// The sender's boot.
    pub boot: BootId,
    /// The sender's own MAC on each interface.
    pub macs: PerInterface<Mac>,
    /// The sender's own addresses on each interface.
    pub addresses: PerInterface<Vec<IpAddr>>,
    /// Digest of the settings that must be equal on all members.
    pub config_digest: u64,
}

/// Sent every heartbeat interval: the sender's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The sender's priority for each redirector; the highest living priority holds.
    pub priorities: PerInterface<u8>,
    /// The epoch the sender obeys on each interface.
    pub epochs: PerInterface<Option<Epoch>>,
    /// The sender's weight for choosing; 0: never.
    pub weight: u16,
    /// The sender may be chosen and may hold a role.
    pub in_sync: bool,
    /// The sender's interface works.
    pub interfaces: PerInterface<bool>,
    /// The peers to which the sender has a link.
    pub links: Vec<NodeId>,
}

/// "I hold this redirector in this epoch."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which redirector.
    pub interface: Interface,
    /// In which epoch; names the holder, who is the sender, or another in the answer to a claim in a lower epoch.
    pub epoch: Epoch,
}

/// "Return packets of this stream are mine." Sent by the chosen node, which the generation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// The opener's flow as it arrived.
    pub arrival: FlowKey,
    /// The flow of its return packets, where they will arrive.
    pub return_key: FlowKey,
    /// The hash that chose the node.
    pub choice: u64,
    /// The chosen node's boot.
    pub boot: BootId,
    /// The ownership announced.
    pub generation: Generation,
}

/// "My redirector has the session."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The announced return key.
    pub return_key: FlowKey,
    /// The ownership acknowledged.
    pub generation: Generation,
    /// The sender's epoch for the return key's interface.
    pub epoch: Epoch,
}

/// "Another has this stream, or this key."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// The announced return key.
    pub return_key: FlowKey,
    /// The ownership refused.
    pub generation: Generation,
    /// The winner; `None`: the return key belongs to another stream.
    pub winner: Option<Generation>,
}

/// "These streams of mine are alive." Both keys of each stream and its generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The streams; bounded by `limits::REFRESH_STREAMS_MAX`.
    pub streams: Vec<Announce>,
}

/// "This stream of mine has ended."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The opener's flow as it arrived.
    pub arrival: FlowKey,
    /// The flow of its return packets.
    pub return_key: FlowKey,
    /// The ownership that ends.
    pub generation: Generation,
}

/// A frame that a refused node held, for the node that won its stream. It arrives there as if redirected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The interface where the frame arrived.
    pub interface: Interface,
    /// Offload header and Ethernet bytes.
    pub wire: Vec<u8>,
}

/// "Whose stream is this?" Asked for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Chosen by the asker; the answer has it too.
    pub id: u64,
    /// The key of the packets in question, where they arrive.
    pub key: FlowKey,
}

/// What the asked redirector believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The query's id.
    pub id: u64,
    /// The queried key.
    pub key: FlowKey,
    /// The ownership; `None`: it has no session.
    pub generation: Option<Generation>,
}

/// What travels over an established link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The sender's view.
    Heartbeat(Heartbeat),
    /// A role.
    Claim(Claim),
    /// A session announcement.
    Announce(Announce),
    /// Its positive answer.
    Acknowledge(Acknowledge),
    /// Its negative answer.
    Refuse(Refuse),
    /// Streams that live on.
    Refresh(Refresh),
    /// A stream that ended.
    Close(Close),
    /// A held frame for the winner.
    Handover(Handover),
    /// A question about a stream.
    Query(Query),
    /// Its answer.
    Answer(Answer),
}
