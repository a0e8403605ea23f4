//! Plugins that are linked into the program that runs the chain, as the simulator has its own: the same contract, without
//! a file.

use herald_plugin::abi::HeraldPlugin;

use super::library::Plugin;
use super::manifest::{Manifest, ManifestText};
use super::{Chain, Clock, HostError, PluginSettings};
use herald_core::limits::PLUGINS_MAX;

impl Chain {
    /// A chain of instances of the plugin with this table, one for each of the settings, whose names are their ids. Without
    /// a word on faults a plugin has the policy that a manifest without one has.
    ///
    /// # Errors
    /// There are too many, or the first configuration that the plugin refuses, and why.
    ///
    /// # Safety
    /// The functions of the table keep the contract; those of `herald_plugin::thunk::table` do.
    pub unsafe fn built_in(clock: Clock, table: &HeraldPlugin, plugins: &[PluginSettings]) -> Result<Self, HostError> {
        let of = |wanted: &PluginSettings| (ManifestText::of(&wanted.name), wanted.clone());
        // SAFETY: promised by the caller.
        unsafe { Self::built_in_as(clock, table, plugins.iter().map(of).collect()) }
    }

    /// The same, each with the text of its manifest.
    ///
    /// # Errors
    /// As for [`built_in`](Self::built_in).
    ///
    /// # Safety
    /// As for [`built_in`](Self::built_in).
    pub unsafe fn built_in_as(
        clock: Clock,
        table: &HeraldPlugin,
        plugins: Vec<(ManifestText, PluginSettings)>,
    ) -> Result<Self, HostError> {
        if plugins.len() > PLUGINS_MAX {
            return Err(HostError::TooMany { found: plugins.len(), max: PLUGINS_MAX });
        }
        // SAFETY: it is the host's table, which lives as long as the process.
        unsafe { herald_plugin::thunk::enter_built_in(super::library::host(clock.unix_nanos)) };
        let seated = plugins.into_iter().map(|(text, wanted)| {
            let manifest = Manifest {
                text,
                schema: None,
                state_size: table.state_size as usize,
                state_align: table.state_align as usize,
            };
            let policy = wanted.fault.unwrap_or(manifest.text.fault);
            Ok((Plugin::make(manifest, *table, &wanted.config)?, policy))
        });
        Ok(Self::new(seated.collect::<Result<_, HostError>>()?, clock))
    }
}
