//! All options: one entry for each key, with its meaning, type, default and what is allowed.
//!
//! Each key says whether nodes that meet compare it (`compared.rs`): it must be equal, should be, or may differ.
//! The struct that is read, the defaults, the check of bounds, the texts of errors and `configs/every-option.toml` follow
//! from the entry (`key.rs`). After a change, `HERALD_WRITE_OPTIONS=1 cargo test -p herald --lib every_option` writes that
//! file anew. What bounds of a number or a list cannot say is in `check.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::key::{
    Compared, Key, default, default_by_interface, derived, have_classes, options, required, table, tables,
};
use super::values::{
    Gateways, MidstreamOption, RedirectOption, RedirectorsOption, ReversePathOption, RolesOption, Secret,
};
use herald_core::id::{Interface, Mac, NodeId};
use herald_core::limits::{
    ADDRESSES_MAX, GATEWAYS_MAX, HOLDS_BYTES_MAX, HOLDS_FRAMES_MAX, PLUGINS_MAX, ROUTER_LIFETIME_MAX,
    ROUTER_LIFETIME_MIN, ROUTES_MAX, SESSIONS_MAX, SESSIONS_MIN,
};
use herald_core::packet::FRAME_LEN_MAX;

/// One week.
const TIMEOUT_S_MAX: usize = 604_800;
/// The field of an advert has 12 bits (RFC 9568, section 5.2.7).
const ADVERT_CENTISECONDS_MAX: usize = 4_095;
/// Less has no room for the buffers of a turn.
const MEMORY_MIN: usize = 64 << 20;
/// One tebibyte.
const MEMORY_MAX: usize = 1 << 40;
/// What `via` of a route may be.
const VIA: &str = "a gateway's address on a connected network, or a list of up to 16 of these";
const _: () = assert!(GATEWAYS_MAX == 16);
/// Smallest MTU of IPv6 (RFC 8200, section 5).
const MTU_MIN: usize = 1_280;

