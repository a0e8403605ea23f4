//! Why a link was refused or lost. Each reason has a name, under which it is counted and reported.

use std::net::SocketAddr;

use super::message::Side;
use crate::id::{BootId, NodeId};

/// Why a link was refused or lost: it accuses the peer, ends that link, and touches nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The peer belongs to another cluster.
    #[error("it belongs to the cluster {theirs:?}, this node to {ours:?}")]
    WrongCluster {
        /// This node's cluster.
        ours: String,
        /// The peer's.
        theirs: String,
    },
    /// The peer speaks only older or only newer protocol versions.
    #[error("it speaks protocol versions {} to {}, this node {} to {}", theirs.0, theirs.1, ours.0, ours.1)]
    NoCommonVersion {
        /// Oldest and newest version of this node.
        ours: (u16, u16),
        /// Oldest and newest version of the peer.
        theirs: (u16, u16),
    },
    /// Another node answers at a peer's address.
    #[error("node {found} answers at the address of node {expected}")]
    NotExpected {
        /// Who was dialled.
        expected: NodeId,
        /// Who answered.
        found: NodeId,
    },
    /// The peer's configuration differs in what must be equal.
    #[error(
        "its configuration is another: {} must be equal on all nodes; compare both files and restart one node",
        keys.join(", ")
    )]
    OtherConfiguration {
        /// The peer.
        node: NodeId,
        /// Its boot.
        boot: BootId,
        /// The part of the cluster that it is in.
        side: Side,
        /// The keys.
        keys: Vec<String>,
    },
    /// The peer has the id of a member whose own link has just answered.
    #[error("node {node} is a member already, at {member}, and lives: give one of the two another id and certificate")]
    IdTwice {
        /// The id.
        node: NodeId,
        /// The boot of the one that was refused.
        boot: BootId,
        /// Where the member's link comes from.
        member: SocketAddr,
    },
    /// The peer says that it has a living link with another node of this node's id.
    #[error("this node's id is taken: {node} has a member of this id at {member}, which lives; give one another id")]
    IdTaken {
        /// The peer.
        node: NodeId,
        /// Where the other one's link comes from.
        member: SocketAddr,
    },
    /// The peer is no configured member.
    #[error("node {node} is not among this node's peers")]
    UnknownNode {
        /// Who it says it is.
        node: NodeId,
    },
    /// The peer has this node's own id: this node dialled itself, or an id is used twice.
    #[error("it has this node's own id")]
    OwnId,
    /// The peer dialled, but the lower id dials the higher: it only says that it is there.
    #[error("node {node} dialled, but it is for this node to dial")]
    WrongDirection {
        /// The peer.
        node: NodeId,
    },
    /// A newer connection of the same node said hello first.
    #[error("node {node} already has a newer link")]
    OlderLink {
        /// The peer.
        node: NodeId,
    },
    /// A newer connection of the same node took this link's place.
    #[error("a newer link of the same node took its place")]
    Replaced,
    /// Something came before the hello.
    #[error("a message of kind {kind} came before the hello")]
    MessageBeforeHello {
        /// The message's kind.
        kind: u16,
    },
    /// A numbered message is missing, or one was acknowledged that was never sent.
    #[error("the number {number} does not go on where the talk was")]
    WrongNumber {
        /// The number.
        number: u64,
    },
    /// A message without a number that needs one, or on the connection of the other kind of messages.
    #[error("a message of kind {kind} came over the wrong connection")]
    WrongLane {
        /// The message's kind.
        kind: u16,
    },
    /// A connection for frames of a node that has no control connection, or with another boot.
    #[error("node {node} has no control connection beside it")]
    NoControl {
        /// The peer.
        node: NodeId,
    },
    /// The control connection beside this one has ended.
    #[error("the control connection beside it has ended")]
    ControlLost,
    /// The certificate was issued by another authority.
    #[error("its certificate is not of this cluster's authority")]
    OtherAuthority,
    /// The certificate is not valid any more.
    #[error("its certificate has expired")]
    CertificateExpired,
    /// The certificate is not valid yet.
    #[error("its certificate is not valid yet; compare the clocks")]
    CertificateNotYetValid,
    /// The certificate names another node.
    #[error("it is node {said} by its word, and node {certified} by its certificate")]
    CertificateOfAnother {
        /// The node in the certificate.
        certified: NodeId,
        /// The node in the hello.
        said: NodeId,
    },
    /// The certificate names no node.
    #[error("its certificate names no node")]
    CertificateOfNobody,
    /// No certificate came.
    #[error("it has no certificate")]
    NoCertificate,
    /// The certificate cannot be used.
    #[error("its certificate is no good: {why}")]
    BadCertificate {
        /// What is wrong with it.
        why: String,
    },
    /// The peer refuses the secure connection, most likely this node's certificate.
    #[error("it refuses this node's certificate or connection: {why}; its own log says more")]
    RefusedByPeer {
        /// The alert.
        why: String,
    },
    /// What came is no TLS.
    #[error("it does not speak TLS")]
    NotTls,
    /// The secure connection cannot be had, or broke.
    #[error("no secure connection with it: {why}")]
    Insecure {
        /// What is wrong.
        why: String,
    },
    /// A second hello on one link.
    #[error("a second hello came")]
    SecondHello,
    /// A length beyond the bound of its kind; such lengths are never allocated.
    #[error("a message of {len} bytes was announced, {len_max} are allowed")]
    TooLong {
        /// The length announced, in bytes.
        len: usize,
        /// The bound, in bytes.
        len_max: usize,
    },
    /// A length that has no room for a kind.
    #[error("a message of {len} bytes was announced, which cannot be")]
    TooShort {
        /// The length announced, in bytes.
        len: usize,
    },
    /// A body that is no message of its kind.
    #[error("the body of a message of kind {kind} is none")]
    Garbage {
        /// The message's kind.
        kind: u16,
    },
    /// No complete hello in time.
    #[error("no complete hello came in time")]
    SlowHello,
    /// No message for a detection time.
    #[error("nothing came for a detection time")]
    Silent,
    /// The peer does not read what it is sent.
    #[error("it does not read: {len} bytes wait for it")]
    QueueFull {
        /// Bytes that wait.
        len: usize,
    },
    /// Too many connections that have not said hello.
    #[error("too many connections have not said hello")]
    TooManyUnidentified,
    /// The peer closed the connection before its hello: most likely it refuses this node.
    #[error("it closed the connection before its hello; its own log says why")]
    ClosedBeforeHello,
    /// The peer closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// TCP could not open the connection.
    #[error("it cannot be reached: {why}")]
    Unreachable {
        /// What the system says.
        why: String,
    },
    /// The connection broke.
    #[error("the connection broke: {why}")]
    Broken {
        /// What the system says.
        why: String,
    },
}

