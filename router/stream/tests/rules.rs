//! Each rule of the engine by itself: segments in, what becomes of them out.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use herald_core::packet::{TcpFlags, TcpOptions};
use herald_stream::{
    Action, Answer, Begun, Conflicts, End, Engine, Exception, ImportError, Judged, Policies, Policy, Reason, Segment,
    Settings, Side, Stream, Urgent, Watched,
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const URG: u8 = 32;
const CLIENT: u32 = 1_000;
const SERVER: u32 = 9_000;
const OPENER: Side = Side::Opener;
const ANSWERER: Side = Side::Answerer;

/// A segment by offsets: data of the opener begins at 0, and so does that of the other end.
#[derive(Clone)]
struct Said {
    at: i64,
    ack: i64,
    flags: u8,
    window: u16,
    options: TcpOptions,
    is_sound: bool,
    has_odd_options: bool,
    bytes: Vec<u8>,
}

fn said(at: i64, bytes: &[u8]) -> Said {
    Said {
        at,
        ack: 0,
        flags: ACK,
        window: 1_000,
        options: TcpOptions::default(),
        is_sound: true,
        has_odd_options: false,
        bytes: bytes.to_vec(),
    }
}

fn ack(ack: i64) -> Said {
    Said { ack, ..said(0, b"") }
}

fn flagged(flags: u8, at: i64, bytes: &[u8]) -> Said {
    Said { flags, ..said(at, bytes) }
}

struct Line {
    engine: Engine,
    stream: Box<Stream>,
    /// The last segment's payload as it leaves.
    left: Vec<u8>,
}

fn number(first: u32, offset: i64) -> u32 {
    first.wrapping_add(u32::try_from(offset & 0xffff_ffff).unwrap())
}

impl Line {
    fn new(settings: Settings, first: &Said) -> Self {
        let mut engine = Engine::new(settings);
        let mut bytes = first.bytes.clone();
        let Begun::Followed(stream) = engine.begin(OPENER, &segment(OPENER, first, &mut bytes), Watched::Both) else {
            panic!("not followed")
        };
        let mut line = Self { engine, stream, left: Vec::new() };
        line.says(OPENER, first);
        line
    }

    /// Behind a handshake in which both ends offer this.
    fn with(settings: Settings, options: TcpOptions) -> Self {
        let mut line = Self::new(settings, &Said { options, ..flagged(SYN, -1, b"") });
        assert_eq!(line.says(ANSWERER, &Said { options, ..flagged(SYN | ACK, -1, b"") }).action, Action::Pass);
        line.passes(OPENER, &said(0, b""));
        line
    }

    fn open() -> Self {
        Self::with(Settings::default(), TcpOptions::default())
    }

    fn says(&mut self, from: Side, said: &Said) -> Judged {
        let mut bytes = said.bytes.clone();
        let judged = self.engine.segment(&mut self.stream, from, &mut segment(from, said, &mut bytes));
        self.left = bytes[judged.edit.cut..judged.edit.cut + judged.edit.keep].to_vec();
        judged
    }

    fn passes(&mut self, from: Side, said: &Said) -> Judged {
        let judged = self.says(from, said);
        assert_eq!(judged.action, Action::Pass);
        judged
    }

    fn drops(&mut self, from: Side, said: &Said, reason: Reason) -> Judged {
        let judged = self.says(from, said);
        assert_eq!(judged.action, Action::Drop(reason));
        assert_eq!(judged.fresh.len, 0);
        judged
    }

    /// What the opener's hook sees of a segment.
    fn shows(&mut self, said: &Said, expected: &[u8]) -> Judged {
        let judged = self.passes(OPENER, said);
        assert_eq!(self.fresh(), expected, "{}", String::from_utf8_lossy(&self.fresh()));
        judged
    }

    fn fresh(&self) -> Vec<u8> {
        let (one, two) = self.stream.fresh(OPENER);
        [one, two].concat()
    }
}

fn segment<'a>(from: Side, said: &Said, payload: &'a mut [u8]) -> Segment<'a> {
    let (own, other) = if from == OPENER { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    Segment {
        is_sound: said.is_sound,
        has_odd_options: said.has_odd_options,
        sequence: number(own, said.at),
        acknowledgement: number(other, said.ack),
        flags: TcpFlags(said.flags),
        window: said.window,
        options: said.options,
        payload,
    }
}

