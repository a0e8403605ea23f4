//! The honest hosts: smoltcp's TCP/IP with real TCP, ARP and neighbour discovery, and conversations between them whose
//! every byte is checked.

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use herald_core::id::Interface;
use herald_core::time::Instant;
use herald_testing::layout::{CLUSTER, HOST, host_mac, v4, v6};
use smoltcp::iface::{Config, Interface as Stack, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::answered::Answered;
use crate::fragmented::{self, Incomplete};
use crate::scenario::{Ending, Open, ports};
use crate::sockets;

/// Frames from and to the stack.
#[derive(Debug, Default)]
pub(crate) struct Nic {
    pub(crate) received: VecDeque<Vec<u8>>,
    pub(crate) sent: Vec<Vec<u8>>,
    incomplete: Incomplete,
    answered: Answered,
}

impl Nic {
    /// A frame came from the switch.
    pub(crate) fn came(&mut self, frame: Vec<u8>) {
        self.sent.extend(self.answered.came(&frame));
        self.received.extend(self.incomplete.came(frame));
    }
}

pub(crate) struct Received(Vec<u8>);

pub(crate) struct Sending<'a> {
    sent: &'a mut Vec<Vec<u8>>,
    answered: &'a mut Answered,
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.answered.sent(&frame);
        self.sent.extend(fragmented::sent(frame));
        result
    }
}

impl Device for Nic {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Sending { sent: &mut self.sent, answered: &mut self.answered }))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        Some(Sending { sent: &mut self.sent, answered: &mut self.answered })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ethernet, 1514);
        capabilities
    }
}

/// One host.
pub(crate) struct Host {
    pub(crate) nic: Nic,
    stack: Stack,
    sockets: SocketSet<'static>,
    pub(crate) next_turn: Instant,
}

fn stack_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_nanos() / 1000).unwrap())
}

impl Host {
    pub(crate) fn new(interface: Interface, seed: u64) -> Self {
        let mut nic = Nic::default();
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(host_mac(interface).0)));
        config.random_seed = seed;
        let mut stack = Stack::new(config, &mut nic, stack_time(Instant::default()));
        stack.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(v4(interface, HOST).into(), 24)).unwrap();
            addresses.push(IpCidr::new(v6(interface, HOST).into(), 64)).unwrap();
            // Nodes ask for neighbours from their link-local addresses.
            let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100 + interface as u16);
            addresses.push(IpCidr::new(link_local.into(), 64)).unwrap();
        });
        stack.routes_mut().add_default_ipv4_route(v4(interface, CLUSTER)).unwrap();
        stack.routes_mut().add_default_ipv6_route(v6(interface, CLUSTER)).unwrap();
        Self { nic, stack, sockets: SocketSet::new(Vec::new()), next_turn: Instant::NEVER }
    }

    /// Lets the stack work.
    pub(crate) fn poll(&mut self, now: Instant) {
        self.stack.poll(stack_time(now), &mut self.nic, &mut self.sockets);
    }

    /// When the stack wants to work again.
    pub(crate) fn next_poll(&mut self, now: Instant) -> Option<Instant> {
        let at = self.stack.poll_at(stack_time(now), &self.sockets)?;
        Some(Instant::from_nanos(u64::try_from(at.total_micros()).unwrap_or_default() * 1000).max(now))
    }

    /// Forgets all conversations without a word.
    pub(crate) fn fall_silent(&mut self) {
        self.sockets = SocketSet::new(Vec::new());
    }
}

/// How far a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Speaking,
    /// Everything was said and heard.
    Done,
    /// The other end reset it, or the stack gave up.
    Failed,
    /// The hosts have fallen silent.
    Forgotten,
}

/// A conversation between the two hosts.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) number: usize,
    pub(crate) open: Open,
    pub(crate) opened_at: Instant,
    pub(crate) established_at: Option<Instant>,
    pub(crate) progress: Progress,
    /// A byte was not the one that was sent.
    pub(crate) corrupted: bool,
    pub(crate) ended_at: Instant,
    ends: [SocketHandle; 2],
    /// Bytes or datagrams said and heard by the opener, then by the other end.
    said: [u32; 2],
    heard: [u32; 2],
    next_datagram: Instant,
}

/// The byte of a conversation at a place in one direction.
fn byte_at(number: usize, side: usize, place: usize) -> u8 {
    (number.wrapping_mul(31) ^ place.wrapping_mul(7) ^ (place >> 8) ^ side.wrapping_mul(113)).to_le_bytes()[0]
}

