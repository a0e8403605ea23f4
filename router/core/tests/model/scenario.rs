//! What is explored: streams, and how much may go wrong.

use std::fmt;

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::packet::{Content, Frame, Packet, Transport};
use herald_core::redirector::choice::Candidate;

use crate::history::Opener;
use crate::layout::{CHOICE, Kind, NODES, PLACES, Place, flow, id, pairs};

/// Who begins a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    /// The host on this network; the other answers.
    From(Interface),
    /// Both at once, with the same tuple.
    Both,
}

/// One stream between the two hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) opens: Opens,
    pub(crate) is_tcp: bool,
    /// The node that each interface's redirector would choose for it.
    pub(crate) chosen: [Place; 2],
    /// The node that would succeed the one which the first redirector chooses.
    pub(crate) heir: Place,
    /// Packets of each host.
    pub(crate) packets: [u8; 2],
}

/// Where something may be on its way for as long as it likes; elsewhere it arrives at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// What one node says to another.
    Link(Place, Place),
    /// Redirected frames and adverts.
    Network(Interface),
}

/// Which faults may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    RoleTaken,
    Death,
    LinkBreak,
}

/// What is explored completely.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) streams: [Option<Stream>; 2],
    /// Kinds of faults, and how many may happen in all.
    pub(crate) faults: (&'static [Fault], u8),
    /// How often patience may end.
    pub(crate) patience: u8,
    pub(crate) slow: Vec<Channel>,
    ports: [u16; 2],
}

impl Scenario {
    pub(crate) fn new(
        name: &'static str,
        streams: [Option<Stream>; 2],
        faults: (&'static [Fault], u8),
        patience: u8,
    ) -> Self {
        let mut ports = [0; 2];
        let mut next = 40_000;
        for (port, stream) in ports.iter_mut().zip(&streams) {
            if let Some(stream) = stream {
                *port = (next..).find(|port| stream.fits(*port)).unwrap();
                next = *port + 1;
            }
        }
        Self { name, streams, faults, patience, slow: Channel::all(), ports }
    }

    /// The same where only these channels are slow.
    pub(crate) fn with_slow(self, slow: Vec<Channel>) -> Self {
        Self { slow, ..self }
    }

    pub(crate) fn is_slow(&self, channel: Channel) -> bool {
        self.slow.contains(&channel)
    }

    pub(crate) fn allows(&self, fault: Fault) -> bool {
        self.faults.0.contains(&fault)
    }

    /// The streams with their numbers.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (usize, Stream)> + '_ {
        self.streams.iter().copied().enumerate().filter_map(|(number, stream)| Some((number, stream?)))
    }

    /// The packet that the host on `from` sends.
    pub(crate) fn packet(&self, stream: usize, from: Interface) -> (u16, Kind) {
        let it = self.streams[stream].unwrap();
        let kind = match (it.is_tcp, it.is_opened_from(from)) {
            (false, _) => Kind::Datagram,
            (true, true) => Kind::Syn,
            (true, false) => Kind::SynAck,
        };
        (self.ports[stream], kind)
    }

    /// The flow of what the host on `from` sends.
    pub(crate) fn flow(&self, stream: usize, from: Interface) -> FlowKey {
        flow(from, self.ports[stream], self.streams[stream].unwrap().protocol())
    }

    /// The stream of a frame.
    pub(crate) fn stream_of(&self, frame: &Frame) -> Option<usize> {
        let Content::Ip(headers) = Packet::parse(frame).ok()?.content else { return None };
        match headers.transport {
            Transport::Tcp { .. } | Transport::Udp { .. } => self.number_of(&headers.flow_key(Interface::First)),
            Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError { .. }
            | Transport::Discovery { .. }
            | Transport::Other => None,
        }
    }

    /// The stream that this flow opened.
    pub(crate) fn opener_of(&self, flow: &FlowKey) -> Option<Opener> {
        self.number_of(flow).map(|stream| (stream, flow.interface()))
    }

    /// The stream of a flow.
    pub(crate) fn number_of(&self, flow: &FlowKey) -> Option<usize> {
        self.ports.iter().position(|port| [flow.source().port(), flow.destination().port()].contains(port))
    }
}

/// The name and what is slow.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slow: Vec<_> = self.slow.iter().map(Channel::to_string).collect();
        let slow = if self.slow == Channel::all() { "everything".to_owned() } else { slow.join(", ") };
        write!(f, "{}; slow: {slow}", self.name)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Link(from, to) => write!(f, "{} to {}", NODES[from], NODES[to]),
            Self::Network(interface) => write!(f, "{interface} network"),
        }
    }
}

impl Channel {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        pairs().map(|(from, to)| Self::Link(from, to)).chain(Interface::BOTH.map(Self::Network)).collect()
    }
}

impl Stream {
    pub(crate) fn is_opened_from(&self, interface: Interface) -> bool {
        match self.opens {
            Opens::From(opener) => opener == interface,
            Opens::Both => true,
        }
    }

    /// Both redirectors may choose for it, each its own node.
    pub(crate) fn is_contested(&self) -> bool {
        self.opens == Opens::Both
    }

    fn protocol(&self) -> u8 {
        if self.is_tcp { 6 } else { 17 }
    }

    /// With this port, each redirector would choose as wanted.
    fn fits(&self, port: u16) -> bool {
        let all = PLACES.map(|place| Candidate { node: id(place), weight: 100, is_holder: place != 2, is_full: false });
        let hash = |interface| CHOICE.hash(&flow(interface, port, self.protocol()));
        let [first, second] = self.chosen;
        let others: Vec<_> = all.iter().copied().filter(|candidate| candidate.node != id(first)).collect();
        CHOICE.choose(hash(Interface::First), &all) == Some(id(first))
            && CHOICE.choose(hash(Interface::First), &others) == Some(id(self.heir))
            && CHOICE.choose(hash(Interface::Second), &all) == Some(id(second))
    }
}
