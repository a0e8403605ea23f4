//! Tests of peer links with real TCP over the loopback device. They poll with a deadline and never sleep.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream as Plain;
use std::time::Duration;

use mio::{Events, Poll};

use super::*;
use crate::id::{BootId, Epoch, Interface, Mac, PerInterface};
use crate::mesh::{Claim, Handover, Heartbeat, codec};

const PATIENCE: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "the test is its own event loop and needs a clock")]
fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

/// One node: its links, its own poll and what it was told.
struct Party {
    peers: Peers,
    poll: Poll,
    told: Vec<PeerEvent>,
    node: NodeId,
    /// Sends heartbeats, so that its links are not silent.
    beats: Beats,
}

#[derive(Clone, Copy, PartialEq)]
enum Beats {
    On,
    Off,
}

/// All parties of one test and their common clock.
struct Room {
    began: std::time::Instant,
    parties: Vec<Party>,
    beat_at: Instant,
}

fn node(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn hello(name: &str, boot: u64) -> Hello {
    Hello {
        version_min: codec::VERSION_MIN,
        version_max: codec::VERSION_MAX,
        cluster: "lab".to_owned(),
        node: node(name),
        boot: BootId(boot),
        macs: PerInterface { first: Mac([2; 6]), second: Mac([4; 6]) },
        addresses: PerInterface::default(),
        config_digest: 0,
    }
}

fn heartbeat() -> Message {
    Message::Heartbeat(Heartbeat {
        priorities: PerInterface::default(),
        epochs: PerInterface::default(),
        weight: 1,
        in_sync: true,
        synced: PerInterface::default(),
        draining: false,
        interfaces: PerInterface::default(),
        heard: PerInterface::default(),
        links: Vec::new(),
    })
}

fn claim(counter: u64) -> Message {
    let epoch = Epoch { counter, node: node("a"), boot: BootId(1) };
    Message::Claim(Claim { interface: Interface::First, epoch })
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Party {
    fn new(hello: Hello, listen: SocketAddr, peers: &[(&str, SocketAddr)]) -> Self {
        let poll = Poll::new().unwrap();
        let peers = peers.iter().map(|(name, address)| (node(name), *address)).collect();
        let node = hello.node;
        let peers = Peers::new(poll.registry(), 10, listen, peers, hello).unwrap();
        Self { peers, poll, told: Vec::new(), node, beats: Beats::On }
    }

    fn address(&self) -> SocketAddr {
        self.peers.address().unwrap()
    }

    fn is_up(&self, name: &str) -> bool {
        self.told.iter().any(|event| matches!(event, PeerEvent::Up(hello) if hello.node == node(name)))
    }

    fn refused(&self, name: &str) -> u64 {
        self.peers.refusals().find(|(refusal, _)| *refusal == name).map_or(0, |(_, count)| count)
    }

    fn lost(&self, reason: &str) -> bool {
        self.told.iter().any(|event| matches!(event, PeerEvent::Lost(_, error) if error.name() == reason))
    }

    fn turn(&mut self, now: Instant, wait: Duration) {
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
    fn new(parties: Vec<Party>) -> Self {
        Self { began: real_now(), parties, beat_at: Instant::default() }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(real_now().duration_since(self.began).as_nanos()).unwrap())
    }

    /// Two parties, `a` with a link to `b`.
    fn linked() -> Self {
        let b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
        let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address())]);
        let mut room = Self::new(vec![a, b]);
        room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
        room
    }

    /// Runs until the condition holds.
    fn until(&mut self, mut condition: impl FnMut(&mut [Party]) -> bool) {
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

    fn beat(&mut self) {
        for party in self.parties.iter_mut().filter(|party| party.beats == Beats::On) {
            for peer in ["a", "b", "c"] {
                party.peers.send(node(peer), &heartbeat());
            }
        }
        // On their way before anybody looks at the time: a pause of the whole test is no silence.
        let now = self.now();
        for party in &mut self.parties {
            party.peers.flush(now, party.poll.registry(), &mut party.told);
        }
    }

    fn connect(&self, party: usize) -> Plain {
        let stream = Plain::connect(self.parties[party].address()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }
}

fn said(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_hello(hello, &mut bytes).unwrap();
    bytes
}

fn has_ended(stream: &mut Plain) -> bool {
    loop {
        match stream.read(&mut [0; 4_096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn three_nodes_have_one_link_for_each_pair_and_talk_in_order() {
    let c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere()), ("b", anywhere())]);
    let b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere()), ("c", c.address())]);
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("c", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    let all = ["a", "b", "c"];
    room.until(|parties| {
        parties.iter().all(|party| all.iter().all(|name| party.node == node(name) || party.is_up(name)))
    });
    for counter in 0..2_000 {
        for party in &mut room.parties {
            for peer in all.map(node).into_iter().filter(|peer| *peer != party.node) {
                party.peers.send(peer, &claim(counter));
            }
        }
    }
    let heard = |party: &Party, from: NodeId| -> Vec<u64> {
        let counter = |event: &PeerEvent| {
            let PeerEvent::Arrived(peer, Message::Claim(claim)) = event else { return None };
            (*peer == from).then_some(claim.epoch.counter)
        };
        party.told.iter().filter_map(counter).collect()
    };
    room.until(|parties| {
        parties.iter().all(|party| {
            let others = all.map(node).into_iter().filter(|peer| *peer != party.node);
            others.into_iter().all(|peer| heard(party, peer).len() == 2_000)
        })
    });
    assert_eq!(heard(&room.parties[2], node("a")), (0..2_000).collect::<Vec<_>>());
    let ups = room.parties.iter().flat_map(|party| &party.told).filter(|e| matches!(e, PeerEvent::Up(_))).count();
    assert_eq!(ups, 6);
}

