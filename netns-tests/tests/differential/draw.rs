//! Draws cases: which addresses, which transport, and what is odd about it.

use std::net::{IpAddr, Ipv6Addr};

use herald_testing::chance::Chance;

use crate::case::{Case, End, Sent, To, Trait};
use crate::odd;
use crate::packet::{ACK, Draft, ICMP, ICMP_V6, RST, SYN, Segment, TCP, UDP, icmp, udp};
use crate::talk;

/// Destinations other than hosts of the other network. `%` is the digit of the sender's end, `@` that of the other one.
const DESTINATIONS_V4: [&str; 26] = [
    "10.%.0.1",
    "10.@.0.1",
    "10.%.0.1",
    "10.@.0.1",
    "192.0.2.9",
    "192.0.2.0",
    "192.0.2.255",
    "240.0.0.5",
    "0.1.2.3",
    "100.64.0.5",
    "198.18.0.5",
    "203.0.113.7",
    "10.%.0.101",
    "198.51.100.7",
    "10.@.0.255",
    "10.%.0.255",
    "10.@.0.0",
    "255.255.255.255",
    "224.0.0.5",
    "224.0.0.251",
    "239.1.2.3",
    "127.0.0.1",
    "0.0.0.0",
    "169.254.3.4",
    "10.@.0.101",
    "198.51.100.255",
];
const DESTINATIONS_V6: [&str; 23] = [
    "fd00:%::1",
    "fd00:%::1",
    "fd00:%::101",
    "fd00:%::1",
    "fd00:@::1",
    "fd00:%::",
    "fd00:@::",
    "2001:db8:2::9",
    "2002:a00:1::5",
    "64:ff9b::5",
    "100::5",
    "2001:db9::7",
    "fd00:%::101",
    "2001:db8:1::7",
    "ff02::1",
    "ff02::2",
    "ff02::5",
    "ff05::2",
    "ff0e::1",
    "::1",
    "::",
    "fe80::77",
    "::ffff:1.2.3.4",
];
const SOURCES_V4: [&str; 16] = [
    "10.%.0.101",
    "10.@.0.100",
    "198.51.100.7",
    "203.0.113.7",
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.5",
    "255.255.255.255",
    "169.254.3.4",
    "240.0.0.9",
    "10.%.0.255",
    "10.%.0.0",
    "10.%.0.1",
    "10.@.0.1",
    "192.0.2.8",
    "0.1.2.3",
];
const SOURCES_V6: [&str; 12] = [
    "fd00:%::101",
    "fd00:@::100",
    "2001:db8:1::7",
    "2001:db9::7",
    "::",
    "::1",
    "ff02::5",
    "fe80::5",
    "::ffff:10.1.0.100",
    "fd00:%::1",
    "fd00:%::",
    "2001:db8:2::8",
];

/// Of these, those to which the server leads.
const BEHIND_SERVER: [&str; 11] = [
    "192.0.2.9",
    "192.0.2.0",
    "192.0.2.255",
    "240.0.0.5",
    "0.1.2.3",
    "100.64.0.5",
    "198.18.0.5",
    "2001:db8:2::9",
    "2002:a00:1::5",
    "64:ff9b::5",
    "100::5",
];

/// Where datagrams and SYNs go.
pub(crate) const SERVER_PORTS: [u16; 3] = [9, 6000, 33_434];

