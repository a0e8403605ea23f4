//! Proof of death: does anybody still listen at a peer's address? Asked when a link is lost. A refused connection says that
//! the peer's machine lives and its process does not; anything else proves nothing. A process that is ending closes its
//! links a moment before its listener: a connection that opens and breaks in that time is tried again.

use std::io::{self, Read};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use herald_core::id::NodeId;
use herald_core::limits::DETECTION_TIME;
use herald_core::time::Instant;

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
    /// Until when a connection that breaks is tried again.
    until: Instant,
}

/// What has become of an attempt.
enum Knock {
    /// Nothing yet, or the connection stands.
    Open,
    /// The connection stood and broke.
    Broken,
    /// Nobody listens.
    Refused,
}

impl Knocks {
    /// Each peer has a token, from the first one on.
    #[must_use]
    pub fn new(first_token: usize, peers: Vec<(NodeId, SocketAddr)>) -> Self {
        let peer = |(node, address)| Peer { node, address, attempt: None, until: Instant::default() };
        Self { first_token, peers: peers.into_iter().map(peer).collect() }
    }

    /// Begins to ask for a peer. True if the answer is there already: refused.
    pub fn knock(&mut self, now: Instant, registry: &Registry, node: NodeId) -> bool {
        let Some(place) = self.peers.iter().position(|peer| peer.node == node) else { return false };
        if let Some(peer) = self.peers.get_mut(place) {
            peer.until = now + DETECTION_TIME;
        }
        self.attempt(registry, place)
    }

    fn attempt(&mut self, registry: &Registry, place: usize) -> bool {
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
    pub fn ready(&mut self, now: Instant, registry: &Registry, token: Token) -> Option<NodeId> {
        let place = token.0.checked_sub(self.first_token)?;
        let peer = self.peers.get_mut(place)?;
        let node = peer.node;
        let refused = match look(peer.attempt.as_mut()?) {
            Knock::Open => return None,
            Knock::Refused => true,
            Knock::Broken if now < peer.until => self.attempt(registry, place),
            Knock::Broken => false,
        };
        if let Some(peer) = self.peers.get_mut(place).filter(|peer| refused || now >= peer.until) {
            forget(registry, peer);
        }
        refused.then_some(node)
    }
}

/// How an attempt stands. Nothing is said on it: what can be read is its end.
fn look(stream: &mut TcpStream) -> Knock {
    match stream.take_error() {
        Ok(Some(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Knock::Refused,
        Ok(None) if stream.peer_addr().is_err_and(|error| error.kind() == io::ErrorKind::NotConnected) => {
            return Knock::Open;
        }
        Ok(_) | Err(_) => {}
    }
    match stream.read(&mut [0; 16]) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Knock::Open,
        Ok(_) | Err(_) => Knock::Broken,
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

    /// The nodes whose address is said to refuse, until `end` says that all is said.
    fn answers(knocks: &mut Knocks, poll: &mut Poll, end: impl Fn(&Knocks, &[NodeId]) -> bool) -> Vec<NodeId> {
        let mut events = Events::with_capacity(8);
        let mut answers = Vec::new();
        while !end(knocks, &answers) {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "no answer");
            answers.extend(events.iter().filter_map(|event| knocks.ready(NOW, poll.registry(), event.token())));
        }
        answers
    }

    const NOW: Instant = Instant::from_nanos(10_000_000_000);

    fn node() -> NodeId {
        "b".parse().unwrap()
    }

    fn knocks(address: SocketAddr) -> (Knocks, Poll) {
        (Knocks::new(7, vec![("a".parse().unwrap(), address), (node(), address)]), Poll::new().unwrap())
    }

    #[test]
    fn a_closed_port_refuses() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (mut knocks, mut poll) = knocks(address);
        let said = knocks.knock(NOW, poll.registry(), node());
        assert!(said || answers(&mut knocks, &mut poll, |_, answers| !answers.is_empty()) == [node()]);
    }

    #[test]
    fn a_port_that_is_just_being_closed_is_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut knocks, mut poll) = knocks(listener.local_addr().unwrap());
        assert!(!knocks.knock(NOW, poll.registry(), node()));
        // The connection is in the listener's queue and breaks with it.
        drop(listener);
        assert_eq!(answers(&mut knocks, &mut poll, |_, answers| !answers.is_empty()), [node()]);
    }

    #[test]
    fn a_listener_proves_nothing_and_is_not_asked_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut knocks, mut poll) = knocks(listener.local_addr().unwrap());
        assert!(!knocks.knock(NOW - DETECTION_TIME * 2, poll.registry(), node()));
        drop(listener.accept().unwrap());
        let ended = |knocks: &Knocks, _: &[NodeId]| knocks.peers.iter().all(|peer| peer.attempt.is_none());
        assert!(answers(&mut knocks, &mut poll, ended).is_empty());
    }
}
