//! The functions of the contract for a type with the trait [`Plugin`]: each catches panics, so nothing unwinds out of it.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use crate::abi::{
    HERALD_FAULT, HERALD_OK, HeraldBatch, HeraldCounterSink, HeraldEnd, HeraldHost, HeraldPacket, HeraldPlugin,
    HeraldStream, HeraldText, HeraldTextRoom, HeraldVerdict,
};
use crate::log;
use crate::note::size_u32;
use crate::{Action, ConfigError, Counters, Direction, End, Packet, Plugin, Scope, StreamInfo, Verdict};

/// A stream's state as the host keeps it: the plugin's own, and which directions it wants to see no more, so that a
/// plugin never sees a packet behind its own last word in the same batch.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Kept<S> {
    stream: S,
    decided: u8,
}

impl<S> Kept<S> {
    fn is_decided(&self, direction: Direction) -> bool {
        self.decided & bit(direction) != 0
    }

    fn decide(&mut self, direction: Direction, verdict: Verdict) {
        self.decided |= match (verdict.action(), verdict.scope()) {
            (Action::Bypass, _) | (_, Scope::Stream) => bit(Direction::FromOpener) | bit(Direction::ToOpener),
            (_, Scope::Flow) => bit(direction),
            (_, Scope::Packet) => 0,
        };
    }
}

const fn bit(direction: Direction) -> u8 {
    match direction {
        Direction::FromOpener => 1,
        Direction::ToOpener => 2,
    }
}

/// The contract's table for `P`.
struct Table<P>(std::marker::PhantomData<P>);

impl<P: Plugin> Table<P> {
    const TABLE: HeraldPlugin = HeraldPlugin {
        size: size_u32::<HeraldPlugin>(),
        state_size: size_u32::<Kept<P::Stream>>(),
        #[expect(clippy::cast_possible_truncation, reason = "an alignment is far below 2^32")]
        state_align: align_of::<Kept<P::Stream>>() as u32,
        reserved: 0,
        create: Some(create::<P>),
        destroy: Some(destroy::<P>),
        stream_started: Some(stream_started::<P>),
        packets: Some(packets::<P>),
        stream_ended: Some(stream_ended::<P>),
        counters: Some(counters::<P>),
        extension: Some(extension),
    };
}

/// The entry of [`export_plugin!`](crate::export_plugin).
///
/// # Safety
/// `host` is the host's table; it lives as long as the process.
pub unsafe fn enter<P: Plugin>(host: *const HeraldHost, plugin: &'static str) -> *const HeraldPlugin {
    // SAFETY: promised by the caller. A host with a smaller table is an older major, which has another entry.
    if let Some(host) = unsafe { host.as_ref() }
        && host.size >= size_u32::<HeraldHost>()
    {
        // SAFETY: promised by the caller.
        unsafe { log::connect(host, plugin) };
    }
    table::<P>()
}

/// The contract's table for `P`, for a host that has the plugin in its own binary, as tests do.
#[must_use]
pub fn table<P: Plugin>() -> &'static HeraldPlugin {
    const { &Table::<P>::TABLE }
}

/// Runs a hook; a panic becomes a fault. Afterwards the host uses neither the state that the hook had, nor this plugin for
/// that stream, so nothing half-changed is seen again but what the plugin itself shares between streams.
fn guarded(hook: impl FnOnce()) -> i32 {
    match catch_unwind(AssertUnwindSafe(hook)) {
        Ok(()) => HERALD_OK,
        Err(panic) => {
            // Dropping a panic's value may panic again.
            std::mem::forget(panic);
            HERALD_FAULT
        }
    }
}

/// [control]
unsafe extern "C" fn create<P: Plugin>(config: HeraldText, error: *mut HeraldTextRoom) -> *mut c_void {
    let made = catch_unwind(|| {
        // SAFETY: the host gives a text that lives for this call.
        let config = unsafe { text(config) }.ok_or_else(|| ConfigError::new("the configuration is not UTF-8"))?;
        let mut plugin = P::default();
        plugin.configure(config)?;
        Ok::<_, ConfigError>(Box::into_raw(Box::new(plugin)).cast())
    });
    let refusal = match made {
        Ok(Ok(instance)) => return instance,
        Ok(Err(refusal)) => refusal,
        Err(panic) => {
            std::mem::forget(panic);
            ConfigError::new("the plugin panicked while it was configured; the log says where")
        }
    };
    // SAFETY: the host lends the room for this call, or none.
    if let Some(room) = unsafe { error.as_mut() } {
        let refusal = refusal.to_string();
        room.len = refusal.floor_char_boundary(room.capacity);
        // SAFETY: the host lends `capacity` bytes, and no more are written.
        unsafe { ptr::copy_nonoverlapping(refusal.as_ptr(), room.bytes, room.len) };
    }
    ptr::null_mut()
}

