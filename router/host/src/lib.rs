//! The plugin host: checks a plugin's file, loads it, and runs the plugins of a node as a [`Chain`].
//!
//! A plugin is native code in the router's process and is trusted like the router itself. What the host guards against
//! is the wrong file (checked before any of it runs), a wrong configuration, and a plugin's panics.

mod answer;
mod block;
mod book;
mod breaker;
mod built_in;
mod chain;
pub mod check;
mod describe;
mod effects;
mod error;
mod file;
mod filter;
mod guard;
mod head;
mod library;
mod manifest;
mod notes;
mod order;
mod report;
mod sources;
#[cfg(test)]
mod tests;
mod word;

use std::path::PathBuf;

pub use book::{PluginRow, SuspendedRow};
pub use chain::Chain;
pub use error::HostError;
pub use filter::Filter;
pub use head::Head;
pub use manifest::{FaultPolicy, Hook, Manifest, ManifestText};
pub use order::InOrder;
pub use report::Report;

use herald_core::limits::{BATCH_PACKETS_MAX, PLUGINS_MAX};
use herald_core::time::Instant;
use library::Plugin;

const _: () = assert!(BATCH_PACKETS_MAX == herald_plugin::abi::HERALD_BATCH_PACKETS_MAX as usize);

/// The clocks that the host reads: to time a sample of the calls, and for plugins that write the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The clock of the event loop.
    pub monotonic: fn() -> Instant,
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    pub unix_nanos: fn() -> u64,
}

/// What the host needs of its surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where plugins that are named without a slash lie: beside the executable.
    pub directory: PathBuf,
    /// The clocks.
    pub clock: Clock,
}

/// One plugin of the configuration.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// `acl` for `libherald_acl.so` in the host's directory, or a path with a slash.
    pub name: String,
    /// Its own configuration, a text in TOML.
    pub config: String,
    /// What becomes of packets it fails on; `None`: what its manifest says.
    pub fault: Option<FaultPolicy>,
}

impl Chain {
    /// The files of these plugins; none is opened.
    ///
    /// # Errors
    /// They are too many, or the first that has no file.
    pub fn find(settings: &Settings, plugins: &[PluginSettings]) -> Result<Vec<PathBuf>, HostError> {
        if plugins.len() > PLUGINS_MAX {
            return Err(HostError::TooMany { found: plugins.len(), max: PLUGINS_MAX });
        }
        plugins.iter().map(|wanted| file::find(&settings.directory, &wanted.name)).collect()
    }

    /// Loads the plugins in this order. Nothing of a file runs before it is checked.
    ///
    /// # Errors
    /// The first plugin that is refused, and why.
    pub fn load(settings: &Settings, plugins: &[PluginSettings]) -> Result<Self, HostError> {
        let paths = Self::find(settings, plugins)?;
        let mut loaded = Vec::with_capacity(plugins.len());
        for (wanted, path) in plugins.iter().zip(paths) {
            let plugin = Plugin::load(&path, &wanted.config, settings.clock.unix_nanos)?;
            let policy = wanted.fault.unwrap_or(plugin.manifest.text.fault);
            loaded.push((plugin, policy));
        }
        check_order(&loaded.iter().map(|(plugin, _)| &plugin.manifest.text).collect::<Vec<_>>())?;
        Ok(Self::new(loaded, settings.clock))
    }
}

/// Refuses a chain that contradicts a manifest.
fn check_order(chain: &[&ManifestText]) -> Result<(), HostError> {
    let among = |places: &[&ManifestText], ids: &[String]| {
        ids.iter().find(|id| places.iter().any(|place| place.id == **id)).cloned()
    };
    for (place, plugin) in chain.iter().enumerate() {
        let (before, rest) = chain.split_at(place);
        let behind = rest.get(1..).unwrap_or_default();
        let order = |side, other| HostError::Order { plugin: plugin.id.clone(), side, other };
        let company = |wants, other, mend| HostError::Company { plugin: plugin.id.clone(), wants, other, mend };
        if let Some(other) = among(behind, &plugin.after) {
            return Err(order("after", other));
        }
        if let Some(other) = among(before, &plugin.before) {
            return Err(order("before", other));
        }
        if let Some(other) = plugin.needs.iter().find(|id| !chain.iter().any(|other| other.id == **id)) {
            return Err(company("needs", other.clone(), "add that to"));
        }
        if let Some(other) = among(before, &plugin.conflicts).or_else(|| among(behind, &plugin.conflicts)) {
            return Err(company("does not go with", other, "take one out of"));
        }
    }
    Ok(())
}
