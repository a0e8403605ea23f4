//! One node in the time of a capture: it holds both redirectors and is chosen for every stream, and its hosts answer whatever it
//! asks. What it decides follows from configuration, plugins and packets alone: no clock and no chance is read.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::hosts;
use crate::app::config::{Config, HoldersOptions, RolesOption};
use crate::app::run::{self, RunError};
use herald_core::flow::{FlowKey, HashKey};
use herald_core::id::{BootId, Interface, Mac, PerInterface};
use herald_core::inspector::Cause;
use herald_core::membership::InterfaceState;
use herald_core::node::{self, Node};
use herald_core::outbox::{Leaving, Outbox};
use herald_core::packet::{Content, Frame, Headers, Packet, Transport};
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_host::{Chain, Clock, Head, Report};

/// Time that the node has to take its roles before the first packet.
const PRELUDE: Duration = Duration::from_secs(60);

/// Deadlines in one instant; more would never end.
const DEADLINES_AT_ONCE_MAX: u32 = 10_000;

/// The clocks that plugins read: nanoseconds of the replay's time and since 1970. A replay is alone in its process.
static NOW: AtomicU64 = AtomicU64::new(0);
static WALL: AtomicU64 = AtomicU64::new(0);

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It left by the other interface, or the same one.
    Passed,
    /// It ended.
    Ended {
        /// Why, as in `herald drops`.
        reason: herald_core::event::DropReason,
        /// The plugin that ended it.
        cause: Cause,
    },
    /// It was for the node itself.
    Consumed,
    /// It waits for something that does not come in a capture.
    Waits,
    /// It was not given to the node.
    Skipped(&'static str),
}

/// The node.
pub(super) struct Machine {
    node: Node<Head>,
    plugins: Chain,
    out: Outbox,
    now: Instant,
    /// When the first packet was captured.
    begin: Option<Duration>,
    virtual_macs: PerInterface<[Mac; 2]>,
    mtu: usize,
}

/// A packet as the node saw it.
pub(super) struct Seen {
    /// Where it arrived; the first interface for what was skipped.
    pub(super) interface: Interface,
    /// Its flow, if its headers can be read.
    pub(super) flow: Option<FlowKey>,
    /// What became of it.
    pub(super) fate: Fate,
}

impl Machine {
    /// A node of this configuration, without its peers.
    ///
    /// # Errors
    /// A plugin is refused, or the routes contradict the interfaces.
    pub(super) fn new(mut config: Config) -> Result<Self, RunError> {
        let node_id = config.options.node;
        config.options.mesh.peers.clear();
        config.options.mesh.listen = None;
        config.members = vec![node_id];
        config.options.roles = RolesOption::Static;
        config.options.holders = Some(HoldersOptions { first: node_id, second: node_id });
        let clock = Clock { monotonic: || Instant::from_nanos(NOW.load(Relaxed)), unix_nanos: || WALL.load(Relaxed) };
        let host = herald_host::Settings { clock, ..run::host_settings()? };
        let plugins = Chain::load(&host, &run::plugin_settings(&config))?;
        let bounds = run::plan(&config, plugins.stream_len()).bounds();
        let settings = run::node_settings(&config, BootId(1), (HashKey([0; 16]), 0));
        let interfaces = &settings.forward.interfaces;
        let virtual_macs = PerInterface::from_fn(|i| [interfaces[i].virtual_mac_v4, interfaces[i].virtual_mac_v6]);
        let mtu = Interface::BOTH.map(|i| usize::from(interfaces[i].mtu)).into_iter().min().unwrap_or_default();
        let now = Instant::from_nanos(1);
        let node = Node::new(now, node::Settings { bounds, ..settings })?;
        let mut out = Outbox::default();
        out.keep_drops();
        let mut machine = Self { node, plugins, out, now, begin: None, virtual_macs, mtu };
        for interface in Interface::BOTH {
            machine.turn(|node, turn| node.interface_changed(turn, interface, InterfaceState::Up));
        }
        Ok(machine)
    }

    /// The plugins, for reports.
    pub(super) fn report(&self) -> Report {
        self.plugins.report()
    }

    /// A packet was captured.
    pub(super) fn packet(&mut self, at: Duration, named: Option<Interface>, frame: &mut [u8]) -> Seen {
        self.advance_to(at);
        let parsed = Packet::parse(&Frame::from_bytes(frame));
        let (headers, ends) = match parsed {
            Ok(Packet { content: Content::Arp(_), .. }) => {
                let fate = Fate::Skipped("arp");
                return Seen { interface: named.unwrap_or(Interface::First), flow: None, fate };
            }
            Ok(Packet { content: Content::Ip(headers), .. }) => {
                (Some(headers), Some((headers.source, headers.destination)))
            }
            // The datagram has a flow when it is whole.
            Ok(Packet { content: Content::Fragment(fragment), .. }) => {
                (None, Some((fragment.source, fragment.destination)))
            }
            // The node says itself what is wrong.
            Err(_) => (None, None),
        };
        let placed = named.or_else(|| ends.map_or(Some(Interface::First), |ends| self.place(ends)));
        let Some(interface) = placed else {
            let flow = headers.map(|headers| headers.flow_key(Interface::First));
            return Seen { interface: Interface::First, flow, fate: Fate::Skipped("no-interface") };
        };
        self.address(interface, frame);
        let flow = headers.map(|headers| headers.flow_key(interface));
        let frame = whole(self.mtu, frame, headers);
        let before =
            (self.out.ledger.forwarded, self.out.newest_drop().map(|drop| drop.number), self.out.ledger.consumed);
        self.turn(|node, turn| node.frame_arrived(turn, interface, frame));
        let newest = self.out.newest_drop().filter(|drop| Some(drop.number) != before.1);
        let fate = if self.out.ledger.forwarded > before.0 {
            Fate::Passed
        } else if let Some(drop) = newest {
            Fate::Ended { reason: drop.reason, cause: drop.cause }
        } else if self.out.ledger.consumed > before.2 {
            Fate::Consumed
        } else {
            Fate::Waits
        };
        Seen { interface, flow, fate }
    }

