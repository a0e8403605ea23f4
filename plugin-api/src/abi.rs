//! The C contract between the router and a plugin, version 1. `include/herald_plugin.h` is generated from this file.
//!
//! Rules of the contract:
//!
//! - Structures only grow at their end and start with their size in bytes. Who reads one reads no further than that
//!   size says. Elements of arrays carry no size; the array's owner gives their stride.
//! - No Rust enum and no `bool` crosses the boundary: numbers have named constants, and a number that the reader does
//!   not know is an error of the writer.
//! - Bytes and texts are a pointer and a length. Nobody frees what the other side made.
//! - Every function says where it may be called: \[control\] not on the way of packets, it may block and allocate;
//!   \[loop\] on the event loop's thread only, it must neither block nor allocate; \[any\] from any thread at any time.
//! - A function may run on the control thread (`counters`) while another runs on the loop's thread.
//! - Nothing unwinds out of a function of the contract.

mod manifest;

use core::ffi::c_void;

pub use manifest::{
    HERALD_NOTE_FAULTS_CAUGHT, HERALD_NOTE_MAGIC, HERALD_NOTE_OWNER_LEN, HERALD_NOTE_TYPE, HeraldNoteHeader,
};

/// Contracts with different major numbers do not understand each other. The entry symbol's name carries it.
pub const HERALD_ABI_MAJOR: u32 = 1;
/// Counts the additions within one major number; any two of them understand each other.
pub const HERALD_ABI_MINOR: u32 = 0;

/// Most packets in one batch.
pub const HERALD_BATCH_PACKETS_MAX: u32 = 64;
/// Largest size of a plugin's state of one stream, in bytes.
pub const HERALD_STATE_SIZE_MAX: u32 = 4096;
/// Largest alignment of a plugin's state of one stream, in bytes.
pub const HERALD_STATE_ALIGN_MAX: u32 = 64;

/// Status: done.
pub const HERALD_OK: i32 = 0;
/// Status: the plugin failed. From `packets`: it failed at the packet that `HeraldBatch::reached` names.
pub const HERALD_FAULT: i32 = -1;

/// Action: no opinion, next plugin. With a wider scope than the packet: do not ask me again within that scope.
pub const HERALD_ACTION_PASS: u8 = 0;
/// Action: skip the rest of the chain.
pub const HERALD_ACTION_ACCEPT: u8 = 1;
/// Action: skip the rest of the chain for this packet, and do not call me again for this stream.
pub const HERALD_ACTION_BYPASS: u8 = 2;
/// Action: end the packet silently. 3 is kept for `hold`.
pub const HERALD_ACTION_DROP: u8 = 4;
/// Action: end the packet and tell both ends: TCP resets, ICMP prohibited.
pub const HERALD_ACTION_REJECT: u8 = 5;

/// Scope: this packet.
pub const HERALD_SCOPE_PACKET: u8 = 0;
/// Scope: this and all later packets of the stream in this direction.
pub const HERALD_SCOPE_FLOW: u8 = 1;
/// Scope: this and all later packets of the stream.
pub const HERALD_SCOPE_STREAM: u8 = 2;

/// Direction: from the opener of the stream.
pub const HERALD_DIRECTION_FROM_OPENER: u8 = 0;
/// Direction: to the opener.
pub const HERALD_DIRECTION_TO_OPENER: u8 = 1;

/// Interface: the first.
pub const HERALD_INTERFACE_FIRST: u8 = 0;
/// Interface: the second.
pub const HERALD_INTERFACE_SECOND: u8 = 1;

/// Transport: one of which nothing more was parsed.
pub const HERALD_TRANSPORT_OTHER: u8 = 0;
/// Transport: TCP; ports and control bits are set.
pub const HERALD_TRANSPORT_TCP: u8 = 1;
/// Transport: UDP; ports are set.
pub const HERALD_TRANSPORT_UDP: u8 = 2;
/// Transport: ICMP or ICMPv6 echo request or reply; both ports are the identifier.
pub const HERALD_TRANSPORT_ECHO: u8 = 3;
/// Transport: ICMP or ICMPv6 error that quotes a packet of this stream.
pub const HERALD_TRANSPORT_ICMP_ERROR: u8 = 4;

