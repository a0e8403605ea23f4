//! Answers ARP for an address that no kernel has, so that frames to it can be sent and cost their receiver nothing.

use std::thread;

use etherparse::{ArpOperation, ArpPacket, EtherType, Ethernet2Header, PacketBuilder};

use super::interface::Interface;
use super::packet_socket::{PacketSocket, Receives};
use crate::address::{SINK, SINK_MAC};
use crate::error::BenchError;

/// Answers from now on.
///
/// # Errors
///
/// When packet sockets are not allowed.
pub(crate) fn start(interface: &Interface) -> Result<(), BenchError> {
    let socket = PacketSocket::open(interface, Receives::Arp).map_err(BenchError::system("cannot receive ARP"))?;
    thread::spawn(move || {
        let mut frame = [0; 256];
        // The interface goes when the host does; then the answering ends.
        while let Ok(len) = socket.receive(&mut frame) {
            if let Some(answer) = answer(frame.get(..len).unwrap_or_default()) {
                let _ = socket.send(&answer);
            }
        }
    });
    Ok(())
}

/// The answer to a question for the sink (RFC 826).
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let (ethernet, rest) = Ethernet2Header::from_slice(frame).ok()?;
    if ethernet.ether_type != EtherType::ARP {
        return None;
    }
    let mut arp = ArpPacket::from_slice(rest).ok()?.try_eth_ipv4().ok()?;
    if arp.operation != ArpOperation::REQUEST || arp.target_ipv4_addr() != SINK {
        return None;
    }
    arp.operation = ArpOperation::REPLY;
    (arp.target_mac, arp.target_ipv4) = (arp.sender_mac, arp.sender_ipv4);
    (arp.sender_mac, arp.sender_ipv4) = (SINK_MAC, SINK.octets());
    let builder = PacketBuilder::ethernet2(SINK_MAC, ethernet.source).arp(ArpPacket::from(arp));
    let mut answer = Vec::with_capacity(builder.size());
    builder.write(&mut answer).ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ASKER: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn question(target: Ipv4Addr) -> Vec<u8> {
        let arp = etherparse::ArpEthIpv4Packet {
            operation: ArpOperation::REQUEST,
            sender_mac: ASKER,
            sender_ipv4: [10, 2, 0, 1],
            target_mac: [0; 6],
            target_ipv4: target.octets(),
        };
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(ASKER, [0xff; 6]).arp(ArpPacket::from(arp)).write(&mut frame).unwrap();
        frame
    }

    #[test]
    fn only_questions_for_the_sink_are_answered() {
        let answer = answer(&question(SINK)).unwrap();
        let (ethernet, rest) = Ethernet2Header::from_slice(&answer).unwrap();
        assert_eq!((ethernet.destination, ethernet.source), (ASKER, SINK_MAC));
        let arp = ArpPacket::from_slice(rest).unwrap().try_eth_ipv4().unwrap();
        assert_eq!((arp.sender_mac, arp.sender_ipv4_addr()), (SINK_MAC, SINK));
        assert_eq!(super::answer(&answer), None);
        assert_eq!(super::answer(&question(Ipv4Addr::new(10, 2, 0, 100))), None);
        assert_eq!(super::answer(&[0; 20]), None);
    }
}
