//! A whole node: frames, messages of two peers, deadlines, links, interfaces, plugins' verdicts, in any order. After each
//! turn its books balance; nothing it believed to be impossible has happened.
//!
//! Input: a byte of choices, then steps; see [`World::step`].

mod input;
mod packets;
mod peers;

use std::time::Duration;

use herald_core::event::{DropReason, EndReason};
use herald_core::id::{Interface, NodeId};
use herald_core::inspector::{
    Action, Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals, Verdict,
};
use herald_core::membership::{InterfaceState, RolesMode, Service};
use herald_core::mesh::Message;
use herald_core::node::{Announcing, Node, Redirecting, Settings};
use herald_core::outbox::Outbox;
use herald_core::packet::probe::is_probe;
use herald_core::packet::{Frame, Packet};
use herald_core::redirector::choice::{Keying, Redirectors};
use herald_core::session::{Kind, Midstream};
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_testing::layout;
use input::Input;

/// Steps of one input.
const STEPS_MAX: usize = 512;
/// Deadlines that may be due one after the other without time going on.
const DEADLINES_AT_ONCE_MAX: usize = 64;
/// Messages of the node that are kept to be answered.
const ASKED_MAX: usize = 16;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::new(input.byte());
    for _ in 0..STEPS_MAX {
        if input.0.is_empty() {
            break;
        }
        world.step(&mut input);
        world.carry_out();
    }
    world.batch_ended();
    for millis in [30, 1_000, 300_000] {
        world.now = world.now + Duration::from_millis(millis);
        world.deadlines();
        world.carry_out();
    }
    let rows = world.node.all_rows().filter(|row| row.kind == Kind::Marker);
    assert_eq!(rows.count(), world.node.markers().len());
}

/// The node a, whose peers are b and c, and what it has asked them.
struct World {
    now: Instant,
    node: Node<()>,
    plugins: Words,
    out: Outbox,
    asked: Vec<(NodeId, Message)>,
    hosts: Hosts,
}

/// Whether hosts answer ARP.
#[derive(PartialEq, Eq)]
enum Hosts {
    Answer,
    Silent,
}

/// Plugins that say the same of each packet until they are told otherwise.
#[derive(Default)]
struct Words {
    verdict: Verdict,
    standing: PerDirection<Standing>,
}

impl Inspector for Words {
    type Part = ();

    fn stream_started(&mut self, _: Instant, _: &Stream, (): &mut ()) -> PerDirection<Standing> {
        self.standing
    }

    fn inspect(&mut self, _: Instant, batch: &mut [Inspection], parts: &mut dyn Parts<()>) {
        for inspection in batch {
            inspection.verdict = self.verdict;
            inspection.standing = self.standing;
            parts.part(inspection.slot, inspection.stream);
        }
    }

    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, (): &mut ()) {}

    fn readiness(&self) -> Readiness {
        if self.verdict.fault { Readiness::Suspended } else { Readiness::Ready }
    }
}

