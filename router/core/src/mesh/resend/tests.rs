//! Tests of numbered messages: each arrives once and in order over connections that are cut anywhere.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::{Epoch, Interface};
use crate::mesh::Claim;
use crate::mesh::codec::{Decoder, Spoken};

const OWN: BootId = BootId(1);
const PEER: BootId = BootId(2);

fn claim(counter: u64) -> Message {
    let epoch = Epoch { counter, node: "a".parse().unwrap(), boot: OWN };
    Message::Claim(Claim { interface: Interface::First, epoch })
}

fn counter(message: &Message) -> u64 {
    let Message::Claim(claim) = message else { panic!("{message:?}") };
    claim.epoch.counter
}

/// One end, with what it wants to write on the present connection and what it has read from it.
struct End {
    resend: Resend,
    wire: Vec<u8>,
    decoder: Decoder,
    /// Messages given to it, and messages that arrived, by their counters.
    said: u64,
    heard: Vec<u64>,
}

impl End {
    fn new(boot: BootId) -> Self {
        Self { resend: Resend::new(boot), wire: Vec::new(), decoder: Decoder::default(), said: 0, heard: Vec::new() }
    }

    fn say(&mut self) {
        self.said += 1;
        let bytes = self.resend.keep(&claim(self.said)).unwrap();
        self.wire.extend_from_slice(bytes);
    }

    fn tell(&mut self) {
        if let Some(number) = self.resend.tell() {
            codec::encode_received(number, &mut self.wire).unwrap();
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.decoder.space()[0] = *byte;
            self.decoder.filled(1);
            match self.decoder.decode(usize::MAX).unwrap() {
                Some(Spoken::Message(Some(number), message)) => match self.resend.arrived(number).unwrap() {
                    Arrival::New => self.heard.push(counter(&message)),
                    Arrival::Again => {}
                },
                Some(Spoken::Received(number)) => self.resend.acknowledged(number).unwrap(),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    }
}

/// A new connection: what was on the old one is gone. The first end dials; the answer may be lost.
fn reconnect(ends: &mut [End; 2], answered: bool) {
    let [dialler, accepter] = ends;
    for end in [&mut *dialler, &mut *accepter] {
        end.wire.clear();
        end.decoder = Decoder::default();
    }
    let (dialled, boots) = (dialler.resend.resume(), [dialler.resend.own, accepter.resend.own]);
    accepter.resend.linked(boots[0], dialled).unwrap();
    accepter.wire.extend_from_slice(accepter.resend.unacknowledged());
    if answered {
        dialler.resend.linked(boots[1], accepter.resend.resume()).unwrap();
        dialler.wire.extend_from_slice(dialler.resend.unacknowledged());
    } else {
        accepter.wire.clear();
    }
}

#[derive(Clone, Debug)]
enum Action {
    Say(usize),
    Tell(usize),
    Carry(usize, prop::sample::Index),
    Cut { answered: bool },
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..2_usize).prop_map(Action::Say),
        2 => (0..2_usize).prop_map(Action::Tell),
        6 => (0..2_usize, any::<prop::sample::Index>()).prop_map(|(end, len)| Action::Carry(end, len)),
        1 => any::<bool>().prop_map(|answered| Action::Cut { answered }),
    ]
}

fn carry(ends: &mut [End; 2], from: usize, len: usize) {
    let bytes: Vec<u8> = ends[from].wire.drain(..len).collect();
    ends[1 - from].read(&bytes);
}

proptest! {
    #[test]
    fn each_message_arrives_once_and_in_order_while_both_boots_live(actions in vec(any_action(), 0..200)) {
        let mut ends = [End::new(OWN), End::new(PEER)];
        reconnect(&mut ends, true);
        let mut linked = true;
        for action in actions {
            match action {
                // Without its peer's answer the dialling end has no link; what it says is kept all the same.
                Action::Say(0) if !linked => {
                    ends[0].say();
                    ends[0].wire.clear();
                }
                Action::Say(end) => ends[end].say(),
                Action::Tell(end) if linked => ends[end].tell(),
                Action::Carry(from, len) if linked => {
                    let len = len.index(ends[from].wire.len() + 1);
                    carry(&mut ends, from, len);
                }
                Action::Tell(_) | Action::Carry(..) => {}
                Action::Cut { answered } => {
                    reconnect(&mut ends, answered);
                    linked = answered;
                }
            }
        }
        reconnect(&mut ends, true);
        for from in [0, 1] {
            let len = ends[from].wire.len();
            carry(&mut ends, from, len);
            ends[1 - from].tell();
        }
        for from in [0, 1] {
            let len = ends[from].wire.len();
            carry(&mut ends, from, len);
        }
        for (end, other) in [(0, 1), (1, 0)] {
            prop_assert_eq!(&ends[end].heard, &(1..=ends[other].said).collect::<Vec<_>>());
            prop_assert_eq!((ends[end].resend.bytes_kept(), ends[end].resend.given_up()), (0, 0));
        }
    }
}