#[test]
fn bytes_in_order_are_borrowed_from_their_packet() {
    let mut line = Line::open();
    let judged = line.shows(&said(0, b"GET /"), b"GET /");
    assert_eq!((judged.fresh.in_packet, judged.edit.is_none(5)), (Some(0..5), true));
    let judged = line.shows(&said(3, b" /index"), b"index");
    assert_eq!(judged.fresh.in_packet, Some(2..7), "behind what was known");
}

#[test]
fn what_waits_behind_a_hole_is_seen_with_its_filler() {
    let mut line = Line::open();
    line.shows(&said(6, b"ghi"), b"");
    line.shows(&said(3, b"def"), b"");
    assert_eq!(line.stream.gaps(), 1);
    let judged = line.shows(&said(0, b"abc"), b"abcdefghi");
    assert_eq!((judged.fresh.in_packet, line.stream.gaps()), (None, 0));
}

#[test]
fn the_first_copy_stands() {
    let mut line = Line::open();
    line.shows(&said(4, b"attack"), b"");
    let judged = line.shows(&said(2, b"xxreadme!"), b"");
    assert!(judged.is_conflict && judged.edit.is_rewritten);
    assert_eq!(line.left, b"xxattack!");
    line.shows(&said(0, b"ab"), b"abxxattack!");
    // In order and not acknowledged, too.
    assert!(line.passes(OPENER, &said(4, b"ATTACK")).is_conflict);
    assert_eq!((&line.left[..], line.stream.conflicts()), (&b"attack"[..], 2));
    let mut line = Line::with(Settings { conflicts: Conflicts::Drop, ..Settings::default() }, TcpOptions::default());
    line.shows(&said(0, b"abc"), b"abc");
    line.drops(OPENER, &said(2, b"xdef"), Reason::Conflict);
    line.shows(&said(3, b"def"), b"def");
}

#[test]
fn what_is_acknowledged_never_passes_again() {
    let mut line = Line::open();
    line.shows(&said(0, b"abcdef"), b"abcdef");
    line.passes(ANSWERER, &ack(6));
    assert_eq!(line.engine.bytes(), 0, "and is not kept");
    let judged = line.shows(&said(0, b"ABCDEF"), b"");
    assert_eq!((judged.edit.cut, judged.edit.keep), (0, 0), "a bare segment, so that its receiver answers");
    let judged = line.shows(&said(3, b"DEFghi"), b"ghi");
    assert_eq!((judged.edit.cut, &line.left[..], judged.fresh.in_packet), (3, &b"ghi"[..], Some(0..3)));
    // Keep-alives.
    assert_eq!(line.shows(&said(5, b"?"), b"").edit.keep, 0);
    line.shows(&said(8, b""), b"");
}

#[test]
fn selective_acknowledgements_free_nothing_and_forged_ones_are_dropped() {
    let mut line = Line::open();
    line.shows(&said(0, b"abc"), b"abc");
    line.shows(&said(6, b"ghi"), b"");
    line.drops(ANSWERER, &ack(9), Reason::AcknowledgesUnsent);
    line.passes(ANSWERER, &ack(3));
    assert!(line.passes(OPENER, &said(6, b"GHI")).is_conflict);
}

#[test]
fn what_an_old_segment_acknowledges_is_not_believed() {
    let mut line = Line::open();
    line.shows(&said(0, b"abcdef"), b"abcdef");
    line.passes(ANSWERER, &said(0, b"ok"));
    line.passes(OPENER, &Said { ack: 2, ..said(6, b"") });
    let kept = line.engine.bytes();
    line.passes(ANSWERER, &Said { ack: 6, window: 9_000, ..said(0, b"o") });
    assert_eq!(line.engine.bytes(), kept);
    line.drops(OPENER, &said(1_000, b"x"), Reason::BeyondWindow);
}

