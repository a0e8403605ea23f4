//! What the hostile host sends.

use herald_core::flow::FlowKey;
use std::collections::VecDeque;

use herald_core::id::{Interface, Mac};
use herald_core::packet::Frame;
use herald_core::packet::probe::{Probe, TAG_LEN, Word, is_probe};
use herald_core::packet::vrrp::Advert;
use herald_testing::frames::{self, Ip, Segment};
use herald_testing::layout::{CLUSTER, HOST, net, node_addresses, node_mac, v4, v6, virtual_macs};

use crate::member::Place;
use crate::scenario::{Hostility, NODES, ports};
use herald_testing::chance::Chance;

/// Last byte of its addresses.
const OWN: u8 = 66;

pub(crate) fn hostile_mac(interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, 0x20 + interface as u8, OWN])
}

/// True of a flow that only the hostile host takes part in, under its own addresses.
pub(crate) fn is_own(flow: &FlowKey) -> bool {
    let ends = [flow.source().ip(), flow.destination().ip()];
    Interface::BOTH.into_iter().any(|interface| ends.contains(&v4(interface, OWN).into()))
}

/// Challenges and answers on one network that the hostile host has seen, the last ones of them.
#[derive(Debug, Default)]
pub(crate) struct Overheard(VecDeque<(Mac, Mac, Probe)>);

impl Overheard {
    /// Some seconds of three nodes.
    const PROBES_MAX: usize = 512;

    pub(crate) fn see(&mut self, bytes: &[u8]) {
        let frame = Frame::from_bytes(bytes);
        if let Some(probe) = is_probe(&frame).then(|| Probe::parse(&frame).ok()).flatten() {
            self.0.truncate(Self::PROBES_MAX - 1);
            self.0.push_front(probe);
        }
    }
}

/// The frames of one act, each with the interface where it is sent.
pub(crate) fn frames(
    interface: Interface,
    what: Hostility,
    overheard: &Overheard,
    chance: &mut Chance,
) -> Vec<(Interface, Vec<u8>)> {
    let own = hostile_mac(interface);
    let [virtual_mac, _] = virtual_macs(interface);
    match what {
        Hostility::Garbage => vec![(interface, garbage(interface, chance))],
        Hostility::Spoof(place) => {
            let to = [virtual_mac, node_mac(interface, chance.pick(&[0, 1, 2]))];
            vec![(interface, datagram(interface, node_mac(interface, place), chance.pick(&to), chance))]
        }
        Hostility::Direct(place) => vec![(interface, datagram(interface, own, node_mac(interface, place), chance))],
        Hostility::Redirect(place) => {
            let macs = (node_mac(interface, interface as usize), node_mac(interface, place));
            (0..REDIRECTS).map(|_| (interface, datagram(interface, macs.0, macs.1, chance))).collect()
        }
        Hostility::Midstream => vec![(interface, segment(interface, (own, virtual_mac), 5_000, Kind::Ack, chance))],
        Hostility::Reset(key) => vec![(interface, segment(interface, (own, virtual_mac), key, Kind::Reset, chance))],
        Hostility::Syn(key) => vec![(interface, segment(interface, (own, virtual_mac), key, Kind::Syn, chance))],
        Hostility::BothOpen(key) => {
            let of = |i: Interface, chance: &mut Chance| {
                let [to, _] = virtual_macs(i);
                (i, segment(i, (hostile_mac(i), to), key, Kind::BothOpen, chance))
            };
            vec![of(interface, chance), of(interface.other(), chance)]
        }
        Hostility::Flood => {
            let frame = datagram(interface, own, virtual_mac, chance);
            vec![(interface, frame); FLOOD]
        }
        Hostility::Scan => (0..SCAN).map(|_| (interface, connect(interface, (own, virtual_mac), chance))).collect(),
        Hostility::Quote => vec![(interface, quote(interface, (own, virtual_mac), chance))],
        Hostility::Life(place) => {
            life(interface, place, overheard).into_iter().map(|bytes| (interface, bytes)).collect()
        }
        Hostility::Advert(place) => adverts(interface, place).map(|bytes| (interface, bytes)).into(),
    }
}

/// Answers to each node's last challenges, by whichever tag, and recorded ones of which some are as old as they get.
const ANSWERS: usize = 3;

