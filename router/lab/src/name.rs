//! The name of a lab.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a lab: 1 to 32 characters of `a-z`, `0-9` and `-`, no `-` at the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

/// A text that is no name of a lab.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no name of a lab: 1 to 32 characters of a-z, 0-9 and '-' are allowed, and no '-' at the beginning")]
pub struct LabNameError(String);

impl LabName {
    /// The longest name in bytes: it is part of a socket's path, which the kernel limits to 107 bytes.
    pub const LEN_MAX: usize = 32;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LabName {
    /// `lab`.
    fn default() -> Self {
        Self("lab".to_owned())
    }
}

impl FromStr for LabName {
    type Err = LabNameError;

    fn from_str(text: &str) -> Result<Self, LabNameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good =
            !text.is_empty() && text.len() <= Self::LEN_MAX && !text.starts_with('-') && text.bytes().all(allowed);
        if good { Ok(Self(text.to_owned())) } else { Err(LabNameError(text.to_owned())) }
    }
}

impl TryFrom<String> for LabName {
    type Error = LabNameError;
    fn try_from(text: String) -> Result<Self, LabNameError> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lowercase_text() {
        for good in ["lab", "a", "lab-2", "0123456789012345678901234567890a"] {
            assert_eq!(good.parse::<LabName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "Lab", "a/b", "..", "a b", "0123456789012345678901234567890ab"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }
}