#[test]
fn nothing_is_taken_behind_the_window() {
    let mut line = Line::open();
    line.drops(OPENER, &said(1_000, b"x"), Reason::BeyondWindow);
    line.drops(OPENER, &said(990, &[0; 11]), Reason::BeyondWindow);
    // A bare segment may stand behind a FIN at the window's end.
    line.passes(OPENER, &said(1_001, b""));
    line.drops(OPENER, &said(1_002, b""), Reason::BeyondWindow);
    // Who takes room back has promised it.
    line.passes(ANSWERER, &Said { window: 10, ..ack(0) });
    line.shows(&said(900, b"x"), b"");
    line.passes(OPENER, &said(900, b"x"));
    let mut line = Line::open();
    line.shows(&said(0, &[1; 1_000]), &[1; 1_000]);
    line.passes(ANSWERER, &Said { window: 0, ..ack(1_000) });
    let judged = line.drops(OPENER, &said(1_000, b"x"), Reason::WindowProbe);
    let probe = Answer { to: ANSWERER, sequence: number(CLIENT, 999), acknowledgement: SERVER, window: 1_000 };
    assert_eq!(judged.answer, Some(probe));
    line.passes(OPENER, &flagged(ACK | FIN, 1_000, b""));
}

#[test]
fn windows_are_scaled_if_both_offer_it() {
    let scale = TcpOptions { scale: Some(3), ..TcpOptions::default() };
    let mut line = Line::with(Settings::default(), scale);
    line.drops(OPENER, &said(7_999, b"x"), Reason::BeyondWindow);
    line.passes(ANSWERER, &ack(0));
    line.shows(&said(7_999, b"x"), b"");
    line.drops(OPENER, &said(8_000, b"x"), Reason::BeyondWindow);
}

#[test]
fn numbers_wrap() {
    // The opener's first byte has the number 2^32 - 500.
    let begin = -i64::from(CLIENT) - 500;
    let mut line = Line::new(Settings::default(), &flagged(SYN, begin - 1, b""));
    line.passes(ANSWERER, &Said { ack: begin, ..flagged(SYN | ACK, -1, b"") });
    line.shows(&said(begin + 495, b"xxxxyyyy"), b"");
    line.shows(&said(begin, &[1; 495]), &[&[1; 495][..], b"xxxxyyyy"].concat());
    assert!(line.passes(OPENER, &said(begin + 498, b"ab")).is_conflict);
    line.drops(ANSWERER, &ack(begin + 504), Reason::AcknowledgesUnsent);
    line.passes(ANSWERER, &ack(begin + 502));
    let judged = line.shows(&said(begin + 495, b"........z"), b"z");
    assert_eq!(judged.edit.cut, 7);
    assert_eq!(line.left, b"yz");
}

#[test]
fn a_fin_ends_its_direction_where_it_is() {
    let mut line = Line::open();
    line.shows(&said(0, b"abc"), b"abc");
    assert_eq!(line.passes(OPENER, &flagged(ACK | FIN, 6, b"")).end, None, "a hole is open");
    line.drops(OPENER, &said(6, b"x"), Reason::AfterFin);
    line.drops(OPENER, &said(4, b"efg"), Reason::AfterFin);
    line.drops(OPENER, &flagged(ACK | FIN, 5, b""), Reason::FalseFin);
    let judged = line.shows(&said(3, b"def"), b"def");
    assert_eq!((judged.end, line.stream.end()), (Some(End::Fin), Some(End::Fin)));
    line.passes(ANSWERER, &ack(7));
    line.drops(ANSWERER, &ack(8), Reason::AcknowledgesUnsent);
    line.drops(OPENER, &said(7, b"x"), Reason::AfterFin);
    let again = line.passes(OPENER, &flagged(ACK | FIN, 3, b"def"));
    assert_eq!((again.edit.cut, again.edit.keep), (3, 0), "the FIN stays where it is");
    // A FIN before what its sender sent.
    let mut line = Line::open();
    line.shows(&said(3, b"def"), b"");
    line.drops(OPENER, &flagged(ACK | FIN, 0, b"abc"), Reason::FalseFin);
    line.shows(&said(0, b"abc"), b"abcdef");
}

