//! Why a plugin was refused: what was expected, what was found, what to do.

use std::io;
use std::path::PathBuf;

/// A plugin that does not come into the chain.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No file of that name.
    #[error("unknown plugin {name:?}: there is no {}; {known}", path.display())]
    Unknown {
        /// The name in the configuration.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What there is instead.
        known: String,
    },
    /// The name is neither a path nor a plugin's name.
    #[error("{0:?} is no plugin name: a-z, then a-z, 0-9, '_' and '-' are allowed, or a path with a slash")]
    Name(String),
    /// The file cannot be opened or read.
    #[error("cannot open plugin {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Someone else could change what would run inside the router.
    #[error("plugin {} is not to be trusted: {found}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What was found, and how to mend it.
        found: String,
    },
    /// The file is no plugin, or one for another contract or machine.
    #[error("{} is no plugin for this router: {expected} expected, {found} found; {mend}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What a plugin has at that place.
        expected: String,
        /// What the file has.
        found: String,
        /// How to come to a fitting one.
        mend: &'static str,
    },
    /// The manifest's text is wrong.
    #[error("the manifest of plugin {} is wrong: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Line, key and what is allowed.
        source: Box<toml::de::Error>,
    },
    /// The system's loader refused the file.
    #[error("cannot load plugin {}: {source}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The loader's words.
        source: libloading::Error,
    },
    /// The sealed copy that is loaded could not be made.
    #[error("cannot copy plugin {} into memory: {source}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The plugin refused its configuration.
    #[error("plugin {plugin} refuses its configuration: {text}")]
    Config {
        /// The plugin's id.
        plugin: String,
        /// Its own words.
        text: String,
    },
    /// More plugins than a chain takes.
    #[error("{found} plugins are configured, at most {max} are allowed")]
    TooMany {
        /// How many.
        found: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A plugin needs another, or does not go with it.
    #[error("plugin {plugin} {wants} {other}: {mend} [[plugins]]")]
    Company {
        /// Who says so.
        plugin: String,
        /// What it says.
        wants: &'static str,
        /// Whom it names.
        other: String,
        /// What to do.
        mend: &'static str,
    },
    /// The order contradicts a manifest.
    #[error("plugin {plugin} must come {side} {other}: change the order of [[plugins]]")]
    Order {
        /// Who asks for it.
        plugin: String,
        /// `before` or `after`.
        side: &'static str,
        /// Whom it names.
        other: String,
    },
}
