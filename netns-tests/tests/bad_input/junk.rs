//! Bad frames: good ones of every kind that a router meets, damaged in every way that a seed brings.

use etherparse::PacketBuilder;
use herald_testing::chance::Chance;

fn one_in(chance: &mut Chance, n: usize) -> bool {
    chance.place(n) == 0
}

/// A frame to be sent, with its offload header if it has one (10 bytes, linux/virtio_net.h).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Junk {
    pub(crate) offload: Option<[u8; 10]>,
    pub(crate) bytes: Vec<u8>,
}

/// What the frames are made for.
#[derive(Debug)]
pub(crate) struct Target {
    /// The MACs that nodes listen to, own and virtual.
    pub(crate) macs: Vec<[u8; 6]>,
    /// The injecting host's own MAC.
    pub(crate) own: [u8; 6],
    /// The MAC of a member through which the test's own traffic does not pass here: a switch believes whoever uses it.
    pub(crate) member: [u8; 6],
}

/// Addresses whose owners' neighbours must not be misled: the test's own traffic uses them. Any host of a network may
/// speak for another's address; that is no fault of a router.
const PROTECTED: [&[u8]; 2] = [&[10, 1, 0, 100], &[0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]];

const GUEST_4: [u8; 4] = [10, 1, 0, 101];
const GUEST_6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
const VIRTUAL_6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER_4: [u8; 4] = [10, 2, 0, 100];
const SERVER_6: [u8; 16] = [0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// The next frame.
pub(crate) fn next(chance: &mut Chance, target: &Target) -> Junk {
    loop {
        let mut bytes = if one_in(chance, 8) { noise(chance) } else { packet(chance) };
        let offload = (bytes.len() > 1514 || one_in(chance, 16)).then(|| offload(chance, bytes.len()));
        damage(chance, &mut bytes);
        address(chance, target, &mut bytes);
        if one_in(chance, 2) {
            mend_sums(&mut bytes);
        }
        if offload.is_none() {
            bytes.truncate(1514);
        }
        if !misleads(&bytes) {
            return Junk { offload, bytes };
        }
    }
}

/// Random bytes behind an Ethernet header of a known or unknown type.
fn noise(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    let random = [chance.byte(), chance.byte()];
    bytes.extend(chance.pick(&[[8, 0], [8, 6], [0x86, 0xdd], [0x81, 0], [0, 46], random]));
    let len = chance.place(200);
    bytes.extend(chance.bytes(len));
    bytes
}

fn packet(chance: &mut Chance) -> Vec<u8> {
    match chance.place(6) {
        0 => arp(chance),
        1 => control(chance),
        2 => discovery(chance),
        _ => transport(chance),
    }
}

/// TCP, UDP or echo, to a host behind the router, to the router, or to nobody; sometimes a super-frame.
fn transport(chance: &mut Chance) -> Vec<u8> {
    let len = if one_in(chance, 64) { 1500 + chance.place(60_000) } else { chance.place(1400) };
    let payload = vec![chance.byte(); len];
    let hops = chance.pick(&[0, 1, 2, 64, 255]);
    let (from, to) = (1 + chance.place(60_000), chance.pick(&[7, 9, 22, 443, 7400]));
    let (from, number) = (u16::try_from(from).unwrap(), u32::from_le_bytes([chance.byte(), 1, 2, 3]));
    let (ethernet, is_v4) = (PacketBuilder::ethernet2([0; 6], [0; 6]), one_in(chance, 2));
    let ip = if is_v4 {
        let random = chance.word().to_le_bytes()[..4].try_into().unwrap();
        ethernet.ipv4(GUEST_4, chance.pick(&[SERVER_4, SERVER_4, [10, 1, 0, 1], [10, 2, 0, 12], random]), hops)
    } else {
        let random: [u8; 16] = chance.bytes(16).try_into().unwrap();
        ethernet.ipv6(GUEST_6, chance.pick(&[SERVER_6, SERVER_6, VIRTUAL_6, random]), hops)
    };
    let mut bytes = Vec::new();
    match chance.place(5) {
        0 | 1 => ip.udp(from, to).write(&mut bytes, &payload),
        2 => ip.tcp(from, to, number, 1000).syn().write(&mut bytes, &payload),
        3 => ip.tcp(from, to, number, 1000).ack(number).psh().write(&mut bytes, &payload),
        _ if is_v4 => ip.icmpv4_echo_request(from, to).write(&mut bytes, &payload),
        _ => ip.icmpv6_echo_request(from, to).write(&mut bytes, &payload),
    }
    .unwrap();
    bytes
}

fn arp(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, chance.pick(&[1, 2, 3])]);
    bytes.extend(chance.bytes(6));
    let random = [10, 1, 0, chance.byte()];
    bytes.extend(chance.pick(&[GUEST_4, [10, 1, 0, 1], [0; 4], [10, 1, 0, 11], random]));
    bytes.extend(chance.bytes(6));
    bytes.extend(chance.pick(&[[10, 1, 0, 1], [10, 1, 0, 11], [10, 1, 0, 13], random]));
    bytes
}

