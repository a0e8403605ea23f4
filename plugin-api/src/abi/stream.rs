//! A stream and its end.

use core::ffi::c_void;

use super::{HeraldBytes, HeraldText};

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
    /// The stream's mark.
    pub mark: u32,
    /// Now, in nanoseconds of the host's monotonic clock.
    pub now: u64,
    /// Id of the chosen node, which is the node that asks.
    pub chosen: HeraldText,
    /// Number of the stream in which a plugin has expected this one; 0 if none has. Reserved: always 0, since `expect`
    /// is not yet built.
    pub related: u64,
    /// Now, in nanoseconds since 1970-01-01 00:00 UTC.
    pub unix_now: u64,
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
    /// Id of the plugin that has ended the stream; empty if none has.
    pub by: HeraldText,
    /// Its reason, such as a rule's name.
    pub why: HeraldText,
    /// To be given to `each_note`.
    pub notes: *const c_void,
    /// \[loop\] Calls `note` with each note of the stream, in the order in which their names came; only inside `stream_ended`.
    pub each_note: Option<
        unsafe extern "C" fn(
            notes: *const c_void,
            context: *mut c_void,
            note: Option<unsafe extern "C" fn(context: *mut c_void, name: HeraldText, value: HeraldText)>,
        ),
    >,
}

/// Bytes of one direction of a TCP stream, in order, as its receiver's application will read them.
#[derive(Debug)]
#[repr(C)]
pub struct HeraldStreamBytes {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Who sent them (`HERALD_DIRECTION_*`).
    pub direction: u8,
    /// What is known of them (`HERALD_BYTES_*`).
    pub marks: u8,
    /// Zero.
    pub reserved: u16,
    /// Number of the stream on this node.
    pub stream: u64,
    /// The plugin's state of the stream.
    pub state: *mut c_void,
    /// Where they begin: bytes of this direction behind its SYN, or behind what came first of a stream that had begun before.
    pub offset: u64,
    /// Those that this plugin has not seen yet; there may be none.
    pub fresh: HeraldBytes,
    /// By the plugin: do not call me again for this direction until so many more bytes are there, or it ends. At most
    /// `HERALD_WANT_MAX`; 0 is as good as 1.
    pub want: u64,
    /// Now, in nanoseconds of the host's monotonic clock.
    pub now: u64,
    /// Now, in nanoseconds since 1970-01-01 00:00 UTC.
    pub unix_now: u64,
    /// The stream's mark.
    pub mark: u32,
    /// Zero.
    pub reserved_too: u32,
}
