//! Herald: a clustered userspace router that inspects traffic.
//!
//! Layers, `use` going downwards only:
//!
//! ```text
//! main -> app -> { io, host, lab, node }
//! { io, lab } -> keys
//! node -> { redirector, chosen, membership, forward }      strangers to each other
//!      -> session, mesh, outbox
//!      -> ground: packet flow id time event limits inspector mutation
//! ```
//!
//! The core (everything from `node` down) has no clock, no sockets, no threads, no files and no logging: time, randomness
//! and bytes are arguments, and what it wants done it puts into the [`outbox::Outbox`].

pub mod app;
pub mod chosen;
pub mod event;
pub mod flow;
pub mod forward;
pub mod host;
pub mod id;
pub mod inspector;
pub mod io;
pub mod keys;
pub mod lab;
pub mod limits;
pub mod membership;
pub mod mesh;
pub mod mutation;
pub mod node;
pub mod outbox;
pub mod packet;
pub mod redirector;
pub mod session;
pub mod time;
