//! `herald run`: builds a node from its configuration and runs it until it is told to stop.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::Poll;
use tokio::sync::mpsc;

use super::config::{
    Config, Draft, MeshOptions, MidstreamOption, RedirectOption, RedirectorsOption, ReversePathOption, RolesOption,
};
use super::control::{self, ControlSocket, Shared, SocketError};
use super::descriptors::Descriptors;
use super::event_loop::{self, About, EventLoop, KNOCKS_FIRST_TOKEN, PEERS_FIRST_TOKEN, Parts, Port};
use super::logging::Log;
use super::published::Published;
use super::queue_losses::QueueLosses;
use super::watchdog::{self, Progress};
use crate::io::chance::random;
use crate::io::knocks::Knocks;
use crate::io::peers::Peers;
use crate::io::tls::{TlsError, TlsFiles, TlsIdentity};
use crate::io::{StopSignals, Tap, TapError, clock, machine};
use herald_core::chosen::HoldMax;
use herald_core::flow::HashKey;
use herald_core::forward::{self, InterfaceSettings, ReversePath, StaticRoute};
use herald_core::id::{BootId, Interface, Mac, NodeId, PerInterface};
use herald_core::limits::{BUCKETS, INQUIRIES_ANSWERED_MAX};
use herald_core::membership::{self, AdvertSettings, Preemption, ProbeSettings, RolesMode};
use herald_core::mesh::codec::{VERSION_MAX, VERSION_MIN};
use herald_core::mesh::{Hello, Side};
use herald_core::node::{self, Announcing, Node, Redirecting, Strictness};
use herald_core::redirector::choice::{self, Keying, Redirectors};
use herald_core::session::{Bounds, Midstream, Plan, Timeouts, record_len};
use herald_core::time::Instant;
use herald_host::{Chain, Head, HostError, PluginSettings};

/// Niceness of the event loop's thread (`setpriority(2)`): before ordinary processes, behind real-time ones.
const LOOP_NICENESS: i32 = -10;

/// Tells the key of the challenges on interfaces from others that follow from the cluster's key.
const PROBES_LABEL: u8 = 8;

