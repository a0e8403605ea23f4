//! What nodes tell of their configurations when they meet, and in what two of them differ.

use serde::{Deserialize, Serialize};

/// What it means when two nodes differ in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Likeness {
    /// Something works worse than it should: they take part with each other, and say so.
    Should,
    /// Streams would be lost, or two nodes would act as one: they do not take part with each other.
    Must,
}

/// One key of a node's configuration, as far as others may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The key, its parts joined by dots; at most `limits::COMPARED_KEY_LEN_MAX` bytes.
    pub key: String,
    /// Whether it must be equal on all nodes, or should be.
    pub likeness: Likeness,
    /// Digest of its value.
    pub digest: u64,
}

/// The keys in which two nodes differ, in the order of this node's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Those that must be equal.
    pub must: Vec<String>,
    /// Those that should be.
    pub should: Vec<String>,
}

impl Differences {
    /// Compares key by key. One that either end takes for a must is one, so that both ends conclude the same; one that
    /// only one of them has is of another version of this program, and not compared.
    #[must_use]
    pub fn between(ours: &[Setting], theirs: &[Setting]) -> Self {
        let mut found = Self::default();
        for own in ours {
            let Some(other) = theirs.iter().find(|other| other.key == own.key) else { continue };
            if other.digest == own.digest {
                continue;
            }
            match own.likeness.max(other.likeness) {
                Likeness::Must => found.must.push(own.key.clone()),
                Likeness::Should => found.should.push(own.key.clone()),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str, likeness: Likeness, digest: u64) -> Setting {
        Setting { key: key.to_owned(), likeness, digest }
    }

    #[test]
    fn differences_are_named_by_what_they_mean_and_alike_from_both_ends() {
        use Likeness::{Must, Should};
        let ours = [
            setting("same", Must, 1),
            setting("redirect", Must, 1),
            setting("udp", Should, 1),
            setting("sooner a must", Should, 1),
            setting("ours", Must, 1),
        ];
        let theirs = [
            setting("sooner a must", Must, 2),
            setting("udp", Should, 2),
            setting("redirect", Must, 2),
            setting("theirs", Must, 2),
            setting("same", Must, 1),
        ];
        let expected =
            Differences { must: vec!["redirect".into(), "sooner a must".into()], should: vec!["udp".into()] };
        assert_eq!(Differences::between(&ours, &theirs), expected);
        let mut mirrored = Differences::between(&theirs, &ours);
        mirrored.must.reverse();
        assert_eq!(mirrored, expected);
        assert_eq!(Differences::between(&ours, &ours), Differences::default());
    }
}
