//! `herald drops`: how often each reason ended a frame. Frames that the kernel lost before the node could read them are among
//! them, although they are in no books: who looks for lost frames looks here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Report;
use super::table::{Lines, Text, cell, table};
use crate::app::event_loop::EventLoop;
use herald_core::id::Interface;

/// The reason of frames that were lost in the queues of the TAPs.
const QUEUE_LOST: &str = "tap-queue-full";

pub(super) fn report() -> Report {
    Report::of_loop("drops", "Show how many frames ended here, by reason", drops)
}

/// Counts by reason.
pub(super) type Drops = BTreeMap<&'static str, u64>;

impl Text for Drops {
    fn text(json: &Value) -> String {
        let Lines { headings, lines } = rows(json);
        table(headings, lines)
    }

    fn lines(json: &Value) -> Option<Lines> {
        Some(rows(json))
    }
}

fn rows(json: &Value) -> Lines {
    let lines = json.as_object().into_iter().flatten();
    Lines {
        headings: ["REASON", "COUNT"].map(str::to_owned).to_vec(),
        lines: lines.map(|(reason, count)| vec![reason.clone(), cell(count)]).collect(),
    }
}

pub(super) fn drops(event_loop: &EventLoop) -> Drops {
    let lost: u64 = Interface::BOTH.map(|interface| event_loop.parts.ports[interface].tap.queue().lost()).iter().sum();
    let unread = (lost > 0).then_some((QUEUE_LOST, lost));
    event_loop.out.drops().map(|(reason, count)| (reason.name(), count)).chain(unread).collect()
}
