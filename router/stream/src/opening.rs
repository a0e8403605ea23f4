//! SYN and RST: how a connection opens, and how it is torn down.

use crate::half::Half;
use crate::judged::{Answer, Edit, End, Judged, Reason};
use crate::segment::{Rules, Segment};
use crate::side::Side;
use crate::stream::Stream;

impl Stream {
    /// The first segment of a stream that had begun elsewhere, or before: both directions begin here.
    pub(crate) fn join_midstream(&mut self, from: Side, segment: &Segment<'_>) {
        let flags = segment.flags;
        let (half, other) = self.halves(from);
        half.begin(segment.sequence.wrapping_add(u32::from(flags.syn())), &segment.options);
        half.join();
        if flags.ack() {
            other.begin(segment.acknowledgement, &segment.options);
            other.join();
            other.is_confirmed = true;
        }
        self.missed();
    }

    /// A SYN.
    ///
    /// ```text
    ///  nothing known of the sender ---------------> it begins
    ///  the same SYN, not answered for sure -------> passes again
    ///  another SYN, nobody has answered, no data -> it begins anew
    ///  else --------------------------------------> dropped, and challenged (RFC 5961, section 4)
    /// ```
    pub(crate) fn syn(
        &mut self,
        from: Side,
        segment: &mut Segment<'_>,
        rules: &Rules<'_>,
        judged: &mut Judged,
    ) -> Result<(), Reason> {
        let flags = segment.flags;
        if flags.fin() || flags.rst() {
            return Err(Reason::Flags);
        }
        let first = segment.sequence.wrapping_add(1);
        let (half, other) = self.halves(from);
        let acknowledged = match (flags.ack(), other.first) {
            (true, None) => return Err(Reason::NotOpen),
            (true, Some(_)) => Some(other.offset(segment.acknowledgement)),
            (false, _) => None,
        };
        let is_said_again = match acknowledged {
            // The answer to it may have been lost behind this node.
            Some(_) => other.acknowledged <= other.syn_len,
            None => !other.is_confirmed,
        };
        let is_unanswered = acknowledged.is_none() && other.first.is_none() && half.kept.next() == 0;
        let is_known = half.first == Some(first);
        if half.first.is_some() && !(is_known && is_said_again || !is_known && is_unanswered) {
            judged.answer = Some(half.challenge(other, from));
            return Err(Reason::SynInConnection);
        }
        if let Some(acknowledged) = acknowledged {
            let sent = i64::try_from(other.syn_len).unwrap_or_default();
            if !(0..=sent).contains(&acknowledged) {
                return Err(Reason::AcknowledgesUnsent);
            }
        }
        if !is_known {
            half.begin(first, &segment.options);
        }
        half.syn_bytes(segment, rules, judged)?;
        half.show(0, segment.payload.len(), judged);
        self.agree();
        self.hear_syn(from, acknowledged, segment.window);
        Ok(())
    }

    /// Timestamps are used if both offer them (RFC 7323, section 3.2).
    fn agree(&mut self) {
        if self.opener.first.is_some()
            && self.answerer.first.is_some()
            && (self.opener.timestamp.is_none() || self.answerer.timestamp.is_none())
        {
            self.opener.timestamp = None;
            self.answerer.timestamp = None;
        }
    }

    /// The window of a SYN has no scale (RFC 7323, section 2.2).
    fn hear_syn(&mut self, from: Side, acknowledged: Option<i64>, window: u16) {
        let (half, other) = self.halves(from);
        half.window = window;
        half.window_max = half.window_max.max(u64::from(window));
        match acknowledged {
            Some(acknowledged) => other.acknowledge(acknowledged, Some(u64::from(window))),
            None => other.limit = other.limit.max(u64::from(window)),
        }
    }

    /// A RST.
    pub(crate) fn rst(&mut self, from: Side, segment: &Segment<'_>, judged: &mut Judged) -> Result<(), Reason> {
        // Its data, if any, is for people (RFC 9293, section 3.5.3).
        judged.edit.keep = 0;
        let has_ack = segment.flags.ack();
        let allows_sack = self.opener.allows_sack && self.answerer.allows_sack;
        let (half, other) = self.halves(from);
        let Some(_) = half.first else {
            // The answer to a SYN; another one its receiver ignores (RFC 9293, section 3.10.7.3).
            let edge = other.edge().cast_signed();
            let acknowledged = other.offset(segment.acknowledgement);
            if other.first.is_some() && has_ack && (0..=edge).contains(&acknowledged) {
                self.is_reset = true;
                judged.end = Some(End::Reset);
            }
            return Ok(());
        };
        let offset = half.offset(segment.sequence);
        let (edge, acknowledged) = (half.edge().cast_signed(), half.acknowledged.cast_signed());
        // Linux takes it at the end of the highest block, too.
        let is_at_block = allows_sack && half.kept.has_hole() && offset == half.kept.top().cast_signed();
        if offset == edge || is_at_block {
            self.is_reset = true;
            judged.end = Some(End::Reset);
            return Ok(());
        }
        if (acknowledged..edge).contains(&offset) || other.first.is_none() || half.is_midstream {
            // Its receiver may be there yet, or challenges it.
            self.doubtful_reset = other.first.is_some().then_some(from);
            return Ok(());
        }
        if half.is_watched() { Err(Reason::ResetOutOfSequence) } else { Ok(()) }
    }
}

impl Half {
    /// Data on a SYN counts only with a Fast Open cookie; the receiver takes it or not, and its sender then says it again.
    fn syn_bytes(&mut self, segment: &mut Segment<'_>, rules: &Rules<'_>, judged: &mut Judged) -> Result<(), Reason> {
        let is_taken = segment.options.has_cookie && !segment.flags.ack() && self.acknowledged == 0;
        if segment.payload.is_empty() || !is_taken {
            judged.edit = Edit { keep: 0, ..judged.edit };
            return Ok(());
        }
        let len = segment.payload.len() as u64;
        self.syn_len = self.syn_len.max(len);
        if self.is_watched() {
            self.bytes(0, segment, rules, judged)
        } else {
            self.kept.forget(self.kept.next().max(len));
            Ok(())
        }
    }

    /// What the other end would answer to a SYN in the open connection.
    fn challenge(&self, other: &Self, to: Side) -> Answer {
        Answer {
            to,
            sequence: other.sequence(other.edge()),
            acknowledgement: self.sequence(self.edge()),
            window: other.window,
        }
    }

    /// Asks the receiver of this direction for its window, as its sender did with data: from one byte behind.
    pub(crate) fn probe(&self, other: &Self, to: Side) -> Answer {
        Answer {
            to,
            sequence: self.sequence(self.kept.next()).wrapping_sub(1),
            acknowledgement: other.sequence(other.edge()),
            window: self.window,
        }
    }
}