#[test]
fn a_reset_counts_exactly_in_sequence() {
    let mut line = Line::open();
    line.shows(&said(0, b"abc"), b"abc");
    line.drops(OPENER, &flagged(RST, 4, b""), Reason::ResetOutOfSequence);
    line.drops(OPENER, &flagged(RST, -2, b""), Reason::ResetOutOfSequence);
    // Its receiver may have got no more yet: it is asked, and the connection goes on.
    assert_eq!(line.passes(OPENER, &flagged(RST, 1, b"")).end, None);
    assert_eq!(line.stream.end(), Some(End::Reset));
    line.passes(ANSWERER, &ack(3));
    assert_eq!(line.stream.end(), None);
    assert_eq!(line.passes(OPENER, &flagged(RST, 3, b"why")).end, Some(End::Reset));
    assert!(line.left.is_empty());
    line.drops(OPENER, &said(3, b"def"), Reason::AfterReset);
    line.drops(ANSWERER, &said(0, b"def"), Reason::AfterReset);
    line.passes(ANSWERER, &ack(3));
    let sack = TcpOptions { allows_sack: true, ..TcpOptions::default() };
    for (options, action) in [(TcpOptions::default(), Action::Drop(Reason::ResetOutOfSequence)), (sack, Action::Pass)] {
        let mut line = Line::with(Settings::default(), options);
        line.shows(&said(10, b"xyz"), b"");
        assert_eq!(line.says(OPENER, &flagged(RST, 13, b"")).action, action, "at the end of the highest block");
    }
}

#[test]
fn a_syn_in_an_open_connection_is_challenged() {
    let mut line = Line::open();
    line.shows(&said(0, b"abc"), b"abc");
    let challenge = Answer { to: OPENER, sequence: SERVER, acknowledgement: number(CLIENT, 3), window: 1_000 };
    for at in [2, 500, -1] {
        let judged = line.drops(OPENER, &flagged(SYN, at, b"evil"), Reason::SynInConnection);
        assert_eq!(judged.answer, Some(challenge));
    }
    line.drops(OPENER, &flagged(SYN | FIN, -1, b""), Reason::Flags);
    // The third segment may have been lost behind this node.
    line.passes(ANSWERER, &flagged(SYN | ACK, -1, b""));
    line.passes(ANSWERER, &ack(3));
    line.drops(ANSWERER, &flagged(SYN | ACK, -1, b""), Reason::SynInConnection);
    line.shows(&said(3, b"def"), b"def");
}

#[test]
fn handshakes_of_every_kind_open() {
    let orders: [&[(Side, u8, i64)]; 3] = [
        &[(OPENER, SYN, -1), (ANSWERER, SYN | ACK, -1), (OPENER, SYN, -1), (ANSWERER, SYN | ACK, -1), (OPENER, ACK, 0)],
        // Both at once.
        &[(OPENER, SYN, -1), (ANSWERER, SYN, -1), (OPENER, SYN | ACK, -1), (ANSWERER, SYN | ACK, -1)],
        // Split in four.
        &[(OPENER, SYN, -1), (ANSWERER, ACK, -1), (ANSWERER, SYN, -1), (OPENER, SYN | ACK, -1), (ANSWERER, ACK, 0)],
    ];
    for order in orders {
        let mut line = Line::new(Settings::default(), &flagged(SYN, -1, b""));
        for (from, flags, at) in order {
            line.passes(*from, &flagged(*flags, *at, b""));
        }
        line.shows(&said(0, b"hello"), b"hello");
        assert_eq!(line.passes(ANSWERER, &Said { ack: 5, ..said(0, b"world") }).fresh.len, 5);
    }
}

#[test]
fn a_handshake_that_nobody_has_answered_may_begin_anew() {
    let mut line = Line::new(Settings::default(), &flagged(SYN, -1, b""));
    line.drops(OPENER, &said(0, b"early"), Reason::NotOpen);
    line.passes(OPENER, &flagged(SYN, 499, b""));
    line.drops(ANSWERER, &flagged(SYN | ACK, -1, b""), Reason::AcknowledgesUnsent);
    line.passes(ANSWERER, &Said { ack: 500, ..flagged(SYN | ACK, -1, b"") });
    line.drops(OPENER, &flagged(SYN, -1, b""), Reason::SynInConnection);
    line.shows(&said(500, b"now"), b"now");
    // Refused.
    let mut line = Line::new(Settings::default(), &flagged(SYN, -1, b""));
    line.passes(ANSWERER, &Said { ack: 7, ..flagged(RST | ACK, 0, b"") });
    assert_eq!(line.stream.end(), None, "of another SYN");
    assert_eq!(line.passes(ANSWERER, &flagged(RST | ACK, 0, b"")).end, Some(End::Reset));
}

