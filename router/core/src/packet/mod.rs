//! What is on the wire: [`Frame`] owns the bytes, [`Packet`] is the proof that its headers were checked, once.

mod arrival;
mod chain;
pub mod checksum;
pub mod cut;
mod fragment;
mod frame;
mod icmp;
mod joined;
pub mod mend;
mod odd;
mod offload;
mod parse;
pub mod probe;
pub mod rewrite;
mod tcp;
mod transport;
pub mod vrrp;

pub use arrival::{Arrival, Came};
pub use fragment::Fragment;
pub use frame::{BUFFER_LEN, FRAME_LEN_MAX, Frame, OFFLOAD_HEADER_LEN, TAG_LEN, TAGGED_HEAD_LEN, Tag};
pub use odd::Odd;
pub use offload::Offload;
pub use parse::{Arp, ArpOperation, Content, Headers, Packet, TcpFlags, Transport};
pub use tcp::TcpOptions;

/// Length of an Ethernet header without VLAN tag, in bytes.
pub const ETHERNET_LEN: usize = 14;
