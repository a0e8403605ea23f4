//! The functions that run on the control thread, and what they prepare.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use super::guarded;
use crate::abi::{HERALD_FAULT, HERALD_OK, HERALD_WRONG, HeraldCounterSink, HeraldText, HeraldTextRoom};
use crate::{ConfigError, Counters, Plugin, Prepared};

/// [control]
pub(super) unsafe extern "C" fn create<P: Plugin>(config: HeraldText, error: *mut HeraldTextRoom) -> *mut c_void {
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
    unsafe { write(&refusal.to_string(), error) };
    ptr::null_mut()
}

/// [control]
pub(super) unsafe extern "C" fn destroy<P: Plugin>(instance: *mut c_void) {
    // SAFETY: the host gives what `create` made, once.
    let plugin = unsafe { Box::from_raw(instance.cast::<P>()) };
    guarded(|| drop(plugin));
}

/// [control]
pub(super) unsafe extern "C" fn counters<P: Plugin>(instance: *mut c_void, sink: *const HeraldCounterSink) -> i32 {
    // SAFETY: the host gives what `create` made; the loop's thread has it shared, too.
    let plugin = unsafe { &*instance.cast::<P>() };
    guarded(|| {
        // SAFETY: the host gives a sink for this call.
        let mut counters = unsafe { Counters::new(&*sink) };
        plugin.counters(&mut counters);
    })
}

/// [control]
pub(super) unsafe extern "C" fn command<P: Plugin>(
    instance: *mut c_void,
    words: HeraldText,
    answer: *mut HeraldTextRoom,
) -> i32 {
    // SAFETY: the host gives what `create` made, and a text that lives for this call.
    let (plugin, words) = unsafe { (&*instance.cast::<P>(), text(words)) };
    let Some(words) = words else { return HERALD_WRONG };
    let Ok(said) = catch_unwind(AssertUnwindSafe(|| plugin.command(words))) else { return HERALD_FAULT };
    let (status, said) = match said {
        Ok(said) => (HERALD_OK, said),
        Err(said) => (HERALD_WRONG, said),
    };
    // SAFETY: the host lends the room for this call.
    unsafe { write(&said, answer) };
    status
}

/// [control]
pub(super) unsafe extern "C" fn prepare<P: Plugin>(
    instance: *mut c_void,
    words: HeraldText,
    answer: *mut HeraldTextRoom,
) -> *mut c_void {
    // SAFETY: the host gives what `create` made, and a text that lives for this call.
    let (plugin, words) = unsafe { (&*instance.cast::<P>(), text(words)) };
    let words = words.unwrap_or_default();
    let refusal = match catch_unwind(AssertUnwindSafe(|| plugin.prepare(words))) {
        Ok(Ok(prepared)) => {
            return prepared.map_or(ptr::null_mut(), |prepared| Box::into_raw(Box::new(prepared)).cast());
        }
        Ok(Err(refusal)) => refusal.to_string(),
        Err(panic) => {
            std::mem::forget(panic);
            "the plugin panicked while it prepared that; the log says where".to_owned()
        }
    };
    // SAFETY: the host lends the room for this call.
    unsafe { write(&refusal, answer) };
    ptr::null_mut()
}

/// [loop]
pub(super) unsafe extern "C" fn adopt<P: Plugin>(instance: *mut c_void, prepared: *mut c_void) -> *mut c_void {
    // SAFETY: the host gives what `create` made, and what `prepare` made, once.
    let (plugin, prepared) = unsafe { (&*instance.cast::<P>(), Box::from_raw(prepared.cast::<Prepared>())) };
    match catch_unwind(AssertUnwindSafe(|| plugin.adopt(*prepared))) {
        Ok(before) => before.map_or(ptr::null_mut(), |before| Box::into_raw(Box::new(before)).cast()),
        Err(panic) => {
            std::mem::forget(panic);
            ptr::null_mut()
        }
    }
}

/// [control]
pub(super) unsafe extern "C" fn discard(_: *mut c_void, prepared: *mut c_void) {
    // SAFETY: the host gives what `prepare` or `adopt` made, once.
    let prepared = unsafe { Box::from_raw(prepared.cast::<Prepared>()) };
    guarded(|| drop(prepared));
}

/// Writes as much of a text as there is room for.
///
/// # Safety
/// The room is nothing, or `capacity` bytes that may be written.
unsafe fn write(said: &str, room: *mut HeraldTextRoom) {
    // SAFETY: promised by the caller.
    if let Some(room) = unsafe { room.as_mut() } {
        room.len = said.floor_char_boundary(room.capacity);
        // SAFETY: promised by the caller, and no more bytes are written.
        unsafe { ptr::copy_nonoverlapping(said.as_ptr(), room.bytes, room.len) };
    }
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