    /// The capture is over: streams end, as when a node stops.
    pub(super) fn end(&mut self) {
        self.turn(Node::stop);
    }

    /// Where a packet came from: where the routes lead to its source, or else not to its destination.
    fn place(&self, (source, destination): (IpAddr, IpAddr)) -> Option<Interface> {
        let behind = |address: IpAddr| {
            let routes = self.node.forward().routes().filter(|route| route.to.contains(&address));
            routes.max_by_key(|route| route.to.prefix_len()).map(|route| route.interface)
        };
        behind(source).or_else(|| behind(destination).map(Interface::other))
    }

    /// The frame comes from a host and is for the cluster's address.
    fn address(&self, interface: Interface, frame: &mut [u8]) {
        let [v4, v6] = self.virtual_macs[interface];
        let cluster = if frame.get(12..14) == Some(&[0x86, 0xdd]) { v6 } else { v4 };
        let Some((destination, rest)) = frame.split_first_chunk_mut::<6>() else { return };
        if destination.first().is_some_and(|byte| byte & 1 == 0) {
            *destination = cluster.0;
        }
        if let Some(source) = rest.first_chunk_mut::<6>() {
            *source = hosts::mac(interface).0;
        }
    }

    /// Lets time pass until a packet's.
    fn advance_to(&mut self, at: Duration) {
        let begin = *self.begin.get_or_insert(at);
        let until = Instant::from_nanos(1) + PRELUDE + at.saturating_sub(begin);
        for _ in 0..u64::MAX {
            let Some(next) = self.node.next_deadline().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            for _ in 0..DEADLINES_AT_ONCE_MAX {
                if self.node.next_deadline().is_none_or(|next| next > self.now) {
                    break;
                }
                self.turn(Node::deadline_reached);
            }
            self.now = self.now + Duration::from_nanos(1);
        }
        self.now = self.now.max(until);
        WALL.store(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// One call into the node, and all that follows from it.
    fn turn(&mut self, call: impl FnOnce(&mut Node<Head>, &mut Turn<'_, Head>)) {
        NOW.store(self.now.as_nanos(), Relaxed);
        call(&mut self.node, &mut Turn::new(self.now, &mut self.plugins, &mut self.out));
        loop {
            self.node.batch_ended(&mut Turn::new(self.now, &mut self.plugins, &mut self.out));
            let sent = std::mem::take(&mut self.out.transmit);
            if sent.is_empty() {
                break;
            }
            for (interface, frame, leaving) in sent {
                let answer = Some(&frame).filter(|_| leaving == Leaving::Generated);
                if let Some(answer) = answer.and_then(|frame| hosts::answer(interface, frame.bytes())) {
                    let turn = &mut Turn::new(self.now, &mut self.plugins, &mut self.out);
                    self.node.frame_arrived(turn, interface, Frame::from_bytes(&answer));
                }
            }
        }
        self.out.send.clear();
        self.out.events.clear();
        self.out.spent.clear();
    }
}

/// The frame with an offload header: what is longer than the networks carry was captured before its kernel cut it.
pub(super) fn whole(mtu: usize, frame: &[u8], headers: Option<Headers>) -> Frame {
    let cut = headers.and_then(|headers| {
        let (network_at, payload_at) = (usize::from(headers.network_at), usize::from(headers.payload_at));
        let is_long = (headers.end as usize).saturating_sub(network_at) > mtu;
        let kind = if headers.source.is_ipv4() { GSO_TCP_V4 } else { GSO_TCP_V6 };
        let size = mtu.checked_sub(payload_at.checked_sub(network_at)?)?;
        let size = u16::try_from(size).ok().filter(|size| *size > 0)?;
        (is_long && matches!(headers.transport, Transport::Tcp { .. })).then_some((kind, headers.payload_at, size))
    });
    let Some((kind, header_len, size)) = cut else { return Frame::from_bytes(frame) };
    let header = [&[0, kind][..], &header_len.to_ne_bytes(), &size.to_ne_bytes(), &[0; 4]].concat();
    Frame::from_wire(&[&header, frame].concat()).unwrap_or_else(|| Frame::from_bytes(frame))
}

/// `VIRTIO_NET_HDR_GSO_TCPV4` and `_TCPV6` of `linux/virtio_net.h`.
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