/// End reason: both FINs were acknowledged.
pub const HERALD_END_FINISHED: u32 = 0;
/// End reason: a TCP reset.
pub const HERALD_END_RESET: u32 = 1;
/// End reason: nothing came for the state's time.
pub const HERALD_END_TIMED_OUT: u32 = 2;
/// End reason: a plugin dropped or rejected the stream.
pub const HERALD_END_VERDICT: u32 = 3;
/// End reason: another node won the stream.
pub const HERALD_END_REFUSED: u32 = 4;
/// End reason: a new connection took the stream's key.
pub const HERALD_END_REPLACED: u32 = 5;
/// End reason: the node stops.
pub const HERALD_END_SHUTDOWN: u32 = 6;
/// End reason: another node has taken the stream over from this one.
pub const HERALD_END_HANDED_OVER: u32 = 7;
/// End reason: the stream made room for others in a full table.
pub const HERALD_END_EVICTED: u32 = 8;

/// Log level: something failed.
pub const HERALD_LEVEL_ERROR: u32 = 1;
/// Log level: something is odd.
pub const HERALD_LEVEL_WARN: u32 = 2;
/// Log level: something worth knowing happened.
pub const HERALD_LEVEL_INFO: u32 = 3;
/// Log level: for who looks for a mistake.
pub const HERALD_LEVEL_DEBUG: u32 = 4;
/// Log level: every step.
pub const HERALD_LEVEL_TRACE: u32 = 5;

/// Text in UTF-8, not ended by a zero.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldText {
    /// First byte; null only if the text is empty.
    pub bytes: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// Room that the host lends for a text that the plugin writes.
#[derive(Debug)]
#[repr(C)]
pub struct HeraldTextRoom {
    /// First byte of the room.
    pub bytes: *mut u8,
    /// Size of the room in bytes.
    pub capacity: usize,
    /// Bytes written, by the plugin.
    pub len: usize,
}

/// What the host offers. It lives as long as the process.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldHost {
    /// Size of this structure in bytes.
    pub size: u32,
    /// The host takes log messages up to this level (`HERALD_LEVEL_*`).
    pub level: u32,
    /// \[any\] Writes a message of the named plugin to the host's log. Must not be called for each packet.
    pub log: Option<unsafe extern "C" fn(level: u32, plugin: HeraldText, message: HeraldText)>,
    /// \[any\] Nanoseconds since 1970-01-01 00:00 UTC.
    pub unix_nanos: Option<unsafe extern "C" fn() -> u64>,
    /// \[any\] An addition to the contract by its name, such as `herald.x.NAME/0`; null if the host has none of it.
    pub extension: Option<unsafe extern "C" fn(name: HeraldText) -> *const c_void>,
}

/// A stream as it is told to plugins at its start and its end.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldStream {
    /// Size of this structure in bytes.
    pub size: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// The interface at which the stream opened (`HERALD_INTERFACE_*`).
    pub interface: u8,
    /// 1 if the stream was taken up in its middle, else 0.
    pub midstream: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of the stream on this node, never reused in one run of the node.
    pub id: u64,
    /// The opener's address; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
    pub source: [u8; 16],
    /// The address the opener spoke to, in the same form.
    pub destination: [u8; 16],
    /// The opener's port; the identifier of an ICMP echo; 0 for protocols without ports.
    pub source_port: u16,
    /// The port the opener spoke to, likewise.
    pub destination_port: u16,
    /// Zero.
    pub reserved_2: u32,
    /// Now, in nanoseconds of the host's monotonic clock.
    pub now: u64,
    /// Id of the chosen node, which is the node that asks.
    pub chosen: HeraldText,
}

/// A stream's end.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldEnd {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Why the stream ended (`HERALD_END_*`).
    pub reason: u32,
    /// Packets on the wire from the opener.
    pub packets_from_opener: u64,
    /// Ethernet bytes from the opener.
    pub bytes_from_opener: u64,
    /// Packets on the wire to the opener.
    pub packets_to_opener: u64,
    /// Ethernet bytes to the opener.
    pub bytes_to_opener: u64,
    /// When the stream started, in nanoseconds of the host's monotonic clock.
    pub started: u64,
    /// When its last packet came, on the same clock.
    pub last_packet: u64,
}

