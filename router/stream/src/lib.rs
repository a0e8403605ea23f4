//! The TCP stream engine: what the receiver's application will read, in order, before it can read it.
//!
//! One [`Stream`] is one connection, driven segment by segment ([`Engine::segment`]). It neither waits nor reads a clock. Each
//! segment is judged as a receiver would judge it (RFC 9293, section 3.10.7.4; RFC 7323, section 5; RFC 5961), and then either
//! taken or dropped. What was taken stands: a later copy of a byte is rewritten to the first one before it leaves, until the
//! receiver has acknowledged the byte; after that nothing of it passes. So a receiver that takes any segment that left reads
//! the bytes that the hook saw, whatever its rules about overlaps are.
//!
//! ```text
//!               acknowledged        next             top
//!  sequence: --------|----------------|---[piece]-[piece]-------|
//!   never passes     | kept, compared |  kept behind holes      | window's end: nothing behind it
//!   again            | hook saw it    |  forwarded, not seen    |
//! ```

mod engine;
mod export;
mod frame;
mod half;
mod judged;
mod kept;
pub mod limits;
mod opening;
mod segment;
mod settings;
mod side;
mod stream;

pub use engine::{Begun, Counters, Engine};
pub use export::ImportError;
pub use frame::NoSegment;
pub use judged::{Action, Answer, Edit, End, Fresh, Judged, Reason};
pub use segment::Segment;
pub use settings::{Conflicts, Exception, Policies, Policy, Settings, Urgent, Watched};
pub use side::Side;
pub use stream::Stream;
