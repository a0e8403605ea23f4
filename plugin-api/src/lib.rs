//! Everything a Herald plugin needs: the C contract ([`abi`]) and a safe Rust SDK over it.
//!
//! A plugin is a type with the trait [`Plugin`], a `plugin.toml` and one line that exports it:
//!
//! ```ignore
//! use herald_plugin::prelude::*;
//!
//! /// Drops packets to the telnet port.
//! #[derive(Default)]
//! struct NoTelnet;
//!
//! impl Plugin for NoTelnet {
//!     type Stream = ();
//!     fn packet(&self, _: &mut (), packet: &Packet<'_>) -> Verdict {
//!         if packet.destination_port() == 23 { Verdict::drop("telnet") } else { Verdict::pass() }
//!     }
//! }
//!
//! export_plugin!(NoTelnet, manifest = "plugin.toml");
//! ```
//!
//! The crate is built as a `cdylib` with unwinding panics. `plugins/hello` is the tutorial.

pub mod abi;
mod config;
mod log;
mod note;
mod plugin;
pub mod thunk;
mod verdict;
mod view;

pub use config::ConfigError;
pub use log::{Level, enabled, unix_nanos, write_log};
pub use note::Note;
pub use plugin::{Counters, Plugin};
pub use verdict::{Action, Reason, Scope, Verdict};
pub use view::{Direction, End, EndReason, Interface, Packet, StreamInfo, Transport};

/// What a plugin's source usually needs.
pub mod prelude {
    pub use crate::{
        ConfigError, Counters, Direction, End, EndReason, Interface, Packet, Plugin, Reason, StreamInfo, Transport,
        Verdict, debug, error, export_plugin, info, trace, warn,
    };
}

/// Exports a type with the trait [`Plugin`] as this library's plugin. `manifest` is the path of `plugin.toml` from the
/// crate's own folder; its text goes into the library, where the router reads it before it loads the library.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, manifest = $manifest:literal) => {
        const _: () = {
            const TEXT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest));

            #[used]
            #[unsafe(link_section = ".note.herald")]
            static NOTE: $crate::Note<{ TEXT.len() }> = $crate::Note::of::<$plugin>(TEXT);

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
