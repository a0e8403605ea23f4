//! The types of options that have one of their own: words to choose from, and the secret.

use std::fmt;
use std::net::IpAddr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `roles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolesOption {
    /// VRRP: the highest priority takes a vacant role.
    Priority,
    /// `[holders]` says who holds.
    Static,
}

/// `redirect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectOption {
    /// The same frame on the same interface, to the chosen node's MAC.
    Ethernet,
    /// Inside a message, over a connection of the mesh.
    Mesh,
}

/// `midstream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MidstreamOption {
    /// The packet is dropped.
    Drop,
    /// The packet is dropped, and its sender gets a reset.
    Reset,
    /// The stream is taken up from here.
    PickUp,
}

/// `reverse_path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReversePathOption {
    /// Sources are not looked at.
    Off,
    /// There is a route to the source.
    Loose,
    /// The route to the source leads over the interface of arrival.
    Strict,
}

/// `via` of a route: an address, or a list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateways(pub Vec<IpAddr>);

impl<'de> Deserialize<'de> for Gateways {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GatewaysVisitor)
    }
}

impl Serialize for Gateways {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

struct GatewaysVisitor;

impl<'de> Visitor<'de> for GatewaysVisitor {
    type Value = Gateways;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address or a list of addresses")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Gateways, E> {
        text.parse().map(|address| Gateways(vec![address])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Gateways, A::Error> {
        let mut gateways = Vec::new();
        while let Some(address) = list.next_element()? {
            gateways.push(address);
        }
        Ok(Gateways(gateways))
    }
}

/// `choose.redirectors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectorsOption {
    /// A holder is chosen only when there is no other.
    LastResort,
    /// Holders are chosen like the others.
    Equal,
}

/// The cluster's secret. It is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What stands for it where it would be shown.
    pub const HIDDEN: &str = "(hidden)";

    /// How the secret of the example files begins.
    const PLACEHOLDER: &str = "change me";

    /// True for the secret of the example files.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        self.0.starts_with(Self::PLACEHOLDER)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::HIDDEN)
    }
}
