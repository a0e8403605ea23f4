//! Cases that a node has to remember something of: connections, and errors about what was sent before.

use herald_testing::chance::Chance;

use crate::case::{Case, End, Sent, Trait};
use crate::draw::{address, end, plain, tcp_options, transport};
use crate::packet::{ACK, Draft, FIN, ICMP, ICMP_V6, PSH, RST, SYN, Segment, TCP, icmp};

/// A connection, and in it a segment that is odd.
pub(crate) fn conversation(chance: &mut Chance, number: u16) -> Case {
    let mut case = Case::new(number);
    let from = end(chance);
    let there = Draft { hop_limit: 64, ..plain(chance, number, from) };
    let back = Draft { source: there.destination, destination: there.source, ..there.clone() };
    let ports = (number, chance.pick(&[80, 443, 6000]));
    let segment = |flags, sequence: u32, acknowledgement: u32, payload: &[u8]| Segment {
        ports,
        sequence,
        acknowledgement,
        flags,
        options: Vec::new(),
        payload: payload.to_vec(),
    };
    let sent = |mut segment: Segment, from: End, draft: &Draft, turned: bool| {
        if turned {
            segment.ports = (segment.ports.1, segment.ports.0);
        }
        let mut draft = Draft { protocol: TCP, transport: segment.bytes(), ..draft.clone() };
        draft.seal();
        Sent::ip(from, draft.bytes())
    };
    let ours = |segment| vec![sent(segment, from, &there, false)];
    let theirs = |segment| vec![sent(segment, from.other(), &back, true)];
    let (begin, other) = (u32::from(number) * 77_777, u32::from(number) * 55_555);
    case.rounds.push(ours(segment(SYN, begin, 0, b"")));
    case.rounds.push(theirs(segment(SYN | ACK, other, begin.wrapping_add(1), b"")));
    case.rounds.push(ours(segment(ACK, begin.wrapping_add(1), other.wrapping_add(1), b"")));
    let flags =
        chance.pick(&[ACK, PSH | ACK, 0, FIN, SYN, SYN | FIN, ACK | 0xe0, FIN | ACK, SYN | ACK, 0x3b, PSH, 0x20]);
    let offset = chance.pick(&[0, 0, 1, 100, 70_000, 0x8000_0000]);
    case.say(&format!("a connection, and in it flags {flags:#04x} at {offset}"));
    let mut odd = segment(flags, begin.wrapping_add(1 + offset), other.wrapping_add(1), b"odd");
    odd.options = tcp_options(chance);
    if chance.happens(15) {
        odd.acknowledgement = odd.acknowledgement.wrapping_add(chance.pick(&[1, 100_000, 0x7fff_ffff]));
    }
    case.rounds.push(ours(odd));
    case.rounds.push(theirs(segment(PSH | ACK, other.wrapping_add(1), begin.wrapping_add(1), b"an answer")));
    if chance.happens(30) {
        let at = chance.pick(&[0, 1, 5_000]);
        case.say(&format!("and a reset at {at}"));
        case.rounds.push(ours(segment(RST, begin.wrapping_add(1 + at), 0, b"")));
    }
    case
}

/// A datagram, and an ICMP error about it from the other end; or about one that was never sent.
pub(crate) fn quotes(chance: &mut Chance, number: u16) -> Case {
    let mut case = Case::new(number);
    let from = end(chance);
    let mut draft = plain(chance, number, from);
    draft.hop_limit = 64;
    loop {
        transport(chance, &mut case, &mut draft);
        // What opens no stream or is an error itself is another matter.
        let kind = draft.transport.first().copied().unwrap_or_default();
        let is_error = draft.protocol == ICMP_V6 && kind < 128;
        if !(case.has(Trait::Midstream) || case.has(Trait::HopByHop) || is_error) {
            break;
        }
        case = Case::new(number);
    }
    draft.seal();
    let known = chance.happens(70);
    if known {
        case.rounds.push(vec![Sent::ip(from, draft.bytes())]);
    } else {
        case.traits.insert(Trait::UnknownQuote);
        case.say("never sent");
    }
    let v6 = draft.is_v6();
    let kinds: &[(u8, u8)] = if v6 {
        &[(1, 0), (1, 4), (2, 0), (3, 0), (3, 1), (4, 1)]
    } else {
        &[(3, 1), (3, 3), (3, 4), (11, 0), (11, 1), (12, 0)]
    };
    let (kind, code) = chance.pick(kinds);
    case.say(&format!("an error {kind}/{code} about it"));
    let packet = draft.bytes();
    let header = if v6 { 48 } else { 28 };
    let len = chance.pick(&[header, header + 4, packet.len()]).min(packet.len()).min(1_000);
    let router = if v6 { "fd00:@::100" } else { "10.@.0.100" };
    let source = if chance.happens(70) { draft.destination } else { address(router, from) };
    let mut error = Draft {
        source,
        destination: draft.source,
        protocol: if v6 { ICMP_V6 } else { ICMP },
        transport: icmp(kind, code, [0, 0, 5, 0], &packet[..len]),
        ..draft
    };
    error.seal();
    case.rounds.push(vec![Sent::ip(from.other(), error.bytes())]);
    case
}
