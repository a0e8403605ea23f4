//! What can be odd about a packet, a frame, a question, or fragments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herald_testing::chance::Chance;

use crate::case::{Case, End, Sent, To, Trait};
use crate::draw::{address, end, plain, solicited, transport};
use crate::packet::{Draft, HOP_BY_HOP, ICMP_V6, TCP, UDP, icmp, mend_v4, udp};
use crate::world::{MTU_SECOND, NUMBER_MIN, host_mac};

/// What is done to the bytes at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoiler {
    TransportChecksum,
    HeaderChecksum,
    /// The packet says that it is longer than it is.
    TooShort,
    /// Bytes behind the packet.
    Trailer,
    HeaderLength,
    Version,
}

/// IPv4 options: good ones, then such that contradict themselves.
const OPTIONS: [&[u8]; 10] = [
    &[1, 0, 7, 7],
    &[1, 1, 1, 0],
    &[148, 4, 0, 0],
    &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[7, 7, 8, 9, 9, 9, 9, 0],
    &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    &[68, 8, 9, 0x30, 1, 2, 3, 4],
    &[30, 4, 7, 7],
    &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
const BAD_OPTIONS: [&[u8]; 7] = [
    &[7, 9, 4, 0, 0, 0, 0, 0],
    &[7, 1, 4, 0],
    &[30, 0, 0, 0],
    &[7, 7, 6, 9, 9, 9, 9, 0],
    &[7, 7, 0, 9, 9, 9, 9, 0],
    &[68, 8, 9, 0xf0, 1, 2, 3, 4],
    &[68, 8, 3, 0, 1, 2, 3, 4],
];
const SOURCE_ROUTES: [&[u8]; 2] = [&[131, 7, 4, 10, 2, 0, 101, 0], &[1, 137, 7, 4, 10, 2, 0, 101]];

/// Content of extension headers of IPv6 behind the number of the next one; the header's number; whether a router has a say in it.
const HEADERS: [(u8, &[u8], Option<Trait>); 13] = [
    (HOP_BY_HOP, &[0, 1, 4, 0, 0, 0, 0], None),
    (HOP_BY_HOP, &[0, 5, 2, 0, 0, 1, 0], None),
    (HOP_BY_HOP, &[0, 0x1e, 4, 1, 2, 3, 4], None),
    (HOP_BY_HOP, &[0, 0x5e, 4, 1, 2, 3, 4], Some(Trait::HopByHop)),
    (HOP_BY_HOP, &[0, 0x9e, 4, 1, 2, 3, 4], Some(Trait::HopByHop)),
    (HOP_BY_HOP, &[9, 1, 4, 0, 0, 0, 0], Some(Trait::HopByHop)),
    (60, &[0, 1, 4, 0, 0, 0, 0], None),
    (60, &[0, 0x9e, 4, 1, 2, 3, 4], None),
    (43, &[0, 4, 0, 0, 0, 0, 0], None),
    (43, &[2, 4, 1, 0, 0, 0, 0, 0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], None),
    (43, &[2, 0, 1, 0, 0, 0, 0, 0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], Some(Trait::SourceRoute)),
    (44, &[0, 0, 0, 0, 0, 0, 7], None),
    (51, &[4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], None),
];

/// Makes something odd about a packet, now or when it is bytes.
pub(crate) fn spoil(chance: &mut Chance, case: &mut Case, draft: &mut Draft, later: &mut Vec<Spoiler>) {
    let spoilers =
        [Spoiler::HeaderChecksum, Spoiler::TooShort, Spoiler::Trailer, Spoiler::HeaderLength, Spoiler::Version];
    match chance.below(10) {
        0 | 1 => {
            draft.hop_limit = chance.pick(&[0, 1, 1]);
            case.say(&format!("hop limit {}", draft.hop_limit));
        }
        2 => later.push(Spoiler::TransportChecksum),
        3 | 4 => later.push(chance.pick(&spoilers)),
        5 => {
            let len = chance.pick(&[MTU_SECOND - 20, MTU_SECOND - 19, MTU_SECOND - 40, MTU_SECOND - 39, 1_440]);
            if draft.protocol == TCP && draft.transport.len() < 14 {
                case.traits.insert(Trait::Midstream);
            }
            draft.transport.resize(len, 0x55);
            if draft.protocol == UDP {
                draft.transport[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            }
            case.say(&format!("{len} bytes behind the header, flags {:#06x}", draft.flags));
        }
        6 if draft.protocol == UDP && draft.transport.len() >= 8 => {
            let len = chance.pick(&[0, 7, 9, 100, 65_535_u16]);
            draft.transport[4..6].copy_from_slice(&len.to_be_bytes());
            case.say(&format!("UDP length {len}"));
            if len == 0 && draft.is_v6() {
                case.traits.insert(Trait::Jumbo);
            }
            // A right checksum over a wrong length is a matter of taste.
            if len != 0 && len >= 8 && usize::from(len) <= draft.transport.len() {
                case.traits.insert(Trait::TransportChecksum);
            }
        }
        6 => {
            let len = chance.place(draft.transport.len().min(20) + 1);
            draft.transport.truncate(len);
            case.say(&format!("cut to {len} bytes behind the header"));
            if len == 0 {
                case.traits.insert(Trait::NewIcmp);
            }
        }
        7 if draft.protocol == TCP && draft.transport.len() >= 20 => {
            draft.transport[12] = chance.pick(&[0, 0x40, 0xf0]);
            case.say(&format!("TCP header length {:#04x}", draft.transport[12]));
        }
        7 => {
            draft.flags |= 0x8000;
            case.say("the reserved flag of IPv4");
        }
        _ if draft.is_v6() => extend(chance, case, draft),
        _ => {
            let (options, bad) = match chance.below(10) {
                0..6 => (chance.pick(&OPTIONS), None),
                6..9 => (chance.pick(&BAD_OPTIONS), Some(Trait::BadOptions)),
                _ => (chance.pick(&SOURCE_ROUTES), Some(Trait::BadOptions)),
            };
            draft.options = options.to_vec();
            case.traits.extend(bad);
            case.say(&format!("options {options:?}"));
        }
    }
}

fn extend(chance: &mut Chance, case: &mut Case, draft: &mut Draft) {
    for _ in 0..chance.pick(&[1, 1, 2, 9]) {
        let (kind, content, has_say) = chance.pick(&HEADERS);
        // Only in front a router reads the hop-by-hop header.
        let first = draft.headers.is_empty();
        draft.headers.push((kind, content.to_vec()));
        case.traits.extend(has_say.filter(|of| *of != Trait::HopByHop || first));
    }
    if draft.headers.iter().map(|(_, content)| content.len() + 1).sum::<usize>() + draft.transport.len() > 1_400 {
        draft.transport.truncate(100);
    }
    case.traits.insert(Trait::Extensions);
    case.say(&format!("headers {:?}", draft.headers.iter().map(|(kind, _)| *kind).collect::<Vec<_>>()));
}

/// Makes the checksum of the transport wrong, if it has one.
pub(crate) fn spoil_checksum(case: &mut Case, draft: &mut Draft) {
    let at = match draft.protocol {
        TCP => 16,
        UDP => 6,
        _ => 2,
    };
    if let Some(byte) = draft.transport.get_mut(at) {
        *byte ^= 0x55;
        case.say("wrong transport checksum");
        if matches!(draft.protocol, TCP | UDP) {
            case.traits.insert(Trait::TransportChecksum);
        }
    }
}

pub(crate) fn spoil_bytes(chance: &mut Chance, case: &mut Case, sent: &mut Sent, spoiler: Spoiler) {
    let packet = &mut sent.payload;
    let is_v6 = packet[0] >> 4 == 6;
    match spoiler {
        Spoiler::TransportChecksum => {}
        Spoiler::HeaderChecksum if !is_v6 => packet[11] ^= 0x10,
        Spoiler::TooShort => {
            packet.truncate(packet.len() - (1 + chance.place(8)).min(packet.len() - 1));
            // With what is put behind it, it is long enough again.
            case.traits.insert(Trait::TransportChecksum);
        }
        Spoiler::Trailer => packet.extend(chance.bytes(20)),
        Spoiler::HeaderLength if !is_v6 => {
            packet[0] = 0x40 | chance.pick(&[0, 4, 15]);
            // The transport begins somewhere else.
            case.traits.extend([Trait::TransportChecksum, Trait::BadOptions, Trait::NewIcmp]);
            if packet.len() >= 20 {
                mend_v4(packet);
            }
        }
        Spoiler::HeaderLength | Spoiler::HeaderChecksum => {
            packet[4..6].fill(0);
            if packet[6] == HOP_BY_HOP {
                case.traits.insert(Trait::Jumbo);
            }
        }
        Spoiler::Version => packet[0] ^= 0x10,
    }
    case.say(&format!("{spoiler:?}"));
}

/// Frames to others, to groups, and tags.
pub(crate) fn ethernet(chance: &mut Chance, case: &mut Case, sent: &mut Sent, draft: &Draft) {
    if draft.headers.first().is_some_and(|(kind, _)| *kind == HOP_BY_HOP) && chance.happens(10) {
        sent.payload[4..6].fill(0);
        case.traits.insert(Trait::Jumbo);
        case.say("a length of 0");
    }
    let is_group = match draft.destination {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    match chance.below(100) {
        _ if case.has(Trait::ToGateway) && chance.happens(8) => sent.to = To::Mac([0xff; 6]),
        0..3 => sent.to = To::Mac([2, 0, 0x11, 0x22, 0x33, 0x44]),
        3..6 => sent.to = To::Mac([0xff; 6]),
        6..8 => sent.to = To::Mac([0x33, 0x33, 0, 0, 0, 1]),
        8..11 => sent.tag = Some(0x2000),
        11..13 => sent.tag = Some(5),
        _ if is_group && chance.happens(60) => match draft.destination {
            IpAddr::V4(v4) if v4.is_broadcast() => sent.to = To::Mac([0xff; 6]),
            IpAddr::V4(v4) => {
                let [_, b, c, d] = v4.octets();
                sent.to = To::Mac([1, 0, 0x5e, b & 0x7f, c, d]);
            }
            IpAddr::V6(v6) => {
                let [.., a, b, c, d] = v6.octets();
                sent.to = To::Mac([0x33, 0x33, a, b, c, d]);
            }
        },
        _ => return,
    }
    if matches!(sent.to, To::Mac([first, ..]) if first & 1 != 0) && !is_group {
        case.traits.insert(Trait::GroupFrame);
    }
    case.say(&format!("in a frame to {:02x?}, tag {:?}", sent.to, sent.tag));
}

/// A datagram in fragments that come in some order, and perhaps not all, or more than once.
pub(crate) fn fragments(chance: &mut Chance, number: u16) -> Case {
    let mut case = Case::new(number);
    case.traits.insert(Trait::Fragments);
    let from = end(chance);
    let mut draft = plain(chance, number, from);
    draft.hop_limit = chance.pick(&[64, 64, 64, 1]);
    loop {
        transport(chance, &mut case, &mut draft);
        if draft.transport.len() >= 500 && draft.protocol != HOP_BY_HOP && draft.protocol != 51 {
            break;
        }
        case.what.clear();
        for of_transport in [Trait::Midstream, Trait::HopByHop, Trait::NewIcmp, Trait::IcmpError] {
            case.traits.remove(&of_transport);
        }
    }
    draft.flags &= 0x4000;
    draft.seal();
    if chance.happens(10) {
        spoil_checksum(&mut case, &mut draft);
    }
    let mut places = vec![0, 8 * (3 + chance.place(38))];
    if chance.happens(50) {
        places.push(8 * (41 + chance.place(20)));
    }
    let header = if draft.protocol == TCP { usize::from(draft.transport[12] >> 4) * 4 } else { 8 };
    if header > places[1] {
        case.traits.insert(Trait::Tiny);
    }
    let mut parts = draft.cut(&places);
    match chance.below(12) {
        0 => {
            parts.remove(chance.place(places.len()));
            case.traits.insert(Trait::Incomplete);
            case.say("one is lost");
        }
        1 => {
            parts.push(parts[chance.place(places.len())].clone());
            case.traits.insert(Trait::Duplicate);
            case.say("one comes twice");
        }
        2 => {
            parts.insert(1, draft.part(8, places[1] + 8, true));
            case.traits.insert(Trait::Overlap);
            case.say("two overlap");
        }
        3 => {
            parts = draft.cut(&[0, 8]);
            if !matches!(draft.protocol, UDP | 1 | ICMP_V6) {
                case.traits.insert(Trait::Tiny);
            }
            case.say("the first has 8 bytes");
        }
        4 => {
            parts[0] = draft.part(0, places[1] - 3, true);
            case.traits.insert(Trait::Incomplete);
            case.say("a length that is no multiple of 8");
        }
        5 => parts.reverse(),
        6 => {
            for n in 0..parts.len() {
                parts.swap(n, chance.place(n + 1));
            }
        }
        _ => {}
    }
    case.say(&format!("in {} fragments at {places:?}, hop limit {}", parts.len(), draft.hop_limit));
    case.rounds.push(parts.iter().map(|part| Sent::ip(from, part.bytes())).collect());
    case
}

/// A question for a MAC: ARP or neighbour discovery.
pub(crate) fn asks(chance: &mut Chance, number: u16) -> Case {
    let mut case = Case::new(number);
    let from = end(chance);
    let own = host_mac(from);
    if chance.happens(50) {
        let sender = Ipv4Addr::new(10, from.digit(), 0, 130 + (number % 100) as u8);
        let target = chance.pick(&["10.%.0.1", "10.@.0.1", "10.%.0.77", "192.0.2.9", "10.@.0.100"]);
        let IpAddr::V4(target_address) = address(target, from) else { panic!("{target}") };
        if target == "10.@.0.1" {
            case.traits.insert(Trait::OtherNetwork);
        }
        let operation = chance.pick(&[1, 1, 1, 3]);
        case.say(&format!("ARP operation {operation} from {sender} for {target_address}"));
        let payload =
            [&[0, 1, 8, 0, 6, 4, 0, operation][..], &own, &sender.octets(), &[0; 6], &target_address.octets()].concat();
        let to = if chance.happens(70) { To::Mac([0xff; 6]) } else { To::Gateway };
        case.rounds.push(vec![Sent { from, to, tag: None, ether_type: 0x0806, payload }]);
        return case;
    }
    let [high, low] = number.to_be_bytes();
    let sender = Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, high, low]);
    let target = chance.pick(&["fd00:%::1", "fd00:@::1", "fd00:%::77", "fe80::200:5eff:fe00:20%", "2001:db8:2::9"]);
    let IpAddr::V6(target) = address(target, from) else { panic!("{target}") };
    let (group, frame_to) = solicited(target);
    let hop_limit = chance.pick(&[255, 255, 255, 64]);
    let unicast = chance.happens(25);
    if unicast {
        case.traits.insert(Trait::UnicastQuestion);
    }
    case.say(&format!("solicitation from {sender} for {target}, hop limit {hop_limit}, unicast {unicast}"));
    let mut body = target.octets().to_vec();
    body.extend([1, 1]);
    body.extend(own);
    let mut draft = Draft {
        source: sender.into(),
        destination: if unicast { target.into() } else { group.into() },
        hop_limit,
        traffic_class: 0,
        protocol: ICMP_V6,
        transport: icmp(135, 0, [0; 4], &body),
        ..plain(chance, number, from)
    };
    draft.seal();
    let mut sent = Sent::ip(from, draft.bytes());
    if !unicast {
        sent.to = frame_to;
    }
    case.rounds.push(vec![sent]);
    case
}

/// Packets to hosts that are not there: their neighbour is asked for, and then the sender is told. The first ones go to a host
/// on the sender's network: a kernel tells of it only as long as it has told of nothing else for a while.
pub(crate) fn silent(number: u16) -> Case {
    let mut case = Case::new(number);
    let from = if number.is_multiple_of(2) { End::Client } else { End::Server };
    let host = 30 + number % 50;
    let text = if number % 4 < 2 { format!("10.@.0.{host}") } else { format!("fd00:@::{host}") };
    let (text, is_near) = if number < NUMBER_MIN + 2 { ("fd00:%::101".to_owned(), true) } else { (text, false) };
    let source = if !is_near && number % 4 < 2 { "10.%.0.100" } else { "fd00:%::100" };
    let mut draft = Draft {
        transport: udp((number, 9), b"anybody?"),
        ..Draft::of(number, address(source, from), address(&text, from))
    };
    draft.seal();
    case.say(&format!("to {text}"));
    if is_near {
        case.traits.insert(Trait::Hairpin);
    }
    case.rounds.push(vec![Sent::ip(from, draft.bytes())]);
    case
}
