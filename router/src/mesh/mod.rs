//! The mesh: what nodes say to each other, its bytes, and one link as a state machine.

mod message;

pub use message::{
    Acknowledge, Announce, Answer, Claim, Close, Handover, Heartbeat, Hello, Message, Query, Refresh, Refuse,
};