#[test]
fn more_bytes_than_a_turn_takes_arrive_whole() {
    let mut room = Room::linked();
    let wire: Vec<u8> = (0..60_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let handover = Message::Handover(Handover { interface: Interface::First, hops: 0, wire });
    let mut to_send = 0..100;
    let arrived = |party: &Party| {
        party.told.iter().filter(|e| matches!(e, PeerEvent::Arrived(_, message) if *message == handover)).count()
    };
    room.until(|parties| {
        to_send.by_ref().take(20).for_each(|_| parties[0].peers.send(node("b"), &handover));
        arrived(&parties[1]) == 100
    });
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}

#[test]
fn a_peer_that_comes_back_is_linked_again() {
    let mut room = Room::linked();
    let address = room.parties[1].address();
    room.parties.truncate(1);
    room.until(|parties| parties[0].lost("closed") || parties[0].lost("broken"));
    room.until(|parties| parties[0].refused("unreachable") >= 3);
    room.parties[0].told.clear();
    room.parties.push(Party::new(hello("b", 2), address, &[("a", anywhere())]));
    room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
    let boot = room.parties[0].told.iter().find_map(|event| match event {
        PeerEvent::Up(hello) => Some(hello.boot),
        PeerEvent::Arrived(..) | PeerEvent::Lost(..) | PeerEvent::Refused { .. } => None,
    });
    assert_eq!(boot, Some(BootId(2)));
}

#[test]
fn a_newer_connection_of_the_same_node_replaces_the_older() {
    let mut room = Room::linked();
    for boot in [1, 7] {
        room.parties[1].told.clear();
        let mut again = room.connect(1);
        again.write_all(&said(&hello("a", boot))).unwrap();
        room.until(|parties| parties[1].lost("replaced") && parties[1].is_up("a"));
        let order: Vec<_> = room.parties[1].told.iter().filter(|e| !matches!(e, PeerEvent::Arrived(..))).collect();
        assert!(matches!(order[..], [PeerEvent::Lost(..), PeerEvent::Up(_), ..]), "{order:?}");
        // The real node a has lost its link and dials again, which replaces this one.
        room.until(|_| has_ended(&mut again));
    }
}

#[test]
fn silent_and_half_open_peers_are_dropped() {
    let mut room = Room::linked();
    room.parties[0].beats = Beats::Off;
    room.until(|parties| parties[1].lost("silent"));
    // Says nothing at all, and says one byte of its hello at a time.
    let (mut mute, mut slow) = (room.connect(1), room.connect(1));
    let bytes = said(&hello("a", 1));
    let mut trickle = bytes.iter();
    room.until(|parties| {
        if let Some(byte) = trickle.next().filter(|_| trickle.len() > bytes.len() / 2) {
            slow.write_all(&[*byte]).ok();
        }
        parties[1].refused("slow-hello") >= 2
    });
    room.until(|_| has_ended(&mut mute) && has_ended(&mut slow));
}

#[test]
fn each_wrong_peer_is_refused_by_name_and_the_good_link_stays() {
    let mut room = Room::linked();
    room.parties[1].told.clear();
    let foreign = Hello { cluster: "other".to_owned(), ..hello("a", 1) };
    let newer = Hello { version_min: 1_000, version_max: 1_001, ..hello("a", 1) };
    let mut early = Vec::new();
    codec::encode(&claim(1), &mut early).unwrap();
    let cases = [
        ("wrong-cluster", said(&foreign)),
        ("no-common-version", said(&newer)),
        ("unknown-node", said(&hello("0", 1))),
        ("own-id", said(&hello("b", 1))),
        ("message-before-hello", early),
        ("too-long", vec![0xff; 64]),
        ("too-long", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        ("too-short", vec![0; 64]),
        ("garbage", [&[0, 0, 0, 66, 0, 1][..], &[0xee; 64]].concat()),
    ];
    let mut expected = std::collections::BTreeMap::new();
    for (name, bytes) in cases {
        let mut stream = room.connect(1);
        stream.write_all(&bytes).unwrap();
        *expected.entry(name).or_insert(0) += 1;
        room.until(|parties| parties[1].refused(name) == expected[name]);
        room.until(|_| has_ended(&mut stream));
    }
    let mut cut = room.connect(1);
    cut.write_all(&said(&hello("a", 1))[..20]).unwrap();
    drop(cut);
    room.until(|parties| parties[1].refused("closed-before-hello") == 1);
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
    let refused: BTreeSet<_> = room.parties[1]
        .told
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Refused { error, .. } => Some(error.name()),
            PeerEvent::Up(_) | PeerEvent::Arrived(..) | PeerEvent::Lost(..) => None,
        })
        .collect();
    assert_eq!(refused.len(), 9);
}

