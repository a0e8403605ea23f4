//! `herald members`: the cluster as this node sees it.

use serde::Serialize;

use super::Report;
use super::table::columns;
use crate::app::event_loop::EventLoop;
use herald_core::id::NodeId;
use herald_core::membership::Member;

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
    /// Its share of the streams.
    pub weight: u16,
    /// `ok`, or `suspended`: one of its plugins is asked no more and its fault policy is closed, so it is passed over.
    pub plugins: &'static str,
}

columns!(MemberRow { node, state, link, in_sync, weight, plugins });

pub(super) fn rows(event_loop: &EventLoop) -> Vec<MemberRow> {
    let row = |member: &Member| MemberRow {
        node: member.node,
        state: member.state.name(),
        link: if member.link_up { "up" } else { "down" },
        in_sync: member.in_sync,
        weight: member.weight,
        plugins: if member.suspended { "suspended" } else { "ok" },
    };
    event_loop.parts.node.membership().members().map(row).collect()
}