/// ICMP of any type, and errors that quote something.
fn control(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (kind, code) = (chance.pick(&[0, 3, 3, 4, 5, 8, 9, 10, 11, 12, 13]), chance.pick(&[0, 1, 3, 4, 13]));
    let mut quoted = transport(chance).split_off(14);
    quoted.truncate(chance.place(600));
    let rest = [0, 0, chance.byte(), chance.byte()];
    let (to_4, to_6) = (chance.pick(&[SERVER_4, [10, 1, 0, 1]]), chance.pick(&[SERVER_6, VIRTUAL_6]));
    let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
    if one_in(chance, 2) {
        ethernet.ipv4(GUEST_4, to_4, 64).icmpv4_raw(kind, code, rest).write(&mut bytes, &quoted)
    } else {
        let kind = chance.pick(&[1, 2, 3, 4, 100, 127, 128, 129, 130, 143, 200]);
        ethernet.ipv6(GUEST_6, to_6, 64).icmpv6_raw(kind, code, rest).write(&mut bytes, &quoted)
    }
    .unwrap();
    bytes
}

/// Neighbour discovery with options of any length, zero included.
fn discovery(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut body = chance.pick(&[VIRTUAL_6, GUEST_6, SERVER_6, [0; 16]]).to_vec();
    for _ in 0..chance.place(4) {
        body.extend([chance.pick(&[1, 2, 3, 5, 14]), chance.pick(&[0, 1, 1, 1, 2, 255])]);
        body.extend(chance.bytes(6));
    }
    let kind = chance.pick(&[133, 134, 135, 135, 136, 136, 137]);
    let flags = [chance.byte(), 0, 0, 0];
    let (source, hops) = (chance.pick(&[GUEST_6, [0; 16]]), chance.pick(&[255, 255, 255, 64]));
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv6(source, VIRTUAL_6, hops)
        .icmpv6_raw(kind, 0, flags)
        .write(&mut bytes, &body)
        .unwrap();
    bytes
}

/// Offload headers as hosts may make them; what contradicts itself the kernel refuses already.
fn offload(chance: &mut Chance, len: usize) -> [u8; 10] {
    let mut header = [0; 10];
    header[0] = chance.pick(&[0, 1, 1, 1]);
    header[1] = chance.pick(&[0, 1, 4, 5, 3]);
    let [header_len, segment, start] =
        [chance.pick(&[54, 74, 42, 62, 0]), 1 + chance.place(1500), chance.pick(&[34, 54, 14, 70])];
    let offset = chance.pick(&[16, 6, 2, 0]);
    for (at, value) in [(2, header_len), (4, segment), (6, start), (8, offset)] {
        let value = u16::try_from(value.min(len)).unwrap().to_le_bytes();
        header[at..at + 2].copy_from_slice(&value);
    }
    header
}

