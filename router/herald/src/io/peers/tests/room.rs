//! Parties that are linked over the loopback device, and ends of connections that are served by hand.

use std::io::Read;
use std::net::TcpStream as Plain;
use std::sync::OnceLock;
use std::time::Duration;

use mio::{Events, Poll};

use super::super::*;
use crate::io::clock;
use crate::io::tls::{Pulled, Session, TlsTexts};
use herald_core::id::{BootId, Epoch, Interface, Mac, PerInterface};
use herald_core::mesh::{Claim, Greeting, Handover, Heartbeat, Padding, Side, codec};
use herald_keys::{Authority, Keys, Validity};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "the test is its own event loop and needs a clock")]
pub(super) fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

/// One node: its links, its own poll and what it was told.
pub(super) struct Party {
    pub(super) peers: Peers,
    pub(super) poll: Poll,
    pub(super) told: Vec<PeerEvent>,
    pub(super) node: NodeId,
    /// Sends heartbeats, so that its links are not silent.
    pub(super) beats: Beats,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Beats {
    On,
    Off,
}

/// All parties of one test and their common clock.
pub(super) struct Room {
    pub(super) began: std::time::Instant,
    pub(super) parties: Vec<Party>,
    pub(super) beat_at: Instant,
}

pub(super) fn node(text: &str) -> NodeId {
    text.parse().unwrap()
}

pub(super) fn hello(name: &str, boot: u64) -> Hello {
    Hello {
        version_min: codec::VERSION_MIN,
        version_max: codec::VERSION_MAX,
        cluster: "lab".to_owned(),
        node: node(name),
        boot: BootId(boot),
        macs: PerInterface { first: Mac([2; 6]), second: Mac([4; 6]) },
        addresses: PerInterface::default(),
        configuration: Vec::new(),
        side: Side::default(),
    }
}

pub(super) fn heartbeat() -> Message {
    Message::Heartbeat(Heartbeat {
        priorities: PerInterface::default(),
        epochs: PerInterface::default(),
        weight: 1,
        in_sync: true,
        synced: PerInterface::default(),
        draining: false,
        suspended: false,
        full: false,
        interfaces: PerInterface::default(),
        heard: PerInterface::default(),
        links: Vec::new(),
        padding: Padding::default(),
    })
}

pub(super) fn claim(counter: u64) -> Message {
    let epoch = Epoch { counter, node: node("a"), boot: BootId(1) };
    Message::Claim(Claim { interface: Interface::First, epoch })
}

pub(super) fn handover(len: usize) -> Message {
    let wire: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
    Message::Handover(Handover { interface: Interface::First, hops: 0, wire })
}

/// The authority of all tests.
pub(super) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("lab", clock::wall()).unwrap())
}

pub(super) fn issue(name: &str) -> Keys {
    authority().issue(node(name), Validity::days(clock::wall(), 1)).unwrap()
}

/// What a node of this name has; the certificate may be of another authority, or not valid now.
pub(super) fn tls_of(authority: &Authority, keys: &Keys) -> TlsIdentity {
    let (certificate, key) = (keys.certificate.as_bytes(), keys.key.as_bytes());
    TlsIdentity::unchecked(TlsTexts { ca: authority.certificate().as_bytes(), certificate, key })
}

pub(super) fn tls(name: &str) -> TlsIdentity {
    tls_of(authority(), &issue(name))
}

pub(super) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Party {
    pub(super) fn new(hello: Hello, listen: SocketAddr, peers: &[(&str, SocketAddr)]) -> Self {
        let poll = Poll::new().unwrap();
        let peers = peers.iter().map(|(name, address)| (node(name), *address)).collect();
        let node = hello.node;
        let peers = Peers::new(poll.registry(), 10, listen, peers, hello, tls(node.as_str())).unwrap();
        Self { peers, poll, told: Vec::new(), node, beats: Beats::On }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.peers.address().unwrap()
    }

    pub(super) fn is_up(&self, name: &str) -> bool {
        self.told.iter().any(|event| matches!(event, PeerEvent::Up(hello) if hello.node == node(name)))
    }

    pub(super) fn refused(&self, name: &str) -> u64 {
        self.peers.refusals().find(|(refusal, _)| *refusal == name).map_or(0, |(_, count)| count)
    }

    pub(super) fn lost(&self, reason: &str) -> bool {
        self.told.iter().any(|event| matches!(event, PeerEvent::Lost(_, error) if error.name() == reason))
    }

    pub(super) fn turn(&mut self, now: Instant, wait: Duration) {
        let mut events = Events::with_capacity(64);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => polled.unwrap(),
        }
        for event in &events {
            assert!(self.peers.owns(event.token()));
            self.peers.ready(now, self.poll.registry(), event, &mut self.told);
        }
        if self.peers.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.peers.deadline_reached(now, self.poll.registry(), &mut self.told);
        }
        self.peers.flush(now, self.poll.registry(), &mut self.told);
    }
}

