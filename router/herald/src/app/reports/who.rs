//! `herald who`: the chosen node of one stream. It has a command and a path of its own, because it needs the stream, and
//! the loop asks others before it answers.

use serde::Serialize;
use serde_json::Value;

use super::table::{Text, at, cell, key};
use herald_core::id::NodeId;

/// The chosen node of a stream, and what each redirector believes; `null`: it knows of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The chosen node.
    pub chosen: Option<NodeId>,
    /// As the first redirector believes.
    pub first: Option<NodeId>,
    /// As the second redirector believes.
    pub second: Option<NodeId>,
}

impl Text for Who {
    fn text(json: &Value) -> String {
        let lines = [
            ("chosen node", key!(Who, chosen)),
            ("first redirector says", key!(Who, first)),
            ("second redirector says", key!(Who, second)),
        ];
        lines.map(|(what, key)| format!("{what}: {}\n", cell(at(json, key)))).concat()
    }
}
