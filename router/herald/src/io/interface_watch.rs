//! Watches a TAP device over rtnetlink: a device that goes down makes no event on its own descriptor.

use std::io;
use std::os::fd::AsRawFd;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// Multicast group of changes of devices, `RTMGRP_LINK` of `linux/rtnetlink.h`.
const GROUP_LINK: u32 = 1;

/// Whether frames can go through a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// It is up and has a carrier.
    Yes,
    /// It is down, without carrier, or gone.
    No,
}

/// A netlink socket in the device's network namespace.
#[derive(Debug)]
pub struct InterfaceWatch {
    socket: Socket,
    index: u32,
}

impl InterfaceWatch {
    /// Watches the device `name` of the current network namespace. The first news is its present state.
    ///
    /// # Errors
    /// When there is no such device, or netlink is refused.
    pub fn open(name: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(name)?;
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUP_LINK))?;
        socket.set_non_blocking(true)?;
        let watch = Self { socket, index };
        watch.ask()?;
        Ok(watch)
    }

    /// Reads all news; the device's newest state, if any came.
    pub fn read(&self) -> Option<Usable> {
        let mut newest = None;
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => newest = self.newest(&bytes).or(newest),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return newest,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // News were lost for want of room: ask how it stands now. A refused question leaves the old state.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {
                    if self.ask().is_err() {
                        return newest;
                    }
                }
                Err(_) => return Some(Usable::No),
            }
        }
    }

    /// Asks for the device's state; the answer arrives like other news.
    fn ask(&self) -> io::Result<()> {
        let mut question = LinkMessage::default();
        question.header.index = self.index;
        let mut message = NetlinkMessage::from(RouteNetlinkMessage::GetLink(question));
        message.header.flags = NLM_F_REQUEST;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        Ok(())
    }

    /// The device's newest state in one datagram, which may hold several messages.
    fn newest(&self, mut bytes: &[u8]) -> Option<Usable> {
        let mut newest = None;
        while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
            newest = self.state(&message).or(newest);
            // Messages start at multiples of four bytes (`NLMSG_ALIGN`).
            let len = usize::try_from(message.header.length).ok().and_then(|len| len.checked_next_multiple_of(4));
            match len.and_then(|len| bytes.get(len..)) {
                Some(rest) if rest.len() < bytes.len() => bytes = rest,
                Some(_) | None => break,
            }
        }
        newest
    }

    fn state(&self, message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Usable> {
        let NetlinkPayload::InnerMessage(message) = &message.payload else { return None };
        let up = LinkFlags::Up | LinkFlags::Running;
        if let RouteNetlinkMessage::NewLink(link) = message {
            let usable = if link.header.flags.contains(up) { Usable::Yes } else { Usable::No };
            return (link.header.index == self.index).then_some(usable);
        }
        if let RouteNetlinkMessage::DelLink(link) = message {
            return (link.header.index == self.index && !is_bridge_news(link)).then_some(Usable::No);
        }
        None
    }
}

/// A port that leaves a bridge is told as a deleted link of the bridge's family; the device itself stays.
fn is_bridge_news(link: &LinkMessage) -> bool {
    u8::from(link.header.interface_family) == AF_BRIDGE
}

/// `AF_BRIDGE` of `linux/socket.h`.
const AF_BRIDGE: u8 = 7;

impl Source for InterfaceWatch {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.socket.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.socket.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.socket.as_raw_fd()).deregister(registry)
    }
}
