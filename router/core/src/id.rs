//! Who and which: nodes, boots, interfaces, epochs, generations, MAC addresses.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A node's id: 1 to 16 characters of `a-z`, `0-9` and `-`, the same on every member. Ordered as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId([u8; Self::LEN_MAX]);

/// A text that is no node id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no node id: 1 to 16 characters of a-z, 0-9 and '-' are allowed")]
pub struct NodeIdError(String);

impl NodeId {
    /// The longest id in bytes.
    pub const LEN_MAX: usize = 16;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(Self::LEN_MAX);
        self.0.get(..len).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

/// As numbers, which is the order of the texts: members are looked for so often that comparing byte by byte took a sixth of
/// a simulation's time.
impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(NodeIdError(text.to_owned()));
        }
        let mut id = [0; Self::LEN_MAX];
        match id.get_mut(..text.len()) {
            Some(place) => place.copy_from_slice(text.as_bytes()),
            None => return Err(NodeIdError(text.to_owned())),
        }
        Ok(Self(id))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One run of a node: random, new at every start. What an older boot owned is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub u64);

/// Place of a stream's record on its node. It is reused when the stream is forgotten; then its number tells the next one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    /// The first of all.
    pub const FIRST: Self = Self(0);

    /// The slot with this number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The one behind it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

/// One of the two networks the cluster sits between. A stream may open from either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interface {
    /// The first network.
    First,
    /// The second network.
    Second,
}

impl Interface {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// `"first"` or `"second"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One value for each interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerInterface<T> {
    /// The first interface's.
    pub first: T,
    /// The second interface's.
    pub second: T,
}

impl<T> PerInterface<T> {
    /// Makes both values.
    pub fn from_fn(mut make: impl FnMut(Interface) -> T) -> Self {
        Self { first: make(Interface::First), second: make(Interface::Second) }
    }
}

impl<T> std::ops::Index<Interface> for PerInterface<T> {
    type Output = T;
    fn index(&self, interface: Interface) -> &T {
        match interface {
            Interface::First => &self.first,
            Interface::Second => &self.second,
        }
    }
}

impl<T> std::ops::IndexMut<Interface> for PerInterface<T> {
    fn index_mut(&mut self, interface: Interface) -> &mut T {
        match interface {
            Interface::First => &mut self.first,
            Interface::Second => &mut self.second,
        }
    }
}

/// Number of one holder assignment of one interface, never reused: ordered by counter, then node, then boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Counts the assignments; commands show this.
    pub counter: u64,
    /// The holder.
    pub node: NodeId,
    /// The holder's boot.
    pub boot: BootId,
}

/// Number of one ownership of one stream. The node is the chosen node; see [`Generation::wins_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// 1 for a new stream; one more each time the stream moves or starts again.
    pub counter: u32,
    /// The chosen node.
    pub node: NodeId,
}

impl Generation {
    /// A higher counter wins, then the lower node id. Nothing wins over itself.
    #[must_use]
    pub fn wins_over(self, other: Self) -> bool {
        (self.counter, std::cmp::Reverse(self.node)) > (other.counter, std::cmp::Reverse(other.node))
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

/// A text that is no Ethernet address.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no MAC address: six pairs of hexadecimal digits with colons are expected, such as 02:00:00:00:01:0a")]
pub struct MacError(String);

impl Mac {
    /// The broadcast address.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// True for multicast and broadcast addresses (IEEE 802.3, I/G bit).
    #[must_use]
    pub fn is_multicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 != 0
    }

    /// The link-local IPv6 address of this MAC (RFC 4291, appendix A; RFC 4862, section 5.3).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error = || MacError(text.to_owned());
        let mut mac = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut mac {
            let pair = pairs.next().filter(|p| p.len() == 2 && !p.starts_with('+')).ok_or_else(error)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        if pairs.next().is_some() { Err(error()) } else { Ok(Self(mac)) }
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// Reads a text in place: ids travel in every announcement, and none of them may cost an allocation.
struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_short_lowercase_text() {
        for good in ["a", "node-12", "abcdefghijklmnop"] {
            assert_eq!(good.parse::<NodeId>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a b", "abcdefghijklmnopq", "ä"] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn node_ids_are_ordered_as_text() {
        let ids = ["-", "0", "a", "a-", "a0", "aa", "ab", "abcdefghijklmnop", "b", "bb"];
        for (one, other) in ids.iter().flat_map(|one| ids.map(|other| (*one, other))) {
            let [id, other_id] = [one, other].map(|text| text.parse::<NodeId>().unwrap());
            assert_eq!(id.cmp(&other_id), one.cmp(other), "{one} and {other}");
        }
    }

    #[test]
    fn higher_counter_wins_then_lower_node() {
        let g = |counter, node: &str| Generation { counter, node: node.parse().unwrap() };
        assert!(g(2, "c").wins_over(g(1, "a")));
        assert!(g(1, "a").wins_over(g(1, "b")));
        assert!(!g(1, "b").wins_over(g(1, "a")));
        assert!(!g(1, "a").wins_over(g(1, "a")));
    }

    #[test]
    fn macs_are_six_pairs() {
        assert_eq!("02:00:5e:00:01:ff".parse::<Mac>().unwrap().to_string(), "02:00:5e:00:01:ff");
        for bad in ["", "02:00:5e:00:01", "02:00:5e:00:01:ff:00", "2:0:5e:0:1:f", "02:00:5e:00:01:+f"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