#[test]
fn data_on_a_syn_counts_with_a_cookie_only() {
    let mut line = Line::new(Settings::default(), &flagged(SYN, -1, b"early"));
    assert!(line.left.is_empty() && line.fresh().is_empty());
    line.passes(ANSWERER, &flagged(SYN | ACK, -1, b"too"));
    assert!(line.left.is_empty());
    line.shows(&said(0, b"early"), b"early");
    let cookie = TcpOptions { has_cookie: true, ..TcpOptions::default() };
    for taken in [0, 5] {
        let mut line = Line::new(Settings::default(), &Said { options: cookie, ..flagged(SYN, -1, b"early") });
        assert_eq!((&line.left[..], &line.fresh()[..]), (&b"early"[..], &b"early"[..]));
        line.passes(ANSWERER, &Said { ack: taken, ..flagged(SYN | ACK, -1, b"") });
        line.shows(&said(0, b"EARLY bird"), b" bird");
        let expected = if taken == 0 { &b"early bird"[..] } else { b" bird" };
        assert_eq!(line.left, expected);
    }
}

#[test]
fn what_a_receiver_would_refuse_is_dropped() {
    let clock = |now| TcpOptions { timestamp: Some(now), ..TcpOptions::default() };
    let mut line = Line::with(Settings::default(), clock(1_000));
    line.passes(ANSWERER, &Said { options: clock(1_000), ..said(0, &[1; 500]) });
    line.passes(OPENER, &Said { ack: 500, options: clock(1_000), ..said(0, b"") });
    let evil = Said { ack: 500, options: clock(1_001), ..said(0, b"evil") };
    let signed = TcpOptions { is_signed: true, ..clock(1_001) };
    let cases = [
        (Said { is_sound: false, ..evil.clone() }, Reason::Checksum),
        (Said { has_odd_options: true, ..evil.clone() }, Reason::OddOptions),
        (Said { options: clock(998), ..evil.clone() }, Reason::Timestamp),
        (Said { options: signed, ..evil.clone() }, Reason::Signature),
        (Said { flags: 0, ..evil.clone() }, Reason::NoAcknowledgement),
        (Said { flags: FIN, ..evil.clone() }, Reason::NoAcknowledgement),
        (Said { ack: 501, ..evil.clone() }, Reason::AcknowledgesUnsent),
        (Said { ack: -1, ..evil.clone() }, Reason::AcknowledgesLongAgo),
        (Said { at: -(1 << 30) - 1, ..evil.clone() }, Reason::TooOld),
    ];
    for (said, reason) in &cases {
        line.drops(OPENER, said, *reason);
    }
    let counted = line.engine.counters().dropped().map(|(_, count)| count).sum::<u64>();
    assert_eq!(counted, cases.len() as u64);
    // Linux reads a segment without the agreed timestamp, and forgives a tick.
    line.shows(&Said { ack: 500, ..said(0, b"a") }, b"a");
    line.shows(&Said { ack: 500, options: clock(999), ..said(1, b"b") }, b"b");
}

#[test]
fn a_clock_is_remembered_only_forwards_and_in_sequence() {
    let clock = |now| TcpOptions { timestamp: Some(now), ..TcpOptions::default() };
    let mut line = Line::with(Settings::default(), clock(1_000));
    // What waits behind a hole was perhaps sent after what fills it.
    line.shows(&Said { options: clock(2_000), ..said(5, b"fg") }, b"");
    line.shows(&Said { options: clock(1_500), ..said(0, b"ab") }, b"ab");
    // A forgiven tick is no new time.
    line.passes(OPENER, &Said { options: clock(1_499), ..said(0, b"ab") });
    line.drops(OPENER, &Said { options: clock(1_498), ..said(0, b"ab") }, Reason::Timestamp);
}

#[test]
fn urgent_marks_are_cleared_or_dropped() {
    let mut line = Line::open();
    let judged = line.shows(&flagged(ACK | URG, 0, b"attX"), b"attX");
    assert!(judged.edit.clears_urgent);
    let mut line = Line::with(Settings { urgent: Urgent::Drop, ..Settings::default() }, TcpOptions::default());
    line.drops(OPENER, &flagged(ACK | URG, 0, b"attX"), Reason::Urgent);
    assert_eq!((line.engine.bytes(), line.fresh().len()), (0, 0), "what is dropped is not seen");
    assert_eq!(line.engine.counters().dropped().find(|(reason, _)| *reason == Reason::Urgent).unwrap().1, 1);
}

