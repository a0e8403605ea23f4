//! The bounded tables of the event loop: a record for each stream, and the redirectors' sessions. No other thread reads
//! them; for reports they are told in parts.

mod arena;
mod bounds;
mod deadlines;
mod digests;
mod life;
mod marker;
mod markers;
mod opening;
mod queues;
mod redirector;
mod rows;
mod shards;
mod sources;
mod timeouts;

pub use bounds::{Bounds, Plan, record_len};
pub use deadlines::Deadlines;
pub use digests::Digests;
pub use life::{Life, Renewal, State};
pub use marker::{Announced, Count, MarkerSession, Moved, NewMarker, ToldBy};
pub use markers::{KeyTaken, Markers};
pub use opening::{Midstream, Opening};
pub use queues::Queues;
pub use redirector::{RedirectorSession, Standing};
pub use rows::{Kind, Row};
pub use shards::Table;
pub use sources::{Source, Sources};
pub use timeouts::Timeouts;