#[test]
fn both_ends_name_another_cluster_and_the_unexpected_node() {
    let b = Party::new(Hello { cluster: "other".to_owned(), ..hello("b", 1) }, anywhere(), &[("a", anywhere())]);
    let c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere())]);
    // Where node d should be, c answers.
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("d", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    room.until(|parties| {
        parties[0].refused("wrong-cluster") > 0
            && parties[1].refused("wrong-cluster") > 0
            && parties[0].refused("not-expected") > 0
    });
    assert!(!room.parties[0].told.iter().any(|event| matches!(event, PeerEvent::Up(_))));
}

#[test]
fn a_peer_that_never_reads_is_dropped() {
    let b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
    let mut room = Room::new(vec![b]);
    let mut deaf = room.connect(0);
    deaf.write_all(&said(&hello("a", 1))).unwrap();
    room.until(|parties| parties[0].is_up("a"));
    let mut alive = Vec::new();
    codec::encode(&heartbeat(), &mut alive).unwrap();
    let handover = Message::Handover(Handover { interface: Interface::First, hops: 0, wire: vec![1; 60_000] });
    room.until(|parties| {
        deaf.write_all(&alive).ok();
        parties[0].peers.send(node("a"), &handover);
        parties[0].lost("queue-full")
    });
}

#[test]
fn strangers_are_bounded() {
    let mut room = Room::linked();
    let strangers: Vec<_> = (0..limits::UNIDENTIFIED_LINKS_MAX + 8).map(|_| room.connect(1)).collect();
    room.until(|parties| parties[1].refused("too-many-unidentified") > 0);
    drop(strangers);
    room.until(|parties| parties[1].peers.slots.iter().count() == 1);
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}

#[test]
fn what_has_no_link_is_counted() {
    let mut a = Party::new(hello("a", 1), anywhere(), &[("b", anywhere())]);
    a.peers.send(node("b"), &claim(1));
    a.peers.send(node("z"), &claim(1));
    assert_eq!(a.peers.unsendable(), 2);
}
