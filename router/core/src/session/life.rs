//! The life of a stream as its chosen node sees it: which state it is in, and how long silence may last there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::inspector::Direction;
use crate::mutation::{Mutation, is_on};
use crate::packet::{Headers, TcpFlags, Transport};

/// How long a stream may be silent in each state (RFC 5382 for TCP, RFC 4787 for UDP, RFC 5508 for ICMP).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP, both ends have spoken.
    pub tcp_established: Duration,
    /// TCP, the handshake is not complete.
    pub tcp_opening: Duration,
    /// TCP, one end has finished.
    pub tcp_closing: Duration,
    /// TCP, both FINs acknowledged, or reset.
    pub tcp_closed: Duration,
    /// UDP.
    pub udp: Duration,
    /// ICMP echo.
    pub icmp: Duration,
    /// Every other protocol.
    pub other: Duration,
    /// A redirector session that nobody announced.
    pub provisional: Duration,
}

impl Timeouts {
    /// The same time in every state.
    #[must_use]
    pub const fn alike(time: Duration) -> Self {
        Self {
            tcp_established: time,
            tcp_opening: time,
            tcp_closing: time,
            tcp_closed: time,
            udp: time,
            icmp: time,
            other: time,
            provisional: time,
        }
    }
}

/// Where a stream is in its life.
///
/// ```text
///  SYN              SYN|ACK, ACK                FIN               both FINs acknowledged
///  ----> Opening ----------------> Established -----> Closing ---------------------------> Closed
///           |                           |                |                                    ^
///           +---------------------------+----------------+------------------------------------+
///                                                            a reset inside the window
///
///  UDP, ICMP, other: Active for all their life
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// TCP: the handshake is not complete.
    Opening,
    /// TCP: both ends have spoken.
    Established,
    /// TCP: one end has finished.
    Closing,
    /// TCP: both have finished, or one has reset.
    Closed,
    /// Any protocol without connections.
    Active,
}

impl State {
    /// The name in reports and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Active => "active",
        }
    }
}

/// What one direction of a TCP stream has said, in little room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Numbers", from = "Numbers")]
struct Half {
    next: u32,
    acknowledged: u32,
    fin: u32,
    /// Which of these were said, one bit each.
    said: u8,
}

/// As it travels: the sequence number behind the last byte sent, the last acknowledgement number sent, and the sequence
/// number behind this direction's FIN.
type Numbers = (Option<u32>, Option<u32>, Option<u32>);

impl Half {
    const NEXT: u8 = 1;
    const ACKNOWLEDGED: u8 = 2;
    const FIN: u8 = 4;

    fn number(self, number: u32, bit: u8) -> Option<u32> {
        (self.said & bit != 0).then_some(number)
    }

    /// Sequence number behind the last byte sent.
    fn next(self) -> Option<u32> {
        self.number(self.next, Self::NEXT)
    }

    /// Last acknowledgement number sent.
    fn acknowledged(self) -> Option<u32> {
        self.number(self.acknowledged, Self::ACKNOWLEDGED)
    }

    /// Sequence number behind this direction's FIN.
    fn fin(self) -> Option<u32> {
        self.number(self.fin, Self::FIN)
    }

    fn set_next(&mut self, number: u32) {
        (self.next, self.said) = (number, self.said | Self::NEXT);
    }

    fn set_acknowledged(&mut self, number: u32) {
        (self.acknowledged, self.said) = (number, self.said | Self::ACKNOWLEDGED);
    }

    fn set_fin(&mut self, number: u32) {
        (self.fin, self.said) = (number, self.said | Self::FIN);
    }
}

impl From<Half> for Numbers {
    fn from(half: Half) -> Self {
        (half.next(), half.acknowledged(), half.fin())
    }
}

impl From<Numbers> for Half {
    fn from((next, acknowledged, fin): Numbers) -> Self {
        let mut half = Self::default();
        next.into_iter().for_each(|number| half.set_next(number));
        acknowledged.into_iter().for_each(|number| half.set_acknowledged(number));
        fin.into_iter().for_each(|number| half.set_fin(number));
        half
    }
}

/// A stream's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    state: State,
    was_reset: bool,
    /// Something has come back to the opener.
    answered: bool,
    protocol: u8,
    opening_sequence: u32,
    opener: Half,
    responder: Half,
}

/// How far behind the acknowledged byte a reset may lie to count. The scaled window is not tracked; this is larger than
/// most and small against the sequence space (RFC 9293, section 3.10.7.4).
const RESET_WINDOW: u32 = 1 << 20;

