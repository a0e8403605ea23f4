//! The books of the nodes: every frame that arrives is accounted for, once.

use std::time::Duration;

use serde_json::Value;

use crate::lab::Lab;
use crate::process::eventually;

/// A node's `frames` of `herald status --json` at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books(Value);

impl Books {
    /// Books made by hand.
    #[cfg(test)]
    pub(crate) fn of(counts: Value) -> Self {
        Self(counts)
    }

    /// One of the counts, such as `"redirected"`.
    ///
    /// # Panics
    ///
    /// When there is none of that name.
    #[must_use]
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let count = self.0.get(name).and_then(Value::as_u64);
        count.unwrap_or_else(|| panic!("the books have no {name}: {}", self.0))
    }

    /// Frames that arrived, by interfaces and mesh, or were made by plugins; what was joined counts once, and what was cut as often as it left.
    #[must_use]
    #[track_caller]
    pub fn arrived(&self) -> u64 {
        self.sum(&["arrived_first", "arrived_second", "arrived_mesh", "cut", "injected"]) - self.count("joined")
    }

    /// Frames that left, ended or wait here, but for those that the node made.
    #[must_use]
    #[track_caller]
    pub fn accounted(&self) -> u64 {
        let all = self.sum(&["forwarded", "redirected", "handed_over", "consumed", "dropped", "kept"]);
        all - self.count("generated_dropped")
    }

    #[track_caller]
    fn sum(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| self.count(name)).sum()
    }
}

impl Lab {
    /// A node's books.
    ///
    /// # Panics
    ///
    /// When the node does not tell them.
    #[must_use]
    #[track_caller]
    pub fn books(&self, node: &str) -> Books {
        Books(self.json(node, &["status"]).get("frames").cloned().unwrap_or_default())
    }

    /// Waits until no frame is kept by these nodes (a frame of a node's own may be, and has not arrived), then checks
    /// that their books balance.
    ///
    /// # Panics
    ///
    /// When frames are kept longer than `limit`, or a frame was lost or counted twice.
    #[track_caller]
    pub fn assert_books_balance(&self, limit: Duration, nodes: &[&str]) {
        for node in nodes {
            let books = eventually(limit, "no frame is kept", || {
                let books = self.books(node);
                (books.count("kept") == 0 && books.count("buffers_taken") == 0).then_some(books)
            });
            assert_eq!(books.arrived(), books.accounted(), "the books of node {node} do not balance: {books:?}");
        }
    }
}
