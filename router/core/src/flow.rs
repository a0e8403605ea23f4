//! Keys of flows and streams, and the keyed hash for both.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::id::Interface;

/// One direction of a stream as seen on the wire of one interface. 40 bytes; IPv4 addresses are kept IPv4-mapped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlowKey {
    source: Packed,
    destination: Packed,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    interface: Interface,
}

/// An IP address in 16 bytes, IPv4 as IPv4-mapped; two words, so that a key stays at 40 bytes.
type Packed = [u64; 2];

impl FlowKey {
    /// The key of a flow. Ports are 0 for protocols that have none; an ICMP echo has its identifier in both.
    #[must_use]
    pub fn new(interface: Interface, protocol: u8, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        Self {
            source: pack(source.0),
            destination: pack(destination.0),
            source_port: source.1,
            destination_port: destination.1,
            protocol,
            interface,
        }
    }

    /// The interface where packets of this flow arrive.
    #[must_use]
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// IP protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Source address and port.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(unpack(self.source), self.source_port)
    }

    /// Destination address and port.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(unpack(self.destination), self.destination_port)
    }

    /// The same flow at another interface.
    #[must_use]
    pub fn at(&self, interface: Interface) -> Self {
        Self { interface, ..*self }
    }

    /// The key of this flow's return packets where they arrive.
    #[must_use]
    pub fn reversed(&self, interface: Interface) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
            interface,
        }
    }

    /// The network that the source stands for: the address itself of IPv4, the /64 of IPv6.
    #[must_use]
    pub fn source_network(&self) -> u64 {
        let [high, low] = self.source;
        if v4(self.source).is_some() { low } else { high }
    }

    /// The stream this flow belongs to, as long as nothing rewrites its addresses.
    #[must_use]
    pub fn stream(&self) -> StreamKey {
        let (from, to) = ((self.source, self.source_port), (self.destination, self.destination_port));
        StreamKey { low: from.min(to), high: from.max(to), protocol: self.protocol }
    }
}

impl FlowKey {
    /// All that tells it from others, as bytes: SipHash takes five words at once faster than one by one.
    fn bytes(&self) -> [u8; 40] {
        let [source_high, source_low] = self.source;
        let [destination_high, destination_low] = self.destination;
        bytes_of([source_high, source_low, destination_high, destination_low, self.tail()])
    }

    /// The same of a flow between IPv4 addresses, in two words: that is less to hash.
    fn bytes_v4(&self) -> Option<[u8; 16]> {
        let ends = u64::from(v4(self.source)?) | u64::from(v4(self.destination)?) << 32;
        Some(bytes_of([ends, self.tail()]))
    }

    /// Everything but the addresses.
    fn tail(&self) -> u64 {
        u64::from(self.source_port)
            | u64::from(self.destination_port) << 16
            | u64::from(self.protocol) << 32
            | (self.interface as u64) << 40
    }
}

fn bytes_of<const WORDS: usize, const BYTES: usize>(words: [u64; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.bytes());
    }
}

/// Who does something, where what one host may do has a bound: an IPv4 address, or the /64 of an IPv6 address, as one host may
/// have all of that (RFC 4291, section 2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceNetwork(IpAddr);

impl SourceNetwork {
    /// The network that an address stands for.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        })
    }
}

impl fmt::Display for SourceNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// A key with its hash in this node's tables, so that a packet that meets several of them is hashed once.
#[derive(Clone, Copy, Debug)]
pub struct HashedKey {
    /// The key.
    pub key: FlowKey,
    /// Its hash.
    pub hash: u64,
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", protocol_name(self.protocol), self.source(), self.destination())
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} at {}", self.interface)
    }
}

/// Both directions of a stream: equal for a flow and for its return packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    low: (Packed, u16),
    high: (Packed, u16),
    protocol: u8,
}

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The interface it leaves by.
    pub interface: Interface,
    /// The neighbour it goes to: a gateway, or the destination itself.
    pub next_hop: IpAddr,
}