impl Life {
    /// The life of a stream whose first packet has these headers.
    #[must_use]
    pub fn started(headers: &Headers) -> Self {
        let (state, opening_sequence) = match headers.transport {
            Transport::Tcp { flags, sequence, .. } if flags.opens() => (State::Opening, sequence),
            Transport::Tcp { sequence, .. } => (State::Established, sequence),
            Transport::Udp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError { .. }
            | Transport::Discovery { .. }
            | Transport::Other => (State::Active, 0),
        };
        let protocol = headers.protocol;
        let (opener, responder) = Default::default();
        Self { state, was_reset: false, answered: false, protocol, opening_sequence, opener, responder }
    }

    /// The life of a stream that is taken up without having been seen.
    #[must_use]
    pub fn picked_up(protocol: u8) -> Self {
        const TCP: u8 = 6;
        let state = if protocol == TCP { State::Established } else { State::Active };
        let (opener, responder) = Default::default();
        Self { state, was_reset: false, answered: false, protocol, opening_sequence: 0, opener, responder }
    }

    /// A packet of the stream went by. Returns true if the state changed, or if it is the first that came back.
    pub fn packet_passed(&mut self, direction: Direction, headers: &Headers) -> bool {
        let answers = direction == Direction::ToOpener && !std::mem::replace(&mut self.answered, true);
        self.segment_passed(direction, headers) || answers
    }

    fn segment_passed(&mut self, direction: Direction, headers: &Headers) -> bool {
        let Transport::Tcp { flags, sequence, acknowledgement, .. } = headers.transport else { return false };
        let length = u32::try_from(headers.payload_len()).unwrap_or_default();
        let before = self.state;
        if flags.rst() {
            if self.reset_counts(direction, flags, sequence, acknowledgement) {
                (self.state, self.was_reset) = (State::Closed, true);
            }
            return self.state != before;
        }
        let (sender, receiver) = self.halves(direction);
        let behind = sequence.wrapping_add(length).wrapping_add(u32::from(flags.syn()) + u32::from(flags.fin()));
        if sender.next().is_none_or(|next| is_after(behind, next)) {
            sender.set_next(behind);
        }
        if flags.fin() {
            sender.set_fin(behind);
        }
        if flags.ack() {
            sender.set_acknowledged(acknowledgement);
        }
        let receiver_next = receiver.next();
        let answered = flags.ack() && !flags.syn() && receiver_next.is_some();
        self.state = match self.state {
            State::Opening if answered && direction == Direction::FromOpener => State::Established,
            State::Opening | State::Active | State::Closed => self.state,
            State::Established | State::Closing => self.state_by_fins(),
        };
        self.state != before
    }

    fn state_by_fins(&self) -> State {
        let finished = |half: &Half, other: &Half| {
            half.fin().is_some_and(|fin| other.acknowledged().is_some_and(|ack| !is_after(fin, ack)))
        };
        if finished(&self.opener, &self.responder) && finished(&self.responder, &self.opener) {
            State::Closed
        } else if self.opener.fin().is_some() || self.responder.fin().is_some() {
            State::Closing
        } else {
            State::Established
        }
    }

