//! What nodes say to each other.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::configuration::Setting;
use super::{Message, codec};
use crate::flow::FlowKey;
use crate::id::{BootId, Epoch, Generation, Interface, Mac, NodeId, PerInterface};
use crate::limits::PADDING_LEN;
use crate::session::Life;

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
    /// What of the sender's configuration is compared; at most `limits::COMPARED_KEYS_MAX` keys.
    pub configuration: Vec<Setting>,
    /// The part of the cluster that the sender is in.
    pub side: Side,
}

/// A part of a cluster, as one of its nodes tells of it to one that may not take part: of two parts that cannot be one, the
/// greater goes on. The order is that of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Side {
    /// It takes roles: its wait for the others is over.
    pub serves: bool,
    /// Its nodes, as far as they are linked with this one.
    pub nodes: u8,
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
    /// The sender's redirector sessions of an interface are complete: as its holder, or as the warm standby.
    pub synced: PerInterface<bool>,
    /// The sender gives up its roles and its streams.
    pub draining: bool,
    /// A plugin of the sender is suspended, and what it would be asked about ends.
    pub suspended: bool,
    /// The sender has no room for new streams.
    pub full: bool,
    /// The sender's interface works.
    pub interfaces: PerInterface<bool>,
    /// The members that the sender hears on an interface itself.
    pub heard: PerInterface<Vec<NodeId>>,
    /// The peers to which the sender has a link.
    pub links: Vec<NodeId>,
    /// Empty in most heartbeats.
    pub padding: Padding,
}

/// Zeroes that make a message fill a whole packet of the mesh. Where long packets are lost and short ones pass, a link with
/// short messages only would count as up, and hang with the first long one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Padding(Vec<u8>);

impl fmt::Debug for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Padding {
    /// [`PADDING_LEN`] zeroes.
    #[must_use]
    pub fn whole() -> Self {
        Self(vec![0; PADDING_LEN])
    }

    /// True if it is no longer than any may be.
    pub(super) fn is_within_bounds(&self) -> bool {
        self.0.len() <= PADDING_LEN
    }
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

/// "This stream is yours now." A redirector says it of a stream whose chosen node died, a draining node of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assign {
    /// The opener's flow as it arrived.
    pub arrival: FlowKey,
    /// The flow of its return packets, where they arrive.
    pub return_key: FlowKey,
    /// The hash that chose the node, now and before.
    pub choice: u64,
    /// The new ownership; names the receiver.
    pub generation: Generation,
    /// Where the stream is in its life, if its owner hands it over itself: then stragglers and a fence follow.
    pub life: Option<Life>,
}

/// "No straggler of this stream comes after this." Travels behind the stragglers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The opener's flow as it arrived.
    pub arrival: FlowKey,
    /// The ownership that the stream was handed over to.
    pub generation: Generation,
}

/// A frame for the node that has its stream now, from one that had it or held it. It arrives there as if redirected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The interface where the frame arrived.
    pub interface: Interface,
    /// How often it may be handed over once more.
    pub hops: u8,
    /// Offload header and Ethernet bytes.
    #[serde(with = "super::wire")]
    pub wire: Vec<u8>,
}

/// A frame for its chosen node, where the mesh redirects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The interface where the frame arrived.
    pub interface: Interface,
    /// The sender's epoch for that interface.
    pub epoch: Epoch,
    /// Offload header and Ethernet bytes.
    #[serde(with = "super::wire")]
    pub wire: Vec<u8>,
}

/// "Whose stream is this?"
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Chosen by the asker; the answer has it too.
    pub id: u64,
    /// The key of the packets in question, where they arrive.
    pub key: FlowKey,
}

/// What the asked node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The query's id.
    pub id: u64,
    /// The queried key.
    pub key: FlowKey,
    /// What its redirector believes; `None`: it has no session.
    pub believed: Option<Generation>,
    /// The stream, if it is the asked node's own.
    pub owned: Option<Announce>,
}

/// "These are the digests of what I have of your streams; send me those of the buckets that differ."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// The redirector whose sessions are compared.
    pub interface: Interface,
    /// Its epoch, which the sender holds or stands by for.
    pub epoch: Epoch,
    /// Counts the sender's comparisons with the receiver; the answer has it too.
    pub round: u32,
    /// One digest for each of `limits::BUCKETS`.
    pub digests: Vec<u64>,
}

/// "That was all": ends what a [`Compare`] asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncEnd {
    /// The interface of the [`Compare`].
    pub interface: Interface,
    /// The epoch of the [`Compare`].
    pub epoch: Epoch,
    /// The round of the [`Compare`].
    pub round: u32,
    /// The buckets that differed; all their streams were sent.
    pub sent: Vec<u16>,
    /// The digests of the sender's streams now.
    pub digests: Vec<u64>,
}

/// "My announcements for this interface go unanswered, or were not made to you." The receiver does not know all of the
/// sender's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unheard {
    /// Whose redirector is meant.
    pub interface: Interface,
}

/// "I have no room for this stream." The redirector that chose the sender for it chooses another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// The opener's flow as it arrived.
    pub arrival: FlowKey,
}

/// "This neighbour has this MAC now; I have heard it answer." Changes what the receiver knows of a neighbour, once that has
/// answered the receiver, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourChanged {
    /// The network.
    pub interface: Interface,
    /// The neighbour.
    pub address: IpAddr,
    /// Its new MAC.
    pub mac: Mac,
}

/// A message for a node that its sender cannot reach, by way of one that both have links to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Who says it.
    pub source: NodeId,
    /// Whom it is for.
    pub target: NodeId,
    /// The message as it would travel over a link of theirs; never a relayed one.
    pub bytes: Vec<u8>,
}

/// The same of what takes the connection for frames: a frame, or the fence behind some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayFrame(pub Relay);

impl RelayFrame {
    /// False for a fence, and for what is no message.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        codec::decode_message(&self.0.bytes).is_some_and(|message| !matches!(message, Message::Fence(_)))
    }
}

/// A frame for the holder of the interface where it arrived, from a node that has not got its stream: a host sent it straight
/// to that node, or a frame of the network said that it was redirected. The holder steers it as if a host had sent it there,
/// and what it redirects of it goes over the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Astray {
    /// The interface where the frame arrived.
    pub interface: Interface,
    /// Offload header and Ethernet bytes.
    #[serde(with = "super::wire")]
    pub wire: Vec<u8>,
}

/// Which connection of a link a message takes. Announcements and frames never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lane {
    /// What nodes say: in order, nothing lost as long as both ends live.
    Control,
    /// Frames and the fences behind them: in order; what does not fit is dropped.
    Frames,
}

/// One query that a node puts to every other one, "what does your report say?", and the answer in pieces. The core carries the
/// bytes between the controls of two nodes and never looks into them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Chosen by the asker; all pieces of the answer have it too.
    pub id: u64,
    /// What these bytes are.
    pub part: InquiryPart,
    /// At most `limits::INQUIRY_PIECE_LEN_MAX`.
    #[serde(with = "super::wire")]
    pub bytes: Vec<u8>,
}

/// What the bytes of an [`Inquiry`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InquiryPart {
    /// The question.
    Question,
    /// A piece of the answer, of which more follow, in order.
    Piece,
    /// The last piece of the answer.
    LastPiece,
}