/// All signs of a node's life but its adverts.
fn life(interface: Interface, place: Place, overheard: &Overheard) -> Vec<Vec<u8>> {
    let mac = node_mac(interface, place);
    let address = v4(interface, 11 + u8::try_from(place).unwrap());
    let mut found = vec![frames::arp(Mac::BROADCAST.0, 1, (mac.0, address), ([0; 6], v4(interface, HOST)))];
    for other in (0..NODES.len()).filter(|other| *other != place) {
        let to = node_mac(interface, other);
        let (own, target) = (mac.link_local(), to.link_local());
        let ip = frames::ip([mac.0, to.0], own, target, 255);
        found.push(frames::icmpv6(ip, (135, 0), [0; 4], &target.octets()));
        let of = |from: Mac, to: Mac| {
            let between = move |(t, f, _): &&(Mac, Mac, Probe)| (*f, *t) == (from, to);
            overheard.0.iter().filter(between).map(|(_, _, probe)| *probe)
        };
        let is_challenge = |probe: &Probe| probe.word == Word::Challenge;
        let answers: Vec<Probe> = of(mac, to).filter(|probe| !is_challenge(probe)).collect();
        let tag = answers.first().map_or([0; TAG_LEN], |answer| answer.tag);
        let forged = of(to, mac).filter(is_challenge).take(ANSWERS);
        let forged = forged.flat_map(|asked| [Word::HoldsNot, Word::Holds].map(|word| Probe { word, tag, ..asked }));
        let recorded = answers.iter().rev().take(ANSWERS).chain(answers.iter().take(ANSWERS)).copied();
        let challenges = of(mac, to).filter(is_challenge).take(ANSWERS);
        found.extend(forged.chain(recorded).chain(challenges).map(|probe| probe.frame(to, mac).bytes().to_vec()));
    }
    found
}

/// What a node would write that holds the redirector, for both families.
fn adverts(interface: Interface, place: Place) -> [Vec<u8>; 2] {
    let [mac_v4, mac_v6] = virtual_macs(interface);
    let addresses_v4 = vec![v4(interface, CLUSTER).into()];
    let addresses_v6 = vec![mac_v6.link_local().into(), v6(interface, CLUSTER).into()];
    let source_v4 = node_addresses(interface, place)[0];
    let source_v6 = node_mac(interface, place).link_local().into();
    [(mac_v4, addresses_v4, source_v4), (mac_v6, addresses_v6, source_v6)].map(|(mac, addresses, source)| {
        let advert = Advert { vrid: net(interface), priority: 255, centiseconds: 10, addresses };
        advert.frame(mac, source).unwrap().bytes().to_vec()
    })
}

/// Forged redirects at once: some must be of streams that would be another node's.
const REDIRECTS: usize = 6;

/// Frames of a flood.
const FLOOD: usize = 300;

/// Connections of a scan.
const SCAN: usize = 100;

/// A SYN to nowhere in particular.
fn connect(interface: Interface, macs: (Mac, Mac), chance: &mut Chance) -> Vec<u8> {
    let port = |chance: &mut Chance| u16::try_from(chance.between(5_100, 9_000)).unwrap();
    let ports = (port(chance), port(chance));
    let segment = Segment { flags: 2, sequence: 1, acknowledgement: 0, payload: &[] };
    frames::tcp(ip(interface, OWN, macs), ports, segment)
}

#[derive(Clone, Copy)]
enum Kind {
    Ack,
    Reset,
    Syn,
    BothOpen,
}

fn garbage(interface: Interface, chance: &mut Chance) -> Vec<u8> {
    let [virtual_mac, _] = virtual_macs(interface);
    let mut bytes = datagram(interface, hostile_mac(interface), virtual_mac, chance);
    for _ in 0..chance.between(1, 12) {
        let place = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
        if place >= 12 {
            bytes[place] = chance.word().to_le_bytes()[0];
        }
    }
    bytes.truncate(usize::try_from(chance.between(14, bytes.len() as u64)).unwrap());
    bytes
}

/// From one of the hosts on the interface, by the last byte of its address, to the honest host on the other one.
fn ip(interface: Interface, host: u8, (from, to): (Mac, Mac)) -> Ip {
    frames::ip([from.0, to.0], v4(interface, host), v4(interface.other(), HOST), 64)
}

fn datagram(interface: Interface, from: Mac, to: Mac, chance: &mut Chance) -> Vec<u8> {
    let port = u16::try_from(chance.between(5_000, 5_009)).unwrap();
    frames::udp(ip(interface, OWN, (from, to)), (port, 9), &chance.word().to_be_bytes())
}

fn segment(interface: Interface, macs: (Mac, Mac), key: u16, kind: Kind, chance: &mut Chance) -> Vec<u8> {
    let ports = match (kind, interface) {
        (Kind::Ack | Kind::Reset | Kind::Syn, _) => ports(key),
        (Kind::BothOpen, Interface::First) => (20_000 + key, 21_000 + key),
        (Kind::BothOpen, Interface::Second) => (21_000 + key, 20_000 + key),
    };
    let number = u32::from_be_bytes(*chance.word().to_be_bytes().first_chunk().unwrap());
    let (flags, acknowledgement) = match kind {
        Kind::Ack => (16, number),
        Kind::Reset => (4, 0),
        Kind::Syn | Kind::BothOpen => (2, 0),
    };
    let segment = Segment { flags, sequence: number, acknowledgement, payload: &[] };
    frames::tcp(ip(interface, HOST, macs), ports, segment)
}

/// "Port unreachable" about a packet that nobody sent.
fn quote(interface: Interface, macs: (Mac, Mac), chance: &mut Chance) -> Vec<u8> {
    let quoted = segment(interface.other(), (macs.1, macs.0), 4_500, Kind::Ack, chance);
    frames::icmpv4(ip(interface, OWN, macs), (3, 3), [0; 4], &quoted[14..14 + 28])
}
