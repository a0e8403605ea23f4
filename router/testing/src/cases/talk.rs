//! Two ends that talk over TCP, and what each reads of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use etherparse::TcpHeader;

use super::{Case, Connection};
use crate::chance::Chance;
use crate::frames;
use crate::layout::{HOST, host_mac, v4, v6, virtual_macs};
use herald_core::id::Interface;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;
pub(super) const URG: u8 = 32;

/// Places in an Ethernet frame and in a TCP header, in bytes.
const ETHERNET_LEN: usize = 14;
const CHECKSUM_AT: usize = 16;
/// Bytes of every window, and of what each end has to say at least and at most.
const WINDOW: u16 = 60_000;
const DATA_LEN: (u64, u64) = (300, 3_000);

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Opener,
    Answerer,
}

use By::{Answerer, Opener};

impl By {
    pub(super) fn other(self) -> Self {
        match self {
            Opener => Answerer,
            Answerer => Opener,
        }
    }
}

/// A segment; offsets count from the first byte behind the SYN.
#[derive(Clone, Debug)]
pub(super) struct Say {
    pub(super) at: i64,
    /// `None`: everything that came in order.
    pub(super) acknowledges: Option<i64>,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// Behind the timestamp, if both use it.
    pub(super) options: Vec<u8>,
    /// `None`: the clock's.
    pub(super) timestamp: Option<u32>,
    pub(super) urgent: u16,
    pub(super) hop_limit: u8,
    /// The checksum is wrong.
    pub(super) is_spoiled: bool,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn say(at: i64, bytes: &[u8]) -> Say {
    Say {
        at,
        acknowledges: None,
        flags: ACK,
        window: WINDOW,
        options: Vec::new(),
        timestamp: None,
        urgent: 0,
        hop_limit: 64,
        is_spoiled: false,
        bytes: bytes.to_vec(),
    }
}

struct End {
    at: SocketAddr,
    interface: Interface,
    /// The sequence number of offset 0.
    first: u32,
    /// What it has to say.
    data: Vec<u8>,
    /// The first copies of what it said.
    said: BTreeMap<i64, u8>,
    /// What the other end has acknowledged.
    acknowledged: i64,
    /// What it said and no frame has.
    lacking: BTreeSet<i64>,
    /// Its FIN was said.
    has_ended: bool,
}

pub(super) struct Talk<'a> {
    pub(super) chance: &'a mut Chance,
    opener: End,
    answerer: End,
    /// Both send timestamps.
    clock: Option<u32>,
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) end: &'static str,
    pub(super) gaps: u64,
    pub(super) conflicts: u64,
    over: Vec<Connection>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(chance: &'a mut Chance, port: u16) -> Self {
        let is_ipv6 = chance.happens(50);
        let mut end = |interface, port| {
            let address: IpAddr = if is_ipv6 { v6(interface, HOST).into() } else { v4(interface, HOST).into() };
            let len = chance.between(DATA_LEN.0, DATA_LEN.1);
            let first = u32::try_from(chance.word() >> 32).unwrap();
            let data = chance.bytes(usize::try_from(len).unwrap());
            End {
                at: SocketAddr::new(address, port),
                interface,
                first,
                data,
                said: BTreeMap::new(),
                acknowledged: 0,
                lacking: BTreeSet::new(),
                has_ended: false,
            }
        };
        let (opener, answerer) = (end(Interface::First, port), end(Interface::Second, 80));
        let clock = chance.happens(50).then_some(1_000_000);
        let (frames, over) = (Vec::new(), Vec::new());
        Self { chance, opener, answerer, clock, frames, end: "open", gaps: 0, conflicts: 0, over }
    }

    fn end_of(&mut self, by: By) -> &mut End {
        match by {
            Opener => &mut self.opener,
            Answerer => &mut self.answerer,
        }
    }

    /// The end's byte 0 has this sequence number.
    pub(super) fn begin_at(&mut self, by: By, first: u32) {
        self.end_of(by).first = first;
    }

    pub(super) fn uses_clock(&mut self) {
        self.clock.get_or_insert(1_000_000);
    }

    pub(super) fn use_ipv6(&mut self) {
        for (end, interface) in [(&mut self.opener, Interface::First), (&mut self.answerer, Interface::Second)] {
            end.at.set_ip(v6(interface, HOST).into());
        }
    }

    /// The timestamp that the next segment has.
    pub(super) fn now(&self) -> u32 {
        self.clock.unwrap_or_default() + 1
    }

    /// How much an end has to say.
    pub(super) fn len(&self, by: By) -> i64 {
        let end = if by == Opener { &self.opener } else { &self.answerer };
        i64::try_from(end.data.len()).unwrap()
    }

    /// A part of what an end has to say.
    pub(super) fn part(&self, by: By, from: i64, to: i64) -> Say {
        let end = if by == Opener { &self.opener } else { &self.answerer };
        let place = |offset| usize::try_from(offset).unwrap().min(end.data.len());
        say(from, &end.data[place(from)..place(to)])
    }

    /// As many other bytes.
    pub(super) fn other(&self, by: By, from: i64, to: i64) -> Say {
        let mut say = self.part(by, from, to);
        say.bytes.iter_mut().for_each(|byte| *byte = !*byte);
        say
    }

    /// All that an end has to say from here on, in pieces of any lengths.
    pub(super) fn pieces(&mut self, by: By, mut from: i64) -> Vec<Say> {
        let mut pieces = Vec::new();
        while from < self.len(by) {
            let to = from + i64::try_from(self.chance.between(1, 700)).unwrap();
            pieces.push(self.part(by, from, to));
            from = to;
        }
        pieces
    }

    /// The frame of a segment.
    pub(super) fn frame(&mut self, by: By, say: &Say) -> Vec<u8> {
        self.clock = self.clock.map(|clock| clock + 1);
        let heard = self.heard(by.other());
        let clock = self.clock;
        let (own, other) = match by {
            Opener => (&self.opener, &self.answerer),
            Answerer => (&self.answerer, &self.opener),
        };
        let number = |end: &End, offset: i64| end.first.wrapping_add(u32::try_from(offset & 0xffff_ffff).unwrap());
        let mut header = TcpHeader::new(own.at.port(), other.at.port(), number(own, say.at), say.window);
        let flag = |bit: u8| say.flags & bit != 0;
        (header.fin, header.syn, header.rst) = (flag(FIN), flag(SYN), flag(RST));
        (header.ack, header.urg, header.urgent_pointer) = (flag(ACK), flag(URG), say.urgent);
        if header.ack {
            header.acknowledgment_number = number(other, say.acknowledges.unwrap_or(heard));
        }
        let stamped = clock.map(|clock| say.timestamp.unwrap_or(clock));
        let stamp = stamped.map(|now| [&[1, 1, 8, 10][..], &now.to_be_bytes(), &[0; 4]].concat()).unwrap_or_default();
        header.set_options_raw(&[&stamp[..], &say.options].concat()).unwrap();
        let macs = [host_mac(own.interface).0, virtual_macs(own.interface)[usize::from(own.at.is_ipv6())].0];
        let ip = frames::ip(macs, own.at.ip(), other.at.ip(), say.hop_limit);
        let mut bytes = Vec::new();
        ip.tcp_header(header).write(&mut bytes, &say.bytes).unwrap();
        if say.is_spoiled {
            bytes[ETHERNET_LEN + if own.at.is_ipv6() { 40 } else { 20 } + CHECKSUM_AT] ^= 1;
        }
        bytes
    }

    /// An end says something that its receiver refuses.
    pub(super) fn says(&mut self, by: By, say: &Say) {
        let frame = self.frame(by, say);
        self.frames.push(frame);
    }

    /// An end says something that its receiver takes, as far as it does not know it.
    pub(super) fn takes(&mut self, by: By, say: &Say) {
        self.says(by, say);
        self.learn(by, say);
    }

    /// An end says something that its receiver takes, and the capture lacks it.
    pub(super) fn lacks(&mut self, by: By, say: &Say) {
        self.learn(by, say);
        let len = i64::try_from(say.bytes.len()).unwrap();
        self.end_of(by).lacking.extend(say.at..say.at + len);
    }

    /// What a segment says is known.
    pub(super) fn learn(&mut self, by: By, say: &Say) {
        let heard = self.heard(by.other());
        let end = self.end_of(by);
        let mut differs = false;
        for (at, byte) in (say.at..).zip(&say.bytes) {
            differs |= end.said.entry(at).or_insert(*byte) != byte && at >= end.acknowledged;
        }
        end.has_ended |= say.flags & FIN != 0;
        self.conflicts += u64::from(differs);
        self.end_of(by.other()).acknowledged = heard;
    }

    /// How much of an end its receiver has in order.
    pub(super) fn heard(&self, by: By) -> i64 {
        let end = if by == Opener { &self.opener } else { &self.answerer };
        let heard = (0..).take_while(|at| end.said.contains_key(at)).count();
        i64::try_from(heard).unwrap() + i64::from(end.has_ended && heard == end.data.len())
    }

    /// An end says all that it has in the best order, from here on.
    pub(super) fn tells(&mut self, by: By, from: i64) {
        for piece in self.pieces(by, from) {
            self.takes(by, &piece);
            self.acknowledges(by.other());
        }
    }

    /// A bare acknowledgement of everything.
    pub(super) fn acknowledges(&mut self, by: By) {
        let at = self.heard(by);
        self.takes(by, &say(at, b""));
    }

    /// The handshake, with options of both SYNs.
    pub(super) fn opens(&mut self, options: &[u8]) {
        let syn = Say { flags: SYN, options: options.to_vec(), ..say(-1, b"") };
        self.says(Opener, &syn);
        self.says(Answerer, &Say { flags: SYN | ACK, ..syn });
        self.acknowledges(Opener);
    }

    /// Both ends have said all, and say so.
    pub(super) fn closes(&mut self) {
        for by in [Opener, Answerer] {
            self.takes(by, &Say { flags: FIN | ACK, ..say(self.len(by), b"") });
            self.acknowledges(by.other());
        }
        self.end = "fin";
    }

    /// The connection is over; what follows is another one of the same ends.
    pub(super) fn begins_anew(&mut self) {
        let connection = self.connection();
        self.over.push(connection);
        (self.end, self.gaps, self.conflicts) = ("open", 0, 0);
        for end in [&mut self.opener, &mut self.answerer] {
            end.first = end.first.wrapping_add(1_000_000);
            (end.said, end.acknowledged, end.has_ended) = (BTreeMap::new(), 0, false);
        }
    }

    fn connection(&self) -> Connection {
        let read = |end: &End| {
            let said = (0..).map_while(|at| end.said.get(&at).map(|byte| (at, *byte)));
            said.filter(|(at, _)| !end.lacking.contains(at)).map(|(_, byte)| byte).collect()
        };
        Connection {
            opener: self.opener.at,
            answerer: self.answerer.at,
            from_opener: read(&self.opener),
            to_opener: read(&self.answerer),
            end: self.end,
            gaps: self.gaps,
            conflicts: self.conflicts,
        }
    }

    pub(super) fn case(mut self, kind: &'static str) -> Case {
        let connection = self.connection();
        self.over.push(connection);
        Case { kind, frames: self.frames, connections: self.over }
    }
}
