//! A query and its answers, without links.

use tokio::sync::oneshot;

use super::*;
use herald_core::limits::{
    INQUIRIES_ANSWERED_MAX, INQUIRY_ANSWER_LEN_MAX, INQUIRY_LEN_MAX, INQUIRY_PIECE_LEN_MAX, INQUIRY_TIME_MAX,
    QUERIES_OPEN_MAX,
};

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn members() -> impl Iterator<Item = (NodeId, Reach)> {
    let far = Reach::None(MemberState::Dead);
    [("b", Reach::By(node("b"))), ("c", Reach::By(node("b"))), ("d", far)].into_iter().map(|(id, r)| (node(id), r))
}

fn near(_: NodeId) -> Reach {
    Reach::By(node("b"))
}

fn asker() -> (Cluster, mpsc::Receiver<Inquired>) {
    let (inquired, inquiries) = mpsc::channel(1);
    (Cluster::new(inquired, 6), inquiries)
}

/// Carries an answer from one node to another, a turn at a time.
fn carry(from: &str, sender: &mut Cluster, to: &mut Cluster, room: usize) -> usize {
    let mut turns = 0;
    while !sender.answers.is_empty() && turns < 1_000 {
        turns += 1;
        for (_, piece) in sender.answers.pieces(at(1), |_| room) {
            let Message::Inquiry(piece) = piece else { panic!("{piece:?}") };
            to.hear(at(1), node(from), piece);
        }
    }
    turns
}

#[test]
fn an_answer_comes_in_pieces_and_the_absent_are_named() {
    let (mut asking, _inquiries) = asker();
    let (reply, mut answer) = oneshot::channel();
    let id = asking.queries.open(at(0), members(), reply);
    assert_eq!(id, 7);
    let long: Vec<u8> = (0..=250).cycle().take(5 * INQUIRY_PIECE_LEN_MAX + 1).collect();
    let (mut answering, _inquiries) = asker();
    answering.answers.take(at(0), Answered { to: node("a"), id, bytes: long.clone() });
    assert_eq!(carry("b", &mut answering, &mut asking, 1 << 20), 3, "two pieces in a turn");
    asking.queries.finish(at(2), near);
    assert!(answer.try_recv().is_err(), "c has not answered");
    answering.answers.take(at(0), Answered { to: node("a"), id, bytes: Vec::new() });
    assert_eq!(carry("c", &mut answering, &mut asking, INQUIRY_LEN_MAX), 1);
    asking.queries.finish(at(2), near);
    let said = |id, said| NodeAnswer { node: node(id), said };
    let expected = vec![
        said("b", Ok((long, at(0)))),
        said("c", Ok((Vec::new(), at(0)))),
        said("d", Err(Silence::Unreachable(MemberState::Dead))),
    ];
    assert_eq!(answer.try_recv(), Ok(expected));
    assert!(asking.is_idle() && answering.is_idle());
}

#[test]
fn who_is_slow_dies_or_says_too_much_is_named_in_time() {
    let (mut asking, _inquiries) = asker();
    let (reply, mut answer) = oneshot::channel();
    let id = asking.queries.open(at(0), members(), reply);
    let piece = || Inquiry { id, part: InquiryPart::Piece, bytes: vec![0; INQUIRY_PIECE_LEN_MAX] };
    // Not asked, and another's number: neither completes an answer.
    let last = Inquiry { part: InquiryPart::LastPiece, ..piece() };
    asking.hear(at(1), node("e"), last.clone());
    asking.hear(at(1), node("c"), Inquiry { id: id + 1, ..last });
    for _ in 0..=INQUIRY_ANSWER_LEN_MAX / INQUIRY_PIECE_LEN_MAX {
        asking.hear(at(1), node("b"), piece());
    }
    assert!(asking.queries.kept_len_max() <= INQUIRY_ANSWER_LEN_MAX);
    asking.queries.finish(asking.next_deadline().unwrap(), near);
    let silences: Vec<_> = answer.try_recv().unwrap().into_iter().map(|answer| answer.said.unwrap_err()).collect();
    assert_eq!(silences, [Silence::TooLong, Silence::Late, Silence::Unreachable(MemberState::Dead)]);

    let (reply, mut answer) = oneshot::channel();
    asking.queries.open(at(0), members(), reply);
    asking.queries.finish(at(1), |_| Reach::None(MemberState::Suspect));
    let suspect = Err(Silence::Unreachable(MemberState::Suspect));
    assert_eq!(answer.try_recv().unwrap()[0].said, suspect, "it is not waited for");
}

#[test]
fn everything_has_a_bound() {
    let (mut asking, mut inquiries) = asker();
    let (reply, mut first) = oneshot::channel();
    asking.queries.open(at(0), members(), reply);
    for _ in 0..QUERIES_OPEN_MAX {
        let (reply, _answer) = oneshot::channel();
        asking.queries.open(at(0), members(), reply);
    }
    assert_eq!(first.try_recv().unwrap().len(), 3, "the oldest query makes room");
    let question = |len| Inquiry { id: 1, part: InquiryPart::Question, bytes: vec![b'x'; len] };
    for len in [INQUIRY_QUESTION_LEN_MAX + 1, 6, 7] {
        asking.hear(at(0), node("b"), question(len));
    }
    assert_eq!(inquiries.try_recv().unwrap().question.len(), 6);
    assert!(inquiries.try_recv().is_err(), "the control thread takes one at a time here");
    for _ in 0..=INQUIRIES_ANSWERED_MAX {
        asking.answers.take(at(0), Answered { to: node("b"), id: 1, bytes: vec![1] });
    }
    assert_eq!(asking.answers.len(), INQUIRIES_ANSWERED_MAX);
    assert!(asking.answers.pieces(at(1), |_| INQUIRY_LEN_MAX - 1).is_empty(), "no room");
    asking.answers.pieces(at(0) + INQUIRY_TIME_MAX, |_| 0);
    assert!(asking.answers.is_empty(), "nobody waits any more");
}
