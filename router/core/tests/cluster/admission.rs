//! A node that no member has admitted yet is not to be seen or heard on its interfaces.

use std::time::Duration;

use herald_core::event::{DropReason, Event};
use herald_core::id::{Interface, Mac};
use herald_core::limits::{APART_TIME, START_TIME_MAX};
use herald_core::membership::{Apart, InterfaceState};
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::packet::{Content, Frame, Packet};
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_testing::frames;
use herald_testing::layout::{self, HOST, NODES, host_mac, node_mac, v4};

use crate::world::Counter;

/// Node c, its interfaces up, and a host that asks for it.
struct Starting {
    now: Instant,
    node: Node<()>,
    plugins: Counter,
    out: Outbox,
}

impl Starting {
    fn new() -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let node = Node::new(now, layout::settings(2, NODES.len())).unwrap();
        let mut starting = Self { now, node, plugins: Counter::default(), out: Outbox::default() };
        for interface in Interface::BOTH {
            starting.turn(|node, turn| node.interface_changed(turn, interface, InterfaceState::Up));
        }
        starting
    }

    fn turn(&mut self, act: impl FnOnce(&mut Node<()>, &mut Turn<'_, ()>)) {
        let turn = &mut Turn::new(self.now, &mut self.plugins, &mut self.out);
        act(&mut self.node, turn);
        self.node.batch_ended(&mut Turn::new(self.now, &mut self.plugins, &mut self.out));
    }

    /// Hosts ask for its MAC and ping it, by both its own MAC and everybody's, while time passes.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + Duration::from_millis(50);
            if self.node.next_deadline().is_some_and(|due| due <= self.now) {
                self.turn(|node, turn| node.deadline_reached(turn));
            }
            for interface in Interface::BOTH {
                let host = (host_mac(interface).0, v4(interface, HOST));
                let asks = frames::arp(Mac::BROADCAST.0, 1, host, ([0; 6], v4(interface, 13)));
                let ip = frames::ip([host.0, node_mac(interface, 2).0], v4(interface, HOST), v4(interface, 13), 64);
                let pings = frames::icmpv4(ip, (8, 0), [0; 4], b"are you there");
                for bytes in [asks, pings] {
                    self.turn(|node, turn| node.frame_arrived(turn, interface, Frame::from_bytes(&bytes)));
                }
            }
        }
    }

    /// The MACs from which frames left.
    fn sources(&mut self) -> Vec<Mac> {
        let sent = self.out.transmit.drain(..).map(|(_, frame, _)| Packet::parse(&frame).unwrap().source);
        sent.collect()
    }

    fn refused(&mut self) {
        self.turn(|node, turn| node.kept_apart(turn, layout::id(0), Apart::IdTaken));
    }
}

#[test]
fn a_node_is_silent_until_a_member_has_admitted_it() {
    let mut starting = Starting::new();
    starting.run(START_TIME_MAX / 2);
    assert_eq!(starting.sources(), [], "nobody has admitted it");
    let dropped = starting.out.drops().find(|(reason, _)| *reason == DropReason::NotAdmitted);
    assert!(dropped.is_some_and(|(_, count)| count > 10), "{dropped:?}");
    starting.turn(|node, turn| node.link_up(turn, &layout::hello(0)));
    assert!(!starting.sources().is_empty(), "it announces its addresses");
    starting.run(Duration::from_millis(100));
    let answers = |frame: &Frame| matches!(Packet::parse(frame).unwrap().content, Content::Arp(_));
    assert!(starting.out.transmit.iter().any(|(_, frame, _)| answers(frame)), "it answers");
}

#[test]
fn a_node_that_is_alone_is_heard_once_its_wait_is_over() {
    let mut starting = Starting::new();
    starting.run(START_TIME_MAX - Duration::from_millis(100));
    assert_eq!(starting.sources(), []);
    starting.run(Duration::from_millis(200));
    assert!(!starting.sources().is_empty());
}

#[test]
fn a_clone_stays_silent_for_as_long_as_it_is_refused() {
    let mut clone = Starting::new();
    for _ in 0..30 {
        clone.refused();
        clone.run(APART_TIME / 3);
    }
    assert_eq!(clone.sources(), []);
    assert!(!clone.out.events.iter().any(|event| matches!(event, Event::HolderChanged { .. })), "it takes no role");
    clone.run(APART_TIME * 2);
    assert!(!clone.sources().is_empty(), "the member is gone");
}
