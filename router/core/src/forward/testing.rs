//! A router between two networks, for the tests: what it is given and what it sends, as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use herald_testing::frames::{self, Ip};

use super::neighbour::Told;
use super::neighbours::Unknown;
use super::*;
use crate::flow::HashKey;
use crate::packet::{Content, OFFLOAD_HEADER_LEN, Packet, Transport};

pub(super) const FIRST: Interface = Interface::First;
pub(super) const SECOND: Interface = Interface::Second;

pub(super) const OWN_MAC: Mac = Mac([2, 0, 0, 0, 1, 0x0a]);
pub(super) const VIRTUAL_MAC_V4: Mac = Mac([0, 0, 0x5e, 0, 1, 1]);
pub(super) const VIRTUAL_MAC_V6: Mac = Mac([0, 0, 0x5e, 0, 2, 1]);
pub(super) const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x64]);
pub(super) const SERVER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xc8]);
/// The MAC of the node that redirected a frame here: nothing is ever sent to it.
pub(super) const NODE_MAC: Mac = Mac([2, 0, 0, 0, 1, 0x0b]);

pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);
pub(super) const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 200);

pub(super) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(super) fn settings() -> Settings {
    let interface = |n: u8, mtu| InterfaceSettings {
        mac: Mac([2, 0, 0, 0, n, 0x0a]),
        virtual_mac_v4: Mac([0, 0, 0x5e, 0, 1, n]),
        virtual_mac_v6: Mac([0, 0, 0x5e, 0, 2, n]),
        addresses: vec![format!("10.{n}.0.11/24").parse().unwrap(), format!("fd00:{n}::11/64").parse().unwrap()],
        virtual_addresses: vec![format!("10.{n}.0.1").parse().unwrap(), format!("fd00:{n}::1").parse().unwrap()],
        mtu,
        vlan: None,
        router_lifetime: None,
    };
    let route =
        |to: &str, via: &str| StaticRoute { to: to.parse().unwrap(), via: vec![via.parse().unwrap()], interface: None };
    Settings {
        interfaces: PerInterface { first: interface(1, 1500), second: interface(2, 1400) },
        routes: vec![route("192.0.2.0/24", "10.2.0.254"), route("2001:db8::/32", "fd00:2::fe")],
        reverse_path: ReversePath::Loose,
        icmp_redirects: false,
        hash_key: HashKey([7; 16]),
    }
}

/// One frame that the router sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) interface: Interface,
    pub(super) frame: Frame,
}

impl Sent {
    pub(super) fn bytes(&self) -> &[u8] {
        self.frame.bytes()
    }

    pub(super) fn packet(&self) -> Packet {
        Packet::parse(&self.frame).unwrap()
    }

    pub(super) fn headers(&self) -> Headers {
        headers(&self.frame)
    }

    /// Type and code of an ICMP message.
    pub(super) fn icmp(&self) -> (u8, u8) {
        let at = usize::from(self.headers().transport_at);
        (self.bytes()[at], self.bytes()[at + 1])
    }

    /// The packet that an ICMP error quotes.
    pub(super) fn quoted(&self) -> &[u8] {
        &self.bytes()[usize::from(self.headers().payload_at)..]
    }
}

pub(super) struct Router {
    pub(super) forward: Forward,
    pub(super) now: Instant,
    pub(super) out: Outbox,
}

impl Router {
    pub(super) fn new() -> Self {
        Self::of(&settings())
    }

    pub(super) fn of(settings: &Settings) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        Self { forward: Forward::new(now, settings).unwrap(), now, out: Outbox::default() }
    }

    /// With client and server as reachable neighbours.
    pub(super) fn with_neighbours() -> Self {
        let mut router = Self::new();
        for (interface, address, mac) in [
            (FIRST, IpAddr::from(CLIENT), CLIENT_MAC),
            (FIRST, v6("fd00:1::64").into(), CLIENT_MAC),
            (FIRST, v6("fe80::64").into(), CLIENT_MAC),
            (SECOND, SERVER.into(), SERVER_MAC),
            (SECOND, v6("fd00:2::c8").into(), SERVER_MAC),
        ] {
            let told = Told { mac: Some(mac), solicited: true, overrides: true };
            let neighbours = &mut router.forward.neighbours[interface];
            assert_eq!(neighbours.used(router.now, &address, address), Way::Unasked);
            neighbours.told(router.now, address, told, Unknown::Ignore).unwrap();
        }
        router
    }

    pub(super) fn holding(mut self, interface: Interface) -> Self {
        self.forward.holder_changed(self.now, interface, HolderState::Holds, &mut self.out);
        self.sent();
        self
    }

    /// A frame comes in, as the node hands it on.
    pub(super) fn arrives(&mut self, interface: Interface, frame: Frame) {
        let packet = Packet::parse(&frame).unwrap();
        let (now, out) = (self.now, &mut self.out);
        match packet.content {
            Content::Arp(arp) => self.forward.arp_arrived(now, interface, &arp, frame, out),
            Content::Ip(h) if matches!(h.transport, Transport::Discovery { .. }) => {
                self.forward.discovery_arrived(now, interface, &h, frame, out);
            }
            Content::Ip(h) => self.forward.local_arrived(now, interface, &h, frame, out),
            Content::Fragment(_) => panic!("a fragment"),
        }
    }

    /// A packet is forwarded, or refused and told so.
    pub(super) fn forwards(&mut self, arrived: Interface, frame: Frame) -> Result<Hop, DropReason> {
        let headers = headers(&frame);
        match self.forward.route(arrived, &headers, &frame, || 0) {
            Ok(hop) => {
                self.forward.transmit(self.now, hop, &headers, frame, &mut self.out);
                Ok(hop)
            }
            Err(Unroutable { reason, answer }) => {
                let received = Received { interface: arrived, headers: &headers, frame: &frame };
                if let Some(kind) = answer {
                    self.forward.unreachable(self.now, received, kind, &mut self.out);
                }
                self.out.drop(frame, reason);
                Err(reason)
            }
        }
    }

    /// Time passes; every deadline on the way is reached.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.forward.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.forward.deadline_reached(self.now, &mut self.out);
        }
        self.now = end;
    }

    /// What was sent since the last call. Each frame has full checksums and nothing offloaded.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        let sent: Vec<_> = self.out.transmit.drain(..).map(|(interface, frame, _)| Sent { interface, frame }).collect();
        for one in &sent {
            assert_eq!(one.frame.wire()[..OFFLOAD_HEADER_LEN], [0; OFFLOAD_HEADER_LEN]);
            assert_checksums(one.bytes());
        }
        sent
    }

    /// The one frame that was sent since the last call.
    pub(super) fn sent_one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.out.drops().find(|(r, _)| *r == reason).map_or(0, |(_, count)| count)
    }

    /// Where frames to a neighbour go.
    pub(super) fn mac_of(&self, address: impl Into<IpAddr>) -> Option<Mac> {
        let address = address.into();
        self.forward.neighbours().iter().find(|row| row.address == address).and_then(|row| row.mac)
    }

    pub(super) fn state_of(&self, address: impl Into<IpAddr>) -> &'static str {
        let address = address.into();
        self.forward.neighbours().iter().find(|row| row.address == address).map_or("unknown", |row| row.state)
    }
}

