//! The life of a stream as its chosen node sees it: which state it is in, and how long silence may last there. Of TCP it
//! believes what the ends believe, as far as one in the middle can know: a segment that an end would ignore (RFC 9293,
//! section 3.10.7.4; RFC 5961) changes nothing.

mod half;
mod state;
mod told;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timeouts;
use crate::inspector::Direction;
use crate::mutation::{Mutation, is_on};
use crate::packet::{Headers, TcpFlags, Transport};
use half::{Half, scale_of};
pub use state::State;
use told::Told;

/// A stream's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Told", from = "Told")]
pub struct Life {
    opener: Half,
    responder: Half,
    /// The last SYN that belongs to no connection that is known, until it is answered.
    syn: Syn,
    state: State,
    reset: Reset,
    /// Something has come back to the opener.
    answered: bool,
    protocol: u8,
}

/// Whether a reset has ended the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    No,
    /// It lies where the receiver may have expected it: what is on its way decides.
    Perhaps,
    /// It lies where the receiver has expected it.
    Surely,
}

/// A SYN that waits for its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Syn {
    sequence: u32,
    /// Bytes that came with it (RFC 7413).
    payload: u16,
    /// As a [`Half`] has it.
    scale: u8,
    /// Its way; `None` if there is no such SYN.
    from: Option<Direction>,
}

impl Syn {
    /// True if this acknowledges the SYN, and no more than what came with it.
    fn is_acknowledged_by(self, acknowledgement: u32) -> bool {
        acknowledgement.wrapping_sub(self.sequence.wrapping_add(1)) <= u32::from(self.payload)
    }
}

/// How a packet begins a new connection with the keys of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It does not.
    None,
    /// It is a SYN, and the ends have nothing left of the stream.
    Opens,
    /// It answers a SYN that went by as a packet of this stream: the end has accepted it. The life of the new one.
    Answers(Life),
}

/// What a life needs of a TCP segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    flags: TcpFlags,
    sequence: u32,
    acknowledgement: u32,
    window: u16,
    scale: Option<u8>,
    /// Bytes of payload.
    payload: u32,
}

impl Segment {
    fn of(headers: &Headers) -> Option<Self> {
        let Transport::Tcp { flags, sequence, acknowledgement, window, scale, .. } = headers.transport else {
            return None;
        };
        Some(Self { flags, sequence, acknowledgement, window, scale, payload: payload_len(headers) })
    }

    /// Sequence number behind it.
    fn end(&self) -> u32 {
        let control = u32::from(self.flags.syn()) + u32::from(self.flags.fin());
        self.sequence.wrapping_add(self.payload).wrapping_add(control)
    }
}

fn payload_len(headers: &Headers) -> u32 {
    u32::try_from(headers.payload_len()).unwrap_or_default()
}

/// How far a copy of a connection's SYN may lie behind what its sender has said by then: nobody sends more than an unscaled
/// window before his SYN is acknowledged (RFC 7323, section 2.2).
const COPY_DISTANCE_MAX: u32 = 65_535;

/// Greatest payload of a SYN, for its answer acknowledges that or none of it (RFC 7413, section 3).
const SYN_PAYLOAD_MAX: u32 = 9_000;

impl Life {
    /// The life of a stream whose first packet has these headers.
    #[must_use]
    pub fn started(headers: &Headers) -> Self {
        let state = match headers.transport {
            Transport::Tcp { flags, .. } if flags.ack() || flags.rst() => State::OneWay,
            Transport::Tcp { .. } => State::Opening,
            Transport::Udp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError { .. }
            | Transport::Discovery { .. }
            | Transport::Other => State::Active,
        };
        Self::new(state, headers.protocol)
    }

    /// The life of a stream that is taken up without having been seen.
    #[must_use]
    pub fn picked_up(protocol: u8) -> Self {
        Self::new(if protocol == TCP { State::Established } else { State::Active }, protocol)
    }

    fn new(state: State, protocol: u8) -> Self {
        let (opener, responder, syn) = Default::default();
        Self { opener, responder, syn, state, reset: Reset::No, answered: false, protocol }
    }

    /// A packet of the stream went by. Returns true if the state changed, or if it is the first that came back.
    pub fn packet_passed(&mut self, direction: Direction, headers: &Headers) -> bool {
        let answers = direction == Direction::ToOpener && !std::mem::replace(&mut self.answered, true);
        let Transport::Tcp { flags, sequence, acknowledgement, window, .. } = headers.transport else { return answers };
        if self.state == State::Established && flags.only_acknowledges() {
            let payload = payload_len(headers);
            let (sender, receiver) = self.halves(direction);
            if sender.carries_on(receiver, (sequence, acknowledgement), (payload, window)) {
                return answers;
            }
        }
        self.other_passed(direction, headers) || answers
    }

