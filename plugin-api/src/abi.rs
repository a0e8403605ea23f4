//! The C contract between the router and a plugin, version 0.9. `include/herald_plugin.h` is generated from this module.
//!
//! Rules of the contract:
//!
//! - It is append-only from 0.9 on: structures only grow at their end, numbers keep their meaning, and what a plugin of 0.9
//!   relies on holds for ever. 1.0 is 0.9 with the hooks for bytes in order and facts, whose places are kept.
//! - What is marked as reserved has its place and its meaning, and is not yet built: this host gives null for such functions
//!   of its own, and never calls such hooks.
//! - Structures start with their size in bytes. Who reads one reads no further than that
//!   size says. Elements of arrays carry no size; the array's owner gives their stride.
//! - No Rust enum and no `bool` crosses the boundary: numbers have named constants, and a number that the reader does
//!   not know is an error of the writer.
//! - Bytes and texts are a pointer and a length. Nobody frees what the other side made.
//! - Every function says where it may be called: \[control\] not on the way of packets, it may block and allocate;
//!   \[loop\] on the event loop's thread only, it must neither block nor allocate; \[any\] from any thread at any time. The
//!   host's \[loop\] functions work only while the host is inside a hook of the plugin on that thread; else they change
//!   nothing and say `HERALD_NO_CALL`.
//! - Where a function of the host takes `at`, that is the index of a packet in the batch, and means its stream; in hooks
//!   that are about one stream it is 0.
//! - A function may run on the control thread (`counters`, `command`, `prepare`, `discard`) while another runs on the
//!   loop's thread.
//! - Nothing unwinds out of a function of the contract.

mod host;
#[cfg(test)]
mod layout;
mod manifest;
mod numbers;
mod packet;
mod plugin;
mod stream;
mod text;

pub use host::HeraldHost;
pub use manifest::{
    HERALD_NOTE_FAULTS_CAUGHT, HERALD_NOTE_MAGIC, HERALD_NOTE_OWNER_LEN, HERALD_NOTE_TYPE, HeraldNoteHeader,
};
pub use numbers::*;
pub use packet::{HeraldBatch, HeraldPacket, HeraldVerdict};
pub use plugin::{HeraldCounterSink, HeraldEntry, HeraldPlugin};
pub use stream::{HeraldEnd, HeraldStream, HeraldStreamBytes};
pub use text::{HeraldBytes, HeraldCluster, HeraldExpected, HeraldSum, HeraldText, HeraldTextRoom};

// SAFETY: the pointers in these are dereferenced only in unsafe code, by the rules above; moving or sharing the values
// between threads dereferences none.
unsafe impl Send for HeraldPacket {}
// SAFETY: as above.
unsafe impl Sync for HeraldPacket {}
// SAFETY: as above; a reason's text lives as long as the process.
unsafe impl Send for HeraldVerdict {}
// SAFETY: as above.
unsafe impl Sync for HeraldVerdict {}

// SAFETY: as above; the place that is kept is null.
unsafe impl Send for HeraldPlugin {}
// SAFETY: as above.
unsafe impl Sync for HeraldPlugin {}

impl HeraldText {
    /// The text as C sees it; the caller keeps it alive as long as it is used.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { bytes: text.as_ptr(), len: text.len() }
    }
}

impl HeraldVerdict {
    /// No opinion: all zeros.
    pub const PASS: Self = Self {
        action: HERALD_ACTION_PASS,
        scope: HERALD_SCOPE_PACKET,
        reserved: 0,
        reason_len: 0,
        reason: core::ptr::null(),
    };
}

impl HeraldBytes {
    /// The bytes as C sees them; the caller keeps them alive as long as they are used.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.as_ptr(), len: bytes.len() }
    }
}

impl HeraldPlugin {
    /// No hooks and no state: what a host fills with what a plugin offers.
    pub const NONE: Self = Self {
        size: 0,
        state_size: 0,
        state_align: 1,
        reserved: 0,
        create: None,
        destroy: None,
        stream_started: None,
        packets: None,
        stream_ended: None,
        counters: None,
        extension: None,
        timer: None,
        stream_exported: None,
        stream_imported: None,
        command: None,
        prepare: None,
        adopt: None,
        discard: None,
        cluster_changed: None,
        stream_bytes: None,
        fact: core::ptr::null(),
    };
}
