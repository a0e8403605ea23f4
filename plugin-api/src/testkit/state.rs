//! The calls into a plugin and the states of its streams: everything unsafe about a test.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::frame::Segment;
use super::order::Shown;
use crate::abi::{
    HERALD_FAULT, HeraldBatch, HeraldBytes, HeraldCounterSink, HeraldEnd, HeraldPlugin, HeraldStream,
    HeraldStreamBytes, HeraldText, HeraldTextRoom, HeraldVerdict,
};
use crate::note::size_u32;

/// Bytes for the words by which a plugin refuses its configuration.
const ERROR_LEN: usize = 4_096;

/// An instance of a plugin.
#[derive(Debug)]
pub(super) struct Instance<P> {
    table: &'static HeraldPlugin,
    instance: NonNull<c_void>,
    plugin: PhantomData<P>,
}

/// Zeroes for a plugin's state of one stream, which it makes and unmakes.
#[derive(Debug)]
pub(super) struct State {
    memory: NonNull<u8>,
    layout: Layout,
}

impl State {
    /// Zeroes for a state of this type.
    pub(super) fn new<T>() -> Self {
        let layout = Layout::new::<T>();
        if layout.size() == 0 {
            return Self { memory: NonNull::<T>::dangling().cast(), layout };
        }
        // SAFETY: the layout has at least one byte.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) });
        Self { memory: memory.unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }

    fn place(&mut self) -> *mut c_void {
        self.memory.as_ptr().cast()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: it was allocated with this layout.
            unsafe { dealloc(self.memory.as_ptr(), self.layout) }
        }
    }
}

impl<P> Instance<P> {
    /// Makes an instance.
    pub(super) fn new(table: &'static HeraldPlugin, config: &str) -> Result<Self, String> {
        let mut room = vec![0; ERROR_LEN];
        let mut error = HeraldTextRoom { bytes: room.as_mut_ptr(), capacity: room.len(), len: 0 };
        let made = table.create.map_or(ptr::null_mut(), |create| {
            // SAFETY: both texts live for this call, and the room has `capacity` bytes.
            unsafe { create(HeraldText::new(config), &raw mut error) }
        });
        let words = String::from_utf8_lossy(room.get(..error.len).unwrap_or_default());
        NonNull::new(made)
            .map(|instance| Self { table, instance, plugin: PhantomData })
            .ok_or_else(|| words.into_owned())
    }

    /// A stream starts.
    pub(super) fn start(&self, stream: &HeraldStream, state: &mut State) -> (i32, HeraldVerdict) {
        let mut verdict = HeraldVerdict::PASS;
        let Some(hook) = self.table.stream_started else { return (0, verdict) };
        // SAFETY: the state is new and of this plugin's type; the rest lives for this call.
        let status = unsafe { hook(self.instance.as_ptr(), stream, state.place(), &raw mut verdict) };
        (status, verdict)
    }

    /// A packet comes.
    pub(super) fn packet(&self, segment: &Segment, state: &mut State, now: Duration) -> (i32, HeraldVerdict) {
        let mut verdict = HeraldVerdict::PASS;
        let Some(hook) = self.table.packets else { return (0, verdict) };
        let packet = segment.described(state.place());
        let mut batch = HeraldBatch {
            size: size_u32::<HeraldBatch>(),
            count: 1,
            packet_size: size_u32::<crate::abi::HeraldPacket>(),
            verdict_size: size_u32::<HeraldVerdict>(),
            reached: 0,
            reserved: 0,
            now: super::nanos(now),
            packets: &raw const packet,
            verdicts: &raw mut verdict,
            unix_now: super::nanos(now),
        };
        // SAFETY: the plugin made the state at the start of the packet's stream; the rest lives for this call.
        let status = unsafe { hook(self.instance.as_ptr(), &raw mut batch) };
        (status, verdict)
    }

    /// Bytes in order are there. The last number is how many more the plugin wants.
    pub(super) fn bytes(
        &self,
        segment: &Segment,
        shown: &Shown,
        state: &mut State,
        now: Duration,
    ) -> (i32, HeraldVerdict, u64) {
        let mut verdict = HeraldVerdict::PASS;
        let Some(hook) = self.table.stream_bytes else { return (0, verdict, 0) };
        let mut bytes = HeraldStreamBytes {
            size: size_u32::<HeraldStreamBytes>(),
            direction: segment.direction.to_abi(),
            marks: shown.marks,
            reserved: 0,
            stream: segment.stream as u64 + 1,
            state: state.place(),
            offset: shown.offset,
            fresh: HeraldBytes::new(&shown.fresh),
            want: 0,
            now: super::nanos(now),
            unix_now: super::nanos(now),
            mark: 0,
            reserved_too: 0,
        };
        // SAFETY: the plugin made the state at the start of the bytes' stream; the rest lives for this call.
        let status = unsafe { hook(self.instance.as_ptr(), &raw mut bytes, &raw mut verdict) };
        (status, verdict, bytes.want)
    }

    /// A stream ends.
    pub(super) fn end(&self, stream: &HeraldStream, end: &HeraldEnd, mut state: State) -> i32 {
        let Some(hook) = self.table.stream_ended else { return 0 };
        // SAFETY: the plugin made the state at the start of this stream, and it is used no more.
        unsafe { hook(self.instance.as_ptr(), stream, end, state.place()) }
    }

    /// The plugin's counters.
    pub(super) fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        if let Some(hook) = self.table.counters {
            let sink = HeraldCounterSink {
                size: size_u32::<HeraldCounterSink>(),
                reserved: 0,
                context: ptr::from_mut(&mut counters).cast(),
                report: Some(report),
            };
            // SAFETY: the sink and its context live for this call.
            let status = unsafe { hook(self.instance.as_ptr(), &raw const sink) };
            assert_ne!(status, HERALD_FAULT, "the plugin panicked while it reported its counters");
        }
        counters
    }
}

impl<P> Drop for Instance<P> {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: `create` made the instance, which goes now.
            unsafe { destroy(self.instance.as_ptr()) }
        }
    }
}

/// # Safety
/// `context` is the map that `counters` gave, and the name is a text that lives for this call.
unsafe extern "C" fn report(context: *mut c_void, name: HeraldText, value: u64) {
    // SAFETY: promised by the caller.
    let counters = unsafe { &mut *context.cast::<BTreeMap<String, u64>>() };
    // SAFETY: promised by the caller.
    let name = unsafe { std::slice::from_raw_parts(name.bytes, name.len) };
    counters.insert(String::from_utf8_lossy(name).into_owned(), value);
}

/// The reason of a verdict.
pub(super) fn reason(verdict: &HeraldVerdict) -> Option<String> {
    if verdict.reason.is_null() || verdict.reason_len == 0 {
        return None;
    }
    // SAFETY: the plugin gives texts that live as long as the process.
    let bytes = unsafe { std::slice::from_raw_parts(verdict.reason, verdict.reason_len as usize) };
    Some(String::from_utf8_lossy(bytes).into_owned())
}