#[test]
fn what_is_signed_is_never_changed() {
    let signed = TcpOptions { is_signed: true, ..TcpOptions::default() };
    let mut line = Line::with(Settings::default(), signed);
    line.shows(&Said { options: signed, ..said(0, b"route") }, b"route");
    line.drops(OPENER, &Said { options: signed, ..said(0, b"ROUTE") }, Reason::Signature);
    line.passes(OPENER, &Said { options: signed, ..said(0, b"route") });
    line.drops(OPENER, &Said { options: signed, ..flagged(ACK | URG, 5, b"urgent") }, Reason::Signature);
    assert_eq!((line.engine.bytes(), line.fresh().len()), (5, 0), "what is dropped is not seen");
}

#[test]
fn a_bypass_waits_for_the_receiver() {
    let mut line = Line::open();
    line.shows(&said(0, b"hello"), b"hello");
    line.engine.bypass(&mut line.stream, OPENER);
    assert!(!line.stream.is_bypassed(OPENER));
    // The classic evasion: the allowed beginning was never delivered.
    assert!(line.passes(OPENER, &said(0, b"HELLO")).is_conflict);
    assert_eq!(line.left, b"hello");
    line.shows(&said(6, b"behind"), b"");
    line.passes(ANSWERER, &ack(5));
    assert!(!line.stream.is_bypassed(OPENER), "a hole is open");
    line.shows(&said(5, b"-"), b"");
    assert!(!line.stream.is_bypassed(OPENER));
    line.passes(ANSWERER, &ack(12));
    assert!(line.stream.is_bypassed(OPENER));
    assert_eq!(line.engine.bytes(), 0);
    line.shows(&said(900, b"free"), b"");
    assert!(!line.stream.is_unwatched());
    assert_eq!(
        line.passes(ANSWERER, &Said { ack: 904, ..said(0, b"answer") }).fresh.len,
        6,
        "the other one is watched"
    );
}

#[test]
fn a_hook_sleeps_until_there_is_enough() {
    let mut line = Line::open();
    line.shows(&said(0, b"ab"), b"ab");
    line.stream.want(OPENER, 4);
    line.shows(&said(2, b"cd"), b"");
    line.passes(ANSWERER, &ack(4));
    line.shows(&said(4, b"e"), b"");
    assert_eq!(line.stream.unseen(OPENER).0, b"cde");
    let judged = line.shows(&said(5, b"fg"), b"cdefg");
    assert_eq!(judged.fresh.in_packet, None);
    line.stream.want(OPENER, 100);
    let judged = line.shows(&flagged(ACK | FIN, 7, b"h"), b"h");
    assert_eq!(judged.end, Some(End::Fin), "nothing more comes");
}

#[test]
fn a_stream_that_had_begun_is_followed_after_a_gap_or_as_its_policy_says() {
    let mut line = Line::new(Settings::default(), &said(0, b"middle"));
    assert_eq!((line.fresh(), line.stream.gaps()), (b"middle".to_vec(), 1));
    // What its receiver has not got yet was sent before.
    line.passes(ANSWERER, &ack(-500));
    // What came late may be what the receiver waits for.
    line.shows(&said(-3, b"..."), b"");
    assert_eq!(line.left, b"...");
    line.passes(ANSWERER, &ack(6));
    line.shows(&said(-3, b"..."), b"");
    assert!(line.left.is_empty());
    line.shows(&said(6, b" of it"), b" of it");
    for (policy, expected) in [(Policy::Drop, "drop"), (Policy::Reset, "reset"), (Policy::Pass, "pass")] {
        let policies = Policies { midstream: Some(policy), ..Settings::default().policies };
        let mut engine = Engine::new(Settings { policies, ..Settings::default() });
        let begun = engine.begin(OPENER, &segment(OPENER, &said(0, b"x"), &mut [b'x']), Watched::Both);
        let happened = match begun {
            Begun::Dropped(Reason::Exception(Exception::Midstream)) => "drop",
            Begun::Reset(Exception::Midstream) => "reset",
            Begun::Passes(Exception::Midstream) => "pass",
            Begun::Followed(_) | Begun::Dropped(_) | Begun::Reset(_) | Begun::Passes(_) => "else",
        };
        assert_eq!(happened, expected);
        assert_eq!(engine.counters().exceptions().find(|(e, _)| *e == Exception::Midstream).unwrap().1, 1);
    }
}

