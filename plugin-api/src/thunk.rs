//! The functions of the contract for a type with the trait [`Plugin`]: each catches panics, so nothing unwinds out of it.

mod control;
mod more;

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::abi::{
    HERALD_BATCH_PACKETS_MAX, HERALD_FAULT, HERALD_OK, HeraldBatch, HeraldEnd, HeraldHost, HeraldPacket, HeraldPlugin,
    HeraldStream, HeraldText, HeraldVerdict,
};
use crate::note::size_u32;
use crate::{Action, End, Packet, Plugin, Scope, StreamInfo, Verdict};
use crate::{host, log};

/// The contract's table for `P`.
struct Table<P>(std::marker::PhantomData<P>);

impl<P: Plugin> Table<P> {
    const TABLE: HeraldPlugin = HeraldPlugin {
        size: size_u32::<HeraldPlugin>(),
        state_size: size_u32::<P::Stream>(),
        #[expect(clippy::cast_possible_truncation, reason = "an alignment is far below 2^32")]
        state_align: align_of::<P::Stream>() as u32,
        reserved: 0,
        create: Some(control::create::<P>),
        destroy: Some(control::destroy::<P>),
        stream_started: Some(stream_started::<P>),
        packets: Some(packets::<P>),
        stream_ended: Some(stream_ended::<P>),
        counters: Some(control::counters::<P>),
        extension: Some(extension),
        timer: Some(more::timer::<P>),
        stream_exported: Some(more::stream_exported::<P>),
        stream_imported: Some(more::stream_imported::<P>),
        command: Some(control::command::<P>),
        prepare: Some(control::prepare::<P>),
        adopt: Some(control::adopt::<P>),
        discard: Some(control::discard),
        cluster_changed: Some(more::cluster_changed::<P>),
        stream_bytes: Some(more::stream_bytes::<P>),
        fact: ptr::null(),
    };
}

/// The entry of [`export_plugin!`](crate::export_plugin).
///
/// # Safety
/// `host` is the host's table; it lives as long as the process.
pub unsafe fn enter<P: Plugin>(host: *const HeraldHost, plugin: &'static str) -> *const HeraldPlugin {
    // SAFETY: promised by the caller.
    if let Some(host) = unsafe { host.as_ref() } {
        // SAFETY: promised by the caller.
        if !unsafe { host::connect(host) } {
            return ptr::null();
        }
        log::name(plugin);
    }
    table::<P>()
}

/// Connects the plugins of the host's own binary with it.
///
/// # Safety
/// `host` is the host's table.
pub unsafe fn enter_built_in(host: &'static HeraldHost) {
    // SAFETY: promised by the caller. It is of the same build.
    unsafe { host::connect(host) };
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
        let mut kept = P::Stream::default();
        let said = plugin.stream_started(&mut kept, &info);
        // SAFETY: the host gives room for one state, aligned, and for one verdict.
        unsafe {
            place_of::<P>(state).write(kept);
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
    let mut spared = Spared(0);
    let status = guarded(|| {
        while reached.get() < batch.count {
            if !spared.has(reached.get()) {
                // SAFETY: the index is below the batch's count.
                unsafe { judge(plugin, batch, reached.get(), &mut spared) };
            }
            reached.set(reached.get() + 1);
        }
    });
    batch.reached = reached.get();
    status
}

/// Packets of a batch that the plugin is not shown, one bit each: it has spoken of them already, at an earlier packet of
/// their stream. The host knows that only behind the batch.
struct Spared(u64);

impl Spared {
    fn has(&self, index: u32) -> bool {
        self.0 & 1 << index != 0
    }

    /// What was said of the packet at `index` covers later ones.
    ///
    /// # Safety
    /// The batch is as the contract says.
    #[cold]
    unsafe fn add(&mut self, batch: &HeraldBatch, index: u32, said: Verdict) {
        // SAFETY: promised by the caller, and the indices are below the batch's count.
        let packet_at = |index: u32| unsafe { &*batch.packets.byte_add(index as usize * batch.packet_size as usize) };
        let here = packet_at(index);
        for later in index + 1..batch.count {
            let packet = packet_at(later);
            let covered = match (said.action(), said.scope()) {
                (Action::Bypass, _) | (_, Scope::Stream) => true,
                (_, Scope::Flow) => packet.direction == here.direction,
                (_, Scope::Packet) => false,
            };
            if covered && packet.stream == here.stream {
                self.0 |= 1 << later;
            }
        }
    }
}

const _: () = assert!(HERALD_BATCH_PACKETS_MAX <= u64::BITS);

/// # Safety
/// The batch is as the contract says, and `index` is below its count.
#[inline]
unsafe fn judge<P: Plugin>(plugin: &P, batch: &HeraldBatch, index: u32, spared: &mut Spared) {
    let (packet_at, verdict_at) =
        (index as usize * batch.packet_size as usize, index as usize * batch.verdict_size as usize);
    // SAFETY: packets and verdicts lie at these distances; a packet's state was made by `stream_started` and is used by
    // nobody else now; its bytes stay unchanged during the call.
    let (packet, state, verdict) = unsafe {
        let raw: &HeraldPacket = &*batch.packets.byte_add(packet_at);
        (Packet::new(raw, batch, index), &mut *place_of::<P>(raw.state), batch.verdicts.byte_add(verdict_at))
    };
    let said = plugin.packet(state, &packet);
    if said != Verdict::pass() {
        // SAFETY: as above.
        unsafe {
            verdict.write(said.to_abi());
            spared.add(batch, index, said);
        }
    }
}

/// Where the plugin's state of a stream lies. One without bytes may lie anywhere, and the host need not say where.
fn place_of<P: Plugin>(state: *mut c_void) -> *mut P::Stream {
    if size_of::<P::Stream>() == 0 { ptr::NonNull::dangling().as_ptr() } else { state.cast() }
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
        let (info, end, kept) = unsafe { (StreamInfo::new(&*stream), End::new(&*end), place_of::<P>(state).read()) };
        plugin.stream_ended(kept, &info, &end);
    })
}

/// [any]
unsafe extern "C" fn extension(_: HeraldText) -> *const c_void {
    ptr::null()
}