    /// A reset counts if it lies in the window that the other end acknowledged, or answers the opening SYN.
    fn reset_counts(&mut self, direction: Direction, flags: TcpFlags, sequence: u32, acknowledgement: u32) -> bool {
        let (_, receiver) = self.halves(direction);
        match receiver.acknowledged() {
            Some(acknowledged) => sequence.wrapping_sub(acknowledged) < RESET_WINDOW,
            None => flags.ack() && receiver.next() == Some(acknowledgement),
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
        self.was_reset
    }

    /// True if this packet opens a new connection with the key of this one, which has closed.
    #[must_use]
    pub fn is_reopened_by(&self, headers: &Headers) -> bool {
        match headers.transport {
            Transport::Tcp { flags, sequence, .. } => {
                self.state == State::Closed && flags.opens() && sequence != self.opening_sequence
            }
            Transport::Udp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError { .. }
            | Transport::Discovery { .. }
            | Transport::Other => false,
        }
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
            State::Established => timeouts.tcp_established,
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

/// Sequence number comparison (RFC 9293, section 3.4).
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn tcp(flags: u8, sequence: u32, acknowledgement: u32, payload: u32) -> Headers {
        Headers {
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
            protocol: 6,
            hop_limit: 64,
            transport: Transport::Tcp { source: 1, destination: 2, flags: TcpFlags(flags), sequence, acknowledgement },
            network_at: 14,
            transport_at: 34,
            payload_at: 54,
            end: 54 + payload,
        }
    }

    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const FIN: u8 = 1;
    const RST: u8 = 4;
    use Direction::{FromOpener as OUT, ToOpener as BACK};

    /// One step of a script: who, flags, sequence, acknowledgement, payload, and the state after it.
    type Row = (Direction, u8, u32, u32, u32, State);

    fn run(rows: &[Row]) -> Life {
        let first = rows[0];
        let mut life = Life::started(&tcp(first.1, first.2, first.3, first.4));
        for (number, &(direction, flags, sequence, ack, payload, state)) in rows.iter().enumerate() {
            life.packet_passed(direction, &tcp(flags, sequence, ack, payload));
            assert_eq!(life.state(), state, "row {number}");
        }
        life
    }

    const HANDSHAKE: [Row; 3] = [
        (OUT, SYN, 100, 0, 0, State::Opening),
        (BACK, SYN | ACK, 500, 101, 0, State::Opening),
        (OUT, ACK, 101, 501, 0, State::Established),
    ];

    #[test]
    fn every_state_meets_every_kind_of_segment() {
        use State::{Closed, Closing, Established, Opening};
        let to_closing: Row = (OUT, FIN | ACK, 101, 501, 0, Closing);
        let to_closed: [Row; 2] = [(BACK, FIN | ACK, 501, 102, 0, Closing), (OUT, ACK, 102, 502, 0, Closed)];
        let opening = &HANDSHAKE[..2];
        let established = &HANDSHAKE[..];
        let closing = &[established, &[to_closing]].concat()[..];
        let closed = &[closing, &to_closed].concat()[..];
        // The script that leads to the state, then per segment kind the state that follows.
        let syn: Row = (OUT, SYN, 100, 0, 0, Opening);
        let data: Row = (OUT, ACK, 101, 501, 10, Opening);
        let fin: Row = (OUT, FIN | ACK, 101, 501, 0, Opening);
        let good_reset: Row = (OUT, RST, 101, 0, 0, Opening);
        let stray_reset: Row = (OUT, RST, 101u32.wrapping_sub(9), 0, 0, Opening);
        let table: [(&[Row], [State; 5]); 4] = [
            (opening, [Opening, Established, Established, Closed, Opening]),
            (established, [Established, Established, Closing, Closed, Established]),
            (closing, [Closing, Closing, Closing, Closed, Closing]),
            (closed, [Closed, Closed, Closed, Closed, Closed]),
        ];
        for (script, after) in table {
            for (segment, state) in [syn, data, fin, good_reset, stray_reset].iter().zip(after) {
                // In Closing and Closed the opener has been acknowledged up to 102.
                let sequence = if segment.1 == RST && segment.2 == 101 && script.len() > 4 { 102 } else { segment.2 };
                let last: Row = (segment.0, segment.1, sequence, segment.3, segment.4, state);
                run(&[script, &[last]].concat());
            }
        }
    }

    #[test]
    fn a_reset_that_answers_the_syn_closes() {
        let life = run(&[HANDSHAKE[0], (BACK, RST | ACK, 0, 101, 0, State::Closed)]);
        assert!(life.was_reset());
        run(&[HANDSHAKE[0], (BACK, RST | ACK, 0, 999, 0, State::Opening)]);
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
        for (state, seconds) in [(State::Opening, 2), (State::Closing, 3), (State::Closed, 4)] {
            assert_eq!(Life { state, ..Life::picked_up(6) }.timeout(&timeouts), second(seconds), "{state:?}");
        }
    }

    #[test]
    fn a_stream_is_answered_by_the_first_packet_that_comes_back() {
        let datagram =
            Headers { protocol: 17, transport: Transport::Udp { source: 1, destination: 2 }, ..tcp(0, 0, 0, 9) };
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
    fn only_a_new_syn_reopens_and_only_what_closed() {
        let closed = run(&[HANDSHAKE[0], (BACK, RST | ACK, 0, 101, 0, State::Closed)]);
        assert!(closed.is_reopened_by(&tcp(SYN, 7000, 0, 0)));
        assert!(!closed.is_reopened_by(&tcp(SYN, 100, 0, 0)), "a late copy of the old SYN");
        assert!(!closed.is_reopened_by(&tcp(ACK, 7000, 0, 0)));
        assert!(!run(&HANDSHAKE).is_reopened_by(&tcp(SYN, 7000, 0, 0)));
    }
}