#[test]
fn what_was_lost_on_its_way_here_is_a_gap_if_the_engine_is_told() {
    let mut line = Line::open();
    let lost = |line: &mut Line, from, before| {
        let (first, offset): (u32, i64) = (if from == OPENER { CLIENT } else { SERVER }, before);
        line.engine.lost(&mut line.stream, from, number(first, offset))
    };
    line.shows(&said(0, b"abc"), b"abc");
    line.shows(&said(6, b"ghi"), b"");
    line.shows(&said(12, b"mno"), b"");
    // Nobody may say so but who drives it.
    line.drops(ANSWERER, &ack(12), Reason::AcknowledgesUnsent);
    assert!(!lost(&mut line, OPENER, 3), "nothing is lost there");
    assert!(lost(&mut line, OPENER, 12));
    assert_eq!((line.fresh(), line.stream.gaps()), (b"ghi".to_vec(), 2), "a hole is open still");
    assert!(lost(&mut line, OPENER, 12));
    assert_eq!((line.fresh(), line.stream.gaps()), (b"mno".to_vec(), 2));
    assert!(!lost(&mut line, OPENER, 12));
    line.passes(ANSWERER, &ack(12));
    assert_eq!(line.engine.bytes(), 3);
    // What comes late after all is not shown, and does not leave.
    line.shows(&said(3, b"def"), b"");
    assert!(line.left.is_empty());
    // Bytes that follow each other are one gap.
    assert!(lost(&mut line, OPENER, 20) && lost(&mut line, OPENER, 30));
    assert_eq!((line.fresh(), line.stream.gaps()), (Vec::new(), 3));
    line.shows(&said(30, b"xyz"), b"xyz");
    line.passes(ANSWERER, &ack(33));
    let counted = line.engine.counters().exceptions().find(|(exception, _)| *exception == Exception::Lost);
    assert_eq!(counted, Some((Exception::Lost, 3)));
    // A FIN behind what was lost.
    line.passes(OPENER, &flagged(ACK | FIN, 40, b""));
    assert!(lost(&mut line, OPENER, 41) && !lost(&mut line, OPENER, 41));
    assert_eq!(line.stream.end(), Some(End::Fin));
    line.passes(ANSWERER, &ack(41));
    assert_eq!(Stream::import(&line.stream.export()).unwrap(), line.stream);
}

#[test]
fn a_handshake_that_was_lost_on_its_way_here_is_a_gap_if_the_engine_is_told() {
    let mut line = Line::new(Settings::default(), &flagged(SYN, -1, b""));
    line.drops(OPENER, &said(0, b"abc"), Reason::NotOpen);
    assert!(line.stream.has_begun(OPENER) && !line.stream.has_begun(ANSWERER));
    assert!(line.engine.lost(&mut line.stream, ANSWERER, SERVER));
    line.shows(&said(0, b"abc"), b"abc");
    assert_eq!(line.passes(ANSWERER, &Said { ack: 3, ..said(0, b"xyz") }).fresh.len, 3);
    assert_eq!(line.stream.gaps(), 1);
}

#[test]
fn what_was_lost_of_a_direction_that_is_left_or_not_looked_at_is_no_gap() {
    let mut line = Line::open();
    line.shows(&said(0, b"abc"), b"abc");
    line.engine.bypass(&mut line.stream, OPENER);
    line.shows(&said(6, b"ghi"), b"");
    assert!(line.engine.lost(&mut line.stream, OPENER, number(CLIENT, 6)));
    assert!(line.fresh().is_empty());
    line.passes(ANSWERER, &ack(9));
    assert!(line.stream.is_bypassed(OPENER));
    assert!(!line.engine.lost(&mut line.stream, OPENER, number(CLIENT, 20)));
}

#[test]
fn the_same_ends_connect_again() {
    let mut line = Line::open();
    let mut none = [];
    let syn = segment(OPENER, &flagged(SYN, 70_000, b""), &mut none);
    assert!(!line.stream.is_succeeded_by(&syn));
    line.passes(OPENER, &flagged(ACK | FIN, 0, b""));
    assert!(!line.stream.is_succeeded_by(&syn));
    line.passes(ANSWERER, &Said { ack: 1, ..flagged(ACK | FIN, 0, b"") });
    assert!(line.stream.is_succeeded_by(&syn));
}