options! {
    /// All options of one node, defaults filled in.
    struct Options {
        /// This node's id, different on every node.
        node: NodeId = required().example(r#""a""#).allowed("1 to 16 characters of a-z, 0-9 and '-'").may_differ();

        /// What is logged, in the form of RUST_LOG, such as "info,herald::app=debug".
        log: String = default(r#""info""#)
            .allowed("a level (error, warn, info, debug, trace) or a list of TARGET=LEVEL").may_differ();

        /// The Unix socket through which commands reach this node.
        control: Option<PathBuf> = derived("/run/herald/NODE.sock").example(r#""/run/herald/a.sock""#)
            .allowed("the path of a Unix socket, at most 107 bytes").may_differ();

        /// Who holds the redirectors: "priority", VRRP elects by the interfaces' priorities; or "static", the nodes in
        /// `[holders]`.
        roles: RolesOption = default(r#""priority""#).example(r#""static""#).allowed(r#""priority" or "static""#)
            .must_be_equal();

        /// How a frame travels to its chosen node: "ethernet", on the same interface to the node's MAC; or "mesh", over a
        /// connection of its own between the nodes, where they share no Ethernet segment or hosts may forge MACs.
        redirect: RedirectOption = default(r#""ethernet""#).allowed(r#""ethernet" or "mesh""#).must_be_equal();

        /// Drop packets that are odd though legal to forward: lengths and flags that mean nothing, extension headers that only
        /// their destination knows, protocols that are not assigned.
        strict: bool = default("false").allowed("true or false").should_be_equal();

        /// A TCP packet in mid-stream without a session: "drop"; "reset" its sender, too; or "pick-up"
        /// the stream from here.
        midstream: MidstreamOption = default(r#""drop""#).allowed(r#""drop", "reset" or "pick-up""#).should_be_equal();

        /// What is asked of the source of a new stream's first packet (RFC 3704): "loose", that there is a route to it;
        /// "strict", that the route leads over the interface where the packet came; or "off", nothing.
        reverse_path: ReversePathOption = default(r#""loose""#).allowed(r#""off", "loose" or "strict""#).should_be_equal();

        /// Tell hosts that send by way of the cluster what their own network could bring to the next hop (ICMP
        /// redirects). What goes straight from then on passes no plugin.
        icmp_redirects: bool = default("false").allowed("true or false").should_be_equal();

        /// Longest time in milliseconds for which the first packet of a stream waits for the acknowledgement of its
        /// announcement.
        hold_ms_max: u32 = default("20").range(1, 10_000).may_differ();

        /// Frames of one stream that wait so.
        hold_frames_max: u32 = default("256").range(1, HOLDS_FRAMES_MAX).may_differ();

        /// Their Ethernet bytes; one frame of the largest size is the least.
        hold_bytes_max: u32 = default("1048576").range(FRAME_LEN_MAX, HOLDS_BYTES_MAX).may_differ();

        /// Streams of which this node is the chosen one, at most. When there are so many, those make room that were never
        /// answered, and then those of a source that has much of the table; a node that is full of others gets no new ones.
        sessions_max: u32 = default("1048576").range(SESSIONS_MIN, SESSIONS_MAX).may_differ();

        /// Of these, streams that one source opened, at most: an IPv4 address, or a /64 of IPv6. A proxy or an address that
        /// hosts share may have many. 0: no bound but the room that others leave.
        sessions_per_source_max: u32 = default("0").range(0, SESSIONS_MAX).may_differ();

        /// Bytes that tables of sessions and buffers of frames may take together. Where they are not enough for the other
        /// bounds, these are lower; `herald config check` says how low, and what they can cost.
        memory_max: Option<u64> = derived("a quarter of what machine and control group have, or half of what is left")
            .example("1073741824").range(MEMORY_MIN, MEMORY_MAX).may_differ();

        /// What all members share.
        cluster: ClusterOptions = table(ClusterOptions::KEYS);

        /// The two interfaces.
        interfaces: InterfacesOptions = table(InterfacesOptions::KEYS).allowed("the tables first and second");

        /// The links to the peers. They are secure (TLS 1.3), and both ends show a certificate of the cluster's own
        /// authority. `herald keys init` makes the authority, `herald keys issue NODE` a node's certificate and key. All
        /// three are PEM files, read when the node starts; a relative path begins where it is started. A node without
        /// peers needs none of this.
        mesh: MeshOptions = table(MeshOptions::KEYS).allowed("a table with listen, peers, ca, certificate and key");

        /// Adverts of VRRP version 3 (RFC 9568) and what follows from them.
        vrrp: VrrpOptions = table(VrrpOptions::KEYS);

        /// Only with roles = "static", and then needed: who holds which redirector.
        holders: Option<HoldersOptions> = table(HoldersOptions::KEYS);

        /// How nodes are chosen.
        choose: ChooseOptions = table(ChooseOptions::KEYS);

        /// After how many seconds without a packet a stream ends.
        timeouts: TimeoutsOptions = table(TimeoutsOptions::KEYS).allowed("a table of numbers of seconds");

        /// Switches for tests; leave them alone.
        testing: TestingOptions = table(TestingOptions::KEYS);

        /// Static routes, in any order: the longest prefix wins.
        routes: Vec<RouteOptions> = tables(RouteOptions::KEYS, "a table with to and via")
            .list(0, ROUTES_MAX, "tables with to and via").should_be_equal().compared(Compared::Set);

        /// The plugins that inspect each packet, in this order. Compared is all but paths.
        plugins: Vec<PluginOptions> = tables(PluginOptions::KEYS, "a table with name and, if wanted, config")
            .list(0, PLUGINS_MAX, "tables with name and config").should_be_equal().compared(Compared::Plugins);
    }

    /// `[cluster]`.
    struct ClusterOptions {
        /// The cluster's name: only nodes of one name talk to each other.
        id: String = required().example(r#""example""#).allowed("a text of 1 to 64 printable bytes").must_be_equal();

        /// Key material for choosing nodes. A file with it that others than its owner may read is refused when the node
        /// starts, and so is the example's; HERALD_CONFIG__CLUSTER__SECRET may set it instead.
        secret: Secret = required().example(r#""change me: any long random text""#)
            .allowed("a text of at least 16 characters").must_be_equal().compared(Compared::Secret);
    }

    /// `[interfaces]`.
    struct InterfacesOptions {
        /// The first interface.
        first: InterfaceOptions = table(InterfaceOptions::KEYS);

        /// The second interface, with the same keys.
        second: InterfaceOptions = table(InterfaceOptions::KEYS);
    }

    /// `[interfaces.first]` and `[interfaces.second]`.
    struct InterfaceOptions {
        /// The TAP device's name. It is made when it does not exist.
        tap: String = required().examples(r#""herald-first""#, r#""herald-second""#)
            .allowed("a device name: 1 to 15 characters without '/', ':', '%' or space").may_differ();

        /// The network namespace of the TAP.
        netns: Option<PathBuf> = derived("the one the node runs in")
            .examples(r#""/run/netns/net-first""#, r#""/run/netns/net-second""#)
            .allowed("the path of a network namespace").may_differ();

        /// The node's own MAC, other than the TAP device's.
        mac: Option<Mac> = derived("02 and 40 bits of a hash of cluster id, node and interface")
            .examples(r#""02:00:00:00:01:0a""#, r#""02:00:00:00:02:0a""#)
            .allowed("a unicast MAC address such as 02:00:00:00:01:0a, no virtual one").may_differ();

        /// The node's own addresses with the prefix length of their networks, which are what is
        /// compared.
        addresses: Vec<IpNet> = required()
            .examples(r#"["10.1.0.11/24", "fd00:1::11/64"]"#, r#"["10.2.0.11/24", "fd00:2::11/64"]"#)
            .list(1, ADDRESSES_MAX, "addresses with prefix length")
            .entries("a host's address with prefix length such as 10.1.0.11/24")
            .should_be_equal().compared(Compared::Networks);

        /// The cluster's addresses, the gateways of the network's hosts.
        virtual_addresses: Vec<IpAddr> = default("[]")
            .examples(r#"["10.1.0.1", "fd00:1::1"]"#, r#"["10.2.0.1", "fd00:2::1"]"#)
            .list(0, ADDRESSES_MAX, "addresses without prefix length")
            .entries("an address inside one of the interface's networks, such as 10.1.0.1")
            .must_be_equal().compared(Compared::Set);

        /// Last byte of the virtual MACs 00:00:5e:00:01:VRID (IPv4) and 00:00:5e:00:02:VRID (IPv6).
        vrid: u8 = default_by_interface("1", "2").range(1, 255).must_be_equal();

        /// Largest IP packet of the network in bytes.
        mtu: u16 = default("1500").range(MTU_MIN, 65_535).should_be_equal();

        /// The VLAN of a tagged network: each frame has its tag, and others stay out. A tag that tells a priority alone is
        /// as good as none. Nodes may differ where a switch takes the tag off.
        vlan: Option<u16> = derived("none: frames have no tag").examples("10", "20").range(1, 4_094).may_differ();

        /// Tell hosts by router advertisements that the cluster is their IPv6 gateway, and the networks of the addresses,
        /// of which they may make their own.
        router_advertisements: bool = default("false").allowed("true or false").should_be_equal();

        /// How long hosts use the gateway after a router advertisement.
        router_lifetime_s: u16 = default("1800").range(ROUTER_LIFETIME_MIN, ROUTER_LIFETIME_MAX).should_be_equal();

        /// This node's priority for the interface's redirector; the highest takes it while nobody holds it. By default
        /// the lowest node id has the highest; for the second interface that order is rotated by one, so that the second
        /// id holds the second redirector.
        priority: Option<u8> = derived("100 and more by the order of node ids").examples("102", "100").range(1, 254)
            .may_differ();
    }

    /// `[mesh]`.
    struct MeshOptions {
        /// Address and port where the peers reach this node. A node with peers needs it.
        listen: Option<SocketAddr> = derived("none").example(r#""10.9.0.11:7400""#)
            .allowed("ADDRESS:PORT such as 10.9.0.11:7400").may_differ();

        /// The other nodes and where they listen. Their ids are compared.
        peers: BTreeMap<NodeId, SocketAddr> = default("{}")
            .example(r#"{ b = "10.9.0.12:7400", c = "10.9.0.13:7400" }"#)
            .allowed(r#"a table of NODE = "ADDRESS:PORT""#)
            .entries("ADDRESS:PORT such as 10.9.0.12:7400").should_be_equal().compared(Compared::Members);

        /// The certificate of the cluster's authority, the same on all nodes. A node with listen needs it.
        ca: Option<PathBuf> = derived("none").example(r#""/etc/herald/ca.pem""#)
            .allowed("the path of the certificate of the cluster's authority").may_differ();

        /// This node's certificate. A node with listen needs it.
        certificate: Option<PathBuf> = derived("none").example(r#""/etc/herald/node-a.pem""#)
            .allowed("the path of this node's certificate").may_differ();

        /// Its private key, which only the node's user may read. A node with listen needs it.
        key: Option<PathBuf> = derived("none").example(r#""/etc/herald/node-a.key""#)
            .allowed("the path of this node's private key").may_differ();

        /// A file to which the secrets of all links are appended (SSLKEYLOGFILE format), so that captures can be read.
        /// Whoever can read it can read the links.
        key_log: Option<PathBuf> = derived("none").example(r#""/run/herald/a.key-log""#)
            .allowed("the path of a file for the secrets of the links, for tests").may_differ();
    }

    /// `[vrrp]`.
    struct VrrpOptions {
        /// Time between two adverts in hundredths of a second. After a little more than three times
        /// this without an advert the next node takes the role.
        advert_centiseconds: u16 = default("10").range(1, ADVERT_CENTISECONDS_MAX).must_be_equal();

        /// Whether this node takes a role back from a living holder with a lower priority: once it is in sync and every
        /// member says that it hears this node on that interface.
        preempt: bool = default("false").allowed("true or false").may_differ();

        /// For how long that must have been so, in milliseconds.
        preempt_delay_ms: u32 = default("1000").range(0, 3_600_000).may_differ();
    }

    /// `[holders]`.
    struct HoldersOptions {
        /// Who holds the first interface's redirector.
        first: NodeId = required().example(r#""a""#).allowed("the id of this node or of a peer").must_be_equal();

        /// Who holds the second interface's redirector.
        second: NodeId = required().example(r#""b""#).allowed("the id of this node or of a peer").must_be_equal();
    }

    /// `[choose]`.
    struct ChooseOptions {
        /// Whether nodes that hold a redirector are chosen: "last-resort", only if there is no other; or "equal", like
        /// any other.
        redirectors: RedirectorsOption = default(r#""last-resort""#).allowed(r#""last-resort" or "equal""#)
            .must_be_equal();

        /// For tests: each interface's redirector chooses by another key, so that only an announcement can lead a return
        /// packet to its chosen node.
        per_interface_key: bool = default("false").allowed("true or false").must_be_equal();

        /// This node's share of the streams in proportion to the other nodes' weights.
        weight: u16 = default("100").range(1, 65_535).may_differ();
    }

    /// `[timeouts]`, in seconds.
    struct TimeoutsOptions {
        /// TCP, established (RFC 5382 asks for at least 2 h 4 min).
        tcp_established_s: u32 = default("7440").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// TCP, handshake not done (RFC 5382: at least 4 min).
        tcp_opening_s: u32 = default("240").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// TCP, one end has closed (RFC 5382: at least 4 min).
        tcp_closing_s: u32 = default("240").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// TCP, both ends have closed, or a reset was seen.
        tcp_closed_s: u32 = default("10").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// UDP (RFC 4787: at least 2 min).
        udp_s: u32 = default("120").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// ICMP echo.
        icmp_s: u32 = default("30").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// Any other protocol.
        other_s: u32 = default("120").seconds(1, TIMEOUT_S_MAX).should_be_equal();

        /// A redirector session whose chosen node has not announced the stream.
        provisional_s: u32 = default("5").seconds(1, TIMEOUT_S_MAX).should_be_equal();
    }

    /// `[testing]`.
    struct TestingOptions {
        /// Session announcements are sent.
        announcements: bool = default("true").allowed("true or false").must_be_equal();

        /// Delay of each announcement in milliseconds.
        announcement_delay_ms: u32 = default("0").range(0, 10_000).should_be_equal();
    }

    /// One of `[[routes]]`.
    struct RouteOptions {
        /// The destination network.
        to: IpNet = required().example(r#""192.0.2.0/24""#).allowed("a network such as 192.0.2.0/24");

        /// The gateway, or a list of several, each of which takes its part of the streams; one that is silent is passed
        /// over.
        via: Gateways = required().example(r#""10.2.0.254""#).allowed(VIA);

        /// Where the gateway is. A link-local gateway such as "fe80::1" needs it; others may have it.
        interface: Option<Interface> = derived("that of the gateway's network").example(r#""second""#)
            .allowed(r#""first" or "second""#);
    }

    /// One of `[[plugins]]`.
    struct PluginOptions {
        /// Without a slash: the file libherald_NAME.so beside the executable. Else the path of the file.
        name: String = required().example(r#""acl""#)
            .allowed("a name of a-z, 0-9, '_' and '-' that starts with a letter, or a path with a '/'");

        /// Handed to the plugin as it is; what it may contain is the plugin's affair.
        #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
        config: toml::Table = derived("empty").example(r#"{ default = "pass" }"#).allowed("a table");
    }
}

const _: () = assert!(have_classes(Options::KEYS), "each key is in a class");

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