/// Flipped bytes, mostly in the headers; cut or lengthened frames; one frame in eight stays as it is.
fn damage(chance: &mut Chance, bytes: &mut Vec<u8>) {
    for _ in 0..chance.pick(&[0, 0, 1, 1, 2, 3, 8]) {
        let reach = chance.pick(&[4, 32, 64, 128]);
        let at = 12 + chance.place(reach);
        let (value, bit) = (chance.pick(&[0, 1, 0x7f, 0x80, 0xff, 4, 5]), 1 << chance.place(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = if one_in(chance, 2) { value } else { *byte ^ bit };
        }
    }
    match chance.place(8) {
        0 | 1 => bytes.truncate(14 + chance.place(bytes.len().min(120))),
        2 => {
            let more = chance.place(64);
            bytes.extend(chance.bytes(more));
        }
        3 => bytes.truncate(bytes.len() - chance.place(bytes.len().min(5))),
        _ => {}
    }
    bytes.resize(bytes.len().max(14), 0);
}

/// To the nodes, to groups, to all or to nobody; from the host itself, from a stranger or in the name of a member.
fn address(chance: &mut Chance, target: &Target, bytes: &mut [u8]) {
    let random = chance.bytes(5);
    let stranger = [0x06, random[0], random[1], random[2], random[3], random[4]];
    let group = chance.pick(&[[0xff; 6], [0x33, 0x33, 0, 0, 0, 1], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0xff, 0, 0, 1]]);
    let to = if one_in(chance, 16) { chance.pick(&[stranger, group]) } else { chance.pick(&target.macs) };
    let from = if one_in(chance, 32) { chance.pick(&[stranger, target.member]) } else { target.own };
    bytes[..6].copy_from_slice(&to);
    bytes[6..12].copy_from_slice(&from);
}

/// Mends the checksums of IPv4 headers and of ICMP, so that damage behind them is looked at.
fn mend_sums(bytes: &mut [u8]) {
    let Some(ip) = bytes.get_mut(14..) else { return };
    let version = ip.first().map_or(0, |byte| byte >> 4);
    if version == 4 {
        let len = usize::from(ip[0] & 15) * 4;
        if len >= 20 && ip.len() >= len {
            write_sum(&mut ip[..len], 10, 0);
            if ip[9] == 1 && ip.len() >= len + 8 {
                let end = usize::from(u16::from_be_bytes([ip[2], ip[3]])).clamp(len + 8, ip.len());
                write_sum(&mut ip[len..end], 2, 0);
            }
        }
    } else if version == 6 && ip.len() >= 48 && ip[6] == 58 {
        let len = usize::from(u16::from_be_bytes([ip[4], ip[5]])).clamp(8, ip.len() - 40);
        let pseudo = sum(&ip[8..40]) + u32::try_from(len).unwrap() + 58;
        write_sum(&mut ip[40..40 + len], 2, pseudo);
    }
}

fn write_sum(bytes: &mut [u8], at: usize, start: u32) {
    bytes[at..at + 2].fill(0);
    let mut total = start + sum(bytes);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    bytes[at..at + 2].copy_from_slice(&(!u16::try_from(total).unwrap()).to_be_bytes());
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0))).sum()
}

/// Would teach a node, or another host, something false about the addresses of the test's own traffic.
fn misleads(bytes: &[u8]) -> bool {
    let teaches = match bytes[12..14] {
        [8, 6] => true,
        [0x86, 0xdd] => bytes.get(54).is_some_and(|kind| (133..=137).contains(kind)),
        _ => false,
    };
    let to_all = bytes[0] & 1 == 1;
    teaches && (to_all || PROTECTED.iter().any(|address| bytes.windows(address.len()).any(|window| window == *address)))
}

#[test]
fn the_same_seed_makes_the_same_frames_of_every_kind() {
    let target = Target { macs: vec![[2, 0, 0, 0, 0, 1]], own: [2, 0, 0, 0, 0, 2], member: [2, 0, 0, 0, 0, 3] };
    let make = |seed| {
        let mut chance = Chance::of(seed);
        (0..5_000).map(|_| next(&mut chance, &target)).collect::<Vec<_>>()
    };
    let frames = make(7);
    assert_eq!(frames, make(7));
    assert_ne!(frames, make(8));
    assert!(frames.iter().all(|f| f.bytes.len() >= 14 && (f.offload.is_some() || f.bytes.len() <= 1514)));
    assert!(frames.iter().any(|f| f.bytes.len() > 10_000));
    for kind in [[8, 0], [8, 6], [0x86, 0xdd], [0x81, 0]] {
        assert!(frames.iter().filter(|f| f.bytes[12..14] == kind).count() > 20, "{kind:?}");
    }
}
