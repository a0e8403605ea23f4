//! The hooks of the event loop that not every packet meets: bytes in order, timers, moves, members.

use std::cell::Cell;
use std::ffi::c_void;
use std::{ptr, slice};

use super::{guarded, place_of};
use crate::abi::{
    HERALD_NO_ROOM, HERALD_OK, HERALD_WRONG, HeraldBytes, HeraldCluster, HeraldStream, HeraldStreamBytes,
    HeraldTextRoom, HeraldVerdict,
};
use crate::{Cluster, Plugin, StreamBytes, StreamInfo};

/// [loop]
pub(super) unsafe extern "C" fn stream_bytes<P: Plugin>(
    instance: *mut c_void,
    bytes: *mut HeraldStreamBytes,
    verdict: *mut HeraldVerdict,
) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    guarded(|| {
        let want = Cell::new(0);
        // SAFETY: the host gives bytes for this call, and the state that `stream_started` made of their stream.
        let said = unsafe {
            let raw = &*bytes;
            plugin.stream_bytes(&mut *place_of::<P>(raw.state), &StreamBytes::new(raw, &want))
        };
        // SAFETY: the host lends both for this call alone.
        unsafe {
            (*bytes).want = want.get();
            verdict.write(said.to_abi());
        }
    })
}

/// [loop]
pub(super) unsafe extern "C" fn timer<P: Plugin>(
    instance: *mut c_void,
    stream: *const HeraldStream,
    state: *mut c_void,
    token: u64,
    verdict: *mut HeraldVerdict,
) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    guarded(|| {
        // SAFETY: the host gives a stream for this call, or none.
        let Some(stream) = (unsafe { stream.as_ref() }) else { return plugin.instance_timer(token) };
        // SAFETY: with a stream it gives the state that `stream_started` made of it, and room for a verdict.
        unsafe {
            let said = plugin.timer(&mut *place_of::<P>(state), &StreamInfo::new(stream), token);
            verdict.write(said.to_abi());
        }
    })
}

/// [loop]
pub(super) unsafe extern "C" fn stream_exported<P: Plugin>(
    instance: *mut c_void,
    stream: *const HeraldStream,
    state: *mut c_void,
    bytes: *mut HeraldTextRoom,
) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    let written = Cell::new(HERALD_OK);
    let status = guarded(|| {
        // SAFETY: the host gives a stream for this call, a state that `stream_started` made of it, and room for bytes.
        let (info, state, room) = unsafe { (StreamInfo::new(&*stream), &*place_of::<P>(state), &mut *bytes) };
        let mut exported = Vec::new();
        plugin.stream_exported(state, &info, &mut exported);
        if exported.len() > room.capacity {
            return written.set(HERALD_NO_ROOM);
        }
        room.len = exported.len();
        // SAFETY: the room has `capacity` bytes.
        unsafe { ptr::copy_nonoverlapping(exported.as_ptr(), room.bytes, room.len) };
    });
    if status == HERALD_OK { written.get() } else { status }
}

/// [loop]
pub(super) unsafe extern "C" fn stream_imported<P: Plugin>(
    instance: *mut c_void,
    stream: *const HeraldStream,
    bytes: HeraldBytes,
    version: u32,
    state: *mut c_void,
) -> i32 {
    // SAFETY: the host gives what `create` made; other threads have it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    let understood = Cell::new(HERALD_OK);
    let status = guarded(|| {
        let bytes = if bytes.len == 0 {
            &[]
        } else {
            // SAFETY: the host gives bytes for this call.
            unsafe { slice::from_raw_parts(bytes.bytes, bytes.len) }
        };
        // SAFETY: the host gives a stream for this call.
        let info = unsafe { StreamInfo::new(&*stream) };
        match plugin.stream_imported(&info, bytes, version) {
            // SAFETY: the host gives room for one state, aligned.
            Some(imported) => unsafe { place_of::<P>(state).write(imported) },
            None => understood.set(HERALD_WRONG),
        }
    });
    if status == HERALD_OK { understood.get() } else { status }
}

/// [loop]
pub(super) unsafe extern "C" fn cluster_changed<P: Plugin>(
    instance: *mut c_void,
    cluster: *const HeraldCluster,
) -> i32 {
    // SAFETY: the host gives what `create` made, and what is known of the cluster for this call.
    let (plugin, cluster) = unsafe { (&*instance.cast::<P>(), &*cluster) };
    guarded(|| plugin.cluster_changed(&Cluster::from_abi(cluster)))
}
