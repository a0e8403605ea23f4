//! What is known of the plugins, for any thread.

use std::sync::Arc;

use super::book::{Book, PluginRow};
use super::library::Plugin;
use herald_core::inspector::Cause;

/// The plugins of a chain as reports see them; cheap to clone. It keeps their instances alive.
#[derive(Clone, Debug)]
pub struct Report(Arc<[(Arc<Plugin>, Arc<Book>)]>);

impl Report {
    pub(super) fn new(plugins: Vec<(Arc<Plugin>, Arc<Book>)>) -> Self {
        Self(plugins.into())
    }

    /// The plugin that ended a packet, by its id, and the reason that it gave; `None` if no plugin did.
    #[must_use]
    pub fn cause(&self, Cause(cause): Cause) -> Option<(&str, &'static str)> {
        let [seat, reason] = cause.to_be_bytes();
        let (plugin, book) = self.0.get(usize::from(seat).checked_sub(1)?)?;
        Some((&plugin.manifest.text.id, book.reason_text(reason)))
    }

    /// One row for each plugin, in the order of the chain. Asks each plugin for its counters.
    #[must_use]
    pub fn rows(&self) -> Vec<PluginRow> {
        self.0
            .iter()
            .map(|(plugin, book)| PluginRow {
                id: plugin.manifest.text.id.clone(),
                version: plugin.manifest.text.version.clone(),
                counters: plugin.counters().into_iter().collect(),
                ..book.row()
            })
            .collect()
    }
}
