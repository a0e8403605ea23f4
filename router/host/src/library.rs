//! A loaded plugin and the calls into it. Everything unsafe about a plugin's code is here.
//!
//! A library is never unloaded: its code may be referred to by thread-local destructors and by texts it gave, and the
//! loader would return the old code for a path it knows; so the copy in memory stays open, too.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::{ptr, slice};

use herald_plugin::abi::{
    HERALD_ABI_MAJOR, HERALD_ABI_MINOR, HERALD_LEVEL_DEBUG, HERALD_LEVEL_ERROR, HERALD_LEVEL_INFO, HERALD_LEVEL_TRACE,
    HERALD_LEVEL_WARN, HERALD_OK, HeraldBatch, HeraldCounterSink, HeraldEnd, HeraldEntry, HeraldHost, HeraldPacket,
    HeraldPlugin, HeraldStream, HeraldStreamBytes, HeraldText, HeraldTextRoom, HeraldVerdict,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nix::libc::RTLD_NODELETE;
use tracing::level_filters::LevelFilter;

use super::manifest::Manifest;
use super::{HostError, effects, file};
use herald_core::limits::{PLUGIN_COUNTERS_MAX, PLUGIN_ERROR_LEN_MAX, PLUGIN_REASON_LEN_MAX};
use herald_core::time::Instant;

/// One instance of a loaded plugin. Its hooks run on the loop's thread, its counters may be read from any.
#[derive(Debug)]
pub(super) struct Plugin {
    pub(super) manifest: Manifest,
    table: HeraldPlugin,
    instance: NonNull<c_void>,
}

/// The plugin failed in a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

// SAFETY: the contract demands that an instance can be used from several threads: hooks from one at a time, `counters` and
// `destroy` from another. `destroy` runs when the last owner is gone.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Loads a plugin's file and makes an instance with this configuration, a text in TOML.
    ///
    /// # Errors
    /// The file is no plugin for this router, or the plugin refuses the configuration.
    pub(super) fn load(path: &Path, config: &str, unix_nanos: fn() -> u64) -> Result<Self, HostError> {
        let bytes = file::read(path)?;
        let manifest = Manifest::read(path, &bytes)?;
        let copy = file::seal(&bytes).map_err(|source| HostError::Copy { path: path.to_owned(), source })?;
        // The descriptor stays open for life, so no later copy can have this path.
        let copy = format!("/proc/self/fd/{}", copy.into_raw_fd().as_raw_fd());
        let load = |source| HostError::Load { path: path.to_owned(), source };
        // SAFETY: initialisers of the library run. Its file is trusted like the router itself, which the documents say.
        let library = unsafe { Library::open(Some(&copy), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }.map_err(load)?;
        // SAFETY: the manifest says that the symbol of this name is the contract's entry.
        let entry = *unsafe { library.get::<HeraldEntry>(b"herald_plugin_v1\0") }.map_err(load)?;
        std::mem::forget(library);
        // SAFETY: the host's table lives as long as the process; the entry is called as the contract says.
        let table = unsafe { entry(host(unix_nanos)).as_ref() };
        let unfit = |expected: &str, found: &str| HostError::Unfit {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
            mend: "build it anew with this router's herald-plugin",
        };
        let table = table.ok_or_else(|| unfit("a table from herald_plugin_v1", "none"))?;
        // SAFETY: the table is readable as far as its size says.
        let table = unsafe { read_table(table) };
        if (table.state_size as usize, table.state_align as usize) != (manifest.state_size, manifest.state_align) {
            return Err(unfit("a table that agrees with the manifest", "another size of state"));
        }
        if manifest.text.wants_bytes() && table.stream_bytes.is_none() {
            return Err(unfit("a table with stream_bytes, which the manifest's hooks name", "none"));
        }
        Self::make(manifest, table, config)
    }

    /// Makes an instance of a plugin whose table is known.
    pub(super) fn make(manifest: Manifest, table: HeraldPlugin, config: &str) -> Result<Self, HostError> {
        let mut room = vec![0; PLUGIN_ERROR_LEN_MAX];
        let mut error = HeraldTextRoom { bytes: room.as_mut_ptr(), capacity: room.len(), len: 0 };
        let instance = table.create.map_or(ptr::null_mut(), |create| {
            // SAFETY: both texts live for this call, and the room has `capacity` bytes.
            unsafe { create(HeraldText::new(config), &mut error) }
        });
        match NonNull::new(instance) {
            Some(instance) => Ok(Self { manifest, table, instance }),
            None => {
                let text = String::from_utf8_lossy(room.get(..error.len).unwrap_or_default()).into_owned();
                let text = if text.is_empty() { "it does not say why".to_owned() } else { text };
                Err(HostError::Config { plugin: manifest.text.id, text })
            }
        }
    }

    /// Another instance of the same plugin.
    pub(super) fn remade(&self, config: &str) -> Result<Self, HostError> {
        Self::make(self.manifest.clone(), self.table, config)
    }

    /// A stream started; the plugin makes its state.
    ///
    /// # Safety
    /// `state` is room for one state of this plugin, which holds none yet. Runs on the loop's thread.
    pub(super) unsafe fn stream_started(
        &self,
        stream: &HeraldStream,
        state: *mut c_void,
    ) -> Result<HeraldVerdict, Fault> {
        let mut verdict = HeraldVerdict::PASS;
        let Some(hook) = self.table.stream_started else { return Ok(verdict) };
        // SAFETY: promised by the caller; the rest lives for this call.
        let status = unsafe { hook(self.instance.as_ptr(), stream, state, &mut verdict) };
        if status == HERALD_OK { Ok(verdict) } else { Err(Fault) }
    }

    /// Judges bytes of a stream in order.
    ///
    /// # Safety
    /// The state was made by this plugin, and the bytes stay during the call. Runs on the loop's thread.
    pub(super) unsafe fn stream_bytes(&self, bytes: &mut HeraldStreamBytes) -> Result<HeraldVerdict, Fault> {
        let mut verdict = HeraldVerdict::PASS;
        let Some(hook) = self.table.stream_bytes else { return Ok(verdict) };
        // SAFETY: promised by the caller; the rest lives for this call.
        let status = unsafe { hook(self.instance.as_ptr(), bytes, &mut verdict) };
        if status == HERALD_OK { Ok(verdict) } else { Err(Fault) }
    }

    /// Judges packets. Returns how many have a verdict; behind them the plugin failed, if they are not all.
    ///
    /// # Safety
    /// Each packet's state was made by this plugin, and its bytes stay during the call. Runs on the loop's thread.
    pub(super) unsafe fn packets(
        &self,
        (now, unix_now): (Instant, u64),
        packets: &[HeraldPacket],
        verdicts: &mut [HeraldVerdict],
    ) -> usize {
        let Some(hook) = self.table.packets else { return packets.len() };
        let count = packets.len().min(verdicts.len());
        let mut batch = HeraldBatch {
            size: size_u32::<HeraldBatch>(),
            count: u32::try_from(count).unwrap_or_default(),
            packet_size: size_u32::<HeraldPacket>(),
            verdict_size: size_u32::<HeraldVerdict>(),
            reached: 0,
            reserved: 0,
            now: now.as_nanos(),
            packets: packets.as_ptr(),
            verdicts: verdicts.as_mut_ptr(),
            unix_now,
        };
        // SAFETY: promised by the caller; packets and verdicts are as many as the batch says.
        let status = unsafe { hook(self.instance.as_ptr(), &mut batch) };
        match batch.reached as usize {
            _ if status == HERALD_OK => count,
            reached if reached < count => reached,
            // A plugin that fails and does not know where has judged nothing.
            _ => 0,
        }
    }

    /// A stream ended; the plugin unmakes its state.
    ///
    /// # Safety
    /// `state` was made by this plugin and is not used any more. Runs on the loop's thread.
    pub(super) unsafe fn stream_ended(
        &self,
        stream: &HeraldStream,
        end: &HeraldEnd,
        state: *mut c_void,
    ) -> Result<(), Fault> {
        let Some(hook) = self.table.stream_ended else { return Ok(()) };
        // SAFETY: promised by the caller; the rest lives for this call.
        let status = unsafe { hook(self.instance.as_ptr(), stream, end, state) };
        if status == HERALD_OK { Ok(()) } else { Err(Fault) }
    }

    /// The plugin's own counters, by name, in its order.
    pub(super) fn counters(&self) -> Vec<(String, u64)> {
        let mut counters: Vec<(String, u64)> = Vec::new();
        if let Some(hook) = self.table.counters {
            let sink = HeraldCounterSink {
                size: size_u32::<HeraldCounterSink>(),
                reserved: 0,
                context: ptr::from_mut(&mut counters).cast(),
                report: Some(report_counter),
            };
            // SAFETY: the sink and its context live for this call; the contract lets `counters` run beside hooks.
            unsafe { hook(self.instance.as_ptr(), &sink) };
        }
        counters
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: `create` made the instance, and its last owner goes now.
            unsafe { destroy(self.instance.as_ptr()) }
        }
    }
}

