//! Refusing streams: TCP resets (RFC 9293, section 3.10.7.1) and ICMP "administratively prohibited".

use std::net::IpAddr;

use etherparse::{PacketBuilder, TcpHeader};

use super::icmp::HOP_LIMIT;
use super::{Forward, Hop, Received, Unreachable};
use crate::outbox::Outbox;
use crate::packet::{Frame, Headers, TcpFlags, Transport};
use crate::time::Instant;

/// A reset that one end gets in the other's name.
#[derive(Clone, Copy, Debug)]
struct Reset {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    sequence: u32,
    acknowledgement: Option<u32>,
}

/// A TCP segment that is refused.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    flags: TcpFlags,
    sequence: u32,
    acknowledgement: u32,
    /// Payload, and one for each of SYN and FIN.
    len: u32,
}

impl Forward {
    /// A packet was rejected. TCP: its sender gets a reset from the other end, and the other end gets one from it, unless
    /// it knows nothing of the stream yet. All else: the sender is told that it is prohibited.
    pub fn reject(&mut self, now: Instant, received: Received<'_>, out: &mut Outbox) {
        let Some(segment) = Segment::of(received.headers) else {
            return self.unreachable(now, received, Unreachable::Prohibited, out);
        };
        self.refuse(now, received, out);
        if let Some(reset) = segment.reset_onwards() {
            let hop = self.way_to(received.interface.other(), received.headers.destination);
            self.reset(now, hop, reset, out);
        }
    }

    /// Resets the sender of a TCP segment, as an end does that knows no such connection.
    pub fn refuse(&mut self, now: Instant, received: Received<'_>, out: &mut Outbox) {
        if let Some(reset) = Segment::of(received.headers).and_then(Segment::reset_back) {
            self.reset(now, self.way_back(&received), reset, out);
        }
    }

    fn reset(&mut self, now: Instant, hop: Option<Hop>, reset: Reset, out: &mut Outbox) {
        let Some(hop) = hop else { return };
        if self.resets.take(now).is_none() {
            return;
        }
        if let Some(frame) = reset.frame() {
            self.originate(now, hop, frame, out);
        }
    }
}

impl Segment {
    fn of(headers: &Headers) -> Option<Self> {
        let Transport::Tcp { source, destination, flags, sequence, acknowledgement, .. } = headers.transport else {
            return None;
        };
        let len = headers.payload_len() + usize::from(flags.syn()) + usize::from(flags.fin());
        Some(Self {
            from: (headers.source, source),
            to: (headers.destination, destination),
            flags,
            sequence,
            acknowledgement,
            len: u32::try_from(len).ok()?,
        })
    }

    /// For the sender: RFC 9293, section 3.10.7.1. A reset is never answered.
    fn reset_back(self) -> Option<Reset> {
        if self.flags.rst() {
            return None;
        }
        let (sequence, acknowledgement) = if self.flags.ack() {
            (self.acknowledgement, None)
        } else {
            (0, Some(self.sequence.wrapping_add(self.len)))
        };
        Some(Reset { from: self.to, to: self.from, sequence, acknowledgement })
    }

    /// For the receiver: in the place of this segment, so that it is the next that is expected (RFC 5961, section 3.2).
    /// `None` for the first segment of a connection, and for a reset.
    fn reset_onwards(self) -> Option<Reset> {
        let acknowledgement = self.flags.ack().then_some(self.acknowledgement);
        let known = !self.flags.opens() && !self.flags.rst();
        known.then_some(Reset { from: self.from, to: self.to, sequence: self.sequence, acknowledgement })
    }
}

