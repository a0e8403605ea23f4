//! The manifest of a plugin file, read before the file is loaded: nothing of the plugin has run when it is refused.

use std::path::Path;

use herald_plugin::abi::{
    HERALD_ABI_MAJOR, HERALD_ABI_MINOR, HERALD_NOTE_FAULTS_CAUGHT, HERALD_NOTE_MAGIC, HERALD_NOTE_TYPE,
    HERALD_STATE_ALIGN_MAX, HERALD_STATE_SIZE_MAX, HeraldBatch, HeraldEnd, HeraldHost, HeraldNoteHeader, HeraldPacket,
    HeraldPlugin, HeraldStream, HeraldVerdict,
};
use object::{Architecture, Object, ObjectKind, ObjectSection};
use serde::Deserialize;

use super::HostError;
use super::filter::Filter;

/// What becomes of a packet, and of its stream, when a plugin fails on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultPolicy {
    /// It passes as if the plugin were not there.
    Open,
    /// It is dropped.
    #[default]
    Closed,
}

/// What a plugin says of itself.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The text of its `plugin.toml`.
    pub text: ManifestText,
    /// The schema of its configuration (JSON Schema), if it has one.
    pub schema: Option<String>,
    /// Bytes of state for each stream.
    pub state_size: usize,
    /// Alignment of that state in bytes, a power of two.
    pub state_align: usize,
}

/// The text of a `plugin.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestText {
    /// Its name in reports.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its licence (SPDX).
    pub licence: String,
    /// What it does, in one sentence.
    #[serde(default)]
    pub description: String,
    /// What becomes of packets it fails on.
    #[serde(default)]
    pub fault: FaultPolicy,
    /// Ids of plugins that must come before it, if they are there.
    #[serde(default)]
    pub after: Vec<String>,
    /// Ids of plugins that must come behind it, if they are there.
    #[serde(default)]
    pub before: Vec<String>,
    /// Ids of plugins that must be in the chain, wherever.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Ids of plugins that must not be in the chain.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Hooks that are called only if they are named here.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// Streams it is told of and asked about; without one: all.
    #[serde(default)]
    pub filter: Vec<Filter>,
    /// Drop reasons it gives; reports have them from the beginning.
    #[serde(default)]
    pub drop_reasons: Vec<String>,
    /// Counters it reports; reports have them from the beginning.
    #[serde(default)]
    pub counters: Vec<String>,
    /// Version of the bytes that its streams' states are exported as. Reserved: no state is exported yet.
    #[serde(default)]
    pub state_version: u32,
}

/// A hook that costs something in the host before the plugin is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// TCP streams are put in order for it.
    StreamBytes,
}

impl ManifestText {
    /// TCP streams are put in order for it.
    pub(super) fn wants_bytes(&self) -> bool {
        self.hooks.contains(&Hook::StreamBytes)
    }

    /// The text of a plugin that says nothing but its name.
    pub(super) fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            version: String::new(),
            licence: String::new(),
            description: String::new(),
            fault: FaultPolicy::default(),
            after: Vec::new(),
            before: Vec::new(),
            needs: Vec::new(),
            conflicts: Vec::new(),
            hooks: Vec::new(),
            filter: Vec::new(),
            drop_reasons: Vec::new(),
            counters: Vec::new(),
            state_version: 0,
        }
    }
}

const SECTION: &str = ".note.herald";
const BUILD: &str = "build it as a cdylib with export_plugin! of herald-plugin";
const REBUILD: &str = "build it anew with this router's herald-plugin";

