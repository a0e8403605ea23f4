//! The few requests of rtnetlink that the lab needs, one at a time, each acknowledged (RFC 3549).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::net::if_::if_nametoindex;

use herald_core::id::Mac;

/// A netlink socket in the network namespace in which it was opened. Names are looked up in the current one: both have
/// to be the same.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// The index of a link in the current network namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link(u32);

impl Link {
    pub(crate) fn named(name: &str) -> io::Result<Self> {
        Ok(Self(if_nametoindex(name)?))
    }
}

impl Netlink {
    /// Opens a socket in the current network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// A bridge that floods multicast like a plain hub: a lab has no querier that could teach it better.
    pub(crate) fn add_bridge(&mut self, name: &str) -> io::Result<Link> {
        let info = vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::StpState(0), InfoBridge::MulticastSnooping(0)])),
        ];
        self.add_link(vec![LinkAttribute::IfName(name.into()), LinkAttribute::LinkInfo(info)])?;
        Link::named(name)
    }

    /// A pair of links, `name` here and `peer` with an Ethernet address of its own in another network namespace.
    pub(crate) fn add_veth(&mut self, name: &str, peer: &str, mac: Mac, there: BorrowedFd<'_>) -> io::Result<Link> {
        let mut other = LinkMessage::default();
        other.attributes = vec![
            LinkAttribute::IfName(peer.into()),
            LinkAttribute::Address(mac.0.to_vec()),
            LinkAttribute::NetNsFd(there.as_raw_fd()),
        ];
        let info = vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other)))];
        self.add_link(vec![LinkAttribute::IfName(name.into()), LinkAttribute::LinkInfo(info)])?;
        Link::named(name)
    }

    fn add_link(&mut self, attributes: Vec<LinkAttribute>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes = attributes;
        self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a link a port of a bridge.
    pub(crate) fn attach(&mut self, link: Link, bridge: Link) -> io::Result<()> {
        self.change(link, vec![LinkAttribute::Controller(bridge.0)])
    }

    /// Takes a link from its bridge.
    pub(crate) fn detach(&mut self, link: Link) -> io::Result<()> {
        self.change(link, vec![LinkAttribute::Controller(0)])
    }

    /// Takes a link away.
    pub(crate) fn remove(&mut self, link: Link) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        self.request(RouteNetlinkMessage::DelLink(message), 0)
    }

    pub(crate) fn set_mtu(&mut self, link: Link, mtu: u16) -> io::Result<()> {
        self.change(link, vec![LinkAttribute::Mtu(u32::from(mtu))])
    }

    fn change(&mut self, link: Link, attributes: Vec<LinkAttribute>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        message.attributes = attributes;
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Takes a link into service.
    pub(crate) fn set_up(&mut self, link: Link) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives a link an address, at once: without duplicate address detection (RFC 4862, section 5.4).
    pub(crate) fn add_address(&mut self, link: Link, address: IpNet) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address.addr());
        message.header.prefix_len = address.prefix_len();
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.index = link.0;
        message.attributes = vec![AddressAttribute::Local(address.addr()), AddressAttribute::Address(address.addr())];
        if let IpNet::V4(net) = address {
            message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
        }
        self.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sends everything that has no other route to `gateway`.
    pub(crate) fn add_default_route(&mut self, gateway: IpAddr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(gateway);
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        let gateway = match gateway {
            IpAddr::V4(address) => RouteAddress::Inet(address),
            IpAddr::V6(address) => RouteAddress::Inet6(address),
        };
        message.attributes = vec![RouteAttribute::Gateway(gateway)];
        self.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sends one request and waits for its acknowledgement.
    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        loop {
            let (bytes, _from) = self.socket.recv_from_full()?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).map_err(io::Error::other)?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            if let NetlinkPayload::Error(error) = answer.payload {
                return if error.code.is_none() { Ok(()) } else { Err(error.to_io()) };
            }
        }
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