/// The key of the keyed hashes: from the cluster's secret for choosing, random for a node's own tables.
#[derive(Clone, Copy)]
pub struct HashKey(pub [u8; 16]);

impl HashKey {
    /// Hash of a value (SipHash-1-3).
    pub fn hash(&self, value: &impl Hash) -> u64 {
        self.hash_one(value)
    }

    /// A flow with its hash for this node's own tables.
    #[must_use]
    pub fn hashed(&self, key: FlowKey) -> HashedKey {
        let hasher = SipHasher13::new_with_key(&self.0);
        let hash = key.bytes_v4().map_or_else(|| hasher.hash(&key.bytes()), |bytes| hasher.hash(&bytes));
        HashedKey { hash, key }
    }

    /// Another key, derived from this one.
    #[must_use]
    pub fn derive(&self, label: u8) -> Self {
        let mut key = [0; 16];
        let halves = [self.hash(&(label, 0_u8)), self.hash(&(label, 1_u8))];
        for (place, half) in key.chunks_exact_mut(8).zip(halves) {
            place.copy_from_slice(&half.to_le_bytes());
        }
        Self(key)
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// `"tcp"`, `"udp"`, `"icmp"`, `"icmpv6"`, or the number.
#[must_use]
pub fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

fn pack(address: IpAddr) -> Packed {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let [a, b, c, d, e, f, g, h, rest @ ..] = bits.to_be_bytes();
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest)]
}

/// The bits of an IPv4 address.
fn v4([high, low]: Packed) -> Option<u32> {
    let mapped = high == 0 && low >> 32 == 0xffff;
    mapped.then_some(low).and_then(|low| u32::try_from(low & 0xffff_ffff).ok())
}

fn unpack([high, low]: Packed) -> IpAddr {
    Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_key()(
            v6: bool, a: u128, b: u128, ports: (u16, u16), first: bool,
            protocol in prop_oneof![Just(1), Just(6), Just(17), Just(58), any::<u8>()],
        ) -> FlowKey {
            let address = |bits: u128| -> IpAddr {
                if v6 { Ipv6Addr::from_bits(bits | 1 << 127).into() } else {
                    std::net::Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32).into()
                }
            };
            let interface = if first { Interface::First } else { Interface::Second };
            FlowKey::new(interface, protocol, (address(a), ports.0), (address(b), ports.1))
        }
    }

    proptest! {
        #[test]
        fn both_directions_give_one_stream_key(key in any_key()) {
            let back = key.reversed(key.interface().other());
            prop_assert_eq!(key.stream(), back.stream());
            prop_assert_eq!(back.reversed(key.interface()), key);
        }

        #[test]
        fn keys_that_differ_have_different_hashes(key in any_key(), other in any_key(), chance: [u8; 16]) {
            let hash = |key: FlowKey| HashKey(chance).hashed(key).hash;
            let near = [
                key.at(key.interface().other()), key.reversed(key.interface()),
                FlowKey { protocol: key.protocol ^ 1, ..key }, FlowKey { source_port: key.source_port ^ 1, ..key },
                FlowKey { destination_port: key.destination_port ^ 1, ..key }, other,
                FlowKey { source: [key.source[0], key.source[1] ^ 1], ..key },
                FlowKey { destination: [key.destination[0], key.destination[1] ^ 1], ..key },
                FlowKey { source: [key.source[0] ^ 1, key.source[1]], ..key },
                FlowKey { destination: [key.destination[0], key.destination[1] ^ 1 << 40], ..key },
            ];
            prop_assert_eq!(hash(key), hash(key));
            for near in near {
                prop_assert_eq!(hash(near) == hash(key), near == key);
            }
        }

        #[test]
        fn different_ends_give_different_streams(key in any_key(), other in any_key()) {
            let same_ends = [(key.source(), key.destination()), (key.destination(), key.source())]
                .contains(&(other.source(), other.destination()));
            prop_assert_eq!(same_ends && key.protocol() == other.protocol(), key.stream() == other.stream());
        }
    }
}