/// A node that could not start, or that ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A TAP cannot be opened.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The control socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A plugin was refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The interfaces or routes contradict each other.
    #[error(transparent)]
    Forward(#[from] forward::SettingsError),
    /// The keys of the mesh cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The mesh address cannot be listened on.
    #[error("cannot listen for peers at mesh.listen = {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

/// Runs the node until a signal stops it.
///
/// # Errors
/// Why it could not start, or why it ended.
pub fn run(config: &Config, log: &Log) -> Result<(), RunError> {
    let system = |what| move |error| RunError::System { what, error };
    let tls = read_keys(config)?;
    // Namespaces are visited and signals taken over while there is one thread beside the log's, which has neither; plugins
    // and control start more.
    let signals = StopSignals::take_over().map_err(system("cannot take over signals"))?;
    let ports = open_ports(config)?;
    let socket = ControlSocket::bind(&config.control)?;
    let plugins = Chain::load(&host_settings()?, &plugin_settings(config))?;
    let poll = Poll::new().map_err(system("cannot make a poll"))?;
    let boot = BootId(u64::from_ne_bytes(random().map_err(system("cannot read random bytes"))?));
    let hash_key = HashKey(random().map_err(system("cannot read random bytes"))?);
    let started = clock::now();
    let bounds = plan(config, plugins.stream_len()).bounds();
    let first_nonce = u64::from_ne_bytes(random().map_err(system("cannot read random bytes"))?);
    let settings = node_settings(config, boot, (hash_key, first_nonce));
    let node = Node::new(started, node::Settings { bounds, ..settings })?;
    let mut losses = QueueLosses::new(PerInterface::from_fn(|interface| Arc::clone(ports[interface].tap.queue())));
    let peers = open_peers(config, boot, &poll, tls)?;
    let waker = event_loop::waker(&poll).map_err(system("cannot make a waker"))?;
    let (asker, questions) = control::questions(Arc::new(waker));
    let published = Published::default();
    let (node_id, cluster) = (config.options.node, config.options.cluster.id.clone());
    let shared = Shared { published: published.clone(), plugins: plugins.report(), node: node_id };
    let (inquired, inquiries) = mpsc::channel(INQUIRIES_ANSWERED_MAX);
    let about = About { node: node_id, cluster, started, log: log.books(), bounds };
    let progress = Arc::new(Progress::default());
    let knocks = Knocks::new(KNOCKS_FIRST_TOKEN, peer_addresses(config));
    let seen = Arc::clone(&progress);
    let parts = Parts {
        poll,
        node,
        plugins,
        ports,
        peers,
        knocks,
        signals,
        questions,
        inquired,
        published,
        progress: seen,
        about,
    };
    let mut event_loop = EventLoop::new(parts).map_err(system("cannot watch the node's descriptors"))?;
    let _control =
        control::start(socket, asker, shared, inquiries).map_err(system("cannot start the control thread"))?;
    let mut descriptors = Descriptors::default();
    let look = move || {
        losses.look();
        descriptors.look();
    };
    let _watchdog = watchdog::start(progress, look).map_err(system("cannot start the watchdog"))?;
    tracing::info!(
        "node {} of cluster {} runs; control socket {}",
        config.options.node,
        config.options.cluster.id,
        config.control.display()
    );
    ask_for_precedence();
    event_loop.run().map_err(system("the event loop has failed"))?;
    tracing::info!("node {} has stopped", config.options.node);
    Ok(())
}

/// Says what is wrong with the configuration that a lab drafts for a node, as far as that can be known before there is
/// anything: what plugins say of their configurations, for one, is not.
///
/// # Errors
/// What is wrong, on one line.
pub fn check_draft(draft: &herald_lab::Draft<'_>) -> Result<(), String> {
    let flags = draft.settings.iter().map(herald_lab::Setting::key).collect();
    let draft = &Draft { text: draft.text, file: draft.file, flags };
    let config = Config::of_draft(draft).map_err(|error| error.to_string())?;
    config.refuse_placeholder().map_err(|error| error.to_string())?;
    let host = host_settings().map_err(|error| error.to_string())?;
    if let Err(error) = Chain::find(&host, &plugin_settings(&config)) {
        return Err(Config::accuse_draft(draft, "plugins", error.to_string()).to_string());
    }
    let node = Node::<()>::new(Instant::default(), node_settings(&config, BootId(0), (HashKey([0; 16]), 0)));
    node.map(drop).map_err(|error| error.to_string())
}

fn open_ports(config: &Config) -> Result<PerInterface<Port>, TapError> {
    Ok(PerInterface { first: open_port(config, Interface::First)?, second: open_port(config, Interface::Second)? })
}

fn open_port(config: &Config, interface: Interface) -> Result<Port, TapError> {
    let options = config.options.interfaces.of(interface);
    let (tap, watch) = Tap::open(&options.tap, options.netns.as_deref())?;
    let (offloads, queue) = (tap.offloads(), tap.queue().len_max());
    tracing::info!("{interface} interface: TAP {}, queue of {queue} frames, offloads {offloads}", options.tap);
    Ok(Port::new(tap, watch, options.tap.clone(), config.macs[interface], options.vlan))
}

/// What a node with links needs for them. It comes first, so that nothing is touched when it is missing.
fn read_keys(config: &Config) -> Result<Option<TlsIdentity>, RunError> {
    let mesh = &config.options.mesh;
    if mesh.listen.is_none() {
        return Ok(None);
    }
    if let Some(key_log) = &mesh.key_log {
        tracing::warn!("the secrets of all links are written to {}: this is for tests", key_log.display());
    }
    Ok(Some(TlsIdentity::read(config.options.node, &tls_files(mesh))?))
}

fn open_peers(config: &Config, boot: BootId, poll: &Poll, tls: Option<TlsIdentity>) -> Result<Option<Peers>, RunError> {
    let Some((address, tls)) = config.options.mesh.listen.zip(tls) else { return Ok(None) };
    let peers = peer_addresses(config);
    let peers = Peers::new(poll.registry(), PEERS_FIRST_TOKEN, address, peers, hello(config, boot), tls);
    peers.map(Some).map_err(|error| RunError::Listen { address, error })
}

/// The check of the configuration saw to it that all are there.
fn tls_files(mesh: &MeshOptions) -> TlsFiles {
    let path = |option: &Option<PathBuf>| option.clone().unwrap_or_default();
    let (ca, certificate, key) = (path(&mesh.ca), path(&mesh.certificate), path(&mesh.key));
    TlsFiles { ca, certificate, key, key_log: mesh.key_log.clone() }
}

fn peer_addresses(config: &Config) -> Vec<(NodeId, std::net::SocketAddr)> {
    config.options.mesh.peers.iter().map(|(node, address)| (*node, *address)).collect()
}

fn hello(config: &Config, boot: BootId) -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: config.options.cluster.id.clone(),
        node: config.options.node,
        boot,
        macs: config.macs,
        addresses: own_addresses(config),
        configuration: config.compared.clone(),
        side: Side::default(),
    }
}

