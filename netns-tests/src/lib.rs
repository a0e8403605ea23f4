//! Tests of Herald that run real programs through real network namespaces.
//!
//! [`Lab`] is the face of `herald lab` for tests: it drives the built binary, as a script would. Its methods panic with
//! what they know when something fails, because that is what a test wants; a lab that a panic ends tells its state.

mod books;
mod capture;
mod datagram;
mod kernel_router;
mod lab;
mod memory;
mod mesh_talk;
mod outage;
mod process;
mod scapy;
#[path = "../../router/host/tests/sim/scenario/mod.rs"]
mod scenario;
mod sighting;
mod stage;
mod streams;
mod tls_record;
mod way;

pub use books::Books;
pub use capture::{Capture, CapturedFrame};
pub use datagram::{DROP_7003, echo_server, send_datagram};
pub use kernel_router::KernelRouter;
pub use lab::{Builder, Lab, binary};
pub use memory::Memory;
pub use mesh_talk::{Said, overheard};
pub use outage::{Load, Outage, Size, Stream, print_takes};
pub use process::{Output, Running, eventually, interruptible, pause};
pub use scapy::{Scapy, mute};
pub use sighting::{Sighting, sightings};
pub use stage::perform;
pub use streams::{Family, Protocol, Streams, echo};
pub use way::{Astray, Seen, Watch, Way};