    /// Not the ordinary segment went by. Returns true if the state changed.
    #[inline(never)]
    fn other_passed(&mut self, direction: Direction, headers: &Headers) -> bool {
        let Some(segment) = Segment::of(headers) else { return false };
        let before = self.state;
        if segment.flags.rst() {
            self.reset_passed(direction, &segment);
        } else if segment.flags.syn() {
            self.syn_passed(direction, &segment);
        } else {
            self.segment_passed(direction, &segment);
        }
        self.state != before
    }

    /// A reset counts only where its receiver may expect it; elsewhere it asks for a challenge (RFC 5961, section 3.2), whose
    /// answer counts.
    fn reset_passed(&mut self, direction: Direction, segment: &Segment) {
        let Segment { flags, sequence, acknowledgement, .. } = *segment;
        let refuses_syn =
            self.syn.from == Some(direction.other()) && flags.ack() && self.syn.is_acknowledged_by(acknowledgement);
        let is_one_way = self.state == State::OneWay;
        let (sender, receiver) = self.halves(direction);
        let reset = match receiver.acknowledged() {
            _ if refuses_syn => Reset::Surely,
            Some(expected) => {
                let seen = sender.next().unwrap_or(expected);
                let may_be_expected = sequence.wrapping_sub(expected) <= seen.wrapping_sub(expected);
                if !may_be_expected && !is_on(Mutation::BelieveResets) {
                    return;
                }
                if expected == seen { Reset::Surely } else { Reset::Perhaps }
            }
            None if flags.ack() && receiver.has_said(acknowledgement, SYN_PAYLOAD_MAX) => Reset::Surely,
            None if is_one_way && sender.next() == Some(sequence) => Reset::Surely,
            None => return,
        };
        if self.state != State::Closed || self.reset == Reset::Perhaps {
            self.reset = reset;
            self.close();
        }
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.opener.fall_silent();
        self.responder.fall_silent();
    }

    /// A SYN, alone or with an acknowledgement. It changes nothing of a stream that both ends know, but for the next one with
    /// its keys it is remembered.
    fn syn_passed(&mut self, direction: Direction, segment: &Segment) {
        let opening = self.state == State::Opening;
        let closed = self.state == State::Closed;
        let (sender, receiver) = self.halves(direction);
        let is_known = sender.next().is_some();
        let is_copy = sender.has_said(segment.sequence.wrapping_add(1), COPY_DISTANCE_MAX);
        if segment.flags.ack() {
            let answers = receiver.next().is_none() || receiver.has_said(segment.acknowledgement, SYN_PAYLOAD_MAX);
            if opening && answers {
                if !is_copy {
                    *sender = Half::started(segment.end(), scale_of(segment.scale));
                }
                let shift = sender.shift(receiver);
                sender.acknowledges(segment.acknowledgement, u32::from(segment.window), shift);
                self.state = self.state_after();
            }
        } else if segment.flags.opens() && opening && !is_known {
            *sender = Half::started(segment.end(), scale_of(segment.scale));
        } else if segment.flags.opens() && (closed || !is_copy) {
            let payload = u16::try_from(segment.payload).unwrap_or(u16::MAX);
            let (sequence, scale) = (segment.sequence, scale_of(segment.scale));
            self.syn = Syn { sequence, payload, scale, from: Some(direction) };
        }
    }

    fn segment_passed(&mut self, direction: Direction, segment: &Segment) {
        if self.is_of_another_connection(direction, segment) {
            *self = Self { answered: self.answered, ..Self::picked_up(self.protocol) };
        }
        let closed = self.state == State::Closed;
        let (sender, receiver) = self.halves(direction);
        if !segment.flags.ack() || !sender.may_say(receiver, segment.sequence, segment.acknowledgement) {
            return;
        }
        let advances = sender.says(segment.sequence, segment.end(), segment.flags);
        let shift = sender.shift(receiver);
        sender.acknowledges(segment.acknowledgement, u32::from(segment.window) << shift, shift);
        receiver.is_acknowledged(segment.acknowledgement);
        if closed {
            if advances && sender.speaks_like(receiver) {
                sender.revive();
                receiver.revive();
                (self.state, self.reset) = (State::Established, Reset::No);
            }
            return;
        }
        let after = self.state_after();
        if after == State::Closed {
            self.close();
        }
        self.state = after;
    }