fn own_addresses(config: &Config) -> PerInterface<Vec<std::net::IpAddr>> {
    PerInterface::from_fn(|i| config.options.interfaces.of(i).addresses.iter().map(ipnet::IpNet::addr).collect())
}

/// Plugins named without a slash lie beside the executable.
pub(super) fn host_settings() -> Result<herald_host::Settings, RunError> {
    let executable = std::env::current_exe();
    let executable = executable.map_err(|error| RunError::System { what: "cannot find the executable", error })?;
    let directory = executable.parent().map_or_else(PathBuf::new, PathBuf::from);
    Ok(herald_host::Settings { directory, clock: herald_host::Clock { monotonic: clock::now, unix_nanos } })
}

fn unix_nanos() -> u64 {
    u64::try_from(clock::wall().as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn plugin_settings(config: &Config) -> Vec<PluginSettings> {
    let plugins = config.options.plugins.iter();
    plugins.map(|p| PluginSettings { name: p.name.clone(), config: p.config.to_string(), fault: None }).collect()
}

/// Asks the kernel to serve this thread before others: a loop that waits behind thousands of a host's threads misses
/// heartbeats, and a living node counts as dead. Only a privileged process may; without, the node runs like any other.
fn ask_for_precedence() {
    if let Err(error) = rustix::process::setpriority_process(None, LOOP_NICENESS) {
        tracing::info!("the event loop runs at normal priority: {error}");
    }
}

/// What the bounds of a node's tables follow from; `states` are the bytes of the plugins' states of one stream.
pub(super) fn plan(config: &Config, states: usize) -> Plan {
    let options = &config.options;
    Plan {
        sessions_max: options.sessions_max as usize,
        per_source: options.sessions_per_source_max as usize,
        nodes: config.members.len(),
        memory: options.memory_max.unwrap_or_else(machine::default_memory),
        stream_len: record_len::<Head>() + states,
    }
}

/// What the core is told: the configuration in its terms, and the random numbers of this boot.
pub(super) fn node_settings(config: &Config, boot: BootId, (hash_key, first_nonce): (HashKey, u64)) -> node::Settings {
    let options = &config.options;
    node::Settings {
        node: options.node,
        boot,
        membership: membership_settings(config, boot, first_nonce),
        forward: forward_settings(config, hash_key.derive(1)),
        choice: choice_settings(config),
        strictness: if options.strict { Strictness::Strict } else { Strictness::Lenient },
        midstream: match options.midstream {
            MidstreamOption::Drop => Midstream::Drop,
            MidstreamOption::Reset => Midstream::Reset,
            MidstreamOption::PickUp => Midstream::PickUp,
        },
        hold_max: HoldMax {
            time: Duration::from_millis(options.hold_ms_max.into()),
            frames: options.hold_frames_max as usize,
            bytes: options.hold_bytes_max as usize,
        },
        timeouts: timeouts(config),
        bounds: Bounds::default(),
        redirecting: match options.redirect {
            RedirectOption::Ethernet => Redirecting::Ethernet,
            RedirectOption::Mesh => Redirecting::Mesh,
        },
        announcing: if options.testing.announcements {
            Announcing::On(Duration::from_millis(options.testing.announcement_delay_ms.into()))
        } else {
            Announcing::Off
        },
        hash_key,
        buckets: BUCKETS,
    }
}

fn membership_settings(config: &Config, boot: BootId, first_nonce: u64) -> membership::Settings {
    let options = &config.options;
    let holders = options.holders.as_ref();
    membership::Settings {
        node: options.node,
        boot,
        macs: config.macs,
        addresses: own_addresses(config),
        peers: options.mesh.peers.keys().copied().collect(),
        priorities: config.priorities,
        weight: options.choose.weight,
        roles: match options.roles {
            RolesOption::Priority => RolesMode::Priority,
            RolesOption::Static => {
                RolesMode::Static(PerInterface { first: holders.map(|h| h.first), second: holders.map(|h| h.second) })
            }
        },
        adverts: advert_settings(config),
        probes: ProbeSettings { key: config.choice_key.derive(PROBES_LABEL), first_nonce },
    }
}

fn advert_settings(config: &Config) -> AdvertSettings {
    let options = &config.options;
    let vrrp = &options.vrrp;
    AdvertSettings {
        centiseconds: vrrp.advert_centiseconds,
        preemption: if vrrp.preempt {
            Preemption::After(Duration::from_millis(vrrp.preempt_delay_ms.into()))
        } else {
            Preemption::Never
        },
        vrids: PerInterface::from_fn(|i| options.interfaces.of(i).vrid),
        virtual_addresses: PerInterface::from_fn(|i| options.interfaces.of(i).virtual_addresses.clone()),
    }
}

fn forward_settings(config: &Config, hash_key: HashKey) -> forward::Settings {
    let interface = |interface: Interface| {
        let options = config.options.interfaces.of(interface);
        InterfaceSettings {
            mac: config.macs[interface],
            // RFC 9568, section 7.3.
            virtual_mac_v4: Mac([0x00, 0x00, 0x5e, 0x00, 0x01, options.vrid]),
            virtual_mac_v6: Mac([0x00, 0x00, 0x5e, 0x00, 0x02, options.vrid]),
            addresses: options.addresses.clone(),
            virtual_addresses: options.virtual_addresses.clone(),
            mtu: options.mtu,
            vlan: options.vlan,
            router_lifetime: options
                .router_advertisements
                .then(|| Duration::from_secs(options.router_lifetime_s.into())),
        }
    };
    let routes = config.options.routes.iter();
    forward::Settings {
        interfaces: PerInterface::from_fn(interface),
        routes: routes
            .map(|route| StaticRoute { to: route.to, via: route.via.0.clone(), interface: route.interface })
            .collect(),
        reverse_path: match config.options.reverse_path {
            ReversePathOption::Off => ReversePath::Off,
            ReversePathOption::Loose => ReversePath::Loose,
            ReversePathOption::Strict => ReversePath::Strict,
        },
        icmp_redirects: config.options.icmp_redirects,
        hash_key,
    }
}

fn choice_settings(config: &Config) -> choice::Settings {
    let choose = &config.options.choose;
    choice::Settings {
        key: config.choice_key,
        redirectors: match choose.redirectors {
            RedirectorsOption::LastResort => Redirectors::LastResort,
            RedirectorsOption::Equal => Redirectors::Equal,
        },
        keying: if choose.per_interface_key { Keying::PerInterface } else { Keying::Shared },
    }
}

fn timeouts(config: &Config) -> Timeouts {
    let t = &config.options.timeouts;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Timeouts {
        tcp_established: seconds(t.tcp_established_s),
        tcp_opening: seconds(t.tcp_opening_s),
        tcp_closing: seconds(t.tcp_closing_s),
        tcp_closed: seconds(t.tcp_closed_s),
        udp: seconds(t.udp_s),
        icmp: seconds(t.icmp_s),
        other: seconds(t.other_s),
        provisional: seconds(t.provisional_s),
    }
}