impl Manifest {
    /// Reads the manifest out of a plugin file's bytes.
    ///
    /// # Errors
    /// What the file is instead of a plugin that this router can load.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self, HostError> {
        let unfit = |expected: &str, found: String, mend| HostError::Unfit {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
            mend,
        };
        if !bytes.starts_with(b"\x7fELF") {
            let found = String::from_utf8_lossy(bytes.get(..8).unwrap_or(bytes)).escape_debug().to_string();
            return Err(unfit("an ELF file", format!("a file that starts with \"{found}\""), BUILD));
        }
        let elf = object::File::parse(bytes).map_err(|e| unfit("a whole ELF file", e.to_string(), BUILD))?;
        if elf.architecture() != MACHINE {
            let (expected, found) = (format!("machine {MACHINE:?}"), format!("{:?}", elf.architecture()));
            return Err(unfit(&expected, found, "build it for this machine"));
        }
        if elf.kind() != ObjectKind::Dynamic {
            return Err(unfit("a shared library", format!("an ELF file of kind {:?}", elf.kind()), BUILD));
        }
        let section =
            elf.section_by_name(SECTION).ok_or_else(|| unfit("a section .note.herald", "none".into(), BUILD))?;
        let note = section.data().map_err(|e| unfit("a readable section .note.herald", e.to_string(), BUILD))?;
        let (header, text, schema) =
            Header::split(note).map_err(|found| unfit("a manifest", found.to_owned(), REBUILD))?;
        header.check().map_err(|Mismatch { what, expected, found }| {
            unfit(&format!("{what} {expected}"), found.to_string(), REBUILD)
        })?;
        let text = std::str::from_utf8(text).map_err(|e| unfit("a manifest in UTF-8", e.to_string(), REBUILD))?;
        let text = toml::from_str(text)
            .map_err(|source| HostError::Manifest { path: path.to_owned(), source: Box::new(source) })?;
        let schema = std::str::from_utf8(schema).map_err(|e| unfit("a schema in UTF-8", e.to_string(), REBUILD))?;
        let schema = (!schema.is_empty()).then(|| schema.to_owned());
        Ok(Self { text, schema, state_size: header.state_size as usize, state_align: header.state_align as usize })
    }
}

#[cfg(target_arch = "x86_64")]
const MACHINE: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: Architecture = Architecture::Aarch64;
#[cfg(target_arch = "riscv64")]
const MACHINE: Architecture = Architecture::Riscv64;

/// The words of a [`HeraldNoteHeader`] that the host looks at.
struct Header {
    abi: [u32; 2],
    sizes: [u32; SIZES.len()],
    state_size: u32,
    state_align: u32,
    flags: u32,
}

/// A word that is not what it must be.
struct Mismatch {
    what: &'static str,
    expected: u32,
    found: u32,
}

/// Structures whose sizes two builds with one minor version must agree on.
const SIZES: [(&str, usize); 7] = [
    ("HeraldHost of size", size_of::<HeraldHost>()),
    ("HeraldPlugin of size", size_of::<HeraldPlugin>()),
    ("HeraldStream of size", size_of::<HeraldStream>()),
    ("HeraldEnd of size", size_of::<HeraldEnd>()),
    ("HeraldPacket of size", size_of::<HeraldPacket>()),
    ("HeraldVerdict of size", size_of::<HeraldVerdict>()),
    ("HeraldBatch of size", size_of::<HeraldBatch>()),
];