/// [control]
unsafe extern "C" fn destroy<P: Plugin>(instance: *mut c_void) {
    // SAFETY: the host gives what `create` made, once.
    let plugin = unsafe { Box::from_raw(instance.cast::<P>()) };
    guarded(|| drop(plugin));
}

/// [loop]
unsafe extern "C" fn stream_started<P: Plugin>(
    instance: *mut c_void,
    stream: *const HeraldStream,
    state: *mut c_void,
    verdict: *mut HeraldVerdict,
) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    guarded(|| {
        // SAFETY: the host gives a stream for this call.
        let info = unsafe { StreamInfo::new(&*stream) };
        let mut kept = Kept { stream: P::Stream::default(), decided: 0 };
        let said = plugin.stream_started(&mut kept.stream, &info);
        // SAFETY: the host gives room for one state, aligned, and for one verdict.
        unsafe {
            state.cast::<Kept<P::Stream>>().write(kept);
            verdict.write(said.to_abi());
        }
    })
}

/// [loop]
unsafe extern "C" fn packets<P: Plugin>(instance: *mut c_void, batch: *mut HeraldBatch) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    // SAFETY: the host gives a batch for this call alone.
    let batch = unsafe { &mut *batch };
    let reached = Cell::new(0);
    let status = guarded(|| {
        while reached.get() < batch.count {
            // SAFETY: the index is below the batch's count.
            unsafe { judge(plugin, batch, reached.get()) };
            reached.set(reached.get() + 1);
        }
    });
    batch.reached = reached.get();
    status
}

/// # Safety
/// The batch is as the contract says, and `index` is below its count.
#[inline]
unsafe fn judge<P: Plugin>(plugin: &P, batch: &HeraldBatch, index: u32) {
    let (packet_at, verdict_at) =
        (index as usize * batch.packet_size as usize, index as usize * batch.verdict_size as usize);
    // SAFETY: packets and verdicts lie at these distances; a packet's state was made by `stream_started` and is used by
    // nobody else now; its bytes stay unchanged during the call.
    let (packet, state, verdict) = unsafe {
        let raw: &HeraldPacket = &*batch.packets.byte_add(packet_at);
        (Packet::new(raw, batch.now), &mut *raw.state.cast::<Kept<P::Stream>>(), batch.verdicts.byte_add(verdict_at))
    };
    let direction = packet.direction();
    if state.is_decided(direction) {
        return;
    }
    let said = plugin.packet(&mut state.stream, &packet);
    if said != Verdict::pass() {
        state.decide(direction, said);
        // SAFETY: as above.
        unsafe { verdict.write(said.to_abi()) };
    }
}

/// [loop]
unsafe extern "C" fn stream_ended<P: Plugin>(
    instance: *mut c_void,
    stream: *const HeraldStream,
    end: *const HeraldEnd,
    state: *mut c_void,
) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    guarded(|| {
        // SAFETY: the host gives a stream and its end for this call, and a state that `stream_started` made; it forgets the
        // state now.
        let (info, end, kept) =
            unsafe { (StreamInfo::new(&*stream), End::new(&*end), state.cast::<Kept<P::Stream>>().read()) };
        plugin.stream_ended(kept.stream, &info, &end);
    })
}

/// [control]
unsafe extern "C" fn counters<P: Plugin>(instance: *mut c_void, sink: *const HeraldCounterSink) -> i32 {
    // SAFETY: the host gives what `create` made; the loop's thread has it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    guarded(|| {
        // SAFETY: the host gives a sink for this call.
        let mut counters = unsafe { Counters::new(&*sink) };
        plugin.counters(&mut counters);
    })
}

/// [any]
unsafe extern "C" fn extension(_: HeraldText) -> *const c_void {
    ptr::null()
}

/// # Safety
/// The text is readable for `'a`.
unsafe fn text<'a>(text: HeraldText) -> Option<&'a str> {
    if text.len == 0 {
        return Some("");
    }
    // SAFETY: promised by the caller.
    std::str::from_utf8(unsafe { slice::from_raw_parts(text.bytes, text.len) }).ok()
}
