//! The answers of this node to members, on their way piece by piece.

use herald_core::id::NodeId;
use herald_core::limits::{
    INQUIRIES_ANSWERED_MAX, INQUIRY_LEN_MAX, INQUIRY_PIECE_LEN_MAX, INQUIRY_TIME_MAX, TURN_PIECES_MAX,
};
use herald_core::mesh::{Inquiry, InquiryPart, Message};
use herald_core::time::Instant;

/// The answer to a member's question.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Who asked.
    pub to: NodeId,
    /// The asker's number of the question.
    pub id: u64,
    /// The answer; at most [`INQUIRY_ANSWER_LEN_MAX`](herald_core::limits::INQUIRY_ANSWER_LEN_MAX) bytes.
    pub bytes: Vec<u8>,
}

/// The answers that are being sent.
#[derive(Debug, Default)]
pub(super) struct Answers {
    sending: Vec<Sending>,
    /// More pieces could be sent at once.
    has_more: bool,
}

/// An answer of this node on its way.
#[derive(Debug)]
struct Sending {
    answer: Answered,
    sent: usize,
    until: Instant,
}

impl Answers {
    /// Takes an answer to be sent; too many at once are not.
    pub(super) fn take(&mut self, now: Instant, answer: Answered) {
        if self.sending.len() < INQUIRIES_ANSWERED_MAX {
            self.sending.push(Sending { answer, sent: 0, until: now + INQUIRY_TIME_MAX });
        }
    }

    /// The next pieces, as far as `room` says for each asker that bytes can be sent.
    pub(super) fn pieces(&mut self, now: Instant, room: impl Fn(NodeId) -> usize) -> Vec<(NodeId, Message)> {
        let mut pieces = Vec::new();
        self.sending.retain(|sending| sending.until > now);
        for sending in &mut self.sending {
            let mut room = room(sending.answer.to);
            while pieces.len() < TURN_PIECES_MAX && room >= INQUIRY_LEN_MAX && !sending.is_sent() {
                pieces.push((sending.answer.to, Message::Inquiry(sending.next())));
                room -= INQUIRY_LEN_MAX;
            }
        }
        self.sending.retain(|sending| !sending.is_sent());
        self.has_more = pieces.len() == TURN_PIECES_MAX && !self.sending.is_empty();
        pieces
    }

    /// More can be sent at once.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sending.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sending.len()
    }
}

impl Sending {
    fn is_sent(&self) -> bool {
        self.sent > 0 && self.sent >= self.answer.bytes.len()
    }

    fn next(&mut self) -> Inquiry {
        let rest = self.answer.bytes.get(self.sent..).unwrap_or_default();
        let piece = rest.get(..INQUIRY_PIECE_LEN_MAX).unwrap_or(rest);
        let part = if piece.len() == rest.len() { InquiryPart::LastPiece } else { InquiryPart::Piece };
        self.sent += piece.len().max(1);
        Inquiry { id: self.answer.id, part, bytes: piece.to_vec() }
    }
}
