//! `herald members`: the cluster as this node sees it.

use std::net::SocketAddr;

use serde::Serialize;

use super::Report;
use super::table::columns;
use crate::app::event_loop::EventLoop;
use crate::io::clock;
use herald_core::id::NodeId;
use herald_core::membership::Member;
use herald_core::mesh::PeerError;

pub(super) fn report() -> Report {
    Report::of_loop("members", "Show the members of the cluster as this node sees them", rows)
}

/// One line of `herald members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct MemberRow {
    /// The member.
    pub node: NodeId,
    /// `alive`, `suspect`, `cut` or `dead`.
    pub state: &'static str,
    /// `up` or `down`; a node's link to itself is always up.
    pub link: &'static str,
    /// It may be chosen and may hold a role.
    pub in_sync: bool,
    /// It has no room for new streams.
    pub full: bool,
    /// Its share of the streams.
    pub weight: u16,
    /// `ok`, or `suspended`: one of its plugins is asked no more and its fault policy is closed, so it is passed over.
    pub plugins: &'static str,
    /// Who was refused a moment ago under this id, or refuses this node, and why; until people mend it.
    pub refused: Option<String>,
    /// The keys of its configuration that should be equal to this node's, and are not.
    pub differs: Vec<String>,
}

columns!(MemberRow { node, state, link, in_sync, full, weight, plugins, refused, differs });

pub(super) fn rows(event_loop: &EventLoop) -> Vec<MemberRow> {
    let (now, peers) = (clock::now(), event_loop.parts.peers.as_ref());
    let row = |member: &Member| MemberRow {
        node: member.node,
        state: member.state.name(),
        link: if member.link_up { "up" } else { "down" },
        in_sync: member.in_sync,
        full: member.full,
        weight: member.weight,
        plugins: if member.suspended { "suspended" } else { "ok" },
        refused: peers.and_then(|peers| peers.kept_apart(now, member.node)).map(|(at, error)| refused(at, error)),
        differs: peers.map_or_else(Vec::new, |peers| peers.differing_keys(member.node).to_vec()),
    };
    event_loop.parts.node.membership().members().map(row).collect()
}

/// What stands in the table: who it is, and what is wrong.
fn refused(address: SocketAddr, error: &PeerError) -> String {
    if let PeerError::OtherConfiguration { keys, .. } = error {
        format!("differs in {}", keys.join(", "))
    } else if let PeerError::IdTwice { .. } = error {
        format!("another node with this id, at {address}")
    } else if let PeerError::IdTaken { member, .. } = error {
        format!("has another node with this node's id, at {member}")
    } else {
        error.to_string()
    }
}