impl World {
    /// `choices`, from the lowest bit: 2 for the roles, then redirecting, mid-stream, announcing, ARP, keying, redirectors.
    fn new(choices: u8) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let bit = |number: u8| choices >> number & 1 != 0;
        let mut world = Self {
            now,
            node: Node::new(now, settings(choices)).expect("settings that hold"),
            plugins: Words::default(),
            out: Outbox::default(),
            asked: Vec::new(),
            hosts: if bit(5) { Hosts::Silent } else { Hosts::Answer },
        };
        for interface in Interface::BOTH {
            world.turn(|node, turn| node.interface_changed(turn, interface, InterfaceState::Up));
        }
        for peer in 0..2 {
            world.link(peer, 0);
            world.link(peer, 1);
            world.heartbeat(peer, 0);
        }
        world.carry_out();
        world.run_for(Duration::from_secs(2));
        world
    }

    fn turn(&mut self, call: impl FnOnce(&mut Node<()>, &mut Turn<'_, ()>)) {
        call(&mut self.node, &mut Turn::new(self.now, &mut self.plugins, &mut self.out));
    }

    /// One byte says what happens, those behind it how.
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0 => {
                let interface = input.interface();
                let len = usize::from(input.byte());
                self.frame(interface, input.take(len).to_vec());
            }
            1..=3 => {
                let (interface, bytes) = packets::packet(input);
                self.frame(interface, bytes);
            }
            4 => {
                let (interface, bytes) = packets::neighbour(input);
                self.frame(interface, bytes);
            }
            5 => self.raw_message(input),
            6 => self.frame_over_the_mesh(input),
            7 | 8 => self.answer(input),
            9 => {
                let (peer, flags) = (input.byte(), input.byte());
                self.heartbeat(peer, flags);
            }
            10 => self.claim(input),
            11 => self.pass_time(input),
            12 => {
                let (peer, what) = (input.byte(), input.byte());
                self.link(peer, what);
            }
            13 => {
                let (interface, state) = (input.interface(), [InterfaceState::Up, InterfaceState::Down]);
                let state = input.pick(&state);
                self.turn(|node, turn| node.interface_changed(turn, interface, state));
            }
            14 => self.say(input.byte()),
            _ => self.service(input.byte()),
        }
    }

    fn frame(&mut self, interface: Interface, bytes: Vec<u8>) {
        self.turn(|node, turn| node.frame_arrived(turn, interface, Frame::from_bytes(&bytes)));
    }

    /// A batch ends before time goes on: the event loop reads the clock once for both.
    fn pass_time(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        self.batch_ended();
        let millis = [0, 1, 6, 20, 51, 110, 350, 1_000, 2_500, 10_000, 65_000, 250_000];
        match choice % 16 {
            // As by a process that was stopped: nothing ran meanwhile.
            at @ 0..12 if choice & 16 != 0 => {
                self.now = self.now + Duration::from_millis(millis[usize::from(at)]);
                self.deadlines();
            }
            at @ 0..12 => self.run_for(Duration::from_millis(millis[usize::from(at)].min(2_500))),
            12 | 13 => {}
            _ => {
                self.now = self.node.next_deadline().unwrap_or(self.now).max(self.now);
                self.deadlines();
            }
        }
    }

    fn batch_ended(&mut self) {
        self.turn(|node, turn| node.batch_ended(turn));
        self.turn(|node, turn| while node.send_bulk(turn, &|_| usize::MAX) {});
        self.carry_out();
    }

    /// Everything happens when it is due.
    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.node.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.deadlines();
        }
        self.now = end;
    }

    /// All that is due now.
    fn deadlines(&mut self) {
        for _ in 0..DEADLINES_AT_ONCE_MAX {
            if self.node.next_deadline().is_none_or(|next| next > self.now) {
                return;
            }
            self.turn(|node, turn| node.deadline_reached(turn));
            self.batch_ended();
        }
        panic!("at {:?} a deadline is due again and again: {:?}", self.now, self.node.next_deadline());
    }

    fn say(&mut self, word: u8) {
        let actions = [Action::Pass, Action::Drop, Action::Reject];
        let verdict = |bits: u8| Verdict {
            action: actions[usize::from(bits & 3) % 3],
            fault: bits & 4 != 0,
            ..Verdict::default()
        };
        let standing = |bits: u8| match bits & 3 {
            0 | 1 => Standing::Inspected,
            2 => Standing::Uninspected,
            _ => Standing::Ended(Verdict { action: Action::Reject, ..Verdict::default() }),
        };
        self.plugins.verdict = verdict(word);
        self.plugins.standing = PerDirection { from_opener: standing(word >> 3), to_opener: standing(word >> 5) };
    }

    fn service(&mut self, what: u8) {
        match what % 4 {
            0 => self.turn(|node, turn| node.service_changed(turn, Service::Draining)),
            1 => self.turn(|node, turn| node.service_changed(turn, Service::Normal)),
            2 => self.node.forget_redirector_sessions(),
            _ => {
                let key = packets::key(what);
                self.node.ask(u64::from(what), key, &mut self.out);
                self.node.take_answers();
            }
        }
    }

    /// What the node wants done is taken from it, and its books are read.
    fn carry_out(&mut self) {
        let mut answers = Vec::new();
        for (interface, frame, leaving) in self.out.transmit.drain(..) {
            let parsed = Packet::parse(&frame);
            assert!(
                parsed.is_ok() || is_probe(&frame),
                "{leaving:?} out of {interface}: {:?} of {:02x?}",
                parsed,
                frame.bytes()
            );
            if self.hosts == Hosts::Answer {
                answers.extend(layout::arp_answer(interface, frame.bytes()).map(|reply| (interface, reply)));
            }
        }
        self.asked.append(&mut self.out.send);
        let old = self.asked.len().saturating_sub(ASKED_MAX);
        self.asked.drain(..old);
        self.out.events.clear();
        self.out.spent.clear();
        self.check_books();
        for (interface, reply) in answers {
            self.frame(interface, reply);
        }
    }

    fn check_books(&self) {
        let books = &self.out.ledger;
        let came = books.arrived.first + books.arrived.second + books.arrived_mesh + books.cut + books.injected;
        let dropped = self.out.drops().map(|(_, count)| count).sum::<u64>() - books.generated_dropped;
        let went = books.forwarded + books.redirected + books.handed_over + books.consumed + books.joined + dropped;
        let kept = self.node.frames_kept() as u64;
        assert_eq!(came, went + kept, "{books:?}, {kept} kept, {:?}", self.out.drops().collect::<Vec<_>>());
        let impossible = self.out.drops().find(|(reason, _)| *reason == DropReason::Internal);
        assert_eq!(impossible, None);
    }
}

fn settings(choices: u8) -> Settings {
    let bit = |number: u8| choices >> number & 1 != 0;
    let mut settings = layout::settings(0, 3);
    settings.membership.roles = match choices & 3 {
        0 => layout::held_by(["a", "a"]),
        1 => layout::held_by(["a", "b"]),
        2 => layout::held_by(["b", "b"]),
        _ => RolesMode::Priority,
    };
    if bit(2) {
        settings.redirecting = Redirecting::Mesh;
    }
    if bit(3) {
        settings.midstream = Midstream::PickUp;
    }
    if bit(4) {
        settings.announcing = Announcing::On(Duration::from_millis(5));
    }
    if bit(6) {
        settings.choice.keying = Keying::Shared;
    }
    if bit(7) {
        settings.choice.redirectors = Redirectors::LastResort;
    }
    settings.hold_max.frames = 4;
    settings
}
