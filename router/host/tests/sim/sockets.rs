//! What conversations without connections go through: sockets for UDP, for echoes, and for protocols that nobody knows.

use std::net::IpAddr;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, raw, udp};
use smoltcp::storage::PacketMetadata;
use smoltcp::wire::{IpAddress, IpProtocol, IpVersion, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};

use crate::host::talk_addresses;
use crate::scenario::{Open, Protocol, ports};

/// Packets and bytes that wait in a socket.
const PACKETS: usize = 8;
const BYTES: usize = 2048;

/// Bytes before an echo's data: type, code, checksum, identifier, number.
const ECHO_HEADER: usize = 8;

/// Opens the socket of one end: 0 the opener's, 1 the other. `None` if its port is in use.
pub(crate) fn open(open: &Open, role: usize, sockets: &mut SocketSet<'static>) -> Option<SocketHandle> {
    let (source, destination) = ports(open.key);
    Some(match open.protocol {
        Protocol::Tcp4 | Protocol::Tcp6 => return None,
        Protocol::Udp4 | Protocol::Udp6 => {
            let buffer = || udp::PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; BYTES]);
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind([source, destination][role]).ok()?;
            sockets.add(socket)
        }
        Protocol::Icmp4 | Protocol::Icmp6 => {
            let buffer = || icmp::PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; BYTES]);
            let mut socket = icmp::Socket::new(buffer(), buffer());
            socket.bind(icmp::Endpoint::Ident(source)).ok()?;
            sockets.add(socket)
        }
        Protocol::Other4 | Protocol::Other6 => {
            let buffer = || raw::PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; BYTES]);
            let version = if open.is_ipv6() { IpVersion::Ipv6 } else { IpVersion::Ipv4 };
            let protocol = IpProtocol::from(open.protocol_number());
            sockets.add(raw::Socket::new(Some(version), Some(protocol), buffer(), buffer()))
        }
    })
}

/// What has come to an end from the other one.
pub(crate) fn receive(
    open: &Open,
    role: usize,
    handle: SocketHandle,
    sockets: &mut SocketSet<'static>,
) -> Option<Vec<u8>> {
    match open.protocol {
        Protocol::Tcp4 | Protocol::Tcp6 => None,
        Protocol::Udp4 | Protocol::Udp6 => {
            let (bytes, _) = sockets.get_mut::<udp::Socket<'_>>(handle).recv().ok()?;
            Some(bytes.to_vec())
        }
        Protocol::Icmp4 | Protocol::Icmp6 => {
            let socket = sockets.get_mut::<icmp::Socket<'_>>(handle);
            let meant = echo_type(open, 1 - role);
            std::iter::from_fn(|| Some(socket.recv().ok()?.0.to_vec()))
                .find(|bytes| bytes.first() == Some(&meant))
                .and_then(|bytes| Some(bytes.get(ECHO_HEADER..)?.to_vec()))
        }
        Protocol::Other4 | Protocol::Other6 => {
            let bytes = sockets.get_mut::<raw::Socket<'_>>(handle).recv().ok()?;
            Some(bytes.get(header_len(open)..)?.to_vec())
        }
    }
}

/// An end says something to the other one; what finds no room is lost.
pub(crate) fn send(open: &Open, role: usize, handle: SocketHandle, sockets: &mut SocketSet<'static>, body: &[u8]) {
    let (source, destination) = ports(open.key);
    let (opener, other) = talk_addresses(open);
    let [from, to] = if role == 0 { [opener, other] } else { [other, opener] };
    match open.protocol {
        Protocol::Tcp4 | Protocol::Tcp6 => {}
        Protocol::Udp4 | Protocol::Udp6 => {
            let port = [destination, source][role];
            sockets.get_mut::<udp::Socket<'_>>(handle).send_slice(body, (IpAddress::from(to), port)).ok();
        }
        Protocol::Icmp4 | Protocol::Icmp6 => {
            let [high, low] = source.to_be_bytes();
            let header = [echo_type(open, role), 0, 0, 0, high, low, 0, 0];
            let packet = [&header[..], body].concat();
            sockets.get_mut::<icmp::Socket<'_>>(handle).send_slice(&packet, to.into()).ok();
        }
        Protocol::Other4 | Protocol::Other6 => {
            let packet = packet(open.protocol_number(), (from, to), body);
            sockets.get_mut::<raw::Socket<'_>>(handle).send_slice(&packet).ok();
        }
    }
}

/// The ICMP type of what an end says (RFC 792; RFC 4443, section 4).
fn echo_type(open: &Open, role: usize) -> u8 {
    let types = if open.is_ipv6() { [128, 129] } else { [8, 0] };
    types[role]
}

fn header_len(open: &Open) -> usize {
    if open.is_ipv6() { 40 } else { 20 }
}

fn packet(protocol: u8, ends: (IpAddr, IpAddr), body: &[u8]) -> Vec<u8> {
    let next_header = IpProtocol::from(protocol);
    let (payload_len, hop_limit) = (body.len(), 64);
    let mut bytes;
    match ends {
        (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
            let repr = Ipv4Repr { src_addr, dst_addr, next_header, payload_len, hop_limit };
            bytes = vec![0; repr.buffer_len()];
            repr.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
        }
        (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
            let repr = Ipv6Repr { src_addr, dst_addr, next_header, payload_len, hop_limit };
            bytes = vec![0; repr.buffer_len()];
            repr.emit(&mut Ipv6Packet::new_unchecked(&mut bytes));
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => unreachable!("both ends of a conversation have addresses of one kind"),
    }
    bytes.extend_from_slice(body);
    bytes
}
