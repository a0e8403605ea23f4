//! One node of Herald without I/O: from the bytes of a frame to what becomes of it.
//!
//! Layers, `use` going downwards only:
//!
//! ```text
//! node -> { redirector, chosen, membership, forward }      strangers to each other
//!      -> session, mesh, fragments, outbox, turn
//!      -> ground: packet flow id time event limits inspector memory mutation mistake
//! ```
//!
//! The core has no clock, no sockets, no threads, no files and no logging: time, randomness and bytes are arguments, and
//! what it wants done it puts into the [`outbox::Outbox`]. So the simulator and the model are further event loops around
//! the same code.

pub mod chosen;
pub mod event;
pub mod flow;
pub mod forward;
pub mod fragments;
pub mod id;
pub mod inspector;
pub mod limits;
pub mod membership;
pub mod memory;
pub mod mesh;
mod mistake;
pub mod mutation;
pub mod node;
pub mod outbox;
pub mod packet;
pub mod redirector;
pub mod session;
pub mod time;
pub mod turn;
