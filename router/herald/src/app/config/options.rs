//! The options as they are written: the shape of a configuration file, and for each key what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use herald_core::id::{Interface, Mac, NodeId};

/// All options of one node, defaults filled in. `configs/every-option.toml` explains each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// This node's id.
    pub node: NodeId,
    /// Filter of the log, in the form of `RUST_LOG`.
    pub log: String,
    /// The control socket's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<PathBuf>,
    /// How the holders of the redirectors are found.
    pub roles: RolesOption,
    /// How a frame travels to its chosen node.
    pub redirect: RedirectOption,
    /// What becomes of TCP in mid-stream that nobody knows.
    pub midstream: MidstreamOption,
    /// Longest hold in milliseconds.
    pub hold_ms_max: u32,
    /// Frames of one hold.
    pub hold_frames_max: u32,
    /// Ethernet bytes of one hold.
    pub hold_bytes_max: u32,
    /// What all members share.
    pub cluster: ClusterOptions,
    /// The two interfaces.
    pub interfaces: InterfacesOptions,
    /// The links to the peers.
    pub mesh: MeshOptions,
    /// Adverts and preemption.
    pub vrrp: VrrpOptions,
    /// The holders, if `roles` is static.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holders: Option<HoldersOptions>,
    /// How nodes are chosen.
    pub choose: ChooseOptions,
    /// Life times of sessions.
    pub timeouts: TimeoutsOptions,
    /// Switches for tests.
    pub testing: TestingOptions,
    /// Static routes.
    pub routes: Vec<RouteOptions>,
    /// The chain, in order.
    pub plugins: Vec<PluginOptions>,
}

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
    /// The stream is taken up from here.
    PickUp,
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

/// `[cluster]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterOptions {
    /// The cluster's name.
    pub id: String,
    /// Key material for choosing.
    pub secret: Secret,
}

/// The cluster's secret. It is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What stands for it where it would be shown.
    pub const HIDDEN: &str = "(hidden)";

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

/// `[interfaces]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfacesOptions {
    /// The first interface.
    pub first: InterfaceOptions,
    /// The second interface.
    pub second: InterfaceOptions,
}

impl InterfacesOptions {
    /// One interface's options.
    #[must_use]
    pub fn of(&self, interface: Interface) -> &InterfaceOptions {
        match interface {
            Interface::First => &self.first,
            Interface::Second => &self.second,
        }
    }

    /// One interface's options, to fill in what was derived.
    pub fn of_mut(&mut self, interface: Interface) -> &mut InterfaceOptions {
        match interface {
            Interface::First => &mut self.first,
            Interface::Second => &mut self.second,
        }
    }
}

/// `[interfaces.first]` and `[interfaces.second]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceOptions {
    /// The TAP device's name.
    pub tap: String,
    /// The network namespace of the TAP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<PathBuf>,
    /// The node's own MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The node's own addresses with their networks.
    pub addresses: Vec<IpNet>,
    /// The cluster's addresses.
    pub virtual_addresses: Vec<IpAddr>,
    /// Last byte of the virtual MACs.
    pub vrid: u8,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// The node's priority for this interface's redirector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// `[mesh]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeshOptions {
    /// Where peers reach this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where this node reaches its peers.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// The certificate of the cluster's authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// This node's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Where the secrets of the links are written (tests only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_log: Option<PathBuf>,
}

/// `[vrrp]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VrrpOptions {
    /// Time between two adverts in hundredths of a second.
    pub advert_centiseconds: u16,
    /// A higher priority takes the role from a living holder.
    pub preempt: bool,
    /// For how long everything must speak for that, in milliseconds.
    pub preempt_delay_ms: u32,
}

/// `[holders]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldersOptions {
    /// Who holds the first interface's redirector.
    pub first: NodeId,
    /// Who holds the second interface's redirector.
    pub second: NodeId,
}

/// `[choose]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChooseOptions {
    /// Whether holders are chosen.
    pub redirectors: RedirectorsOption,
    /// Each interface's redirector chooses with another key (tests only).
    pub per_interface_key: bool,
    /// This node's share of the streams.
    pub weight: u16,
}

/// `[timeouts]`, in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsOptions {
    /// An established TCP connection without packets.
    pub tcp_established_s: u32,
    /// A TCP connection whose handshake is not done.
    pub tcp_opening_s: u32,
    /// A half-closed TCP connection.
    pub tcp_closing_s: u32,
    /// A closed TCP connection.
    pub tcp_closed_s: u32,
    /// UDP.
    pub udp_s: u32,
    /// ICMP echo.
    pub icmp_s: u32,
    /// Any other protocol.
    pub other_s: u32,
    /// A redirector session that nobody announced.
    pub provisional_s: u32,
}

/// `[testing]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestingOptions {
    /// Session announcements are sent.
    pub announcements: bool,
    /// Delay of each announcement in milliseconds.
    pub announcement_delay_ms: u32,
}

