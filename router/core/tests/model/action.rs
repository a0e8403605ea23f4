//! What can happen next, and how it is told: in the words of the design.

use std::fmt;

use herald_core::id::Interface;

use crate::layout::{NODES, Place};

/// One step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The host on `from` sends a packet of a stream; it reaches a node that holds that interface's redirector, or held it
    /// until a moment ago.
    HostSends { stream: usize, from: Interface, at: Place },
    /// The next redirected frame of one node to another arrives.
    FrameArrives { interface: Interface, from: Place, to: Place },
    /// The next message of a link arrives.
    MessageArrives { from: Place, to: Place },
    /// The next frame of a link arrives, which has its own connection.
    HandoverArrives { from: Place, to: Place },
    /// What waits at a node has waited for long enough: holds, queries, claims.
    PatienceEnds { at: Place },
    /// A fault: the node that outranks the holder takes its role, and the holder does not know yet.
    RoleTaken { interface: Interface, by: Place },
    /// Who held a redirector hears its successor's advert: what a switch sent to it has come before.
    SuccessorHeard { interface: Interface, at: Place },
    /// A fault: a node dies.
    Dies { node: Place },
    /// A node learns that another is dead.
    DeathNoticed { dead: Place, by: Place },
    /// A fault: the connections between two nodes break and are made again.
    LinkBreaks { one: Place, other: Place },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::HostSends { stream, from, at } => {
                write!(
                    f,
                    "the host on the {from} network sends a packet of stream {}; it reaches {}",
                    stream + 1,
                    NODES[at]
                )
            }
            Self::FrameArrives { interface, from, to } => {
                write!(f, "the frame that {} redirected on the {interface} network reaches {}", NODES[from], NODES[to])
            }
            Self::MessageArrives { from, to } => write!(f, "{}'s message reaches {}", NODES[from], NODES[to]),
            Self::HandoverArrives { from, to } => {
                write!(f, "the frame that {} handed over reaches {}", NODES[from], NODES[to])
            }
            Self::PatienceEnds { at } => write!(f, "what waits at {} has waited for long enough", NODES[at]),
            Self::RoleTaken { interface, by } => {
                write!(f, "{} takes the {interface} redirector from its living holder", NODES[by])
            }
            Self::SuccessorHeard { interface, at } => {
                write!(f, "{} hears the advert of its successor on the {interface} network", NODES[at])
            }
            Self::Dies { node } => write!(f, "{} dies", NODES[node]),
            Self::DeathNoticed { dead, by } => write!(f, "{} finds {} dead", NODES[by], NODES[dead]),
            Self::LinkBreaks { one, other } => {
                write!(f, "the link of {} and {} breaks and is made again", NODES[one], NODES[other])
            }
        }
    }
}
