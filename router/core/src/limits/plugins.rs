//! Bounds of plugins.

use std::time::Duration;

/// Bytes of what the plugins' host keeps in each stream's record: one cache line.
pub const HOST_PART_LEN_MAX: usize = 64;

/// Plugins of one chain: the per-stream masks have this many bits.
pub const PLUGINS_MAX: usize = 32;

/// Bytes of a plugin's file, which is read into memory: a debug build has some tens of MiB.
pub const PLUGIN_FILE_LEN_MAX: u64 = 512 * 1024 * 1024;

/// Times that the kernel is asked to seal a plugin's copy; it waits for up to 150 ms each time.
pub const PLUGIN_SEAL_TRIES_MAX: u32 = 10;

/// Bytes of the text by which a plugin refuses its configuration.
pub const PLUGIN_ERROR_LEN_MAX: usize = 4 * 1024;

/// Distinct drop reasons of one plugin that are counted by their text; the others share the last place.
pub const PLUGIN_REASONS_MAX: usize = 64;

/// Bytes of a drop reason's text, which is a line of a report.
pub const PLUGIN_REASON_LEN_MAX: usize = 256;

/// Notes of one stream.
pub const NOTES_PER_STREAM_MAX: usize = 8;

/// Bytes of a note's name.
pub const NOTE_NAME_LEN_MAX: usize = 32;

/// Bytes of a note's value: half a name of the DNS, so that a line of a report shows it.
pub const NOTE_VALUE_LEN_MAX: usize = 128;

/// Streams with notes at any moment: with the two before, at most 80 MiB.
pub const NOTED_STREAMS_MAX: usize = 65_536;

/// Effects that a plugin may say in one call: four for each packet of a batch.
pub const EFFECTS_MAX: usize = 256;

/// Bytes that come with the effects of one call: two of the largest packets.
pub const EFFECT_BYTES_MAX: usize = 128 * 1024;

/// Packets that plugins may make in one batch; what is more is not sent.
pub const INJECTED_PER_BATCH_MAX: usize = 256;

/// Counters that one plugin may report: some for each of its configured rules.
pub const PLUGIN_COUNTERS_MAX: usize = 16_384;

/// Faults of a plugin within [`PLUGIN_FAULT_TIME`] after which it is called no more.
pub const PLUGIN_FAULTS_MAX: u32 = 8;

/// Time in which a plugin's faults add up.
pub const PLUGIN_FAULT_TIME: Duration = Duration::from_secs(10);

/// One batch in this many has its time taken, so that the clock costs nothing.
pub const PLUGIN_TIMED_BATCHES: u64 = 64;

const _: () = assert!(PLUGINS_MAX <= u32::BITS as usize && PLUGIN_REASONS_MAX <= u8::MAX as usize);
