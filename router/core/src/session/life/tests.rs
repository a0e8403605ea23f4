use super::*;
use crate::packet::Odd;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use Direction::{FromOpener as OUT, ToOpener as BACK};
use State::{Closed, Closing, Established, OneWay, Opening};

/// The window of every segment that a row does not say otherwise of.
const WINDOW: u16 = 1_000;

fn headers(
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
    payload: u32,
    (window, scale): (u16, Option<u8>),
) -> Headers {
    let flags = TcpFlags(flags);
    Headers {
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: 6,
        hop_limit: 64,
        transport: Transport::Tcp { source: 1, destination: 2, flags, sequence, acknowledgement, window, scale },
        odd: Odd::No,
        network_at: 14,
        transport_at: 34,
        payload_at: 54,
        end: 54 + payload,
    }
}

fn tcp(flags: u8, sequence: u32, acknowledgement: u32, payload: u32) -> Headers {
    headers(flags, sequence, acknowledgement, payload, (WINDOW, None))
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;
const RST: u8 = 4;

/// One step of a script: who, flags, sequence, acknowledgement, payload, and the state after it.
type Row = (Direction, u8, u32, u32, u32, State);

fn pass(life: &mut Life, rows: &[Row]) {
    for (number, &(direction, flags, sequence, ack, payload, state)) in rows.iter().enumerate() {
        life.packet_passed(direction, &tcp(flags, sequence, ack, payload));
        assert_eq!(life.state(), state, "row {number} of {rows:?}");
    }
}

fn run(rows: &[Row]) -> Life {
    let first = rows[0];
    let mut life = Life::started(&tcp(first.1, first.2, first.3, first.4));
    pass(&mut life, rows);
    life
}

const HANDSHAKE: [Row; 3] =
    [(OUT, SYN, 100, 0, 0, Opening), (BACK, SYN | ACK, 500, 101, 0, Opening), (OUT, ACK, 101, 501, 0, Established)];

/// Ten bytes each way: the opener has said all before 111, the responder all before 511, and all of it is acknowledged.
const TALK: [Row; 3] = [
    (OUT, ACK, 101, 501, 10, Established),
    (BACK, ACK, 501, 111, 10, Established),
    (OUT, ACK, 111, 511, 0, Established),
];

const FINISH: [Row; 3] =
    [(OUT, FIN | ACK, 111, 511, 0, Closing), (BACK, FIN | ACK, 511, 112, 0, Closing), (OUT, ACK, 112, 512, 0, Closed)];

fn talked() -> Life {
    run(&[&HANDSHAKE[..], &TALK].concat())
}

fn finished() -> Life {
    run(&[&HANDSHAKE[..], &TALK, &FINISH].concat())
}

#[test]
fn every_state_meets_every_kind_of_segment() {
    let closing = run(&[&HANDSHAKE[..], &TALK, &FINISH[..1]].concat());
    let states = [run(&HANDSHAKE[..2]), talked(), closing, finished()];
    // The opener's next sequence number in each of them, and what it has heard of the other.
    let places: [(u32, u32); 4] = [(101, 501), (111, 511), (112, 511), (112, 512)];
    // A segment of the opener by its flags, how far behind its place it starts, and its payload; and the states that follow.
    let table: [(&str, u8, u32, u32, [State; 4]); 9] = [
        ("syn", SYN, 7_000_000, 0, [Opening, Established, Closing, Closed]),
        ("data", ACK, 0, 10, [Established, Established, Established, Closed]),
        ("old data", ACK, 0_u32.wrapping_sub(10), 10, [Established, Established, Closing, Closed]),
        ("fin", FIN | ACK, 0, 0, [Closing, Closing, Closing, Closed]),
        ("fin behind the window", FIN | ACK, 100_000, 0, [Opening, Established, Closing, Closed]),
        ("fin long before", FIN | ACK, 3_000_000_000, 0, [Opening, Established, Closing, Closed]),
        ("fin without ack", FIN, 0, 0, [Opening, Established, Closing, Closed]),
        ("exact reset", RST, 0, 0, [Closed, Closed, Closed, Closed]),
        ("reset in the window", RST, 9, 0, [Opening, Established, Closing, Closed]),
    ];
    for (name, flags, ahead, payload, after) in table {
        for ((before, (sequence, ack)), state) in states.iter().zip(places).zip(after) {
            let mut life = *before;
            life.packet_passed(OUT, &tcp(flags, sequence.wrapping_add(ahead), ack, payload));
            assert_eq!(life.state(), state, "{name} in {:?}", before.state());
        }
    }
}

#[test]
fn a_reset_counts_between_what_is_acknowledged_and_what_was_seen() {
    // Of the opener's twenty bytes from 111 on the responder has acknowledged ten; ten more have come behind a gap.
    let script: [Row; 3] = [
        (OUT, ACK, 111, 511, 20, Established),
        (BACK, ACK, 511, 121, 0, Established),
        (OUT, ACK, 141, 511, 10, Established),
    ];
    let mut life = talked();
    pass(&mut life, &script);
    for (sequence, counts) in
        [(120, false), (121, true), (126, true), (131, true), (132, false), (141, false), (151, false)]
    {
        let mut life = life;
        life.packet_passed(OUT, &tcp(RST, sequence, 0, 0));
        assert_eq!(life.was_reset(), counts, "{sequence}");
    }
    // The responder has nothing on its way.
    for (sequence, counts) in [(510, false), (511, true), (512, false)] {
        let mut life = life;
        life.packet_passed(BACK, &tcp(RST | ACK, sequence, 131, 0));
        assert_eq!(life.was_reset(), counts, "{sequence}");
    }
    // What fills the gap moves the end to where everything was seen, as soon as that is acknowledged.
    pass(&mut life, &[(OUT, ACK, 131, 511, 10, Established), (BACK, ACK, 511, 151, 0, Established)]);
    pass(&mut life, &[(OUT, RST, 141, 0, 0, Established), (OUT, RST, 151, 0, 0, Closed)]);
}

#[test]
fn a_reset_that_answers_the_syn_closes() {
    let life = run(&[HANDSHAKE[0], (BACK, RST | ACK, 0, 101, 0, Closed)]);
    assert!(life.was_reset());
    run(&[HANDSHAKE[0], (BACK, RST | ACK, 0, 102, 0, Opening)]);
    run(&[HANDSHAKE[0], (BACK, RST, 0, 101, 0, Opening)]);
    // Fast open: with the SYN's data or without.
    run(&[(OUT, SYN, 100, 0, 50, Opening), (BACK, RST | ACK, 0, 101, 0, Closed)]);
    run(&[(OUT, SYN, 100, 0, 50, Opening), (BACK, RST | ACK, 0, 151, 0, Closed)]);
}

#[test]
fn new_data_both_ways_revives_what_a_reset_seemed_to_have_ended() {
    let ended: [Row; 2] = [(OUT, ACK, 111, 511, 10, Established), (OUT, RST, 115, 0, 0, Closed)];
    let mut life = talked();
    pass(&mut life, &ended);
    // What was on its way, and copies, say nothing; nor does one end alone.
    pass(
        &mut life,
        &[(BACK, ACK, 511, 111, 10, Closed), (BACK, ACK, 521, 121, 10, Closed), (OUT, ACK, 111, 511, 10, Closed)],
    );
    pass(&mut life, &[(OUT, ACK, 121, 531, 10, Established)]);
    assert!(!life.was_reset());
    pass(&mut life, &[(BACK, ACK, 531, 131, 0, Established), (OUT, RST, 131, 0, 0, Closed)]);
}

#[test]
fn data_behind_a_fin_shows_that_it_was_none() {
    let mut life = talked();
    pass(&mut life, &[(OUT, FIN | ACK, 111, 511, 0, Closing), (BACK, ACK, 511, 111, 10, Closing)]);
    pass(&mut life, &[(OUT, ACK, 111, 521, 10, Established), (BACK, ACK, 521, 121, 0, Established)]);
    // A FIN behind a gap waits for what is missing, and is forgotten if more than that comes.
    pass(&mut life, &[(OUT, FIN | ACK, 131, 521, 10, Established), (OUT, ACK, 121, 521, 10, Established)]);
    pass(&mut life, &[(BACK, ACK, 521, 142, 0, Closing), (BACK, FIN | ACK, 521, 142, 0, Closing)]);
    pass(&mut life, &[(OUT, ACK, 142, 522, 0, Closed)]);
    let mut life = talked();
    pass(&mut life, &[(OUT, FIN | ACK, 131, 511, 10, Established), (OUT, ACK, 111, 511, 100, Established)]);
    pass(&mut life, &[(BACK, ACK, 511, 211, 0, Established)]);
}

#[test]
fn windows_are_those_that_the_receiver_grants() {
    // Scales of both SYNs, and the farthest FIN that counts behind a window of 1,000.
    let cases = [
        (None, None, 1_000),
        (Some(3), None, 1_000),
        (None, Some(3), 1_000),
        (Some(2), Some(3), 8_000),
        (Some(2), Some(99), 1_000 << 14),
    ];
    for (of_opener, of_responder, reach) in cases {
        for (ahead, state) in [(reach, Closing), (reach + 1, Established)] {
            let mut life = Life::started(&headers(SYN, 100, 0, 0, (WINDOW, of_opener)));
            life.packet_passed(OUT, &headers(SYN, 100, 0, 0, (WINDOW, of_opener)));
            life.packet_passed(BACK, &headers(SYN | ACK, 500, 101, 0, (WINDOW, of_responder)));
            pass(&mut life, &[HANDSHAKE[2], (BACK, ACK, 501, 101, 0, Established)]);
            // Segment by segment, so that nothing is missing before the FIN.
            let mut sequence = 101;
            while sequence < 101 + ahead.min(reach) {
                let payload = (101 + ahead.min(reach) - sequence).min(900);
                pass(&mut life, &[(OUT, ACK, sequence, 501, payload, Established)]);
                sequence += payload;
            }
            life.packet_passed(OUT, &tcp(FIN | ACK, 101 + ahead, 501, 0));
            assert_eq!(life.state(), state, "scales {of_opener:?} and {of_responder:?}, {ahead} ahead");
        }
    }
}

#[test]
fn acknowledgements_of_what_nobody_said_change_nothing() {
    let mut life = talked();
    let stray: [Row; 3] = [
        (BACK, FIN | ACK, 511, 112, 0, Established),
        (BACK, FIN | ACK, 511, 111_u32.wrapping_sub(200_000), 0, Established),
        (OUT, FIN | ACK, 111, 512, 0, Established),
    ];
    pass(&mut life, &stray);
    assert_eq!(life, talked());
    pass(&mut life, &[(BACK, FIN | ACK, 511, 101, 0, Closing)]);
}

#[test]
fn both_ends_that_connect_at_once_are_established() {
    let crossing: [Row; 5] = [
        (OUT, SYN, 100, 0, 0, Opening),
        (BACK, SYN, 500, 0, 0, Opening),
        (OUT, SYN | ACK, 100, 501, 0, Opening),
        (BACK, SYN | ACK, 500, 101, 0, Established),
        (OUT, ACK, 101, 501, 10, Established),
    ];
    run(&crossing);
    let answer = Life::renewal(&run(&crossing[..2]), OUT, &tcp(SYN | ACK, 100, 501, 0));
    assert_eq!(answer, Renewal::None, "it begins nothing new");
}

#[test]
fn a_new_syn_renews_only_what_an_end_has_ended() {
    let reset = |sequence, ack| -> Life {
        let mut life = talked();
        life.packet_passed(OUT, &tcp(ACK, 111, 511, 10));
        life.packet_passed(BACK, &tcp(ACK, 511, ack, 0));
        life.packet_passed(OUT, &tcp(RST, sequence, 0, 0));
        assert!(life.was_reset());
        life
    };
    let halfway = run(&[&HANDSHAKE[..], &TALK, &FINISH[..2]].concat());
    // The life, the SYN's sequence number, whether it renews the life at once, and whether its answer does.
    let table: [(&str, Life, u32, bool, bool); 12] = [
        ("finished", finished(), 9_000_000, true, true),
        ("finished, a copy of its first SYN", finished(), 100, false, true),
        ("surely reset", reset(121, 121), 9_000_000, true, true),
        ("surely reset, the same number", reset(121, 121), 100, true, true),
        ("perhaps reset", reset(121, 111), 9_000_000, false, true),
        ("perhaps reset, the same number", reset(121, 111), 100, false, true),
        ("established", talked(), 9_000_000, false, true),
        ("established, a copy of its first SYN", talked(), 100, false, false),
        ("the last acknowledgement is missing", halfway, 9_000_000, false, true),
        ("opening", run(&HANDSHAKE[..1]), 9_000_000, false, true),
        ("opening, a copy of its first SYN", run(&HANDSHAKE[..1]), 100, false, false),
        ("answered, a copy of its first SYN", run(&HANDSHAKE[..2]), 100, false, false),
    ];
    for (name, before, sequence, at_once, by_answer) in table {
        let syn = tcp(SYN, sequence, 0, 0);
        assert_eq!(before.renewal(OUT, &syn), if at_once { Renewal::Opens } else { Renewal::None }, "{name}");
        let mut life = before;
        life.packet_passed(OUT, &syn);
        assert_eq!(life.state(), before.state(), "{name}");
        let answers =
            |direction, flags, ack| matches!(life.renewal(direction, &tcp(flags, 70_000, ack, 0)), Renewal::Answers(_));
        assert_eq!(answers(BACK, SYN | ACK, sequence + 1), by_answer, "{name}");
        for (direction, flags, ack) in [
            (OUT, SYN | ACK, sequence + 1),
            (BACK, SYN | ACK, sequence),
            (BACK, SYN | ACK, sequence + 2),
            (BACK, ACK, sequence + 1),
            (BACK, SYN | ACK | RST, sequence + 1),
            (BACK, SYN | ACK | FIN, sequence + 1),
        ] {
            assert!(!answers(direction, flags, ack), "{name}: {direction:?} {flags} {ack}");
        }
    }
}

#[test]
fn an_answered_syn_begins_a_life_from_its_own_end() {
    for (direction, other) in [(OUT, BACK), (BACK, OUT)] {
        let mut life = talked();
        life.packet_passed(direction, &headers(SYN, 9_000, 0, 50, (WINDOW, Some(7))));
        let answer = headers(SYN | ACK, 70_000, 9_051, 0, (WINDOW, Some(2)));
        let Renewal::Answers(mut life) = life.renewal(other, &answer) else { panic!("from {direction:?}") };
        assert!(life.packet_passed(BACK, &answer) && life.is_answered() && life.state() == Opening);
        let rest: [Row; 4] = [
            (OUT, ACK, 9_051, 70_001, 0, Established),
            (BACK, FIN | ACK, 70_001 + 128_001, 9_051, 0, Established),
            (OUT, FIN | ACK, 9_051, 70_001, 0, Closing),
            (BACK, RST, 70_001, 9_052, 0, Closed),
        ];
        pass(&mut life, &rest);
    }
}

#[test]
fn an_end_without_power_answers_its_old_stream_with_a_reset() {
    // The client came back and opens again; the server challenges it, and gets the reset that it can believe.
    let mut life = talked();
    let script: [Row; 3] =
        [(OUT, SYN, 4_000, 0, 0, Established), (BACK, ACK, 511, 111, 0, Established), (OUT, RST, 111, 0, 0, Closed)];
    pass(&mut life, &script);
    assert_eq!(life.renewal(OUT, &tcp(SYN, 4_000, 0, 0)), Renewal::Opens);
    // The server came back: it refuses the SYN, and so knows nothing of the stream.
    let mut life = talked();
    pass(&mut life, &[script[0], (BACK, RST | ACK, 0, 4_002, 0, Established), (BACK, RST | ACK, 0, 4_001, 0, Closed)]);
    assert_eq!(life.renewal(OUT, &tcp(SYN, 4_000, 0, 0)), Renewal::Opens);
}

#[test]
fn a_syn_that_an_end_challenges_has_not_begun_the_connection_that_goes_on() {
    // Its sender forged it: the ends of the connection speak on.
    let rest: [Row; 3] = [
        (BACK, ACK, 511, 111, 0, Established),
        (OUT, ACK, 111, 511, 100, Established),
        (BACK, ACK, 511, 211, 900, Established),
    ];
    run(&[&[(OUT, SYN, 400_000, 0, 0, Opening)], &rest[..]].concat());
    // Its sender lost power: he resets the connection that his peer still has, and opens again.
    let reset = [(OUT, SYN, 400_000, 0, 0, Opening), rest[0], (OUT, RST, 111, 0, 0, Closed)];
    assert_eq!(run(&reset).renewal(OUT, &tcp(SYN, 400_000, 0, 0)), Renewal::Opens);
    // What acknowledges the SYN is its answer's rest, which came first.
    run(&[(OUT, SYN, 400_000, 0, 0, Opening), (BACK, ACK, 511, 400_001, 0, Opening)]);
}

#[test]
fn what_one_end_alone_has_said_is_not_believed_when_the_other_contradicts_it() {
    // Forged numbers first, then the ends of the connection. Those of the opener lie within reach of the forged ones.
    let out = (OUT, ACK, 111, 511, 100);
    let back = (BACK, ACK, 511, 211, 900);
    let row = |(direction, flags, sequence, ack, payload), state| -> Row {
        (direction, flags, sequence, ack, payload, state)
    };
    let begun = |forged: Row, state| run(&[forged, row(out, state)]);
    let taken_up = |direction, forged: (u8, u32)| {
        let mut life = Life::picked_up(6);
        life.packet_passed(direction, &tcp(forged.0, forged.1, 9, 0));
        life
    };
    let table: [(&str, Life, Direction); 6] = [
        ("a SYN that nobody challenges", begun((OUT, SYN, 400_000, 0, 0, Opening), OneWay), OUT),
        ("a segment in the middle", begun((OUT, ACK, 400_000, 900_000, 0, OneWay), OneWay), OUT),
        ("a FIN", begun((OUT, FIN | ACK, 400_000, 900_000, 0, Closing), Closing), OUT),
        ("of a stream that was taken up", taken_up(OUT, (ACK, 400_000)), OUT),
        ("of one that was taken up, from the other end", taken_up(BACK, (ACK, 400_000)), BACK),
        ("a FIN of one that was taken up", taken_up(BACK, (FIN | ACK, 400_000)), BACK),
    ];
    for (name, mut life, forged) in table {
        let (first, second) = if forged == OUT { (back, out) } else { (out, back) };
        for (direction, flags, sequence, ack, payload) in [first, second] {
            life.packet_passed(direction, &tcp(flags, sequence, ack, payload));
            assert_eq!(life.state(), Established, "{name}");
        }
        pass(&mut life, &[(OUT, FIN | ACK, 211, 1_411, 0, Closing), (BACK, FIN | ACK, 1_411, 212, 0, Closing)]);
        pass(&mut life, &[(OUT, ACK, 212, 1_412, 0, Closed)]);
    }
}

#[test]
fn a_stream_that_is_told_goes_on_as_it_was() {
    let told = |life: &Life| Life::from(Told::from(*life));
    for life in [run(&HANDSHAKE[..2]), talked(), run(&[&HANDSHAKE[..], &TALK, &FINISH[..1]].concat()), finished()] {
        let mut told = told(&life);
        assert_eq!((told.state(), told.is_answered(), told.was_reset()), (life.state(), life.is_answered(), false));
        assert_eq!(Life::from(Told::from(told)), told);
        told.packet_passed(OUT, &tcp(RST, 500_000, 0, 0));
        assert_eq!(told.state(), life.state(), "a reset that no end believes");
    }
    let mut life = told(&talked());
    pass(&mut life, &FINISH);
    let mut life = told(&run(&[&HANDSHAKE[..], &TALK, &FINISH[..1]].concat()));
    pass(&mut life, &FINISH[1..]);
}

#[test]
fn each_protocol_has_its_own_time_out() {
    let second = Duration::from_secs;
    let timeouts = Timeouts {
        tcp_established: second(1),
        tcp_opening: second(2),
        tcp_closing: second(3),
        tcp_closed: second(4),
        udp: second(5),
        icmp: second(6),
        other: second(7),
        provisional: second(8),
    };
    for (protocol, seconds) in [(6, 1), (17, 5), (1, 6), (58, 6), (47, 7), (132, 7)] {
        assert_eq!(Life::picked_up(protocol).timeout(&timeouts), second(seconds), "protocol {protocol}");
    }
    for (state, seconds) in [(Opening, 2), (Closing, 3), (Closed, 4)] {
        assert_eq!(Life { state, ..Life::picked_up(6) }.timeout(&timeouts), second(seconds), "{state:?}");
    }
}

#[test]
fn a_stream_is_answered_by_the_first_packet_that_comes_back() {
    let datagram = Headers { protocol: 17, transport: Transport::Udp { source: 1, destination: 2 }, ..tcp(0, 0, 0, 9) };
    let mut life = Life::started(&datagram);
    let mut passes = |direction| (life.packet_passed(direction, &datagram), life.is_answered());
    assert_eq!(
        [OUT, OUT, BACK, BACK, OUT].map(&mut passes),
        [(false, false), (false, false), (true, true), (false, true), (false, true)]
    );
    assert_eq!(life.state(), State::Active);
    assert!(run(&HANDSHAKE[..2]).is_answered() && !run(&HANDSHAKE[..1]).is_answered());
}

#[test]
fn a_stream_that_is_picked_up_is_believed_from_what_comes_first() {
    let mut life = Life::picked_up(6);
    let script: [Row; 5] = [
        (OUT, ACK, 5_000, 900, 100, Established),
        (OUT, RST, 5_100, 0, 0, Established),
        (BACK, ACK, 900, 5_100, 10, Established),
        (OUT, FIN | ACK, 5_100, 910, 0, Closing),
        (OUT, RST, 5_101, 0, 0, Closed),
    ];
    pass(&mut life, &script[..4]);
    let mut acknowledged = life;
    pass(&mut acknowledged, &[(BACK, ACK, 910, 5_101, 0, Closing), script[4]]);
}

proptest! {
    #[test]
    fn the_short_way_of_an_ordinary_segment_leads_where_the_long_one_does(
        steps in prop::collection::vec((any::<bool>(), 0_u32..8, 0_u32..8, 0_u32..4, 0_u16..6, any::<bool>()), 1..40)
    ) {
        let mut life = run(&HANDSHAKE);
        for (from_opener, sequence, ack, payload, window, finishes) in steps {
            let (direction, base) = if from_opener { (OUT, (100, 500)) } else { (BACK, (500, 100)) };
            let flags = if finishes && payload == 0 { FIN | ACK } else { ACK };
            let segment = headers(flags, base.0 + sequence, base.1 + ack, payload, (window, None));
            let mut long = life;
            life.packet_passed(direction, &segment);
            long.answered |= direction == BACK;
            long.segment_passed(direction, &Segment::of(&segment).unwrap());
            prop_assert_eq!(life, long);
        }
    }
}
