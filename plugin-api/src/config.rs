//! Why a plugin refuses its configuration.

use std::fmt;

/// What is wrong in a plugin's configuration: which key, what was found, what is allowed. One line for people.
#[derive(Debug)]
pub struct ConfigError(String);

impl ConfigError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
