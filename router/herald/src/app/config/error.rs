//! What is wrong with a configuration: which file, line, key and value, and what is allowed.

use std::path::PathBuf;

/// A configuration that cannot be used. Displayed on one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: not TOML: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the TOML parser says.
        message: String,
    },
    /// A value is not allowed.
    #[error("{place}: {key} = {value}: {why}")]
    Value {
        /// Where it was set.
        place: Place,
        /// The key, its parts joined by dots.
        key: String,
        /// The value as JSON.
        value: String,
        /// What is allowed, or what it contradicts.
        why: String,
    },
    /// A key without default is not set.
    #[error("{place}: {key} is missing: {why}")]
    Missing {
        /// Where it belongs.
        place: Place,
        /// The key, its parts joined by dots.
        key: String,
        /// What is needed.
        why: String,
    },
    /// A key that does not exist.
    #[error("{place}: {key} = {value}: there is no such key; {known}")]
    Unknown {
        /// Where it was set.
        place: Place,
        /// The key, its parts joined by dots.
        key: String,
        /// The value as JSON.
        value: String,
        /// The keys that exist there.
        known: String,
    },
    /// `--set` without `KEY=VALUE`.
    #[error("--set {0:?}: KEY=VALUE is expected, such as hold_ms_max=50 or cluster.id=lab")]
    Flag(String),
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file, at a line.
    Line(PathBuf, usize),
    /// In the file; there is no line to point at.
    File(PathBuf),
    /// In the environment.
    Variable(String),
    /// By a flag.
    Flag(String),
    /// By the lab, which makes its nodes' configurations.
    Lab,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Lab => write!(f, "configuration of the lab's nodes"),
            Self::Flag(key) => write!(f, "flag --set {key}=..."),
        }
    }
}
