//! Everything a Herald plugin needs: the C contract ([`abi`]) and a safe Rust SDK over it.
//!
//! A plugin is a type with the trait [`Plugin`], a `plugin.toml` and one line that exports it:
//!
//! ```
//! use herald_plugin::prelude::*;
//!
//! /// Rejects streams to the telnet port; has nothing to say about others.
//! #[derive(Default)]
//! struct NoTelnet;
//!
//! impl Plugin for NoTelnet {
//!     type Stream = (); // what the plugin remembers of each stream: nothing
//!
//!     fn stream_started(&self, _: &mut (), stream: &StreamInfo<'_>) -> Verdict {
//!         if stream.destination().port() == 23 {
//!             return Verdict::reject("telnet").for_stream();
//!         }
//!         Verdict::pass().for_stream() // and show me none of its packets
//!     }
//! }
//!
//! export_plugin!(NoTelnet, manifest = "tests/no-telnet/plugin.toml");
//! # use herald_plugin::abi::*;
//! # use std::ptr;
//! # unsafe extern "C" {
//! #     fn herald_plugin_v1(host: *const HeraldHost) -> *const HeraldPlugin;
//! # }
//! # // SAFETY: the entry takes a null pointer for no host at all; its table is static.
//! # let table = unsafe { &*herald_plugin_v1(ptr::null()) };
//! # assert_eq!(table.state_size, 0);
//! # let judge = |port: u16| {
//! #     let mut stream = HeraldStream {
//! #         size: size_of::<HeraldStream>() as u32,
//! #         protocol: 6,
//! #         interface: HERALD_INTERFACE_FIRST,
//! #         midstream: 0,
//! #         reserved: 0,
//! #         id: 1,
//! #         source: [0; 16],
//! #         destination: [0; 16],
//! #         source_port: 40_000,
//! #         destination_port: port,
//! #         mark: 0,
//! #         now: 0,
//! #         chosen: HeraldText::new("a"),
//! #         related: 0,
//! #         unix_now: 0,
//! #     };
//! #     let mut said = HeraldVerdict::PASS;
//! #     // SAFETY: as the contract says: made by `create`, no bytes of state, all pointers to what lives for the call.
//! #     unsafe {
//! #         let instance = table.create.unwrap()(HeraldText::new(""), ptr::null_mut());
//! #         let done = table.stream_started.unwrap()(instance, &raw const stream, ptr::null_mut(), &raw mut said);
//! #         assert_eq!(done, HERALD_OK);
//! #         table.destroy.unwrap()(instance);
//! #     }
//! #     (said.action, said.scope, said.reason_len)
//! # };
//! # assert_eq!(judge(23), (HERALD_ACTION_REJECT, HERALD_SCOPE_STREAM, 6));
//! # assert_eq!(judge(80), (HERALD_ACTION_PASS, HERALD_SCOPE_STREAM, 0));
//! ```
//!
//! The crate is built as a `cdylib` with unwinding panics. `plugins/hello` is the tutorial.

pub mod abi;
mod answer;
mod config;
mod host;
mod log;
mod note;
mod plugin;
mod prepared;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod thunk;
mod verdict;
mod view;

pub use config::ConfigError;
pub use host::{Refused, Sum, count, instance_timer, resolve};
pub use log::{Level, Site, enabled, unix_nanos, write_log, write_log_of};
pub use note::Note;
pub use plugin::{Cluster, Counters, Plugin};
pub use prepared::{InUse, Prepared};
pub use verdict::{Action, Reason, Scope, Verdict};
pub use view::{
    Checksum, Direction, End, EndReason, Expected, Interface, Packet, Segmentation, StreamBytes, StreamInfo, Transport,
};

/// What a plugin's source usually needs.
pub mod prelude {
    pub use crate::{
        Action, Cluster, ConfigError, Counters, Direction, End, EndReason, Expected, InUse, Interface, Packet, Plugin,
        Prepared, Reason, Refused, StreamBytes, StreamInfo, Transport, Verdict, debug, error, export_plugin, info,
        trace, warn,
    };
}

/// Exports a type with the trait [`Plugin`] as this library's plugin. `manifest` is the path of `plugin.toml` from the
/// crate's own folder; its text goes into the library, where the router reads it before it loads the library. So does that
/// of `schema`, if there is one: a JSON Schema of the plugin's configuration.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, manifest = $manifest:literal) => {
        $crate::export_plugin!(@ $plugin, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest)), b"");
    };
    ($plugin:ty, manifest = $manifest:literal, schema = $schema:literal) => {
        $crate::export_plugin!(
            @ $plugin,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest)),
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $schema))
        );
    };
    (@ $plugin:ty, $manifest:expr, $schema:expr) => {
        const _: () = {
            const TEXT: &[u8] = $manifest;
            const SCHEMA: &[u8] = $schema;

            #[used]
            #[unsafe(link_section = ".note.herald")]
            static NOTE: $crate::Note<{ TEXT.len() }, { SCHEMA.len() }> = $crate::Note::of::<$plugin>(TEXT, SCHEMA);

            /// The entry of the contract (`HeraldEntry`).
            ///
            /// # Safety
            /// Called by the host, once, with its table, which lives as long as the process.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn herald_plugin_v1(
                host: *const $crate::abi::HeraldHost,
            ) -> *const $crate::abi::HeraldPlugin {
                // SAFETY: the host keeps the promise above.
                unsafe { $crate::thunk::enter::<$plugin>(host, env!("CARGO_PKG_NAME")) }
            }
        };
    };
}