impl Reset {
    fn frame(self) -> Option<Frame> {
        let tcp = TcpHeader {
            source_port: self.from.1,
            destination_port: self.to.1,
            sequence_number: self.sequence,
            acknowledgment_number: self.acknowledgement.unwrap_or_default(),
            ack: self.acknowledgement.is_some(),
            rst: true,
            ..TcpHeader::default()
        };
        let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
        let ip = match (self.from.0, self.to.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), HOP_LIMIT),
            (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), HOP_LIMIT),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        let mut bytes = Vec::with_capacity(80);
        ip.tcp_header(tcp).write(&mut bytes, &[]).ok()?;
        Some(Frame::from_bytes(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::limits::RESETS_BURST_MAX;
    use crate::packet::Frame;
    use herald_testing::frames::{self, Segment};

    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    fn segment(from: impl Into<IpAddr>, to: impl Into<IpAddr>, flags: u8, payload: &[u8]) -> Frame {
        let segment = Segment { flags, sequence: 0xffff_fffe, acknowledgement: 500, payload };
        Frame::from_bytes(&frames::tcp(ip(from, to), (4000, 80), segment))
    }

    fn reject(router: &mut Router, frame: &Frame) {
        let headers = headers(frame);
        let received = Received { interface: FIRST, headers: &headers, frame };
        router.forward.reject(router.now, received, &mut router.out);
    }

    /// Flags, sequence and acknowledgement number of a reset.
    type Numbers = (u8, u32, u32);

    /// Name, flags and payload of a segment, and the resets for its sender and its receiver.
    type Case = (&'static str, u8, &'static [u8], Option<Numbers>, Option<Numbers>);

    #[test]
    fn resets_are_what_both_ends_accept() {
        let cases: [Case; 8] = [
            ("syn", SYN, b"", Some((RST | ACK, 0, 0xffff_ffff)), None),
            ("syn with data", SYN, b"abc", Some((RST | ACK, 0, 2)), None),
            ("syn-ack", SYN | ACK, b"", Some((RST, 500, 0)), Some((RST | ACK, 0xffff_fffe, 500))),
            ("data", ACK, b"abc", Some((RST, 500, 0)), Some((RST | ACK, 0xffff_fffe, 500))),
            ("fin", FIN | ACK, b"", Some((RST, 500, 0)), Some((RST | ACK, 0xffff_fffe, 500))),
            ("without ack", 0, b"abc", Some((RST | ACK, 0, 1)), Some((RST, 0xffff_fffe, 0))),
            ("reset", RST, b"", None, None),
            ("reset with ack", RST | ACK, b"", None, None),
        ];
        let v4: (IpAddr, IpAddr) = (CLIENT.into(), SERVER.into());
        let v6: (IpAddr, IpAddr) = (v6("fd00:1::64").into(), v6("fd00:2::c8").into());
        for (name, flags, payload, back, onwards) in cases {
            for (client, server) in [v4, v6] {
                let mut router = Router::with_neighbours();
                reject(&mut router, &segment(client, server, flags, payload));
                let mut sent = router.sent().into_iter();
                let expected = [
                    back.map(|numbers| (FIRST, CLIENT_MAC, (server, 80), (client, 4000), numbers)),
                    onwards.map(|numbers| (SECOND, SERVER_MAC, (client, 4000), (server, 80), numbers)),
                ];
                for (interface, mac, from, to, numbers) in expected.into_iter().flatten() {
                    let reset = sent.next().unwrap();
                    let Transport::Tcp { source, destination, flags, sequence, acknowledgement, .. } =
                        reset.headers().transport
                    else {
                        panic!("{name}: {reset:?}");
                    };
                    assert_eq!((reset.interface, reset.packet().destination), (interface, mac), "{name}");
                    assert_eq!(
                        ((reset.headers().source, source), (reset.headers().destination, destination)),
                        (from, to)
                    );
                    assert_eq!((flags.0, sequence, acknowledgement), numbers, "{name}");
                }
                assert!(sent.next().is_none(), "{name}");
            }
        }
    }

    #[test]
    fn all_but_tcp_is_told_that_it_is_prohibited() {
        let mut router = Router::with_neighbours();
        reject(&mut router, &udp(CLIENT, SERVER, b"x"));
        assert_eq!(router.sent_one().icmp(), (3, 13));
        reject(&mut router, &udp(v6("fd00:1::64"), v6("fd00:2::c8"), b"x"));
        assert_eq!(router.sent_one().icmp(), (1, 1));
    }

    #[test]
    fn resets_have_a_rate() {
        let mut router = Router::with_neighbours();
        for _ in 0..RESETS_BURST_MAX + 9 {
            reject(&mut router, &segment(CLIENT, SERVER, SYN, b""));
        }
        assert_eq!(router.sent().len(), RESETS_BURST_MAX as usize);
        assert_eq!(router.forward.resets_suppressed(), 9);
    }
}
