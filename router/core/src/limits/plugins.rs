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

/// Faults of a plugin at streams of one source, one after the other, after which it is not called for what that source opens.
pub const SOURCE_FAULTS_MAX: u32 = 4;

/// Time after which one of them is forgiven: a source that is over its limit has one more stream tried as often.
pub const SOURCE_FAULT_TIME: Duration = Duration::from_secs(10);

/// Sources whose faults at one plugin are remembered: 40 KiB. The one that is forgiven first makes room.
pub const FAULT_SOURCES_MAX: usize = 1024;

/// Events that tell of sources over their limit, for each plugin: so many at once, and one more in each second.
pub const LIMITED_SOURCES_TOLD: u32 = 16;

/// Events of one plugin that wait to be told: no batch has more.
pub const PLUGIN_EVENTS_MAX: usize = 64;

/// Seconds over which a plugin's faults are compared with what it was asked, the present one among them.
pub const PLUGIN_FAULT_SECONDS: usize = 10;

/// A plugin is suspended if it fails once in so many packets and streams, or more often.
pub const PLUGIN_FAULT_SHARE: u64 = 20;

/// Faults below which that is no share of anything.
pub const PLUGIN_FAULTS_MIN: u64 = 8;

/// Sources that the faults must come from: a host, or two that conspire, only harm themselves.
pub const PLUGIN_FAULT_SOURCES_MIN: usize = 3;

/// For how long a suspended plugin is not called before it is tried; twice as long each time that the trial fails.
pub const PLUGIN_SUSPENDED_TIME_MIN: Duration = Duration::from_secs(2);

/// The longest such time.
pub const PLUGIN_SUSPENDED_TIME_MAX: Duration = Duration::from_secs(256);

/// A plugin that is suspended again within this time after a trial was no success for good: its time is doubled, too.
pub const PLUGIN_PROBATION_TIME: Duration = Duration::from_secs(60);

/// Streams that a plugin may be told of while it is tried, before it has judged a packet.
pub const PLUGIN_TRIAL_STREAMS_MAX: u32 = 8;

/// Time after which it may be told of as many again: packets of the first ones may never have come to it.
pub const PLUGIN_TRIAL_TIME: Duration = Duration::from_secs(1);

/// One batch in this many has its time taken, so that the clock costs nothing.
pub const PLUGIN_TIMED_BATCHES: u64 = 64;

const _: () = assert!(PLUGIN_FAULTS_MIN > SOURCE_FAULTS_MAX as u64);
const _: () = assert!(PLUGINS_MAX <= u32::BITS as usize && PLUGIN_REASONS_MAX <= u8::MAX as usize);
