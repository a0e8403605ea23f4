//! Whom a node talks to.

use crate::id::NodeId;
use crate::mesh::{Differences, Hello, PeerError};

/// What this node says of itself, and whom it talks to.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This node's hello.
    pub hello: Hello,
    /// The ids of its peers.
    pub peers: Vec<NodeId>,
}

/// Who opened the connection. The lower id dials the higher, so that two nodes have one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node dialled the address of that peer.
    Dialled(NodeId),
    /// The other end dialled; its hello says who it is.
    Accepted,
}

/// Whether this node talks to who says this hello.
pub(super) fn check_hello(origin: Origin, identity: &Identity, hello: &Hello) -> Result<(), PeerError> {
    let (own, node) = (&identity.hello, hello.node);
    if hello.cluster != own.cluster {
        return Err(PeerError::WrongCluster { ours: own.cluster.clone(), theirs: hello.cluster.clone() });
    }
    if hello.version_min > own.version_max || own.version_min > hello.version_max {
        let (ours, theirs) = ((own.version_min, own.version_max), (hello.version_min, hello.version_max));
        return Err(PeerError::NoCommonVersion { ours, theirs });
    }
    if node == own.node {
        return Err(PeerError::OwnId);
    }
    match origin {
        Origin::Dialled(expected) if node != expected => Err(PeerError::NotExpected { expected, found: node }),
        Origin::Accepted if !identity.peers.contains(&node) => Err(PeerError::UnknownNode { node }),
        Origin::Dialled(_) | Origin::Accepted => Ok(()),
    }
}

/// Whether this node's configuration and that of who says this hello are equal where they must be. Asked last: of a node
/// that is who it says.
pub(super) fn check_configuration(identity: &Identity, hello: &Hello) -> Result<(), PeerError> {
    let keys = Differences::between(&identity.hello.configuration, &hello.configuration).must;
    if keys.is_empty() {
        return Ok(());
    }
    Err(PeerError::OtherConfiguration { node: hello.node, boot: hello.boot, side: hello.side, keys })
}

/// True if the other end, given this node's hello, finds the same.
pub(super) fn is_mutual(error: &PeerError) -> bool {
    matches!(
        error,
        PeerError::WrongCluster { .. } | PeerError::NoCommonVersion { .. } | PeerError::OtherConfiguration { .. }
    )
}