/// Protocols without ports, and what stands in front of their payload.
const PROTOCOLS: [(u8, &[u8]); 11] = [
    (0, &[1; 8]),
    (2, &[0x11, 0, 0xee, 0xff, 0, 0, 0, 0]),
    (4, &[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    (33, &[0; 16]),
    (47, &[0, 0, 8, 0]),
    (50, &[0, 0, 0, 1, 0, 0, 0, 1]),
    (51, &[17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]),
    (59, &[]),
    (89, &[2, 1, 0, 44]),
    (132, &[0x13, 0x88, 0x17, 0x70, 0, 0, 0, 0, 0, 0, 0, 0]),
    (253, &[7, 7]),
];

/// One case of those that this seed and number decide.
pub(crate) fn draw(chance: &mut Chance, number: u16) -> Case {
    match chance.below(100) {
        0..3 => odd::asks(chance, number),
        3..20 => talk::conversation(chance, number),
        20..30 => talk::quotes(chance, number),
        30..42 => odd::fragments(chance, number),
        _ => single(chance, number),
    }
}

/// Addresses with `%` and `@` as digits of an end's networks.
pub(crate) fn address(text: &str, from: End) -> IpAddr {
    let text = text.replace('%', &from.digit().to_string()).replace('@', &from.other().digit().to_string());
    text.parse().unwrap()
}

/// A packet between the two hosts, without a transport yet.
pub(crate) fn plain(chance: &mut Chance, number: u16, from: End) -> Draft {
    let (source, destination) = if chance.happens(55) {
        (address("10.%.0.100", from), address("10.@.0.100", from))
    } else {
        (address("fd00:%::100", from), address("fd00:@::100", from))
    };
    Draft {
        hop_limit: chance.pick(&[64, 255, 2, 3, 17]),
        traffic_class: chance.pick(&[0, 0, 0xb8, 1, 3, 0xff]),
        flags: chance.pick(&[0, 0x4000]),
        ..Draft::of(number, source, destination)
    }
}

/// Mostly the client.
pub(crate) fn end(chance: &mut Chance) -> End {
    if chance.happens(65) { End::Client } else { End::Server }
}

/// One packet with up to two oddities.
fn single(chance: &mut Chance, number: u16) -> Case {
    let mut case = Case::new(number);
    let from = end(chance);
    let mut draft = plain(chance, number, from);
    if chance.happens(25) {
        odd_destination(chance, &mut case, &mut draft, from);
    }
    if chance.happens(10) {
        odd_source(chance, &mut case, &mut draft, from);
    }
    transport(chance, &mut case, &mut draft);
    let mut sent = Sent::ip(from, Vec::new().into_iter().chain([if draft.is_v6() { 0x60 } else { 0x45 }]).collect());
    let mut spoilers = Vec::new();
    for _ in 0..chance.pick(&[0, 0, 1, 1, 1, 2]) {
        odd::spoil(chance, &mut case, &mut draft, &mut spoilers);
    }
    draft.seal();
    if let Some(at) = spoilers.iter().position(|s| *s == odd::Spoiler::TransportChecksum) {
        spoilers.remove(at);
        odd::spoil_checksum(&mut case, &mut draft);
    }
    sent.payload = draft.bytes();
    for spoiler in spoilers {
        odd::spoil_bytes(chance, &mut case, &mut sent, spoiler);
    }
    odd::ethernet(chance, &mut case, &mut sent, &draft);
    case.rounds.push(vec![sent]);
    case
}

fn odd_destination(chance: &mut Chance, case: &mut Case, draft: &mut Draft, from: End) {
    let text = if draft.is_v6() { chance.pick(&DESTINATIONS_V6) } else { chance.pick(&DESTINATIONS_V4) };
    draft.destination = address(text, from);
    case.say(&format!("to {}", draft.destination));
    let gateway =
        ["10.%.0.1", "10.@.0.1", "fd00:%::1", "fd00:@::1", "fd00:%::", "fd00:@::", "ff02::1", "ff02::2", "ff05::2"];
    if gateway.contains(&text) {
        case.traits.insert(Trait::ToGateway);
    }
    let by_sender: &[&str] = match from {
        End::Client => &["198.51.100.7", "198.51.100.255", "2001:db8:1::7"],
        End::Server => &BEHIND_SERVER,
    };
    if by_sender.contains(&text) {
        case.traits.extend([Trait::Hairpin, Trait::OnTheSpot]);
    } else if ["10.%.0.101", "fd00:%::101"].contains(&text) {
        case.traits.insert(Trait::Hairpin);
    }
    if text == "203.0.113.7" {
        case.traits.insert(Trait::Unrouted);
    }
    if text == "::" {
        case.traits.insert(Trait::Martian);
    }
    mark(case, draft.destination);
}

fn odd_source(chance: &mut Chance, case: &mut Case, draft: &mut Draft, from: End) {
    let text = if draft.is_v6() { chance.pick(&SOURCES_V6) } else { chance.pick(&SOURCES_V4) };
    draft.source = address(text, from);
    case.say(&format!("from {}", draft.source));
    match text {
        "203.0.113.7" | "2001:db9::7" => case.traits.insert(Trait::UnroutedSource),
        "fd00:@::100" => case.traits.insert(Trait::FarSource),
        "10.%.0.1" | "10.@.0.1" | "fd00:%::1" | "fd00:%::" => case.traits.insert(Trait::OwnSource),
        _ => false,
    };
    mark(case, draft.source);
}

fn mark(case: &mut Case, address: IpAddr) {
    let (link_local, mapped) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), false),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.to_ipv4_mapped().is_some()),
    };
    if link_local {
        case.traits.insert(Trait::LinkLocal);
    }
    if mapped {
        case.traits.insert(Trait::Martian);
    }
}