impl Header {
    /// Takes the ELF note apart (System V ABI, chapter 5) into the header and the text of the manifest.
    fn split(note: &[u8]) -> Result<(Self, &[u8], &[u8]), &'static str> {
        const CUT: &str = "a note that is cut short";
        let (mut words, contents) = note.split_at_checked(20).ok_or(CUT)?;
        let (owner_len, contents_len, kind) = (word(&mut words)?, word(&mut words)?, word(&mut words)?);
        if (owner_len, kind, words) != (7, HERALD_NOTE_TYPE, b"Herald\0\0".as_slice()) {
            return Err("a note of another owner or type");
        }
        let mut words = contents.get(..contents_len as usize).ok_or(CUT)?;
        if word(&mut words)? != HERALD_NOTE_MAGIC {
            return Err("a wrong magic number");
        }
        let header_len = word(&mut words)? as usize;
        if header_len < size_of::<HeraldNoteHeader>() {
            return Err("a header from before the contract 0.9");
        }
        let abi = [word(&mut words)?, word(&mut words)?];
        let mut sizes = [0; SIZES.len()];
        for size in &mut sizes {
            *size = word(&mut words)?;
        }
        let header = Self {
            abi,
            sizes,
            state_size: word(&mut words)?,
            state_align: word(&mut words)?,
            flags: word(&mut words)?,
        };
        let (text_len, schema_len) = (word(&mut words)? as usize, word(&mut words)? as usize);
        let (text, behind) = contents.get(header_len..).and_then(|text| text.split_at_checked(text_len)).ok_or(CUT)?;
        Ok((header, text, behind.get(..schema_len).ok_or(CUT)?))
    }

    fn check(&self) -> Result<(), Mismatch> {
        let [major, minor] = self.abi;
        if major != HERALD_ABI_MAJOR {
            return Err(Mismatch { what: "major ABI version", expected: HERALD_ABI_MAJOR, found: major });
        }
        if minor < HERALD_ABI_MINOR {
            return Err(Mismatch { what: "minor ABI version", expected: HERALD_ABI_MINOR, found: minor });
        }
        for ((what, expected), found) in SIZES.into_iter().zip(self.sizes) {
            let expected = u32::try_from(expected).unwrap_or(u32::MAX);
            // With another minor version sizes may differ; then each side reads what the other has.
            if minor == HERALD_ABI_MINOR && found != expected || found < expected {
                return Err(Mismatch { what, expected, found });
            }
        }
        if self.state_size > HERALD_STATE_SIZE_MAX {
            let (what, expected) = ("state of at most bytes", HERALD_STATE_SIZE_MAX);
            return Err(Mismatch { what, expected, found: self.state_size });
        }
        if !self.state_align.is_power_of_two() || self.state_align > HERALD_STATE_ALIGN_MAX {
            let (what, expected) = ("alignment of state, a power of two up to", HERALD_STATE_ALIGN_MAX);
            return Err(Mismatch { what, expected, found: self.state_align });
        }
        if self.flags & HERALD_NOTE_FAULTS_CAUGHT == 0 {
            let (what, expected) = ("a build that catches its panics, flag", HERALD_NOTE_FAULTS_CAUGHT);
            return Err(Mismatch { what, expected, found: self.flags });
        }
        Ok(())
    }
}

/// Takes the next word in the machine's byte order.
fn word(bytes: &mut &[u8]) -> Result<u32, &'static str> {
    let (word, rest) = bytes.split_first_chunk().ok_or("a note that is cut short")?;
    *bytes = rest;
    Ok(u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_plugin::{Note, Plugin};
    use proptest::prelude::*;

    #[derive(Default)]
    struct Empty;
    impl Plugin for Empty {
        type Stream = u64;
    }

    const TEXT: &[u8] = b"id = \"x\"\nversion = \"1\"\nlicence = \"MIT\"\n";

    const SCHEMA: &[u8] = b"{\"type\":\"object\"}";

    fn note() -> Vec<u8> {
        let note: Note<{ TEXT.len() }, { SCHEMA.len() }> = Note::of::<Empty>(TEXT, SCHEMA);
        note.bytes().to_vec()
    }

    #[test]
    fn a_note_written_by_the_sdk_is_understood() {
        let note = note();
        let (header, text, schema) = Header::split(&note).unwrap();
        assert!(header.check().is_ok());
        assert_eq!((text, schema), (TEXT, SCHEMA));
        assert_eq!((header.state_size, header.state_align), (8, 8));
    }

    #[test]
    fn each_wrong_word_is_named() {
        // Offsets of the words behind the note's own 20 bytes.
        for (at, value, what) in [
            (2, 1, "major ABI version"),
            (3, 8, "minor ABI version"),
            (4, 1, "HeraldHost of size"),
            (8, 1, "HeraldPacket of size"),
            (11, 5000, "state of at most bytes"),
            (12, 3, "alignment of state, a power of two up to"),
            (13, 0, "a build that catches its panics, flag"),
        ] {
            let mut note = note();
            note[20 + at * 4..][..4].copy_from_slice(&u32::to_ne_bytes(value));
            let (header, ..) = Header::split(&note).unwrap();
            assert_eq!(header.check().unwrap_err().what, what);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_notes_are_refused_without_panic(cut in 0_usize..200, at in 0_usize..200, byte: u8) {
            let mut note = note();
            note.truncate(cut);
            if let Some(place) = note.get_mut(at) {
                *place = byte;
            }
            let _ = Header::split(&note).map(|(header, ..)| header.check().is_ok());
            let _ = Manifest::read(Path::new("x"), &note);
        }
    }
}
