//! Drivers: what touches the kernel on behalf of the event loop.

pub mod chance;
pub mod clock;
pub mod descriptors;
pub mod interface_watch;
pub mod knocks;
pub mod machine;
pub mod netns;
pub mod peer_socket;
pub mod peers;
pub mod pool;
pub mod signals;
pub mod tap;
pub mod tap_queue;
pub mod timer;
pub mod tls;

pub use interface_watch::{InterfaceWatch, Usable};
pub use pool::Pool;
pub use signals::StopSignals;
pub use tap::{Tap, TapError};
pub use timer::Timer;
