//! The lab: a cluster and two networks on one machine, built from network namespaces.
//!
//! ```text
//!  client --- [ net-first: bridge ] --- first TAP of a, b, c
//!                                       a  b  c  --- [ net-mesh: bridge ]  mesh of TCP links
//!  server --- [ net-second: bridge ] --- second TAP of a, b, c
//! ```
//!
//! Each word above is a network namespace. All of them belong to one process, the *keeper*, which is the first process
//! of a PID namespace of its own: it builds the network, starts the nodes and reaps them. Nothing else keeps a namespace
//! alive and everything in the lab lives in that PID namespace, so the death of the keeper is the end of the lab,
//! whatever happened before: the kernel kills every process in it, and with the last one go the namespaces and links.
//!
//! ```text
//!  herald lab up --spawns--> found --unshares user, PID; spawns--> keeper --spawns--> herald run (a, b, c)
//!       |                                                          |    |
//!       '------------ socket pair: closed before "keep" = end -----'    '-- keeper.sock <-- every other command
//! ```
//!
//! Until the lab is to be kept the keeper lives only as long as `up`: it sees the end of the socket pair, ends everything
//! and removes the state folder. The folder is locked (`flock`) by `up` and by the keeper through the same open file, so
//! a lock that can be taken is a lab that no process holds any more.
//!
//! Faults between nodes are ports that the keeper takes off a bridge, and frames that a *relay* loses, delays, doubles or
//! reorders: a process of the lab like the nodes. A node's disk is full, or its descriptors are gone, by a limit of its
//! process.

mod account;
mod breaking;
mod child;
mod clients;
mod configuration;
mod control;
mod doctor;
mod down;
mod error;
mod exec;
mod fault;
mod filling;
mod folder;
mod found;
mod host;
mod keeper;
mod name;
mod netlink;
mod network;
mod nodes;
mod own_hosts;
mod plan;
mod relay;
mod request;
mod status;
mod tap;
mod topology;
mod up;
mod wait;
mod wiring;

pub use account::{NodeAccount, accounts};
pub use breaking::{break_lanes, fill, heal};
pub use configuration::{Check, Draft, Setting, SettingError};
pub use doctor::{Finding, doctor, probe};
pub use down::{Down, down};
pub use error::LabError;
pub use exec::{exec, run_script};
pub use fault::{Delay, Ends, Fault, Impairment, Lane, QuantityError, Share, Ways};
pub use filling::Store;
pub use found::found;
pub use keeper::keep;
pub use name::{LabName, LabNameError};
pub use nodes::{kill, start};
pub use plan::Network;
pub use relay::{Answer, Course, Order, Switch, UPLINK, port};
pub use relay::{Counts, FaultReport, RelayReport};
pub use request::{HostReport, NodeReport, NodeState};
pub use request::{read_line, write_line};
pub use status::{Status, status};
pub use up::{Built, Up, build, up};
pub use wait::eventually;