/// Something in the packet: UDP, a SYN or any segment, a ping, another protocol.
pub(crate) fn transport(chance: &mut Chance, case: &mut Case, draft: &mut Draft) {
    let len = chance.pick(&[0, 1, 8, 33, 500, 1_200]);
    let payload = chance.bytes(len);
    let ports = (case.number, chance.pick(&SERVER_PORTS));
    let kind = if case.has(Trait::ToGateway) && chance.happens(50) { 7 } else { chance.below(10) };
    match kind {
        0..4 => {
            case.say("UDP");
            (draft.protocol, draft.transport) = (UDP, udp(ports, &payload));
        }
        4..7 => {
            let flags = if chance.happens(40) { SYN } else { chance.byte() };
            case.say(&format!("TCP with flags {flags:#04x}"));
            if flags & (ACK | RST) != 0 {
                case.traits.insert(Trait::Midstream);
            }
            let options = tcp_options(chance);
            let (sequence, acknowledgement) = (chance.below(1 << 32) as u32, chance.below(1 << 32) as u32);
            let segment = Segment { ports, sequence, acknowledgement, flags, options, payload };
            (draft.protocol, draft.transport) = (TCP, segment.bytes());
        }
        7..9 => {
            let kinds = if draft.is_v6() { [128, 128, 128, 139, 100, 200] } else { [8, 8, 8, 13, 17, 42] };
            let kind = chance.pick(&kinds);
            case.say(&format!("ICMP type {kind}"));
            let [high, low] = case.number.to_be_bytes();
            draft.protocol = if draft.is_v6() { ICMP_V6 } else { ICMP };
            draft.transport = icmp(kind, 0, [high, low, 0, 1], &payload);
            if kind == 100 {
                case.traits.insert(Trait::IcmpError);
            }
            if kind == 42 {
                case.traits.insert(Trait::NewIcmp);
            }
            if kind == 13 {
                case.traits.insert(Trait::TimeQuestion);
                draft.transport = icmp(kind, 0, [high, low, 0, 1], &[0; 12]);
            }
        }
        _ => {
            let (protocol, begin) = chance.pick(&PROTOCOLS);
            case.say(&format!("protocol {protocol}"));
            (draft.protocol, draft.transport) = (protocol, [begin, &payload].concat());
            if draft.is_v6() && protocol == 0 {
                case.traits.insert(Trait::HopByHop);
            }
        }
    }
}

pub(crate) fn tcp_options(chance: &mut Chance) -> Vec<u8> {
    match chance.below(6) {
        0 => vec![2, 4, 5, 0xb4],
        1 => vec![30, 12, 0, 0x81, 1, 2, 3, 4, 5, 6, 7, 8],
        2 => vec![8, 2, 99, 0],
        3 => vec![1; 40],
        4 => vec![5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1],
        _ => Vec::new(),
    }
}

/// The group to which a solicitation for an address goes.
pub(crate) fn solicited(address: Ipv6Addr) -> (Ipv6Addr, To) {
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    (group, To::Mac([0x33, 0x33, 0xff, a, b, c]))
}
