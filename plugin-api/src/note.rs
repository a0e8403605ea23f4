//! The manifest as an ELF note, filled by the compiler.

use crate::Plugin;
use crate::abi::{
    HERALD_ABI_MAJOR, HERALD_ABI_MINOR, HERALD_NOTE_FAULTS_CAUGHT, HERALD_NOTE_MAGIC, HERALD_NOTE_OWNER_LEN,
    HERALD_NOTE_TYPE, HERALD_STATE_ALIGN_MAX, HERALD_STATE_SIZE_MAX, HeraldBatch, HeraldEnd, HeraldHost,
    HeraldNoteHeader, HeraldPacket, HeraldPlugin, HeraldStream, HeraldVerdict,
};

/// An ELF note (System V ABI, chapter 5) whose contents are the manifest: header and text of `plugin.toml`.
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Note<const TEXT_LEN: usize, const SCHEMA_LEN: usize = 0> {
    owner_len: u32,
    contents_len: u32,
    kind: u32,
    owner: [u8; 8],
    header: HeraldNoteHeader,
    text: [u8; TEXT_LEN],
    schema: [u8; SCHEMA_LEN],
}

impl<const TEXT_LEN: usize, const SCHEMA_LEN: usize> Note<TEXT_LEN, SCHEMA_LEN> {
    /// The manifest of a plugin with this text and this schema of its configuration, which is empty if it has none.
    ///
    /// # Panics
    /// At compile time: if panics abort in this build, a length differs, or the state is too large.
    #[must_use]
    pub const fn of<P: Plugin>(text: &[u8], schema: &[u8]) -> Self {
        const {
            assert!(
                cfg!(panic = "unwind"),
                "a plugin must be built with panic = \"unwind\", or a panic ends the router"
            )
        };
        assert!(align_of::<P::Stream>() <= HERALD_STATE_ALIGN_MAX as usize, "the alignment of Stream is too large");
        assert!(size_of::<P::Stream>() <= HERALD_STATE_SIZE_MAX as usize, "Stream is too large");
        let mut bytes = [0; TEXT_LEN];
        bytes.copy_from_slice(text);
        let mut schema_bytes = [0; SCHEMA_LEN];
        schema_bytes.copy_from_slice(schema);
        Self {
            owner_len: HERALD_NOTE_OWNER_LEN,
            contents_len: size_u32::<HeraldNoteHeader>() + shorten(TEXT_LEN) + shorten(SCHEMA_LEN),
            kind: HERALD_NOTE_TYPE,
            owner: *b"Herald\0\0",
            header: HeraldNoteHeader {
                magic: HERALD_NOTE_MAGIC,
                size: size_u32::<HeraldNoteHeader>(),
                abi_major: HERALD_ABI_MAJOR,
                abi_minor: HERALD_ABI_MINOR,
                host_size: size_u32::<HeraldHost>(),
                plugin_size: size_u32::<HeraldPlugin>(),
                stream_size: size_u32::<HeraldStream>(),
                end_size: size_u32::<HeraldEnd>(),
                packet_size: size_u32::<HeraldPacket>(),
                verdict_size: size_u32::<HeraldVerdict>(),
                batch_size: size_u32::<HeraldBatch>(),
                state_size: size_u32::<P::Stream>(),
                state_align: shorten(align_of::<P::Stream>()),
                flags: HERALD_NOTE_FAULTS_CAUGHT,
                text_len: shorten(TEXT_LEN),
                schema_len: shorten(SCHEMA_LEN),
            },
            text: bytes,
            schema: schema_bytes,
        }
    }
}

impl<const TEXT_LEN: usize, const SCHEMA_LEN: usize> Note<TEXT_LEN, SCHEMA_LEN> {
    /// The note as it lies in the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the structure has no holes: all its fields are words, or bytes behind them, and `align(4)` pads only
        // behind the schema, which is left out.
        unsafe {
            std::slice::from_raw_parts(
                std::ptr::from_ref(self).cast(),
                std::mem::offset_of!(Self, text) + TEXT_LEN + SCHEMA_LEN,
            )
        }
    }
}

/// Size of a structure as the contract writes it.
pub(crate) const fn size_u32<T>() -> u32 {
    shorten(size_of::<T>())
}

#[expect(clippy::cast_possible_truncation, reason = "checked in the line before; `try_from` is not const")]
const fn shorten(len: usize) -> u32 {
    assert!(len <= u32::MAX as usize);
    len as u32
}
