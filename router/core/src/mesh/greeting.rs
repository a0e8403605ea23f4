//! The first message of each end of a connection.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::message::{Hello, Lane, Padding};
use crate::id::BootId;

/// Who speaks, which connection of the link this is, and where the talk of before goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Who speaks, and what it understands.
    pub hello: Hello,
    /// Which connection of the link this is; both ends say the same.
    pub lane: Lane,
    /// On the control connection: what the sender knows of the talk with the receiver; `None` if they never talked.
    pub resume: Option<Resume>,
    /// The receiver is refused: its id is that of a member that lives, at this address. Only in an answer, after which the
    /// connection ends.
    pub taken: Option<SocketAddr>,
    /// Makes the greeting as long as a packet may be: a link on which long ones are lost does not come up.
    pub padding: Padding,
}

/// Where the numbered messages of two boots go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The receiver's boot that the sender knows. If it is an older one, this says nothing.
    pub boot: BootId,
    /// The number of the last message that the sender has from that boot; 0: none.
    pub received: u64,
    /// The number of the first message that the sender can still send again; those before it are lost unless they
    /// were received.
    pub first_kept: u64,
}