    /// True for an acknowledgement of another connection than the one that this stream has begun with: one end alone has
    /// spoken, and the other speaks of what that has not said. A SYN was forged, and its end challenges it (RFC 5961,
    /// section 4.2), or does not, as it challenges seldom; or another segment was. What follows is of the connection that
    /// both have.
    fn is_of_another_connection(&self, direction: Direction, segment: &Segment) -> bool {
        let (sender, receiver) = match direction {
            Direction::FromOpener => (&self.opener, &self.responder),
            Direction::ToOpener => (&self.responder, &self.opener),
        };
        if sender.next().is_some() || receiver.next().is_none() || !segment.flags.only_acknowledges() {
            return false;
        }
        match self.state {
            State::Opening => !receiver.has_said(segment.acknowledgement, SYN_PAYLOAD_MAX),
            State::OneWay | State::Established | State::Closing => {
                !sender.may_say(receiver, segment.sequence, segment.acknowledgement)
            }
            State::Closed | State::Active => false,
        }
    }

    /// The state of a stream that no reset has ended.
    fn state_after(&self) -> State {
        let (opener, responder) = (&self.opener, &self.responder);
        let opening = self.state == State::Opening;
        if opening && (opener.acknowledged().is_none() || responder.acknowledged().is_none()) {
            let is_one_way = opener.acknowledged().is_some() && responder.next().is_none();
            return if is_one_way { State::OneWay } else { State::Opening };
        }
        match (opener.has_finished(), responder.has_finished()) {
            (false, false) if self.state == State::OneWay && responder.next().is_none() => State::OneWay,
            (false, false) => State::Established,
            (true, true) if opener.has_all_of(responder) && responder.has_all_of(opener) => State::Closed,
            (true | false, true | false) => State::Closing,
        }
    }

    /// Sender's and receiver's half.
    fn halves(&mut self, direction: Direction) -> (&mut Half, &mut Half) {
        match direction {
            Direction::FromOpener => (&mut self.opener, &mut self.responder),
            Direction::ToOpener => (&mut self.responder, &mut self.opener),
        }
    }

    /// Where the stream is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Something has come back to the opener.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// A reset ended the stream.
    #[must_use]
    pub fn was_reset(&self) -> bool {
        self.reset != Reset::No
    }

    /// Whether this packet begins a new connection with the keys of this one. A SYN does that at once only where both ends
    /// have surely ended: elsewhere the end that it goes to says, by its answer, whether it has accepted it.
    #[must_use]
    pub fn renewal(&self, direction: Direction, headers: &Headers) -> Renewal {
        match headers.transport {
            Transport::Tcp { flags, sequence, acknowledgement, .. } if flags.syn() && !flags.rst() && !flags.fin() => {
                self.renewal_by_syn(direction, flags, (sequence, acknowledgement))
            }
            Transport::Tcp { .. }
            | Transport::Udp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError { .. }
            | Transport::Discovery { .. }
            | Transport::Other => Renewal::None,
        }
    }

    #[cold]
    fn renewal_by_syn(
        &self,
        direction: Direction,
        flags: TcpFlags,
        (sequence, acknowledgement): (u32, u32),
    ) -> Renewal {
        if flags.opens() {
            let sender = match direction {
                Direction::FromOpener => &self.opener,
                Direction::ToOpener => &self.responder,
            };
            let ended = match self.reset {
                Reset::No => !sender.has_said(sequence.wrapping_add(1), COPY_DISTANCE_MAX),
                Reset::Perhaps => false,
                Reset::Surely => true,
            };
            let ended = self.state == State::Closed && ended || is_on(Mutation::BelieveSyns);
            return if ended { Renewal::Opens } else { Renewal::None };
        }
        if self.syn.from != Some(direction.other()) || !self.syn.is_acknowledged_by(acknowledgement) {
            return Renewal::None;
        }
        let Syn { sequence, payload, scale, .. } = self.syn;
        let end = sequence.wrapping_add(1).wrapping_add(u32::from(payload));
        Renewal::Answers(Self { opener: Half::started(end, scale), ..Self::new(State::Opening, self.protocol) })
    }

    /// How long the stream may be silent now.
    #[must_use]
    pub fn timeout(&self, timeouts: &Timeouts) -> Duration {
        if is_on(Mutation::ExpireEarly) {
            return timeouts.udp / 4;
        }
        if is_on(Mutation::NeverExpire) {
            return timeouts.tcp_established * 1000;
        }
        match self.state {
            State::Opening => timeouts.tcp_opening,
            State::Established | State::OneWay => timeouts.tcp_established,
            State::Closing => timeouts.tcp_closing,
            State::Closed => timeouts.tcp_closed,
            State::Active => match self.protocol {
                17 => timeouts.udp,
                1 | 58 => timeouts.icmp,
                _ => timeouts.other,
            },
        }
    }
}

/// IP's number of TCP.
const TCP: u8 = 6;

#[cfg(test)]
mod tests;