/// The text of a verdict's reason.
///
/// # Safety
/// The verdict comes from a plugin, which gives texts that live as long as the process.
pub(super) unsafe fn reason(verdict: &HeraldVerdict) -> &'static str {
    let len = verdict.reason_len as usize;
    if verdict.reason.is_null() || len == 0 {
        return "unnamed";
    }
    // SAFETY: promised by the caller; no more bytes are read than a reason may have.
    let bytes = unsafe { slice::from_raw_parts(verdict.reason, len.min(PLUGIN_REASON_LEN_MAX)) };
    std::str::from_utf8(bytes).unwrap_or("unreadable")
}

/// The size of a structure as the contract writes it.
pub(super) const fn size_u32<T>() -> u32 {
    const { assert!(size_of::<T>() <= 4096) };
    #[expect(clippy::cast_possible_truncation, reason = "checked in the line before; `try_from` is not const")]
    let size = size_of::<T>() as u32;
    size
}

/// # Safety
/// The table is readable as far as its own size says.
unsafe fn read_table(table: &HeraldPlugin) -> HeraldPlugin {
    let mut copy = HeraldPlugin::NONE;
    let len = (table.size as usize).min(size_of::<HeraldPlugin>());
    // SAFETY: promised by the caller; fields behind `len` keep the values above. A size that cuts a function pointer in half
    // was refused with the manifest.
    unsafe { ptr::copy_nonoverlapping(ptr::from_ref(table).cast::<u8>(), ptr::from_mut(&mut copy).cast::<u8>(), len) };
    copy
}