pub(super) fn headers(frame: &Frame) -> Headers {
    match Packet::parse(frame).unwrap().content {
        Content::Ip(headers) => headers,
        Content::Fragment(_) | Content::Arp(_) => panic!("no packet"),
    }
}

/// IP headers between two addresses of one family, on the way to this node.
pub(super) fn ip(from: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Ip {
    ip_with_hop_limit(from, to, 64)
}

pub(super) fn ip_with_hop_limit(from: impl Into<IpAddr>, to: impl Into<IpAddr>, hop_limit: u8) -> Ip {
    frames::ip([NODE_MAC.0, OWN_MAC.0], from, to, hop_limit)
}

pub(super) fn udp(from: impl Into<IpAddr>, to: impl Into<IpAddr>, payload: &[u8]) -> Frame {
    Frame::from_bytes(&frames::udp(ip(from, to), (4000, 53), payload))
}

/// A frame with an offload header: partial checksum from `start` on at `start + offset`, cut into segments of `segment`
/// bytes (GSO type TCPv4, or 0).
pub(super) fn with_offload(frame: &Frame, start: u16, offset: u16, segment: u16) -> Frame {
    let mut wire = vec![1, u8::from(segment != 0), 0, 0];
    for word in [segment, start, offset] {
        wire.extend(word.to_ne_bytes());
    }
    wire.extend(frame.bytes());
    let mut frame = Frame::with_full_buffer();
    frame.buffer_mut()[..wire.len()].copy_from_slice(&wire);
    frame.filled(wire.len());
    frame
}

/// Every checksum of a frame is full and right, by etherparse's own calculation.
pub(super) fn assert_checksums(bytes: &[u8]) {
    let sliced = SlicedPacket::from_ethernet(bytes).unwrap();
    let (source, destination): (IpAddr, IpAddr) = match &sliced.net {
        Some(NetSlice::Ipv4(v4)) => {
            let header = v4.header();
            assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
            (header.source_addr().into(), header.destination_addr().into())
        }
        Some(NetSlice::Ipv6(v6)) => (v6.header().source_addr().into(), v6.header().destination_addr().into()),
        Some(NetSlice::Arp(_)) => return,
        None => panic!("no network layer"),
    };
    let transport = sliced.transport.as_ref().unwrap();
    let (found, right) = match (transport, source, destination) {
        (TransportSlice::Tcp(tcp), IpAddr::V4(a), IpAddr::V4(b)) => {
            (tcp.checksum(), tcp.calc_checksum_ipv4(a.octets(), b.octets()).unwrap())
        }
        (TransportSlice::Tcp(tcp), IpAddr::V6(a), IpAddr::V6(b)) => {
            (tcp.checksum(), tcp.calc_checksum_ipv6(a.octets(), b.octets()).unwrap())
        }
        (TransportSlice::Udp(udp), IpAddr::V4(a), IpAddr::V4(b)) => {
            (udp.checksum(), udp.to_header().calc_checksum_ipv4_raw(a.octets(), b.octets(), udp.payload()).unwrap())
        }
        (TransportSlice::Udp(udp), IpAddr::V6(a), IpAddr::V6(b)) => {
            (udp.checksum(), udp.to_header().calc_checksum_ipv6_raw(a.octets(), b.octets(), udp.payload()).unwrap())
        }
        (TransportSlice::Icmpv4(icmp), ..) => (icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload())),
        (TransportSlice::Icmpv6(icmp), IpAddr::V6(a), IpAddr::V6(b)) => {
            let right = icmp.icmp_type().calc_checksum(a.octets(), b.octets(), icmp.payload()).unwrap();
            (icmp.checksum(), right)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(found, right);
}
