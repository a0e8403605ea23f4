//! Proof of death: does anybody still listen at a peer's address? Asked when a link is lost. A refused connection says that
//! the peer's machine lives and its process does not; anything else proves nothing.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::id::NodeId;

/// One attempt to connect for each peer at a time.
#[derive(Debug)]
pub struct Knocks {
    first_token: usize,
    peers: Vec<Peer>,
}

#[derive(Debug)]
struct Peer {
    node: NodeId,
    address: SocketAddr,
    attempt: Option<TcpStream>,
}

impl Knocks {
    /// Each peer has a token, from the first one on.
    #[must_use]
    pub fn new(first_token: usize, peers: Vec<(NodeId, SocketAddr)>) -> Self {
        let peer = |(node, address)| Peer { node, address, attempt: None };
        Self { first_token, peers: peers.into_iter().map(peer).collect() }
    }

    /// Begins to ask for a peer. True if the answer is there already: refused.
    pub fn knock(&mut self, registry: &Registry, node: NodeId) -> bool {
        let Some(place) = self.peers.iter().position(|peer| peer.node == node) else { return false };
        let Some(peer) = self.peers.get_mut(place) else { return false };
        forget(registry, peer);
        match TcpStream::connect(peer.address) {
            Ok(mut stream) => {
                let token = Token(self.first_token + place);
                if registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_ok() {
                    peer.attempt = Some(stream);
                }
                false
            }
            Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        }
    }

    /// The poll says that a socket is ready. The peer, if its address refused.
    pub fn ready(&mut self, registry: &Registry, token: Token) -> Option<NodeId> {
        let peer = token.0.checked_sub(self.first_token).and_then(|place| self.peers.get_mut(place))?;
        let stream = peer.attempt.as_ref()?;
        let refused =
            matches!(stream.take_error(), Ok(Some(error)) if error.kind() == io::ErrorKind::ConnectionRefused);
        let pending = !refused && stream.peer_addr().is_err_and(|error| error.kind() == io::ErrorKind::NotConnected);
        if !pending {
            forget(registry, peer);
        }
        refused.then_some(peer.node)
    }
}

/// Ends an attempt.
fn forget(registry: &Registry, peer: &mut Peer) {
    if let Some(mut stream) = peer.attempt.take() {
        // It is closed in any case, which ends the registration, too.
        let _closed_next = registry.deregister(&mut stream);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    /// The answers to one knock at an address.
    fn answers(address: SocketAddr) -> Vec<NodeId> {
        let mut poll = Poll::new().unwrap();
        let node: NodeId = "b".parse().unwrap();
        let mut knocks = Knocks::new(7, vec![("a".parse().unwrap(), address), (node, address)]);
        if knocks.knock(poll.registry(), node) {
            return vec![node];
        }
        let mut events = Events::with_capacity(8);
        let mut answers = Vec::new();
        while knocks.peers.iter().any(|peer| peer.attempt.is_some()) {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "no answer");
            answers.extend(events.iter().filter_map(|event| knocks.ready(poll.registry(), event.token())));
        }
        answers
    }

    #[test]
    fn only_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(answers(address).is_empty(), "somebody listens, even if nobody accepts");
        drop(listener);
        assert_eq!(answers(address), ["b".parse().unwrap()]);
    }
}