impl PeerError {
    /// The name in logs, counters and JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::WrongCluster { .. } => "wrong-cluster",
            Self::NoCommonVersion { .. } => "no-common-version",
            Self::NotExpected { .. } => "not-expected",
            Self::OtherConfiguration { .. } => "other-configuration",
            Self::IdTwice { .. } => "id-twice",
            Self::IdTaken { .. } => "id-taken",
            Self::UnknownNode { .. } => "unknown-node",
            Self::OwnId => "own-id",
            Self::WrongDirection { .. } => "wrong-direction",
            Self::OlderLink { .. } => "older-link",
            Self::Replaced => "replaced",
            Self::MessageBeforeHello { .. } => "message-before-hello",
            Self::WrongNumber { .. } => "wrong-number",
            Self::WrongLane { .. } => "wrong-lane",
            Self::NoControl { .. } => "no-control",
            Self::ControlLost => "control-lost",
            Self::OtherAuthority => "other-authority",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotYetValid => "certificate-not-yet-valid",
            Self::CertificateOfAnother { .. } => "certificate-of-another",
            Self::CertificateOfNobody => "certificate-of-nobody",
            Self::NoCertificate => "no-certificate",
            Self::BadCertificate { .. } => "bad-certificate",
            Self::RefusedByPeer { .. } => "refused-by-peer",
            Self::NotTls => "not-tls",
            Self::Insecure { .. } => "insecure",
            Self::SecondHello => "second-hello",
            Self::TooLong { .. } => "too-long",
            Self::TooShort { .. } => "too-short",
            Self::Garbage { .. } => "garbage",
            Self::SlowHello => "slow-hello",
            Self::Silent => "silent",
            Self::QueueFull { .. } => "queue-full",
            Self::TooManyUnidentified => "too-many-unidentified",
            Self::ClosedBeforeHello => "closed-before-hello",
            Self::Closed => "closed",
            Self::Unreachable { .. } => "unreachable",
            Self::Broken { .. } => "broken",
        }
    }
}
