//! `herald drops`: how often each reason ended a frame.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Report;
use super::table::{Text, cell, table};
use crate::app::event_loop::EventLoop;

pub(super) fn report() -> Report {
    Report::of_loop("drops", "Show how many frames ended here, by reason", drops)
}

/// Counts by reason.
pub(super) type Drops = BTreeMap<&'static str, u64>;

impl Text for Drops {
    fn text(json: &Value) -> String {
        let lines = json.as_object().into_iter().flatten();
        table(["REASON", "COUNT"], lines.map(|(reason, count)| vec![reason.clone(), cell(count)]))
    }
}

pub(super) fn drops(event_loop: &EventLoop) -> Drops {
    event_loop.out.drops().map(|(reason, count)| (reason.name(), count)).collect()
}
