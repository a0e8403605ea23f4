//! Drivers: what touches the operating system.

pub mod peer_socket;
pub mod peers;
