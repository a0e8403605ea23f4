//! `herald roles`: who holds each redirector.

use serde::Serialize;
use serde_json::Value;

use super::Report;
use super::table::{Columns, Text, columns, per_interface};
use crate::app::event_loop::EventLoop;
use herald_core::id::{NodeId, PerInterface};

pub(super) fn report() -> Report {
    Report::of_loop("roles", "Show who holds the two redirectors", roles)
}

/// Who holds each redirector; `null` while nobody does.
pub(super) type Roles = PerInterface<Option<Role>>;

/// A held role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Role {
    /// The holder.
    pub holder: NodeId,
    /// The counter of its epoch.
    pub epoch: u64,
}

columns!(Role { holder, epoch });

impl Text for Roles {
    fn text(json: &Value) -> String {
        per_interface(&[(json, Role::COLUMNS)])
    }
}

pub(super) fn roles(event_loop: &EventLoop) -> Roles {
    let membership = event_loop.parts.node.membership();
    PerInterface::from_fn(|interface| {
        let (holder, epoch) = (membership.holder(interface)?, membership.epoch(interface)?);
        Some(Role { holder, epoch: epoch.counter })
    })
}