static UNIX_NANOS: OnceLock<fn() -> u64> = OnceLock::new();
static HOST: OnceLock<HeraldHost> = OnceLock::new();

/// The host's table. The first clock that is given counts for all plugins of the process.
pub(super) fn host(unix_nanos: fn() -> u64) -> &'static HeraldHost {
    UNIX_NANOS.get_or_init(|| unix_nanos);
    HOST.get_or_init(|| HeraldHost {
        size: size_u32::<HeraldHost>(),
        level: match LevelFilter::current().into_level() {
            None => 0,
            Some(tracing::Level::ERROR) => HERALD_LEVEL_ERROR,
            Some(tracing::Level::WARN) => HERALD_LEVEL_WARN,
            Some(tracing::Level::INFO) => HERALD_LEVEL_INFO,
            Some(tracing::Level::DEBUG) => HERALD_LEVEL_DEBUG,
            Some(tracing::Level::TRACE) => HERALD_LEVEL_TRACE,
        },
        abi_major: HERALD_ABI_MAJOR,
        abi_minor: HERALD_ABI_MINOR,
        log: Some(write_log),
        unix_nanos: Some(read_unix_nanos),
        extension: Some(no_extension),
        replace: Some(effects::replace),
        inject: Some(effects::inject),
        mark: Some(effects::mark),
        note: Some(effects::note),
        noted: Some(effects::noted),
        timer: None,
        expect: None,
        hold: None,
        resolve: None,
        count: None,
    })
}

/// [any]
unsafe extern "C" fn write_log(level: u32, plugin: HeraldText, message: HeraldText) {
    // SAFETY: the plugin gives texts that live for this call.
    let (plugin, message) = unsafe { (text(plugin), text(message)) };
    match level {
        0..=HERALD_LEVEL_ERROR => tracing::error!(target: "herald::plugin", %plugin, "{message}"),
        HERALD_LEVEL_WARN => tracing::warn!(target: "herald::plugin", %plugin, "{message}"),
        HERALD_LEVEL_INFO => tracing::info!(target: "herald::plugin", %plugin, "{message}"),
        HERALD_LEVEL_DEBUG => tracing::debug!(target: "herald::plugin", %plugin, "{message}"),
        _ => tracing::trace!(target: "herald::plugin", %plugin, "{message}"),
    }
}

/// [any]
unsafe extern "C" fn read_unix_nanos() -> u64 {
    UNIX_NANOS.get().map_or(0, |clock| clock())
}

/// [any]
unsafe extern "C" fn no_extension(_: HeraldText) -> *const c_void {
    ptr::null()
}

/// [control]
unsafe extern "C" fn report_counter(context: *mut c_void, name: HeraldText, value: u64) {
    // SAFETY: the context is the list that `Plugin::counters` lends for its call, and nobody else has it.
    let counters = unsafe { &mut *context.cast::<Vec<(String, u64)>>() };
    if counters.len() < PLUGIN_COUNTERS_MAX {
        // SAFETY: the plugin gives a text that lives for this call.
        counters.push((unsafe { text(name) }.to_owned(), value));
    }
}

/// # Safety
/// The text is readable for `'a`.
unsafe fn text<'a>(text: HeraldText) -> &'a str {
    if text.bytes.is_null() || text.len == 0 {
        return "";
    }
    // SAFETY: promised by the caller.
    std::str::from_utf8(unsafe { slice::from_raw_parts(text.bytes, text.len) }).unwrap_or("unreadable")
}
