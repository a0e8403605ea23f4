//! The mesh: what nodes say to each other, its bytes, and one link as a state machine.

pub mod backoff;
pub mod codec;
mod configuration;
mod error;
mod greeting;
mod kinds;
pub mod link;
mod message;
mod queue;
pub mod resend;
mod wire;

pub use configuration::{Differences, Likeness, Setting};
pub use error::PeerError;
pub use greeting::{Greeting, Resume};
pub use kinds::Message;
pub(crate) use kinds::Urgency;
pub use message::{
    Acknowledge, Announce, Answer, Assign, Astray, Claim, Close, Compare, Decline, Fence, Handover, Heartbeat, Hello,
    Inquiry, InquiryPart, Lane, NeighbourChanged, Padding, Query, Redirect, Refresh, Refuse, Relay, RelayFrame, Side,
    SyncEnd, Unheard,
};