/// Bytes of a datagram.
const DATAGRAM: usize = 64;

/// A conversation's datagram: its number, the datagram's own, and bytes that follow from both.
fn datagram(number: u32, side: usize, count: u32) -> Vec<u8> {
    let body = (8..DATAGRAM).map(|i| byte_at(number as usize, side, i + count as usize));
    number.to_be_bytes().into_iter().chain(count.to_be_bytes()).chain(body).collect()
}

/// The addresses of opener and other end.
pub(crate) fn talk_addresses(open: &Open) -> (std::net::IpAddr, std::net::IpAddr) {
    let address = |interface| -> std::net::IpAddr {
        if open.is_ipv6() { v6(interface, HOST).into() } else { v4(interface, HOST).into() }
    };
    (address(open.from), address(open.from.other()))
}

impl Talk {
    /// Opens it. `None` if the ports are still in use.
    pub(crate) fn begin(now: Instant, number: usize, open: Open, hosts: &mut [Host; 2]) -> Option<Self> {
        let (source, destination) = ports(open.key);
        let (_, to) = talk_addresses(&open);
        let side = open.from as usize;
        let ends = if open.is_tcp() {
            let socket = || {
                let buffer = || tcp::SocketBuffer::new(vec![0; 8192]);
                let mut socket = tcp::Socket::new(buffer(), buffer());
                socket.set_timeout(Some(smoltcp::time::Duration::from_secs(20)));
                socket
            };
            let mut listener = socket();
            listener.listen(destination).ok()?;
            let mut opener = socket();
            opener.connect(hosts[side].stack.context(), (IpAddress::from(to), destination), source).ok()?;
            [hosts[side].sockets.add(opener), hosts[1 - side].sockets.add(listener)]
        } else {
            [sockets::open(&open, 0, &mut hosts[side].sockets)?, sockets::open(&open, 1, &mut hosts[1 - side].sockets)?]
        };
        let (said, heard) = Default::default();
        Some(Self {
            number,
            open,
            opened_at: now,
            established_at: None,
            progress: Progress::Speaking,
            corrupted: false,
            ended_at: Instant::NEVER,
            ends,
            said,
            heard,
            next_datagram: now,
        })
    }

    /// The hosts forget it.
    pub(crate) fn forget(&mut self) {
        if self.progress == Progress::Speaking {
            self.progress = Progress::Forgotten;
        }
    }

    /// Removes its sockets, so that its ports can be used again.
    pub(crate) fn clear(&mut self, hosts: &mut [Host; 2]) {
        for (role, handle) in self.ends.into_iter().enumerate() {
            hosts[self.side(role)].sockets.remove(handle);
        }
    }

    /// The host of an end: 0 the opener's, 1 the other.
    fn side(&self, role: usize) -> usize {
        if role == 0 { self.open.from as usize } else { self.open.from.other() as usize }
    }

    /// Both ends go on as far as they can.
    pub(crate) fn step(&mut self, now: Instant, hosts: &mut [Host; 2]) {
        for role in [0, 1] {
            let host = &mut hosts[self.side(role)];
            if self.progress != Progress::Speaking {
                return;
            }
            if self.open.is_tcp() {
                self.step_tcp(now, role, host);
            } else {
                self.step_datagrams(now, role, host);
            }
        }
    }

    /// How much an end will say.
    fn amount(&self, role: usize) -> u32 {
        if role == 0 { self.open.request } else { self.open.response }
    }

    /// How much of it may be said now.
    fn may_say(&self, now: Instant, role: usize) -> u32 {
        let amount = self.amount(role);
        if self.open.ending != Ending::Slow || role == 1 {
            return amount;
        }
        let elapsed = now.since(self.opened_at).as_millis() / 100;
        u32::try_from((u128::from(amount) * (elapsed + 1) / 30).min(u128::from(amount))).unwrap()
    }

