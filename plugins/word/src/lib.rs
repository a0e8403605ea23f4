//! Ends TCP streams in which a word is said, and tells what it read of the last one: for tests that compare both with what an
//! application reads. With `by = "packets"` it reads each packet alone, as one must not.
//!
//! ```toml
//! word = "forbidden"
//! by = "bytes" # or "packets"
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use herald_plugin::prelude::*;
use serde::Deserialize;

/// Where it looks for the word.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    #[default]
    Bytes,
    Packets,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    word: String,
    by: By,
}

#[derive(Default)]
struct Word {
    config: Config,
    /// Of what the opener of the last stream said: how many bytes, and their digest.
    bytes: AtomicU64,
    digest: AtomicU64,
    gaps: AtomicU64,
}

/// What the opener has said.
#[derive(Default)]
struct Said {
    /// As much as may be the beginning of the word.
    last: Vec<u8>,
    bytes: u64,
    digest: Digest,
}

/// FNV-1a.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Word {
    fn is_said_in(&self, bytes: &[u8]) -> bool {
        let word = self.config.word.as_bytes();
        !word.is_empty() && bytes.windows(word.len()).any(|window| window == word)
    }
}

impl Plugin for Word {
    type Stream = Said;

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        self.config = toml::from_str(config).map_err(|error| ConfigError::new(error.message()))?;
        Ok(())
    }

    fn packet(&self, _: &mut Said, packet: &Packet<'_>) -> Verdict {
        match self.config.by {
            By::Bytes => Verdict::pass().for_stream(),
            By::Packets if self.is_said_in(packet.payload()) => Verdict::drop("word").for_stream(),
            By::Packets => Verdict::pass(),
        }
    }

    fn stream_bytes(&self, said: &mut Said, bytes: &StreamBytes<'_>) -> Verdict {
        if self.config.by == By::Packets {
            return Verdict::pass().for_stream();
        }
        self.gaps.fetch_add(u64::from(bytes.has_gap()), Relaxed);
        if !bytes.from_opener() {
            return Verdict::pass().for_flow();
        }
        said.bytes += bytes.fresh().len() as u64;
        said.digest.add(bytes.fresh());
        said.last.extend_from_slice(bytes.fresh());
        self.bytes.store(said.bytes, Relaxed);
        self.digest.store(said.digest.0, Relaxed);
        if self.is_said_in(&said.last) {
            return Verdict::drop("word");
        }
        let kept = said.last.len().saturating_sub(self.config.word.len());
        said.last.drain(..kept);
        Verdict::pass()
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        for (name, value) in [("bytes", &self.bytes), ("digest", &self.digest), ("gaps", &self.gaps)] {
            counters.report(name, value.load(Relaxed));
        }
    }
}

export_plugin!(Word, manifest = "plugin.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use herald_plugin::testkit::{Kit, Said as Verdicts};

    #[test]
    fn a_word_in_two_packets_is_seen_in_bytes_alone() {
        for (by, is_seen) in [("bytes", true), ("packets", false)] {
            let mut kit = Kit::<Word>::new(&format!("word = \"forbidden\"\nby = \"{by}\"")).unwrap();
            let stream = kit.tcp("10.1.0.100:40000", "10.2.0.100:80");
            kit.handshake(stream);
            let segments = kit.cut_at(stream, Direction::FromOpener, b"so forbidden it is", &[6]);
            let said: Vec<_> = segments.iter().rev().map(|segment| kit.deliver(segment)).collect();
            assert_eq!((said[0].passes(), said[1].passes()), (true, !is_seen), "{by}");
            assert_eq!(said[1].reason().is_some(), is_seen);
            assert_eq!(kit.counters()["bytes"], if is_seen { 18 } else { 0 });
            let whole = kit.tcp("10.1.0.100:40001", "10.2.0.100:80");
            kit.handshake(whole);
            let said = kit.send(whole, Direction::FromOpener, b"forbidden");
            assert_eq!(said.first().and_then(Verdicts::reason), Some("word"), "{by}");
        }
    }
}
