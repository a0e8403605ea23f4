//! The manifest in the ELF note of a plugin's file.

/// Owner name of the ELF note in section `.note.herald`, padded to 8 bytes with zeros; its length counts one zero.
pub const HERALD_NOTE_OWNER_LEN: u32 = 7;
/// Type of the ELF note: a manifest.
pub const HERALD_NOTE_TYPE: u32 = 1;
/// First word of the manifest: `HRLD` in memory order of a little-endian machine.
pub const HERALD_NOTE_MAGIC: u32 = 0x444c_5248;
/// Bit of `HeraldNoteHeader::flags`: a panic is caught in the plugin and comes out as a fault.
pub const HERALD_NOTE_FAULTS_CAUGHT: u32 = 1;

/// The fixed part of the manifest in the ELF note; the text of `plugin.toml` and the schema of the
/// configuration follow it. The host reads it before the
/// file is loaded, so a wrong plugin never runs an instruction.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldNoteHeader {
    /// `HERALD_NOTE_MAGIC`.
    pub magic: u32,
    /// Size of this structure in bytes.
    pub size: u32,
    /// `HERALD_ABI_MAJOR` the plugin was built with.
    pub abi_major: u32,
    /// `HERALD_ABI_MINOR` the plugin was built with.
    pub abi_minor: u32,
    /// Size of `HeraldHost`.
    pub host_size: u32,
    /// Size of `HeraldPlugin`.
    pub plugin_size: u32,
    /// Size of `HeraldStream`.
    pub stream_size: u32,
    /// Size of `HeraldEnd`.
    pub end_size: u32,
    /// Size of `HeraldPacket`.
    pub packet_size: u32,
    /// Size of `HeraldVerdict`.
    pub verdict_size: u32,
    /// Size of `HeraldBatch`.
    pub batch_size: u32,
    /// Bytes of state for each stream.
    pub state_size: u32,
    /// Alignment of that state.
    pub state_align: u32,
    /// `HERALD_NOTE_*` bits.
    pub flags: u32,
    /// Length of the text in bytes.
    pub text_len: u32,
    /// Length in bytes of the schema of its configuration (JSON Schema), which follows the text; 0 without one.
    pub schema_len: u32,
}
