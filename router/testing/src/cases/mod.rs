//! Made captures: one TCP connection after the other, each with one oddity of senders and networks, and what its receivers read
//! behind a router by a model that is as naive as it can be: the first copy of each byte that is not refused.

mod kinds;
mod network;
mod talk;

use std::net::SocketAddr;

use crate::chance::Chance;
use talk::Talk;

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who opened it.
    pub opener: SocketAddr,
    /// To whom.
    pub answerer: SocketAddr,
    /// What the answerer's application reads.
    pub from_opener: Vec<u8>,
    /// What the opener's application reads.
    pub to_opener: Vec<u8>,
    /// `fin`, `reset` or `open`.
    pub end: &'static str,
    /// Places where bytes are missing.
    pub gaps: u64,
    /// Segments with bytes that differ from the first copy.
    pub conflicts: u64,
}

/// Frames and what is known of their connections.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is odd.
    pub kind: &'static str,
    /// In order.
    pub frames: Vec<Vec<u8>>,
    /// In the order of their first frames.
    pub connections: Vec<Connection>,
}

/// A case of every kind, each between two ports of its own.
#[must_use]
pub fn of_every_kind(chance: &mut Chance) -> Vec<Case> {
    (20_000..)
        .zip(kinds::KINDS)
        .map(|(port, (kind, play))| {
            let mut talk = Talk::new(chance, port);
            play(&mut talk);
            talk.case(kind)
        })
        .collect()
}
