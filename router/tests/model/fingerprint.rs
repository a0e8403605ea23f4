//! What tells states apart.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use herald::mesh::codec;

use crate::layout::Place;
use crate::world::World;

impl World<'_> {
    /// A node's part of a fingerprint: all that it remembers, as it would print it, so that no two states are taken for one.
    pub(crate) fn print(&self, place: Place) -> u64 {
        let mut sink = Sink(DefaultHasher::new());
        let member = &self.members[place];
        if self.alive[place] {
            write!(sink, "{:?}", member.node).unwrap();
            member.clock.hash(&mut sink.0);
        }
        sink.0.finish()
    }

    /// Everything that decides what may happen from here on; the nodes' parts are known.
    pub(crate) fn fingerprint(&self, prints: [u64; 3]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (prints, self.alive, self.noticed).hash(&mut hasher);
        self.wire.first.hash(&mut hasher);
        self.wire.second.hash(&mut hasher);
        for queue in self.control.iter().chain(&self.handovers).flatten() {
            queue.len().hash(&mut hasher);
            for message in queue {
                let mut bytes = Vec::new();
                codec::encode(message, &mut bytes).unwrap();
                bytes.hash(&mut hasher);
            }
        }
        self.history.hash(&mut hasher);
        hasher.finish()
    }
}

/// Hashes text as it is written.
struct Sink(DefaultHasher);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
