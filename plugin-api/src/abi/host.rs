//! What the host offers.

use core::ffi::c_void;

use super::{HeraldBytes, HeraldExpected, HeraldSum, HeraldText, HeraldTextRoom};

/// What the host offers. It lives as long as the process.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldHost {
    /// Size of this structure in bytes.
    pub size: u32,
    /// The host takes log messages up to this level (`HERALD_LEVEL_*`).
    pub level: u32,
    /// `HERALD_ABI_MAJOR` of the host.
    pub abi_major: u32,
    /// `HERALD_ABI_MINOR` of the host.
    pub abi_minor: u32,
    /// \[any\] Writes a message of the named plugin to the host's log. Must not be called for each packet.
    pub log: Option<unsafe extern "C" fn(level: u32, plugin: HeraldText, message: HeraldText)>,
    /// \[any\] Nanoseconds since 1970-01-01 00:00 UTC.
    pub unix_nanos: Option<unsafe extern "C" fn() -> u64>,
    /// \[any\] An addition to the contract by its name, such as `herald.x.NAME/0`; null if the host has none of it.
    pub extension: Option<unsafe extern "C" fn(name: HeraldText) -> *const c_void>,
    /// \[loop\] In `packets`: replaces `old_len` bytes of a packet, from `from` bytes behind its Ethernet header's start, by
    /// others, which are copied. It takes effect behind the call: the packet's bytes stay what they are during it, and later
    /// plugins see what was written. The host mends lengths, checksums and the offload header. Only bytes of the transport's
    /// payload may be replaced by more or fewer, and neither those of TCP, nor of a super-frame or a datagram that was put together. `HERALD_NO_ROOM`,
    /// `HERALD_UNSOUND`, `HERALD_WRONG`, `HERALD_FULL`.
    pub replace: Option<unsafe extern "C" fn(at: u32, from: u32, old_len: u32, bytes: HeraldBytes) -> i32>,
    /// \[loop\] In `packets`, `timer` or `stream_started`: sends an IP packet of the stream in a direction
    /// (`HERALD_DIRECTION_*`). Its bytes, from the IP header on, are copied; the host mends its checksums. Later plugins see
    /// it, earlier ones and this one do not. `HERALD_WRONG` if it is no packet of the stream.
    pub inject: Option<unsafe extern "C" fn(at: u32, direction: u8, packet: HeraldBytes) -> i32>,
    /// \[loop\] In every hook of a stream: the stream's mark from now on, which later plugins and reports see.
    pub mark: Option<unsafe extern "C" fn(at: u32, mark: u32) -> i32>,
    /// \[loop\] In every hook of a stream: notes a value under a name, for later plugins and reports. A name's later value takes
    /// the place of the former. `HERALD_FULL` if the stream has as many notes as it may have, or a text is too long.
    pub note: Option<unsafe extern "C" fn(at: u32, name: HeraldText, value: HeraldText) -> i32>,
    /// \[loop\] In every hook of a stream: copies what was noted under a name; `HERALD_NOTHING` without such a note. What this
    /// very call has noted is seen behind it.
    pub noted: Option<unsafe extern "C" fn(at: u32, name: HeraldText, value: *mut HeraldTextRoom) -> i32>,
    /// \[loop\] In every hook: calls `timer` once with this token, after so many nanoseconds; of the stream, or of the instance
    /// (`HERALD_INSTANCE`). Reserved: not yet built.
    pub timer: Option<unsafe extern "C" fn(at: u32, after: u64, token: u64) -> i32>,
    /// \[loop\] In every hook of a stream: a related stream is expected. Reserved: not yet built.
    pub expect: Option<unsafe extern "C" fn(at: u32, expected: *const HeraldExpected) -> i32>,
    /// \[loop\] In `packets`: a packet for which the verdict is `HERALD_ACTION_HOLD` waits at most so many nanoseconds; then it
    /// meets `action`: pass, drop or reject. Reserved: not yet built.
    pub hold: Option<unsafe extern "C" fn(at: u32, time: u64, action: u8) -> i32>,
    /// \[loop\] In every hook: all packets of a stream, by its number, that this plugin holds meet `action`: pass, drop or
    /// reject. `HERALD_NOTHING` if there are none. Reserved: not yet built.
    pub resolve: Option<unsafe extern "C" fn(stream: u64, action: u8) -> i32>,
    /// \[loop\] In every hook: adds to a counter of the whole cluster, declared in the manifest, under a key of at most 32 bytes;
    /// `sum` says what it has, summed over the members each second. `HERALD_NOTHING` without such a counter, `HERALD_FULL`
    /// if the key found no place. Reserved: not yet built.
    pub count: Option<unsafe extern "C" fn(name: HeraldText, key: HeraldBytes, more: u64, sum: *mut HeraldSum) -> i32>,
}
