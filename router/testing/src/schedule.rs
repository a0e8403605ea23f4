//! Any bytes as what a hostile sender, a bad network and a careless receiver do to one connection through the stream engine. At
//! each moment the receiver has read what the hook saw, or less.

use crate::receiver::{Receiver, Wire};
use herald_core::packet::{TcpFlags, TcpOptions};
use herald_stream::{Action, Begun, End, Engine, Judged, Segment, Settings, Side, Stream, Watched};

/// Bytes that the sender's application has written.
const TRUTH_LEN: u16 = 600;
/// Bytes of the receiver's window.
const WINDOW: u16 = 400;
/// Bytes of a step.
const STEP_LEN: usize = 6;

/// How a schedule ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// Bytes that the receiver's application read.
    pub read: usize,
    /// Bytes that differed were seen.
    pub conflicts: u64,
    /// Segments that were dropped.
    pub dropped: u64,
    /// The receiver was reset.
    pub is_reset: bool,
    /// The receiver has read the end.
    pub is_ended: bool,
    /// A bypass took effect.
    pub is_bypassed: bool,
    /// The truth and nothing else was read.
    pub is_truth: bool,
}

/// Whether the stream moves between two nodes at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// It stays.
    Never,
    /// After each segment.
    Always,
}

/// Both ends, the node between them, and what is on its way.
struct Play {
    engine: Engine,
    stream: Box<Stream>,
    moves: Moves,
    /// The side of the sender.
    sender: Side,
    receiver: Receiver,
    first: u32,
    truth: Vec<u8>,
    clock: Option<u32>,
    /// Behind the node, not yet at the receiver.
    late: Vec<Wire>,
    hook: Vec<u8>,
    hook_end: Option<usize>,
    /// What was shown when a bypass was asked for.
    bypass: Option<usize>,
    /// Somebody has spoken in the receiver's name.
    is_forged: bool,
    /// A FIN has left, perhaps a false one.
    has_fin: bool,
    story: Story,
}

/// Plays a schedule: three bytes of settings, then steps.
///
/// # Panics
/// A receiver has read what no hook saw, or the engine broke another promise.
#[must_use]
pub fn play(schedule: &[u8], moves: Moves) -> Story {
    let (head, steps) = schedule.split_at(schedule.len().min(3));
    let head = |at: usize| head.get(at).copied().unwrap_or_default();
    let mut play = Play::open([head(0), head(1), head(2)], moves);
    for step in steps.chunks_exact(STEP_LEN) {
        play.step(step.try_into().unwrap());
        play.check();
        if play.is_over() {
            break;
        }
    }
    play.finish()
}

