//! Every kind of oddity, one function each.

use super::network::{extended, fragmented};
use super::talk::{ACK, By, FIN, RST, SYN, Say, Talk, URG, say};
use By::{Answerer, Opener};

/// What plays a kind.
type Play = fn(&mut Talk<'_>);

pub(super) const KINDS: &[(&str, Play)] = &[
    ("nothing odd", |talk| {
        opened(talk);
        told(talk, 0);
    }),
    ("segments of one byte", single_bytes),
    ("segments in another order", reordered),
    ("segments twice", twice),
    ("other bytes behind a hole", other_behind_hole),
    ("other bytes before an acknowledgement", other_in_order),
    ("other bytes after an acknowledgement", other_acknowledged),
    ("a filler that covers what waits", covering_filler),
    ("a hole for ever", |talk| {
        holed(talk);
        talk.gaps = 1;
    }),
    ("a hole and a reset", |talk| {
        let edge = holed(talk);
        talk.says(Opener, &Say { flags: RST, ..say(edge, b"") });
        (talk.end, talk.gaps) = ("reset", 1);
    }),
    ("numbers that wrap", |talk| {
        let len = u32::try_from(talk.len(Opener)).unwrap();
        let before = u32::try_from(talk.chance.below(len.into())).unwrap();
        talk.begin_at(Opener, 0_u32.wrapping_sub(before));
        other_behind_hole(talk);
    }),
    ("an old timestamp", |talk| {
        talk.uses_clock();
        refused(talk, |talk, say| say.timestamp = Some(talk.now() - 500));
    }),
    ("a wrong checksum", |talk| refused(talk, |_, say| say.is_spoiled = true)),
    ("no acknowledgement", |talk| refused(talk, |_, say| say.flags = 0)),
    ("an acknowledgement of what was not sent", |talk| {
        refused(talk, |talk, say| say.acknowledges = Some(talk.heard(Answerer) + 1));
    }),
    ("bytes behind the window", |talk| refused(talk, |_, say| say.at += 70_000)),
    ("a signature", |talk| refused(talk, |_, say| say.options = [&[19, 18][..], &[7; 16], &[1, 1]].concat())),
    ("no time to live", |talk| refused(talk, |_, say| say.hop_limit = 1)),
    ("a SYN in the connection", |talk| refused(talk, |_, say| say.flags = SYN)),
    ("a RST out of sequence", |talk| {
        refused(talk, |_, say| (say.flags, say.bytes) = (RST | ACK, Vec::new()));
    }),
    ("a RST in sequence", |talk| {
        opened(talk);
        talk.tells(Opener, 0);
        talk.says(Opener, &Say { flags: RST, ..say(talk.len(Opener), b"") });
        talk.says(Opener, &say(talk.len(Opener), b"too late"));
        talk.end = "reset";
    }),
    ("a FIN before its data", early_fin),
    ("a FIN with data", |talk| {
        opened(talk);
        let (len, rest) = (talk.len(Opener), talk.part(Opener, 0, talk.len(Opener)));
        talk.takes(Opener, &Say { flags: FIN | ACK, ..rest });
        talk.acknowledges(Answerer);
        told(talk, len);
    }),
    ("data behind a FIN", |talk| {
        opened(talk);
        talk.tells(Opener, 0);
        talk.takes(Opener, &Say { flags: FIN | ACK, ..say(talk.len(Opener), b"") });
        talk.says(Opener, &say(talk.len(Opener), b"more"));
        talk.says(Opener, &say(talk.len(Opener) + 1, b"more"));
        // The other direction goes on.
        talk.tells(Answerer, 0);
        talk.end = "fin";
    }),
    ("urgent data", |talk| {
        opened(talk);
        let part = talk.part(Opener, 0, 50);
        talk.takes(Opener, &Say { flags: ACK | URG, urgent: 20, ..part });
        told(talk, 50);
    }),
    ("keep-alives", |talk| {
        opened(talk);
        talk.tells(Opener, 0);
        talk.says(Opener, &say(talk.len(Opener) - 1, b"?"));
        talk.acknowledges(Answerer);
        talk.says(Opener, &say(talk.len(Opener) - 1, b""));
        talk.acknowledges(Answerer);
        told(talk, talk.len(Opener));
    }),
    ("a closed window", closed_window),
    ("data on a SYN", |talk| syn_data(talk, &[], 0)),
    ("a Fast Open cookie", |talk| syn_data(talk, &[34, 6, 1, 2, 3, 4, 1, 1], 60)),
    ("both open", |talk| {
        for (by, flags) in [(Opener, SYN), (Answerer, SYN), (Opener, SYN | ACK), (Answerer, SYN | ACK)] {
            talk.says(by, &Say { flags, ..say(-1, b"") });
        }
        told(talk, 0);
    }),
    ("a split handshake", |talk| {
        talk.says(Opener, &Say { flags: SYN, ..say(-1, b"") });
        talk.says(Answerer, &say(-1, b""));
        for (by, flags) in [(Answerer, SYN), (Opener, SYN | ACK)] {
            talk.says(by, &Say { flags, ..say(-1, b"") });
        }
        talk.acknowledges(Answerer);
        told(talk, 0);
    }),
    ("the same ends again", |talk| {
        opened(talk);
        talk.tells(Opener, 0);
        talk.says(Opener, &Say { flags: RST, ..say(talk.len(Opener), b"") });
        talk.end = "reset";
        talk.begins_anew();
        opened(talk);
        told(talk, 0);
    }),
    ("no beginning", |talk| {
        talk.tells(Opener, 0);
        told(talk, talk.len(Opener));
        talk.gaps = 1;
    }),
    ("segments that the capture lacks", lacking_some),
    ("the end of a request that the capture lacks", |talk| {
        opened(talk);
        let begin = talk.part(Opener, 0, 100);
        talk.takes(Opener, &begin);
        let rest = talk.part(Opener, 100, talk.len(Opener));
        talk.lacks(Opener, &rest);
        told(talk, talk.len(Opener));
        talk.gaps = 1;
    }),
    ("a SYN-ACK that the capture lacks", |talk| {
        talk.says(Opener, &Say { flags: SYN, ..say(-1, b"") });
        talk.acknowledges(Opener);
        told(talk, 0);
        talk.gaps = 1;
    }),
    ("padding behind the packet", |talk| {
        opened(talk);
        let part = talk.part(Opener, 0, 1);
        talk.takes(Opener, &part);
        talk.frames.last_mut().unwrap().extend([0x55; 5]);
        told(talk, 1);
    }),
    ("fragments in any order", |talk| fragmented(talk, false)),
    ("fragments that overlap", |talk| fragmented(talk, true)),
    ("options in front of the segment", |talk| extended(talk, &[1, 4, 0, 0, 0, 0], true)),
    ("padding that is too long", |talk| extended(talk, &[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false)),
];

pub(super) fn opened(talk: &mut Talk<'_>) {
    talk.opens(&[]);
}

/// The rest is said and the connection closed.
pub(super) fn told(talk: &mut Talk<'_>, from: i64) {
    talk.tells(Opener, from);
    talk.tells(Answerer, 0);
    talk.closes();
}

fn single_bytes(talk: &mut Talk<'_>) {
    opened(talk);
    for at in 0..80 {
        let part = talk.part(Opener, at, at + 1);
        talk.takes(Opener, &part);
    }
    told(talk, 80);
}

fn shuffled(talk: &mut Talk<'_>, mut pieces: Vec<Say>) -> Vec<Say> {
    for end in (1..pieces.len()).rev() {
        pieces.swap(end, talk.chance.place(end + 1));
    }
    pieces
}

fn reordered(talk: &mut Talk<'_>) {
    opened(talk);
    for by in [Opener, Answerer] {
        let pieces = talk.pieces(by, 0);
        for piece in shuffled(talk, pieces) {
            talk.takes(by, &piece);
        }
        talk.acknowledges(by.other());
    }
    talk.closes();
}

fn twice(talk: &mut Talk<'_>) {
    opened(talk);
    let pieces = [talk.pieces(Opener, 0), talk.pieces(Opener, 0)].concat();
    for piece in shuffled(talk, pieces) {
        talk.takes(Opener, &piece);
        if talk.chance.happens(30) {
            talk.acknowledges(Answerer);
        }
    }
    told(talk, talk.len(Opener));
}

/// Any part of what the opener says between two offsets.
fn any_part(talk: &mut Talk<'_>, low: i64, high: i64) -> (i64, i64) {
    let any = |talk: &mut Talk<'_>| low + i64::try_from(talk.chance.below(u64::try_from(high - low).unwrap())).unwrap();
    let (one, two) = (any(talk), any(talk));
    (one.min(two), one.max(two) + 1)
}

/// Pieces and lies about them in any order behind a hole; the first copy of each byte stands.
fn other_behind_hole(talk: &mut Talk<'_>) {
    opened(talk);
    let mut pieces = talk.pieces(Opener, 10);
    for _ in 0..talk.chance.between(1, 6) {
        let (from, to) = any_part(talk, 10, talk.len(Opener));
        pieces.push(talk.other(Opener, from, to));
    }
    for piece in shuffled(talk, pieces) {
        talk.takes(Opener, &piece);
    }
    let filler = talk.part(Opener, 0, 10);
    talk.takes(Opener, &filler);
    talk.acknowledges(Answerer);
    told(talk, talk.len(Opener));
}

fn other_in_order(talk: &mut Talk<'_>) {
    opened(talk);
    for piece in talk.pieces(Opener, 0) {
        talk.takes(Opener, &piece);
        let end = piece.at + i64::try_from(piece.bytes.len()).unwrap();
        let (from, to) = any_part(talk, 0, end);
        let other = talk.other(Opener, from, to);
        talk.takes(Opener, &other);
    }
    told(talk, talk.len(Opener));
}

fn other_acknowledged(talk: &mut Talk<'_>) {
    opened(talk);
    for piece in talk.pieces(Opener, 0) {
        talk.takes(Opener, &piece);
        talk.acknowledges(Answerer);
        let end = piece.at + i64::try_from(piece.bytes.len()).unwrap();
        // What goes beyond is new, and so it counts.
        let (from, _) = any_part(talk, 0, end);
        let other = talk.other(Opener, from, end + 5);
        talk.takes(Opener, &other);
    }
    told(talk, talk.len(Opener));
}

fn covering_filler(talk: &mut Talk<'_>) {
    opened(talk);
    let (from, to) = any_part(talk, 20, talk.len(Opener));
    let waits = talk.part(Opener, from, to);
    talk.takes(Opener, &waits);
    let filler = talk.other(Opener, 0, to.max(from + 2) - 1);
    talk.takes(Opener, &filler);
    told(talk, 0);
}

/// A hole that stays, and all behind it; where it begins.
fn holed(talk: &mut Talk<'_>) -> i64 {
    opened(talk);
    let (from, to) = any_part(talk, 10, talk.len(Opener) - 10);
    let before = talk.part(Opener, 0, from);
    talk.takes(Opener, &before);
    talk.acknowledges(Answerer);
    for piece in talk.pieces(Opener, to) {
        talk.takes(Opener, &piece);
        talk.acknowledges(Answerer);
    }
    from
}

/// Something that no receiver takes stands in front of the truth, with other bytes.
fn refused(talk: &mut Talk<'_>, change: fn(&Talk<'_>, &mut Say)) {
    opened(talk);
    let (from, to) = any_part(talk, 0, 200);
    let before = talk.part(Opener, 0, from);
    talk.takes(Opener, &before);
    talk.acknowledges(Answerer);
    let mut lie = talk.other(Opener, from, to);
    // In sequence it might be right.
    lie.at += i64::from(lie.bytes.len() == 1);
    change(talk, &mut lie);
    if lie.flags & RST != 0 {
        lie.at += 1;
    }
    talk.says(Opener, &lie);
    talk.acknowledges(Answerer);
    told(talk, from);
}

/// Some pieces of what both say are not there.
fn lacking_some(talk: &mut Talk<'_>) {
    opened(talk);
    for by in [Opener, Answerer] {
        let mut was_lacking = false;
        for piece in talk.pieces(by, 0) {
            let is_lacking = talk.chance.happens(40);
            talk.gaps += u64::from(is_lacking && !was_lacking);
            was_lacking = is_lacking;
            if is_lacking {
                talk.lacks(by, &piece);
            } else {
                talk.takes(by, &piece);
            }
            talk.acknowledges(by.other());
        }
    }
    talk.closes();
}

fn early_fin(talk: &mut Talk<'_>) {
    opened(talk);
    let len = talk.len(Opener);
    talk.takes(Opener, &Say { flags: FIN | ACK, ..say(len, b"") });
    // Nothing comes after it, and it is where it is.
    talk.says(Opener, &say(len, b"x"));
    talk.says(Opener, &Say { flags: FIN | ACK, ..say(len - 1, b"") });
    talk.tells(Opener, 0);
    told(talk, len);
}

fn closed_window(talk: &mut Talk<'_>) {
    opened(talk);
    // The handshake opened the window so far.
    for at in 0..60 {
        talk.takes(Opener, &Say { at: at * 1_000, ..say(0, &[7; 1_000]) });
    }
    let closed = Say { window: 0, acknowledges: Some(60_000), ..say(0, b"") };
    talk.takes(Answerer, &closed);
    talk.says(Opener, &say(60_000, b"?"));
    talk.takes(Answerer, &closed);
    talk.takes(Answerer, &Say { window: 60_000, ..closed });
    talk.takes(Opener, &say(60_000, b"!"));
}

/// Data on the SYN; so much of it is taken.
fn syn_data(talk: &mut Talk<'_>, cookie: &[u8], taken: i64) {
    let data = talk.part(Opener, 0, 60);
    let syn = Say { flags: SYN, options: cookie.to_vec(), ..data };
    let frame = talk.frame(Opener, &Say { at: -1, ..syn.clone() });
    talk.frames.push(frame);
    if taken > 0 {
        talk.learn(Opener, &syn);
    }
    talk.says(Answerer, &Say { flags: SYN | ACK, acknowledges: Some(taken), ..say(-1, b"") });
    talk.acknowledges(Opener);
    told(talk, taken);
}