    fn step_tcp(&mut self, now: Instant, role: usize, host: &mut Host) {
        if now >= self.next_datagram {
            self.next_datagram = now + std::time::Duration::from_millis(100);
        }
        let socket = host.sockets.get_mut::<tcp::Socket<'_>>(self.ends[role]);
        if role == 0 && socket.may_send() && self.established_at.is_none() {
            self.established_at = Some(now);
        }
        if !socket.is_open() && (role == 0 || self.established_at.is_some()) && self.ending(role) != Ending::Close {
            return self.finish(now, Progress::Failed);
        }
        while socket.can_recv() {
            let (number, heard) = (self.number, &mut self.heard[role]);
            let wrong = socket.recv(|bytes| {
                let right = (0..).zip(bytes.iter()).all(|(i, b)| *b == byte_at(number, 1 - role, *heard as usize + i));
                *heard += u32::try_from(bytes.len()).unwrap();
                (bytes.len(), !right)
            });
            self.corrupted |= wrong.unwrap_or(false);
        }
        let may_speak = role == 0 || self.heard[1] >= self.open.request;
        let may_say = self.may_say(now, role);
        while may_speak && socket.can_send() && self.said[role] < may_say {
            let left = (may_say - self.said[role]) as usize;
            let from = self.said[role] as usize;
            let bytes: Vec<u8> = (from..from + left.min(1000)).map(|i| byte_at(self.number, role, i)).collect();
            self.said[role] += u32::try_from(socket.send_slice(&bytes).unwrap_or(0)).unwrap();
        }
        let all_heard = self.heard[0] >= self.open.response;
        match self.open.ending {
            Ending::Close | Ending::Slow if role == 0 && all_heard && socket.may_send() => socket.close(),
            Ending::Close | Ending::Slow
                if role == 1 && !socket.may_recv() && socket.may_send() && self.heard[1] > 0 =>
            {
                socket.close();
            }
            Ending::Close | Ending::Slow if role == 0 && all_heard && !socket.is_active() => {
                self.finish(now, Progress::Done)
            }
            Ending::Close | Ending::Slow if role == 0 && all_heard && socket.state() == tcp::State::TimeWait => {
                self.finish(now, Progress::Done);
            }
            Ending::Reset if role == 0 && all_heard => {
                socket.abort();
                self.finish(now, Progress::Done);
            }
            Ending::Idle if role == 0 && all_heard => self.finish(now, Progress::Done),
            Ending::Close | Ending::Slow | Ending::Reset | Ending::Idle => {}
        }
    }

    /// How an end may be found ended without that being a failure.
    fn ending(&self, role: usize) -> Ending {
        let all_heard =
            if role == 0 { self.heard[0] >= self.open.response } else { self.heard[1] >= self.open.request };
        if all_heard { Ending::Close } else { Ending::Idle }
    }

    fn finish(&mut self, now: Instant, progress: Progress) {
        (self.progress, self.ended_at) = (progress, now);
    }

    fn step_datagrams(&mut self, now: Instant, role: usize, host: &mut Host) {
        let own = u32::try_from(self.number).unwrap();
        let (open, handle) = (self.open, self.ends[role]);
        while let Some(bytes) = sockets::receive(&open, role, handle, &mut host.sockets) {
            let field =
                |at: usize| bytes.get(at..at + 4).map_or(u32::MAX, |b| u32::from_be_bytes(b.try_into().unwrap()));
            let (number, count) = (field(0), field(4));
            let is_of = |side| bytes == datagram(number, side, count);
            // Without ports an earlier one may have been opened from the other end.
            self.corrupted |= !is_of(1 - role) && (number == own || !is_of(role));
            if number != own {
                // It is late: meant for an earlier conversation with the same ports.
                continue;
            }
            self.heard[role] += 1;
            if role == 1 {
                sockets::send(&open, role, handle, &mut host.sockets, &datagram(own, 1, count));
            } else if self.established_at.is_none() {
                self.established_at = Some(now);
            }
        }
        if role == 0 && now >= self.next_datagram && self.said[0] < self.open.request {
            sockets::send(&open, role, handle, &mut host.sockets, &datagram(own, 0, self.said[0]));
            self.said[0] += 1;
            self.next_datagram = now + std::time::Duration::from_millis(40);
        }
        if role == 0 && self.said[0] >= self.open.request && now >= self.next_datagram {
            self.finish(now, Progress::Done);
        }
    }

    /// When it wants to say more.
    pub(crate) fn next_turn(&self) -> Option<Instant> {
        let paced = !self.open.is_tcp() || self.open.ending == Ending::Slow;
        (self.progress == Progress::Speaking && paced).then_some(self.next_datagram)
    }
}

impl Open {
    /// The opener's flow as it arrives at the cluster.
    pub(crate) fn flow(&self) -> herald_core::flow::FlowKey {
        let (from, to) = talk_addresses(self);
        let (source, destination) = self.flow_ports();
        herald_core::flow::FlowKey::new(self.from, self.protocol_number(), (from, source), (to, destination))
    }
}