impl Room {
    pub(super) fn new(parties: Vec<Party>) -> Self {
        Self { began: real_now(), parties, beat_at: Instant::default() }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(real_now().duration_since(self.began).as_nanos()).unwrap())
    }

    /// Two parties, `a` with a link to `b`.
    pub(super) fn linked() -> Self {
        let b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
        let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address())]);
        let mut room = Self::new(vec![a, b]);
        room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
        room
    }

    /// Runs until the condition holds.
    pub(super) fn until(&mut self, mut condition: impl FnMut(&mut [Party]) -> bool) {
        let give_up = self.now() + PATIENCE;
        while !condition(&mut self.parties) {
            let now = self.now();
            let refusals: Vec<_> = self.parties.iter().map(|p| p.peers.refusals().collect::<Vec<_>>()).collect();
            assert!(now < give_up, "not in {PATIENCE:?}; refusals {refusals:?}");
            if now >= self.beat_at {
                self.beat_at = now + limits::HEARTBEAT_INTERVAL / 2;
                self.beat();
            }
            for party in &mut self.parties {
                party.turn(now, Duration::from_millis(1));
            }
        }
    }

    pub(super) fn beat(&mut self) {
        for party in self.parties.iter_mut().filter(|party| party.beats == Beats::On) {
            for peer in ["a", "b", "c"] {
                party.peers.send(node(peer), &heartbeat()).unwrap();
            }
        }
        // On their way before anybody looks at the time: a pause of the whole test is no silence.
        let now = self.now();
        for party in &mut self.parties {
            party.peers.flush(now, party.poll.registry(), &mut party.told);
        }
    }

    pub(super) fn connect(&self, party: usize) -> Plain {
        let stream = Plain::connect(self.parties[party].address()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// A secure connection to a party that is served by hand.
    pub(super) fn secure(&mut self, party: usize, tls: &TlsIdentity) -> Hand {
        let stream = self.connect(party);
        let session = Session::dialled(tls, self.parties[party].address()).unwrap();
        let mut hand = Hand { stream, session, heard: Vec::new(), ended: false, secured: false };
        self.until(|_| hand.turn() || hand.ended);
        hand
    }
}

/// The other end of a connection, served by hand.
pub(super) struct Hand {
    pub(super) stream: Plain,
    pub(super) session: Session,
    pub(super) heard: Vec<u8>,
    pub(super) ended: bool,
    pub(super) secured: bool,
}

impl Hand {
    /// Moves what can be moved; true once the connection is secure.
    pub(super) fn turn(&mut self) -> bool {
        while self.session.wants_write() && self.session.write_to(&mut self.stream).is_ok() {}
        let mut plain = [0; 4_096];
        loop {
            match self.session.pull(&mut plain) {
                Ok(Pulled::Secured(_)) => self.secured = true,
                Ok(Pulled::Plain(len)) => self.heard.extend_from_slice(&plain[..len]),
                Ok(Pulled::Nothing) => match self.stream.read(self.session.space()) {
                    Ok(0) => self.ended = true,
                    Ok(len) => {
                        self.session.filled(len);
                        continue;
                    }
                    Err(error) => self.ended |= error.kind() != io::ErrorKind::WouldBlock,
                },
                Ok(Pulled::Ended) | Err(_) => self.ended = true,
            }
            if self.ended || !self.secured || self.session.wants_write() {
                while self.session.wants_write() && self.session.write_to(&mut self.stream).is_ok() {}
            }
            return self.secured;
        }
    }

    /// True when the other end has ended the connection.
    pub(super) fn has_ended(&mut self) -> bool {
        self.turn();
        self.ended
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.try_say(bytes).expect("the connection is open");
    }

    pub(super) fn try_say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.session.push(rest)..];
            while self.session.wants_write() {
                self.session.write_to(&mut self.stream)?;
            }
        }
        Ok(())
    }
}

pub(super) fn greeting(hello: &Hello) -> Greeting {
    Greeting { hello: hello.clone(), lane: Lane::Control, resume: None, taken: None, padding: Padding::default() }
}

pub(super) fn said(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_greeting(&greeting(hello), &mut bytes).unwrap();
    bytes
}

pub(super) fn has_ended(stream: &mut Plain) -> bool {
    loop {
        match stream.read(&mut [0; 4_096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
