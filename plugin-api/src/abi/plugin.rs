//! What a plugin offers.

use core::ffi::c_void;

use super::{
    HeraldBatch, HeraldBytes, HeraldCluster, HeraldEnd, HeraldHost, HeraldStream, HeraldStreamBytes, HeraldText,
    HeraldTextRoom, HeraldVerdict,
};

/// Where a plugin reports its counters.
#[derive(Debug)]
#[repr(C)]
pub struct HeraldCounterSink {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// To be given to `report`.
    pub context: *mut c_void,
    /// \[control\] Reports one counter; the name is copied. To be called only inside `counters`.
    pub report: Option<unsafe extern "C" fn(context: *mut c_void, name: HeraldText, value: u64)>,
}

/// What a plugin offers. It lives as long as the process. Hooks may be null: then the plugin is not asked.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldPlugin {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Bytes of state for each stream, at most `HERALD_STATE_SIZE_MAX`; the same as in the manifest.
    pub state_size: u32,
    /// Alignment of that state: a power of two, at most `HERALD_STATE_ALIGN_MAX`.
    pub state_align: u32,
    /// Zero.
    pub reserved: u32,
    /// \[control\] Makes an instance from its configuration, a text in TOML. Null: refused, and `error` says why.
    pub create: Option<unsafe extern "C" fn(config: HeraldText, error: *mut HeraldTextRoom) -> *mut c_void>,
    /// \[control\] Unmakes an instance; nothing is called with it later. Streams that live then are not told.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// \[loop\] A stream started: make its state and say what is known of it already. The host gives `state_size` bytes of
    /// zeroes, aligned; what the plugin leaves there, padding included, the host neither reads nor writes until the stream
    /// has ended. A verdict that ends packets covers the whole stream whatever its scope. After a fault the state counts
    /// as not made.
    pub stream_started: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            stream: *const HeraldStream,
            state: *mut c_void,
            verdict: *mut HeraldVerdict,
        ) -> i32,
    >,
    /// \[loop\] Judges packets. The host reads the verdicts behind the call, so a batch may have packets that the plugin's
    /// own verdict on an earlier one covers; what it says of them counts for nothing.
    pub packets: Option<unsafe extern "C" fn(instance: *mut c_void, batch: *mut HeraldBatch) -> i32>,
    /// \[loop\] A stream ended: unmake its state, whose bytes are nobody's afterwards. Not called after a fault of this
    /// plugin in this stream.
    pub stream_ended: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            stream: *const HeraldStream,
            end: *const HeraldEnd,
            state: *mut c_void,
        ) -> i32,
    >,
    /// \[control\] Reports the plugin's own counters. May run while the loop's thread is inside another hook.
    pub counters: Option<unsafe extern "C" fn(instance: *mut c_void, sink: *const HeraldCounterSink) -> i32>,
    /// \[any\] An addition to the contract by its name; null if the plugin has none of it.
    pub extension: Option<unsafe extern "C" fn(name: HeraldText) -> *const c_void>,
    /// \[loop\] The time of a timer has come: of a stream, with its state, or of the instance, with neither. The verdict counts
    /// for the stream from here on; one for a packet is none. Reserved: not yet built.
    pub timer: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            stream: *const HeraldStream,
            state: *mut c_void,
            token: u64,
            verdict: *mut HeraldVerdict,
        ) -> i32,
    >,
    /// \[loop\] Writes a stream's state as bytes that `stream_imported` of any build with the manifest's `state_version`
    /// understands. The state stays as it is. Reserved: not yet built.
    pub stream_exported: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            stream: *const HeraldStream,
            state: *mut c_void,
            bytes: *mut HeraldTextRoom,
        ) -> i32,
    >,
    /// \[loop\] In place of `stream_started`: makes the state of a stream that was another node's, or another build's, from
    /// bytes that `stream_exported` has written with this state version. `HERALD_WRONG`: it does not understand them, and
    /// the state is not made. Reserved: not yet built.
    pub stream_imported: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            stream: *const HeraldStream,
            bytes: HeraldBytes,
            version: u32,
            state: *mut c_void,
        ) -> i32,
    >,
    /// \[control\] Obeys an operator's words and writes an answer of some lines. May run while the loop's thread is inside
    /// another hook. `HERALD_WRONG`: it does not know that command, and the answer says what it knows. Reserved: not yet
    /// built.
    pub command:
        Option<unsafe extern "C" fn(instance: *mut c_void, words: HeraldText, answer: *mut HeraldTextRoom) -> i32>,
    /// \[control\] Prepares something large, such as a list that is read from a file, for `adopt`: when the node starts, with
    /// no words, and when an operator says `reload`. Null: nothing is adopted; then what was written is the reason, if it is
    /// not empty. Reserved: not yet built.
    pub prepare: Option<
        unsafe extern "C" fn(instance: *mut c_void, words: HeraldText, answer: *mut HeraldTextRoom) -> *mut c_void,
    >,
    /// \[loop\] Between two batches: takes what `prepare` made in use and returns what was in use before, or null. Reserved:
    /// not yet built.
    pub adopt: Option<unsafe extern "C" fn(instance: *mut c_void, prepared: *mut c_void) -> *mut c_void>,
    /// \[control\] Frees what `adopt` returned, or what `prepare` made and nobody adopted. Reserved: not yet built.
    pub discard: Option<unsafe extern "C" fn(instance: *mut c_void, prepared: *mut c_void)>,
    /// \[loop\] The members that take streams have changed; also called once before the first stream. Reserved:
    /// not yet built.
    pub cluster_changed: Option<unsafe extern "C" fn(instance: *mut c_void, cluster: *const HeraldCluster) -> i32>,
    /// \[loop\] Judges bytes of a TCP stream, in order, before the segment that carries the last of them leaves. Reserved: not
    /// yet built. It will be called only if the manifest's `hooks` name it, and of streams that its filter takes. A drop or reject covers the whole stream, whatever
    /// its scope. `HERALD_ACTION_PASS` for the flow or the stream: the plugin wants no more bytes of it; packets it still sees, as
    /// it sees bytes after such a word on packets. `HERALD_ACTION_BYPASS`: it is not called about the stream any more, by either
    /// hook. `HERALD_ACTION_ACCEPT`: the plugins behind it do not see these bytes; with a wider scope, neither bytes nor packets,
    /// whichever hook says so.
    pub stream_bytes: Option<
        unsafe extern "C" fn(instance: *mut c_void, bytes: *mut HeraldStreamBytes, verdict: *mut HeraldVerdict) -> i32,
    >,
    /// Null. The place of `fact`, which gets what the host's parsers read. Reserved: not yet built.
    pub fact: *const c_void,
}

/// The entry of a plugin, exported as `herald_plugin_v1`. \[control\] Called once for each loaded library; null if the
/// plugin cannot work with this host.
pub type HeraldEntry = unsafe extern "C" fn(host: *const HeraldHost) -> *const HeraldPlugin;
