//! What follows from the options when they do not say it: MACs, priorities and keys.

use std::hash::{BuildHasher, Hasher};

use super::options::Options;
use herald_core::flow::HashKey;
use herald_core::id::{Interface, Mac, NodeId, PerInterface};

/// The lowest default priority; the members' places in the order of their ids are added.
const PRIORITY_BASE: u8 = 100;

/// MACs need no secret: the key only keeps their hash apart from others.
const MAC_KEY: HashKey = HashKey(*b"herald node macs");

const SECRET_KEY: HashKey = HashKey(*b"herald secret v1");

/// The default MAC: locally administered, 40 bits of a hash of cluster, node and interface. The same after each start,
/// so that switches need not learn anew, and different on every node and interface.
pub(super) fn mac(options: &Options, interface: Interface) -> Mac {
    let hash = hash(MAC_KEY, &[&options.cluster.id, options.node.as_str(), interface.as_str()]);
    let [a, b, c, d, e, ..] = hash.to_be_bytes();
    Mac([0x02, a, b, c, d, e])
}

/// The default priority: members in the order of their ids, the lowest highest; for the second interface the order is
/// rotated by one, so that the roles fall to two nodes.
pub(super) fn priority(options: &Options, interface: Interface) -> u8 {
    let members = members(options);
    let count = members.len().max(1);
    let place = members.iter().position(|&n| n == options.node).unwrap_or_default();
    let place = match interface {
        Interface::First => place,
        Interface::Second => (place + count - 1) % count,
    };
    PRIORITY_BASE.saturating_add(u8::try_from(count - 1 - place).unwrap_or(u8::MAX))
}

/// This node and its peers, in the order of their ids.
pub(super) fn members(options: &Options) -> Vec<NodeId> {
    let mut members: Vec<_> = options.mesh.peers.keys().copied().chain([options.node]).collect();
    members.sort_unstable();
    members
}

/// The key for choosing, from the cluster's secret.
pub(super) fn choice_key(options: &Options) -> HashKey {
    let secret = options.cluster.secret.reveal();
    let halves = ["0", "1"].map(|half| hash(SECRET_KEY, &[half, &options.cluster.id, secret]));
    let mut key = [0; 16];
    for (place, half) in key.chunks_exact_mut(8).zip(halves) {
        place.copy_from_slice(&half.to_be_bytes());
    }
    HashKey(key)
}

/// MACs as configured or derived.
pub(super) fn macs(options: &Options) -> PerInterface<Mac> {
    PerInterface::from_fn(|interface| options.interfaces.of(interface).mac.unwrap_or_else(|| mac(options, interface)))
}

/// Hash of some texts, each with its length, so that no two lists of texts look alike.
pub(super) fn hash(key: HashKey, texts: &[&str]) -> u64 {
    let mut hasher = key.build_hasher();
    for text in texts {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    }
    hasher.finish()
}
