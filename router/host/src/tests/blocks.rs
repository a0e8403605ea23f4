//! A plugin's state is the plugin's alone: zeroes when its stream starts, and from then on no byte of it, padding included,
//! is touched by the host until the stream has ended. That the host does not even *read* it, no run can show; it has no
//! pointer to it but the one that it gives to the plugin.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::slice;

use herald_plugin::abi::{
    HERALD_FAULT, HERALD_OK, HeraldBatch, HeraldEnd, HeraldPlugin, HeraldStream, HeraldText, HeraldTextRoom,
    HeraldVerdict,
};

use super::*;

/// What a stream's plugins leave in each byte of their states.
fn mark(stream: u64) -> u8 {
    0x80 | u8::try_from(stream).unwrap_or_default()
}

/// Whether all bytes of a state are this one, as a status.
///
/// # Safety
/// The state has `LEN` bytes.
unsafe fn all_are<const LEN: usize>(state: *mut c_void, byte: u8) -> i32 {
    // SAFETY: promised by the caller; this plugin writes whole bytes, and the host none that are not initialised.
    let bytes = unsafe { slice::from_raw_parts(state.cast::<u8>(), LEN) };
    if bytes.iter().all(|found| *found == byte) { HERALD_OK } else { HERALD_FAULT }
}

unsafe extern "C" fn create(_: HeraldText, _: *mut HeraldTextRoom) -> *mut c_void {
    NonNull::dangling().as_ptr()
}

unsafe extern "C" fn started<const LEN: usize>(
    _: *mut c_void,
    stream: *const HeraldStream,
    state: *mut c_void,
    _: *mut HeraldVerdict,
) -> i32 {
    // SAFETY: the host gives a stream, and room for one state.
    unsafe {
        let status = all_are::<LEN>(state, 0);
        state.cast::<u8>().write_bytes(mark((*stream).id), LEN);
        status
    }
}

unsafe extern "C" fn packets<const LEN: usize>(_: *mut c_void, batch: *mut HeraldBatch) -> i32 {
    // SAFETY: the host gives a batch for this call, whose packets have states that `started` made.
    let packets = unsafe { slice::from_raw_parts((*batch).packets, (*batch).count as usize) };
    // SAFETY: as above.
    packets.iter().map(|packet| unsafe { all_are::<LEN>(packet.state, mark(packet.stream)) }).max().unwrap_or(HERALD_OK)
}

unsafe extern "C" fn ended<const LEN: usize>(
    _: *mut c_void,
    stream: *const HeraldStream,
    _: *const HeraldEnd,
    state: *mut c_void,
) -> i32 {
    // SAFETY: the host gives a stream, and a state that `started` made.
    unsafe { all_are::<LEN>(state, mark((*stream).id)) }
}

/// A plugin with so many bytes of state.
fn plugin<const LEN: usize>(align: u32) -> (Plugin, FaultPolicy) {
    let table = HeraldPlugin {
        size: u32::try_from(size_of::<HeraldPlugin>()).unwrap(),
        state_size: u32::try_from(LEN).unwrap(),
        state_align: align,
        create: Some(create),
        stream_started: Some(started::<LEN>),
        packets: Some(packets::<LEN>),
        stream_ended: Some(ended::<LEN>),
        ..HeraldPlugin::NONE
    };
    let text = toml::from_str(&format!("id = \"p{LEN}\"\nversion = \"1\"\nlicence = \"MIT\"")).unwrap();
    let manifest = Manifest { text, schema: None, state_size: LEN, state_align: align as usize };
    (Plugin::make(manifest, table, "").unwrap(), FaultPolicy::Closed)
}

#[test]
fn the_host_touches_no_byte_of_a_plugins_state_while_its_stream_lives() {
    let chain = vec![plugin::<5>(1), plugin::<24>(8), plugin::<64>(64)];
    let mut streams = Streams::new(Chain::new(chain, Clock { monotonic: clock, unix_nanos: || 0 }));
    for round in 0..3 {
        for slot in 0..4 {
            streams.start(NOW, Slot::new(slot), stream(u64::from(slot) + 1));
        }
        let batch = (0..8).map(|n| packet(n % 4, if n < 4 { To } else { Back }, "")).collect();
        assert!(streams.judge(NOW, batch).iter().all(|verdict| verdict.action == Action::Pass), "round {round}");
        for slot in [2, 0, 3, 1] {
            streams.end(NOW, Slot::new(slot), &Totals::default(), EndReason::TimedOut);
        }
    }
    for row in streams.plugins.report().rows() {
        assert_eq!((row.faults, row.packets), (0, 24), "{}", row.id);
    }
}
