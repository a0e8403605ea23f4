//! The two ends of a connection.

use serde::{Deserialize, Serialize};

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The end whose first segment came first.
    Opener,
    /// The other one.
    Answerer,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Opener, Self::Answerer];

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Opener => Self::Answerer,
            Self::Answerer => Self::Opener,
        }
    }
}
