//! What an application's first bytes say: parsers of TLS, DNS, HTTP/1, SSH and QUIC, and the facts that they find.
//!
//! A parser takes the bytes of one direction in order, in any cuts, or single datagrams. It says after each whether it
//! wants more ([`Progress`]), and puts what it found into [`Facts`]. Nothing here does input or output, knows the time or
//! keeps more than [`limits`] allow; bytes that break a protocol end in a named [`Oddity`], never in a panic.
//!
//! The readers of TLS, DNS and QUIC are our own: inspection needs what a crate for end points hides (the order of
//! extensions, GREASE, why a name was refused) and must go on where such a crate gives up. HTTP heads are `httparse`'s,
//! certificates `x509-parser`'s, ciphers and hashes `ring`'s.

#![forbid(unsafe_code)]

pub mod detect;
pub mod dns;
pub mod fact;
pub mod http;
pub mod limits;
pub mod name;
mod oddity;
mod progress;
pub mod quic;
mod reader;
pub mod ssh;
mod stream;
pub mod tls;

pub use fact::{FactName, Facts, Value};
pub use oddity::Oddity;
pub use progress::Progress;
pub use stream::{Datagrams, Direction, Stream};