#[test]
fn each_bound_ends_in_its_policy_and_is_counted() {
    let base = Settings { stream_bytes_max: 600, stream_pieces_max: 3, ..Settings::default() };
    let of = |policy| Policies { stream_bytes: policy, stream_pieces: policy, all_bytes: policy, ..base.policies };
    for (exception, bytes_max) in
        [(Exception::StreamBytes, 10_000), (Exception::AllBytes, 500), (Exception::StreamPieces, 10_000)]
    {
        for policy in [Policy::Drop, Policy::Reset, Policy::Pass] {
            let settings = Settings { policies: of(policy), bytes_max, ..base };
            let mut line = Line::with(settings, TcpOptions::default());
            let judged = (0..10)
                .map(|step| match exception {
                    Exception::StreamPieces => line.says(OPENER, &said(10 + step * 10, b"x")),
                    Exception::StreamBytes
                    | Exception::AllBytes
                    | Exception::AllStreams
                    | Exception::Midstream
                    | Exception::Lost => line.says(OPENER, &said(step * 100, &[1; 100])),
                })
                .find(|judged| judged.action != Action::Pass || judged.gap.is_some())
                .unwrap();
            let expected = match policy {
                Policy::Drop => (Action::Drop(Reason::Exception(exception)), None),
                Policy::Reset => (Action::Reset(exception), None),
                Policy::Pass => (Action::Pass, Some(exception)),
            };
            assert_eq!((judged.action, judged.gap), expected);
            assert_eq!(line.stream.is_unwatched(), policy == Policy::Pass);
            assert!(line.engine.counters().exceptions().any(|(e, count)| e == exception && count == 1));
        }
    }
}

#[test]
fn a_hundred_thousand_holes_and_a_million_openers_stay_within_bounds() {
    let scale = TcpOptions { scale: Some(14), ..TcpOptions::default() };
    let mut line = Line::with(Settings::default(), scale);
    line.passes(ANSWERER, &Said { window: u16::MAX, ..ack(0) });
    for hole in 1..=100_000 {
        line.says(OPENER, &said(hole * 2, b"x"));
    }
    assert_eq!(line.stream.gaps(), 1_024);
    assert!(line.engine.bytes() < 100 * 1_024);
    let counted = |engine: &Engine, exception| engine.counters().exceptions().find(|(e, _)| *e == exception).unwrap().1;
    assert_eq!(counted(&line.engine, Exception::StreamPieces), 100_000 - 1_024);

    let mut engine = Engine::new(Settings { streams_max: 1_000, ..Settings::default() });
    let mut streams = Vec::new();
    for _ in 0..1_000_000 {
        if let Begun::Followed(stream) =
            engine.begin(OPENER, &segment(OPENER, &flagged(SYN, -1, b""), &mut []), Watched::Both)
        {
            streams.push(stream);
        }
    }
    assert_eq!((streams.len(), counted(&engine, Exception::AllStreams)), (1_000, 999_000));
    engine.forget(&streams.pop().unwrap());
    let again = engine.begin(OPENER, &segment(OPENER, &flagged(SYN, -1, b""), &mut []), Watched::Both);
    assert!(matches!(again, Begun::Followed(_)));
    assert!(std::mem::size_of::<Stream>() <= 640, "{} bytes for a stream", std::mem::size_of::<Stream>());
}

#[test]
fn bytes_of_a_stream_are_read_back_or_refused() {
    let mut line = Line::open();
    line.shows(&said(0, b"abc"), b"abc");
    line.shows(&said(5, b"fgh"), b"");
    let bytes = line.stream.export();
    assert_eq!(Stream::import(&bytes).unwrap().export(), bytes);
    assert_eq!(Stream::import(&[]).unwrap_err(), ImportError::Form);
    assert_eq!(Stream::import(&[9]).unwrap_err(), ImportError::Version(9));
    assert_eq!(Stream::import(&[&bytes[..], &[0]].concat()).unwrap_err(), ImportError::Form);
    for len in 0..bytes.len() {
        assert!(Stream::import(&bytes[..len]).is_err());
    }
    // Whatever is read back can be driven.
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut wrong = bytes.clone();
            wrong[place] ^= 1 << bit;
            if let Ok(stream) = Stream::import(&wrong) {
                line.stream = stream;
                line.says(OPENER, &said(3, b"de"));
                line.says(ANSWERER, &ack(8));
                line.says(OPENER, &flagged(ACK | FIN, 8, b"ij"));
            }
        }
    }
}
