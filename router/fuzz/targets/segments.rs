//! The stream engine between two hostile ends: what left of a direction is in one form only, and its hook saw the same bytes; what
//! is kept has a bound.
//!
//! Input: a byte of settings; steps of [`STEP_LEN`] bytes.

use std::collections::BTreeMap;

use herald_core::packet::{TcpFlags, TcpOptions};
use herald_stream::limits::PIECE_COST;
use herald_stream::{
    Action, Begun, Conflicts, Engine, Policies, Policy, Segment, Settings, Side, Stream, Urgent, Watched,
};

/// Bytes of a step: who says it and how, flags, sequence and acknowledgement number, length, bytes, window, options.
const STEP_LEN: usize = 10;
/// Sequence numbers of the first bytes.
const FIRST: [u32; 2] = [u32::MAX - 500, 7_000];
const SYN: u8 = 2;
const ACK: u8 = 16;
/// Bounds that a few steps reach.
const STREAM_BYTES: usize = 2_000;
const BYTES: usize = 1_500;
const PIECES: usize = 6;

/// What is known of a direction.
#[derive(Default)]
struct Way {
    left: BTreeMap<i64, u8>,
    saw: Vec<u8>,
}

struct Play {
    engine: Engine,
    stream: Box<Stream>,
    ways: [Way; 2],
    moves: bool,
}

pub(crate) fn run(data: &[u8]) {
    let Some((&settings, steps)) = data.split_first() else { return };
    let Some(mut play) = Play::new(settings) else { return };
    for step in steps.chunks_exact(STEP_LEN) {
        let step: &[u8; STEP_LEN] = step.try_into().unwrap();
        if !play.step(step) {
            return;
        }
    }
    play.end();
}

fn place(side: Side) -> usize {
    usize::from(side == Side::Answerer)
}

fn settings(byte: u8) -> Settings {
    let policy = match byte >> 2 & 3 {
        0 | 1 => Policy::Drop,
        2 => Policy::Reset,
        _ => Policy::Pass,
    };
    let policies = Policies {
        stream_bytes: policy,
        stream_pieces: policy,
        all_bytes: policy,
        all_streams: policy,
        midstream: None,
    };
    Settings {
        conflicts: if byte & 1 == 0 { Conflicts::Rewrite } else { Conflicts::Drop },
        urgent: if byte & 2 == 0 { Urgent::Clear } else { Urgent::Drop },
        policies,
        stream_bytes_max: STREAM_BYTES,
        stream_pieces_max: PIECES,
        bytes_max: BYTES,
        streams_max: 1,
    }
}

impl Play {
    /// Behind a handshake.
    fn new(byte: u8) -> Option<Self> {
        let mut engine = Engine::new(settings(byte));
        let options = TcpOptions {
            timestamp: (byte & 16 != 0).then_some(1_000),
            allows_sack: byte & 32 != 0,
            is_signed: byte & 64 != 0,
            ..TcpOptions::default()
        };
        let segment = |sequence: u32, acknowledgement, flags| Segment {
            is_sound: true,
            has_odd_options: false,
            sequence: sequence.wrapping_sub(1),
            acknowledgement,
            flags: TcpFlags(flags),
            window: 1_000,
            options,
            payload: &mut [],
        };
        let [opener, answerer] = FIRST;
        let mut syn = segment(opener, 0, SYN);
        let Begun::Followed(mut stream) = engine.begin(Side::Opener, &syn, Watched::Both) else { return None };
        assert_eq!(engine.segment(&mut stream, Side::Opener, &mut syn).action, Action::Pass);
        let mut answer = segment(answerer, opener, SYN | ACK);
        assert_eq!(engine.segment(&mut stream, Side::Answerer, &mut answer).action, Action::Pass);
        Some(Self { engine, stream, ways: Default::default(), moves: byte & 128 != 0 })
    }

    /// False if the stream is not followed any more.
    fn step(&mut self, step: &[u8; STEP_LEN]) -> bool {
        let [how, flags, s1, s0, a1, a0, len, fill, window, odd] = *step;
        let from = if how & 1 == 0 { Side::Opener } else { Side::Answerer };
        if how >> 1 & 15 == 15 {
            self.stream.want(from, len.into());
            return true;
        }
        let (own, other) = (FIRST[place(from)], FIRST[place(from.other())]);
        let offset = |high, low| i32::from(i16::from_be_bytes([high, low])) / 8;
        let sequence = own.wrapping_add_signed(offset(s1, s0));
        let mut payload: Vec<u8> = (0..len).map(|at| if fill % 4 == 0 { at } else { fill }).collect();
        let mut segment = Segment {
            is_sound: odd & 7 != 1,
            has_odd_options: odd & 7 == 2,
            sequence,
            acknowledgement: other.wrapping_add_signed(offset(a1, a0)),
            // Mostly what an open connection says.
            flags: TcpFlags(if how & 32 == 0 { ACK | flags & 1 } else { flags & 63 }),
            window: u16::from(window) * 16,
            options: TcpOptions {
                timestamp: (odd & 8 != 0).then(|| 1_000 + u32::from(odd >> 4)),
                is_signed: odd & 7 == 3,
                has_cookie: odd & 7 == 4,
                ..TcpOptions::default()
            },
            payload: &mut payload,
        };
        // Its payload begins behind the number that the SYN takes.
        let syn_len = u32::from(segment.flags.0 & SYN != 0);
        let judged = self.engine.segment(&mut self.stream, from, &mut segment);
        let most = BYTES + PIECES * PIECE_COST;
        assert!(self.engine.bytes() <= most, "{} bytes are kept", self.engine.bytes());
        let (one, two) = self.stream.fresh(from);
        let way = &mut self.ways[place(from)];
        way.saw.extend([one, two].concat());
        match judged.action {
            Action::Pass if judged.gap.is_some() => return false,
            Action::Pass => {
                let leaves = &payload[judged.edit.cut..judged.edit.cut + judged.edit.keep];
                let first = sequence.wrapping_add(syn_len).wrapping_sub(own).cast_signed();
                let first = i64::from(first) + i64::try_from(judged.edit.cut).unwrap();
                for (at, byte) in (first..).zip(leaves) {
                    assert_eq!(way.left.entry(at).or_insert(*byte), byte, "offset {at} leaves in two forms");
                }
            }
            Action::Drop(_) => {}
            Action::Reset(_) => return false,
        }
        let seen = (0..).zip(&way.saw).all(|(at, byte)| way.left.get(&at) == Some(byte));
        assert!(seen, "the hook saw what did not leave");
        if self.moves {
            self.stream = Stream::import(&self.stream.export()).unwrap();
        }
        true
    }

    /// All that left in order was shown, or waits for a hook that sleeps.
    fn end(self) {
        for side in Side::BOTH {
            let way = &self.ways[place(side)];
            let (one, two) = self.stream.unseen(side);
            let seen = way.saw.len() + one.len() + two.len();
            let left = (0..).take_while(|at| way.left.contains_key(at)).count();
            assert_eq!(left, seen, "{side:?}");
        }
    }
}