/// One packet of a batch: a flat descriptor, so that reading a field is a load. Offsets are in bytes from the start of
/// the Ethernet header and never lie behind `len`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldPacket {
    /// The frame, from its Ethernet header on. Not to be written in this version.
    pub bytes: *const u8,
    /// The plugin's own state of the packet's stream: `state_size` bytes that never move while the stream lives. May be
    /// null where that size is 0.
    pub state: *mut c_void,
    /// Number of the stream.
    pub stream: u64,
    /// Length of the frame in bytes.
    pub len: u32,
    /// Where the IP packet ends; Ethernet padding may follow.
    pub end: u32,
    /// Packets on the wire that the frame stands for: more than 1 for a super-frame.
    pub wire_packets: u32,
    /// Where the IP header starts.
    pub network_at: u16,
    /// Where the transport header starts.
    pub transport_at: u16,
    /// Where the transport's payload starts.
    pub payload_at: u16,
    /// Source port, or identifier of an ICMP echo, or 0.
    pub source_port: u16,
    /// Destination port, or identifier of an ICMP echo, or 0.
    pub destination_port: u16,
    /// IP protocol number of the transport.
    pub protocol: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// What was parsed of the transport (`HERALD_TRANSPORT_*`).
    pub transport: u8,
    /// TCP control bits as on the wire (RFC 9293, section 3.1), else 0.
    pub tcp_flags: u8,
    /// Who sent it, seen from the stream (`HERALD_DIRECTION_*`).
    pub direction: u8,
    /// Where it arrived (`HERALD_INTERFACE_*`).
    pub interface: u8,
    /// Zeros.
    pub reserved: [u32; 3],
}

/// What a plugin says of a packet or a stream. The host sets each to zeros, which is pass, before it asks.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldVerdict {
    /// `HERALD_ACTION_*`.
    pub action: u8,
    /// `HERALD_SCOPE_*`.
    pub scope: u8,
    /// Effects; 0 in this version.
    pub effects: u16,
    /// Length of the reason in bytes.
    pub reason_len: u32,
    /// Reason of a drop or reject: a short text in UTF-8 that stays valid and unchanged as long as the process lives.
    pub reason: *const u8,
}

/// Packets to judge, in the order of their arrival. Several may belong to one stream: what a plugin says of packets
/// that its own earlier verdict already covers does not count.
#[derive(Debug)]
#[repr(C)]
pub struct HeraldBatch {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Number of packets and verdicts, at most `HERALD_BATCH_PACKETS_MAX`.
    pub count: u32,
    /// Distance from one packet to the next in bytes.
    pub packet_size: u32,
    /// Distance from one verdict to the next in bytes.
    pub verdict_size: u32,
    /// Index of the packet the plugin has come to; it counts when the plugin returns `HERALD_FAULT`.
    pub reached: u32,
    /// Zero.
    pub reserved: u32,
    /// Now, in nanoseconds of the host's monotonic clock.
    pub now: u64,
    /// The first packet.
    pub packets: *const HeraldPacket,
    /// The first verdict, to be written.
    pub verdicts: *mut HeraldVerdict,
}

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
}

/// The entry of a plugin, exported as `herald_plugin_v1`. \[control\] Called once for each loaded library; null if the
/// plugin cannot work with this host.
pub type HeraldEntry = unsafe extern "C" fn(host: *const HeraldHost) -> *const HeraldPlugin;

// SAFETY: the pointers in these are dereferenced only in unsafe code, by the rules above; moving or sharing the values
// between threads dereferences none.
unsafe impl Send for HeraldPacket {}
// SAFETY: as above.
unsafe impl Sync for HeraldPacket {}
// SAFETY: as above; a reason's text lives as long as the process.
unsafe impl Send for HeraldVerdict {}
// SAFETY: as above.
unsafe impl Sync for HeraldVerdict {}

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
        effects: 0,
        reason_len: 0,
        reason: core::ptr::null(),
    };
}

// One packet is one cache line, and structures have no holes whose contents would be unknown.
const _: () = assert!(size_of::<HeraldPacket>() == 64 || size_of::<*const u8>() != 8);
const _: () = assert!(size_of::<HeraldVerdict>() == 16 || size_of::<*const u8>() != 8);
const _: () = assert!(size_of::<HeraldStream>() == 80 || size_of::<*const u8>() != 8);