impl Play {
    /// The handshake.
    fn open([wraps, uses_clock, opener]: [u8; 3], moves: Moves) -> Self {
        let first = 0_u32.wrapping_sub(u32::from(wraps) * 3);
        let own = 5_000;
        let clock = (uses_clock % 2 == 1).then_some(100);
        let sender = if opener % 2 == 0 { Side::Opener } else { Side::Answerer };
        let mut engine = Engine::new(Settings::default());
        let options = TcpOptions { timestamp: clock, allows_sack: true, ..TcpOptions::default() };
        let (sender_isn, own_isn) = (first.wrapping_sub(1), own - 1);
        let (opening, answering) = if sender == Side::Opener { (sender_isn, own_isn) } else { (own_isn, sender_isn) };
        let mut syn = Segment {
            is_sound: true,
            has_odd_options: false,
            sequence: opening,
            acknowledgement: 0,
            flags: TcpFlags(2),
            window: WINDOW,
            options,
            payload: &mut [],
        };
        let Begun::Followed(mut stream) = engine.begin(Side::Opener, &syn, Watched::Both) else { panic!("refused") };
        assert_eq!(engine.segment(&mut stream, Side::Opener, &mut syn).action, Action::Pass);
        let mut answer = Segment {
            sequence: answering,
            acknowledgement: opening.wrapping_add(1),
            flags: TcpFlags(18),
            payload: &mut [],
            ..syn
        };
        assert_eq!(engine.segment(&mut stream, Side::Answerer, &mut answer).action, Action::Pass);
        let mut receiver = Receiver::new(first, own, WINDOW);
        receiver.newest = clock;
        let truth = (0..TRUTH_LEN).map(|at| u8::try_from(at % 120).unwrap()).collect();
        Self {
            engine,
            stream,
            moves,
            sender,
            receiver,
            first,
            truth,
            clock,
            late: Vec::new(),
            hook: Vec::new(),
            hook_end: None,
            bypass: None,
            is_forged: false,
            has_fin: false,
            story: Story::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.stream.is_bypassed(self.sender)
    }

    /// A segment of the truth, with timestamps that grow.
    fn segment(&mut self, at: u16, len: u16) -> Wire {
        self.clock = self.clock.map(|clock| clock + 1);
        let begin = at.min(TRUTH_LEN);
        let end = begin.saturating_add(len).min(TRUTH_LEN);
        Wire {
            timestamp: self.clock,
            payload: self.truth[begin.into()..end.into()].to_vec(),
            ..Wire::ack(self.first.wrapping_add(begin.into()), self.receiver.own)
        }
    }

    fn step(&mut self, [kind, low, high, len, data, fate]: [u8; STEP_LEN]) {
        let at = u16::from_be_bytes([high % 3, low]);
        let count = u16::from(len % 100) + 1;
        let mut wire = self.segment(at, count);
        let other = |wire: &mut Wire| wire.payload.iter_mut().for_each(|byte| *byte = *byte & 0x7f | 0x80 ^ (data & 7));
        match kind % 20 {
            0..4 => {}
            4..7 => other(&mut wire),
            7 | 8 => {
                let next = u16::try_from(self.receiver.read.len()).unwrap().min(TRUTH_LEN);
                wire = self.segment(next.saturating_sub(u16::from(data % 2)), count);
            }
            9 | 10 => return self.deliver(usize::from(low)),
            11 | 12 => return self.acknowledge(self.receiver.answer()),
            13 => {
                wire.flags = 4 | data & 16;
                wire.payload.truncate(usize::from(len % 2));
                if fate % 4 < 2 {
                    wire.sequence = self.receiver.next.wrapping_add(u32::from(low % 4)).wrapping_sub(1);
                }
            }
            14 => {
                wire.flags |= 1;
                if data % 4 == 0 {
                    wire.payload.clear();
                }
                if data % 2 == 1 {
                    wire = self.segment(TRUTH_LEN, 0);
                    wire.flags |= 1;
                }
            }
            15 | 16 => {
                other(&mut wire);
                match data >> 3 & 7 {
                    0 => wire.is_sound = false,
                    1 => wire.flags = 0,
                    2 => wire.acknowledgement = wire.acknowledgement.wrapping_add(u32::from(low) + 1),
                    3 => wire.timestamp = wire.timestamp.map(|now| now.wrapping_sub(500)),
                    4 => wire.flags |= 2,
                    5 => wire.flags |= 32,
                    6 => wire.sequence = wire.sequence.wrapping_add(100_000),
                    _ => wire.timestamp = None,
                }
            }
            17 => return self.forge(data, at),
            18 => {
                self.stream.want(self.sender, u64::from(len));
                return;
            }
            _ if data % 8 == 7 => {
                let (one, two) = self.stream.unseen(self.sender);
                assert!(self.bypass.is_some() || one.len() + two.len() <= usize::from(TRUTH_LEN));
                self.bypass.get_or_insert(self.hook.len());
                self.engine.bypass(&mut self.stream, self.sender);
                return;
            }
            _ => {}
        }
        self.send(wire, fate);
    }

    /// Somebody between node and receiver lies to the sender.
    fn forge(&mut self, data: u8, at: u16) {
        self.is_forged = true;
        let mut wire = self.receiver.answer();
        match data % 4 {
            0 | 1 => wire.acknowledgement = self.first.wrapping_add(at.into()),
            2 => wire.window = u16::from(data) * 16,
            _ => {
                wire.flags = 4;
                wire.sequence = wire.sequence.wrapping_add(u32::from(data >> 6));
            }
        }
        self.acknowledge(wire);
    }

    /// From the sender through the node to the receiver.
    fn send(&mut self, mut wire: Wire, fate: u8) {
        let from = self.sender;
        if self.judge(from, &mut wire).action != Action::Pass {
            self.story.dropped += 1;
            return;
        }
        assert!(wire.is_sound && wire.flags & 32 == 0);
        self.has_fin |= wire.flags & 1 != 0;
        match fate % 8 {
            0..4 => self.arrive(&wire),
            4 => {}
            5 => {
                self.arrive(&wire);
                self.late.push(wire);
            }
            _ => self.late.push(wire),
        }
    }

    fn deliver(&mut self, number: usize) {
        if !self.late.is_empty() {
            let wire = self.late.remove(number % self.late.len());
            self.arrive(&wire);
        }
    }

    fn arrive(&mut self, wire: &Wire) {
        self.receiver.arrive(wire);
    }

    /// From the receiver's side through the node.
    fn acknowledge(&mut self, mut wire: Wire) {
        let from = self.sender.other();
        self.judge(from, &mut wire);
    }

    fn judge(&mut self, from: Side, wire: &mut Wire) -> Judged {
        let len = wire.payload.len();
        let mut segment = Segment {
            is_sound: wire.is_sound,
            has_odd_options: false,
            sequence: wire.sequence,
            acknowledgement: wire.acknowledgement,
            flags: TcpFlags(wire.flags),
            window: wire.window,
            options: TcpOptions { timestamp: wire.timestamp, ..TcpOptions::default() },
            payload: &mut wire.payload,
        };
        let judged = self.engine.segment(&mut self.stream, from, &mut segment);
        assert_eq!(self.engine.bytes(), self.books(), "the books are wrong");
        assert!(judged.edit.cut + judged.edit.keep <= len);
        wire.sequence = wire.sequence.wrapping_add(u32::try_from(judged.edit.cut).unwrap());
        wire.payload.truncate(judged.edit.cut + judged.edit.keep);
        wire.payload.drain(..judged.edit.cut);
        if judged.edit.clears_urgent {
            wire.flags &= !32;
        }
        if from == self.sender {
            let (one, two) = self.stream.fresh(from);
            let fresh = [one, two].concat();
            assert_eq!(fresh.len(), judged.fresh.len);
            if let Some(place) = &judged.fresh.in_packet {
                assert_eq!(fresh, wire.payload[place.clone()], "what lies in the packet is what was shown");
            }
            self.hook.extend(fresh);
            if judged.end == Some(End::Fin) {
                self.hook_end = Some(self.hook.len());
            }
        }
        if self.moves == Moves::Always {
            self.relocate();
        }
        judged
    }

    /// What the stream keeps, as another engine counts it.
    fn books(&self) -> usize {
        let mut other = Engine::new(Settings::default());
        let copy = other.adopt(self.stream.clone());
        assert!(copy.is_some());
        other.bytes()
    }

    /// To another node.
    fn relocate(&mut self) {
        let bytes = self.stream.export();
        let moved = Stream::import(&bytes).unwrap();
        assert_eq!(moved, self.stream);
        assert_eq!(moved.export(), bytes);
        self.engine.forget(&self.stream);
        self.stream = self.engine.adopt(moved).unwrap();
    }

    fn check(&mut self) {
        let (one, two) = self.stream.unseen(self.sender);
        let seen = [&self.hook, one, two].concat();
        let read = &self.receiver.read;
        if let Some(shown) = self.bypass {
            if self.stream.is_bypassed(self.sender) {
                self.story.is_bypassed = true;
                assert!(read.len() >= shown || self.is_forged, "{} of {shown} bytes have arrived", read.len());
            }
            return assert_eq!(read[..shown.min(read.len())], self.hook[..shown.min(read.len())]);
        }
        assert!(seen.starts_with(read), "read {read:?}\nseen {seen:?}");
        if self.receiver.is_ended {
            assert!(self.hook_end.is_some() && seen.len() == read.len(), "an end that no hook saw");
        }
    }

    /// The sender goes on until everything has arrived; nothing is lost any more.
    fn finish(mut self) -> Story {
        self.stream.want(self.sender, 0);
        for _ in 0..2 * TRUTH_LEN {
            if self.is_over() || self.receiver.is_reset || self.receiver.is_ended {
                break;
            }
            self.acknowledge(self.receiver.answer());
            let at = u16::try_from(self.receiver.read.len()).unwrap();
            let mut wire = self.segment(at.min(TRUTH_LEN), 100);
            if at >= TRUTH_LEN {
                break;
            }
            let room = usize::from(WINDOW).min(wire.payload.len());
            wire.payload.truncate(room);
            self.send(wire, 0);
            self.check();
        }
        let read = &self.receiver.read;
        self.story.read = read.len();
        self.story.is_truth = *read == self.truth;
        self.story.conflicts = self.stream.conflicts();
        self.story.is_reset = self.receiver.is_reset || self.stream.end() == Some(End::Reset);
        self.story.is_ended = self.receiver.is_ended || self.hook_end.is_some();
        if !self.is_forged && !self.story.is_reset && self.stream.end().is_none() && self.bypass.is_none() {
            assert!(read.len() >= usize::from(TRUTH_LEN) || self.has_fin, "the sender is stuck at {}", read.len());
            let (one, two) = self.stream.unseen(self.sender);
            assert!(
                self.has_fin || [&self.hook, one, two].concat() == *read,
                "in the end the hook has seen what was read"
            );
        }
        self.story
    }
}