#[test]
fn a_new_boot_begins_from_zero() {
    let mut ends = [End::new(OWN), End::new(PEER)];
    reconnect(&mut ends, true);
    ends[0].say();
    ends[1].say();
    ends[1] = End::new(BootId(3));
    reconnect(&mut ends, true);
    assert_eq!((ends[0].wire.len(), ends[0].resend.given_up()), (0, 1), "it was for a boot that is gone");
    assert_eq!(ends[0].resend.resume(), Some(Resume { boot: BootId(3), received: 0, first_kept: 1 }));
    ends[0].say();
    let len = ends[0].wire.len();
    carry(&mut ends, 0, len);
    assert_eq!(ends[1].heard, [2]);
}

#[test]
fn what_is_kept_is_bounded_and_what_was_given_up_is_skipped() {
    let mut ends = [End::new(OWN), End::new(PEER)];
    reconnect(&mut ends, true);
    let kept = loop {
        match ends[0].resend.keep(&claim(7)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(kept.name(), "queue-full");
    let given_up = ends[0].resend.given_up();
    assert!(given_up > 10_000 && ends[0].resend.bytes.capacity() <= LINK_QUEUE_BYTES_KEPT);
    ends[0].resend.forget();
    assert!(!ends[0].resend.is_expected());
    reconnect(&mut ends, true);
    assert!(ends[0].resend.is_expected());
    ends[0].say();
    let len = ends[0].wire.len();
    carry(&mut ends, 0, len);
    assert_eq!(ends[1].heard, [1]);
    assert_eq!(ends[1].resend.resume().unwrap().received, given_up + 1);
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let mut resend = Resend::new(OWN);
    assert_eq!(resend.resume(), None);
    resend.linked(PEER, None).unwrap();
    assert_eq!(resend.arrived(2).unwrap_err().name(), "wrong-number");
    assert_eq!([1, 1].map(|number| resend.arrived(number).unwrap()), [Arrival::New, Arrival::Again]);
    assert_eq!(resend.acknowledged(1).unwrap_err().name(), "wrong-number");
    let resume = |received, first_kept| Some(Resume { boot: OWN, received, first_kept });
    for lie in [resume(1, 1), resume(0, u64::MAX), resume(u64::MAX, 1)] {
        assert_eq!(resend.linked(PEER, lie).unwrap_err().name(), "wrong-number");
        resend.linked(PEER, None).unwrap();
    }
    resend.linked(PEER, resume(0, NUMBER_MAX)).unwrap();
    assert_eq!([1, 2].map(|_| resend.arrived(NUMBER_MAX).unwrap()), [Arrival::New, Arrival::Again]);
    assert_eq!([resend.tell(), resend.tell()], [Some(NUMBER_MAX), None]);
}

#[test]
fn a_second_process_with_the_same_id_does_not_end_the_talk_for_ever() {
    // Either end may be the one that was deceived.
    for deceived in [0, 1] {
        let mut ends = [End::new(OWN), End::new(PEER)];
        reconnect(&mut ends, true);
        for from in [0, 1] {
            ends[from].say();
            let len = ends[from].wire.len();
            carry(&mut ends, from, len);
        }
        ends[1 - deceived].say();
        ends[deceived].resend.linked(BootId(99), None).unwrap();
        reconnect(&mut ends, true);
        ends[deceived].say();
        for from in [0, 1] {
            let len = ends[from].wire.len();
            carry(&mut ends, from, len);
        }
        assert_eq!((&ends[1 - deceived].heard[..], &ends[deceived].heard[..]), (&[1, 2][..], &[1, 1, 2][..]));
    }
}
