//! What a hook saw of one direction.

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

use super::SeenRow;

/// The bytes that a hook saw, by number and digest.
pub(super) struct Saw {
    bytes: u64,
    digest: Context,
}

impl Saw {
    pub(super) fn new() -> Self {
        Self { bytes: 0, digest: Context::new(&SHA256) }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(super) fn row(&self) -> SeenRow {
        let mut sha256 = String::new();
        for byte in self.digest.clone().finish().as_ref() {
            // Writing to a text cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        SeenRow { bytes: self.bytes, sha256 }
    }
}