/// One of `[[routes]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteOptions {
    /// Destination network.
    pub to: IpNet,
    /// Gateway.
    pub via: IpAddr,
}

/// One of `[[plugins]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOptions {
    /// Its name, or the path of its file.
    pub name: String,
    /// Handed to it as TOML text.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub config: toml::Table,
}

/// What each key may be. `*` stands for an interface, a peer or the number of a list's entry.
const ALLOWED: &[(&str, &str)] = &[
    ("node", "1 to 16 characters of a-z, 0-9 and '-'"),
    ("log", "a level (error, warn, info, debug, trace) or a list of TARGET=LEVEL"),
    ("control", "the path of a Unix socket, at most 107 bytes"),
    ("roles", "\"priority\" or \"static\""),
    ("redirect", "\"ethernet\" or \"mesh\""),
    ("midstream", "\"drop\" or \"pick-up\""),
    ("hold_ms_max", "a number from 1 to 10000"),
    ("hold_frames_max", "a number from 1 to 4096"),
    ("hold_bytes_max", "a number from 65557 to 67108864"),
    ("cluster", "a table with id and secret"),
    ("cluster.id", "a text of 1 to 64 printable bytes"),
    ("cluster.secret", "a text of at least 16 characters"),
    ("interfaces", "the tables first and second"),
    ("interfaces.*", "a table with at least tap and addresses"),
    ("interfaces.*.tap", "a device name: 1 to 15 characters without '/', ':', '%' or space"),
    ("interfaces.*.netns", "the path of a network namespace"),
    ("interfaces.*.mac", "a unicast MAC address such as 02:00:00:00:01:0a, no virtual one"),
    ("interfaces.*.addresses", "a list of 1 to 16 addresses with prefix length"),
    ("interfaces.*.addresses.*", "a host's address with prefix length such as 10.1.0.11/24"),
    ("interfaces.*.virtual_addresses", "a list of at most 16 addresses without prefix length"),
    ("interfaces.*.virtual_addresses.*", "an address inside one of the interface's networks, such as 10.1.0.1"),
    ("interfaces.*.vrid", "a number from 1 to 255"),
    ("interfaces.*.mtu", "a number from 1280 to 65535"),
    ("interfaces.*.priority", "a number from 1 to 254"),
    ("mesh", "a table with listen, peers, ca, certificate and key"),
    ("mesh.listen", "ADDRESS:PORT such as 10.9.0.11:7400"),
    ("mesh.peers", "a table of NODE = \"ADDRESS:PORT\""),
    ("mesh.peers.*", "ADDRESS:PORT such as 10.9.0.12:7400"),
    ("mesh.ca", "the path of the certificate of the cluster's authority"),
    ("mesh.certificate", "the path of this node's certificate"),
    ("mesh.key", "the path of this node's private key"),
    ("mesh.key_log", "the path of a file for the secrets of the links, for tests"),
    ("vrrp", "a table of advert_centiseconds, preempt and preempt_delay_ms"),
    ("vrrp.advert_centiseconds", "a number from 1 to 4095"),
    ("vrrp.preempt", "true or false"),
    ("vrrp.preempt_delay_ms", "a number from 0 to 3600000"),
    ("holders", "a table with first and second"),
    ("holders.*", "the id of this node or of a peer"),
    ("choose", "a table of redirectors, per_interface_key and weight"),
    ("choose.redirectors", "\"last-resort\" or \"equal\""),
    ("choose.per_interface_key", "true or false"),
    ("choose.weight", "a number from 1 to 65535"),
    ("timeouts", "a table of numbers of seconds"),
    ("timeouts.*", "a number of seconds from 1 to 604800"),
    ("testing", "a table of announcements and announcement_delay_ms"),
    ("testing.announcements", "true or false"),
    ("testing.announcement_delay_ms", "a number from 0 to 10000"),
    ("routes", "a list of at most 128 tables with to and via"),
    ("routes.*", "a table with to and via"),
    ("routes.*.to", "a network such as 192.0.2.0/24"),
    ("routes.*.via", "a gateway's address on a connected network"),
    ("plugins", "a list of at most 32 tables with name and config"),
    ("plugins.*", "a table with name and, if wanted, config"),
    ("plugins.*.name", "a name of a-z, 0-9, '_' and '-' that starts with a letter, or a path with a '/'"),
    ("plugins.*.config", "a table"),
];

/// What the key (its parts joined by dots) may be; `None` for keys that do not exist.
#[must_use]
pub fn allowed(key: &str) -> Option<&'static str> {
    let matches = |pattern: &str| {
        pattern.split('.').count() == key.split('.').count()
            && pattern.split('.').zip(key.split('.')).all(|(p, k)| p == "*" || p == k)
    };
    ALLOWED.iter().find(|(pattern, _)| matches(pattern)).map(|(_, text)| *text)
}
