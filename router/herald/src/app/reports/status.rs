//! `herald status`: all of a node at one glance.

use serde::Serialize;
use serde_json::Value;

use super::Report;
use super::drops::{self, Drops};
use super::members::{self, MemberRow};
use super::roles::{self, Role, Roles};
use super::strangers::{self, AddressConflictRow, ForeignRouterRow};
use super::table::{Columns, Text, at, cell, columns, key, listed, per_interface};
use crate::app::event_loop::EventLoop;
use crate::app::logging::LineCounts;
use crate::io::peers::Peers;
use crate::io::{Usable, clock};
use herald_core::chosen::Class;
use herald_core::id::{Interface, Mac, NodeId, PerInterface};
use herald_core::inspector::HostPart;
use herald_core::membership::Membership;
use herald_core::node::Node;
use herald_core::outbox::Ledger;
use herald_host::{InOrder, SuspendedRow};

pub(super) fn report() -> Report {
    let about = "Show this node: interfaces, roles, members, sessions, frames, drops";
    Report::of_loop("status", about, status)
}

/// What a node is and does.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    /// This node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: String,
    /// Herald's version.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// The interfaces.
    pub interfaces: PerInterface<InterfaceStatus>,
    /// As `herald roles`.
    pub roles: Roles,
    /// As `herald members`.
    pub members: Vec<MemberRow>,
    /// `ok`; `suspended`: a plugin of this node is, by a closed fault policy, and its streams go to others; `all-suspended`:
    /// so are all that may be chosen, and streams end by the policy.
    pub plugins: &'static str,
    /// Plugins of this node that are suspended, or tried after that; why, and by whose stream.
    pub suspended_plugins: Vec<SuspendedRow>,
    /// Routers that are no members and advertise a virtual router of the cluster now.
    pub foreign_routers: Vec<ForeignRouterRow>,
    /// Other hosts that use addresses of this node or of the cluster now.
    pub address_conflicts: Vec<AddressConflictRow>,
    /// Sessions in the tables.
    pub sessions: SessionCounts,
    /// What the tables have room for.
    pub room: Room,
    /// Streams since the start.
    pub streams: StreamCounts,
    /// Streams that were ended to make room for others, by how much was seen of them, since the start.
    pub evicted: Evicted,
    /// Frames since the start.
    pub frames: FrameCounts,
    /// As `herald drops`.
    pub drops: Drops,
    /// Connections of peers that were refused, by reason.
    pub refusals: Drops,
    /// Messages of members that changed nothing.
    pub messages: MessageCounts,
    /// TCP streams that are put in order for plugins.
    pub in_order: InOrder,
    /// Lines of the node's log.
    pub log: LineCounts,
}

/// Messages of members that changed nothing, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct MessageCounts {
    /// They named an old epoch, boot or generation, or one that is not there yet.
    pub stale: u64,
    /// Their sender may not speak for what they were about.
    pub unauthorised: u64,
    /// Parts of the whole cluster's queries that found no room: who asked is told that a node is late.
    pub inquiries_lost: u64,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct InterfaceStatus {
    /// The TAP device.
    pub tap: String,
    /// `up` or `down`.
    pub state: &'static str,
    /// The node's own MAC.
    pub mac: Mac,
    /// Offloads that the kernel took.
    pub offloads: &'static str,
    /// Frames that came too fast and were lost in the TAP's queue: the node has never seen them.
    pub queue_lost: u64,
    /// VRRP adverts of both families.
    pub adverts: AdvertStatus,
    /// Challenges by which members prove that they live.
    pub probes: ProbeStatus,
    /// Neighbours that others speak for.
    pub neighbours: NeighbourStatus,
}

columns!(InterfaceStatus { tap, state, mac, queue_lost });

/// Claims that known neighbours have other MACs, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NeighbourStatus {
    /// Two hosts answered for one address.
    pub conflicts: u64,
    /// There were too many to ask about them.
    pub unasked: u64,
}

/// VRRP adverts since the start; those that were refused are among the drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct AdvertStatus {
    /// Sent by this node.
    pub sent: u64,
    /// Heard of members.
    pub heard: u64,
}

/// Challenges to members since the start; what came and proves nothing is among the drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ProbeStatus {
    /// Sent by this node.
    pub sent: u64,
    /// Of these, answered.
    pub answered: u64,
}

/// How many sessions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SessionCounts {
    /// Redirector sessions, tombstones included.
    pub redirector: usize,
    /// Marker sessions, tombstones included.
    pub marker: usize,
}

/// What the tables of sessions have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Room {
    /// Marker sessions whose handshake is not complete.
    pub half_open: usize,
    /// Marker sessions of which nothing has come back.
    pub one_way: usize,
    /// Marker sessions that the table may have, as far as configuration and memory go.
    pub marker_max: usize,
    /// Redirector sessions that the table may have.
    pub redirector_max: usize,
    /// The machine gave no more memory for one of the tables.
    pub short_of_memory: bool,
}

/// How many made room for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Evicted {
    /// Had closed, or only their tombstones stood.
    pub ended: u64,
    /// TCP before the end of the handshake.
    pub half_open: u64,
    /// Nothing had come back.
    pub one_way: u64,
    /// Something had come back.
    pub answered: u64,
    /// TCP, both ends had spoken.
    pub established: u64,
    /// Redirector sessions that were not announced, and tombstones.
    pub redirector: u64,
}

/// Streams of which something is to be told, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct StreamCounts {
    /// A node was chosen for them while a member that may have had them was out of reach and could not be asked.
    pub chosen_unasked: u64,
}

/// The books of frames: everything that arrived or was `cut` is forwarded, redirected, handed over, consumed, `joined`, dropped
/// (but for `generated_dropped`) or kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct FrameCounts {
    /// Arrived at the first interface.
    pub arrived_first: u64,
    /// Arrived at the second interface.
    pub arrived_second: u64,
    /// Arrived over the mesh.
    pub arrived_mesh: u64,
    /// Made by plugins; counted like what arrived.
    pub injected: u64,
    /// Sent on by this node as chosen node.
    pub forwarded: u64,
    /// Sent to the chosen node.
    pub redirected: u64,
    /// Sent over the mesh to the node that won the stream, or to the holder.
    pub handed_over: u64,
    /// Of the handed over: to the holder of their interface, because this node has not got their streams.
    pub handed_to_holder: u64,
    /// Of the arrived: sent by hosts straight to this node's own MAC; it takes those of its own streams.
    pub straight: u64,
    /// Of the arrived: redirected to this node on a network to begin a stream that it would not be chosen for. Beyond a few
    /// at a change of members, somebody forges them.
    pub unproven: u64,
    /// Were for this node.
    pub consumed: u64,
    /// Became part of another frame: of a datagram's fragments all but the first.
    pub joined: u64,
    /// Came into being where a frame left or ended as fragments: all of these but the first.
    pub cut: u64,
    /// Ended here, all reasons together.
    pub dropped: u64,
    /// Wait in holds, for neighbours, for the rest of a datagram at this moment.
    pub kept: u64,
    /// Made by this node; counted apart.
    pub generated: u64,
    /// Of the dropped: made by this node, so they never arrived.
    pub generated_dropped: u64,
    /// Buffers of the pool that are on their way at this moment.
    pub buffers_taken: u64,
}

impl Text for Status {
    fn text(json: &Value) -> String {
        let seconds = at(json, key!(Status, uptime_ms)).as_u64().unwrap_or_default() / 1000;
        let text = |key: &str| cell(at(json, key));
        let head = format!(
            "node {} of cluster {}, up {seconds} s, version {}, process {}, plugins {}\n",
            text(key!(Status, node)),
            text(key!(Status, cluster)),
            text(key!(Status, version)),
            text(key!(Status, pid)),
            text(key!(Status, plugins))
        );
        let interfaces = per_interface(&[
            (at(json, key!(Status, interfaces)), InterfaceStatus::COLUMNS),
            (at(json, key!(Status, roles)), Role::COLUMNS),
        ]);
        let members = Vec::<MemberRow>::text(at(json, key!(Status, members)));
        let suspended = at(json, key!(Status, suspended_plugins));
        let suspended = list("suspended plugins", suspended, Vec::<SuspendedRow>::text);
        let foreign = at(json, key!(Status, foreign_routers));
        let foreign = list("foreign routers", foreign, Vec::<ForeignRouterRow>::text);
        let conflicts = at(json, key!(Status, address_conflicts));
        let conflicts = list("address conflicts", conflicts, Vec::<AddressConflictRow>::text);
        let counts = [
            ("sessions", key!(Status, sessions)),
            ("room", key!(Status, room)),
            ("streams", key!(Status, streams)),
            ("made room", key!(Status, evicted)),
            ("frames", key!(Status, frames)),
            ("drops", key!(Status, drops)),
            ("refused connections", key!(Status, refusals)),
            ("refused messages", key!(Status, messages)),
            ("in order", key!(Status, in_order)),
            ("lines of the log", key!(Status, log)),
        ];
        let counts = counts.map(|(what, key)| format!("{what}: {}\n", listed(at(json, key)))).concat();
        [head, interfaces, members, suspended, foreign, conflicts, counts].join("\n")
    }
}

/// A table under its name, or that there is nothing of it.
fn list(name: &str, rows: &Value, text: fn(&Value) -> String) -> String {
    match rows.as_array().map_or(0, Vec::len) {
        0 => format!("{name}: none\n"),
        _ => format!("{name}:\n{}", text(rows)),
    }
}

fn status(event_loop: &EventLoop) -> Status {
    let (parts, ledger) = (&event_loop.parts, &event_loop.out.ledger);
    Status {
        node: parts.about.node,
        cluster: parts.about.cluster.clone(),
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        uptime_ms: u64::try_from(clock::now().since(parts.about.started).as_millis()).unwrap_or(u64::MAX),
        interfaces: PerInterface::from_fn(|interface| interface_status(event_loop, interface)),
        roles: roles::roles(event_loop),
        members: members::rows(event_loop),
        plugins: plugins(parts.about.node, parts.node.membership()),
        suspended_plugins: parts.plugins.suspended(),
        foreign_routers: strangers::foreign_routers(event_loop),
        address_conflicts: strangers::address_conflicts(event_loop),
        sessions: session_counts(&parts.node),
        room: room(event_loop),
        streams: StreamCounts { chosen_unasked: ledger.unasked },
        evicted: evicted(event_loop),
        frames: frames(event_loop),
        drops: drops::drops(event_loop),
        refusals: parts.peers.iter().flat_map(Peers::refusals).collect(),
        messages: messages(ledger),
        in_order: parts.plugins.in_order(),
        log: parts.about.log.counts(),
    }
}

pub(super) fn messages(ledger: &Ledger) -> MessageCounts {
    MessageCounts {
        stale: ledger.messages_stale,
        unauthorised: ledger.messages_unauthorised,
        inquiries_lost: ledger.inquiries_lost,
    }
}

pub(super) fn session_counts<H: HostPart>(node: &Node<H>) -> SessionCounts {
    SessionCounts { redirector: node.redirector_sessions(), marker: node.markers().len() }
}

fn plugins(node: NodeId, membership: &Membership) -> &'static str {
    if membership.are_all_suspended() {
        "all-suspended"
    } else if membership.member(node).is_some_and(|own| own.suspended) {
        "suspended"
    } else {
        "ok"
    }
}

fn room(event_loop: &EventLoop) -> Room {
    let (node, room) = (&event_loop.parts.node, event_loop.parts.node.room());
    Room {
        half_open: room.len(Class::HalfOpen),
        one_way: room.len(Class::OneWay),
        marker_max: room.sessions_max(),
        redirector_max: event_loop.parts.about.bounds.redirector,
        short_of_memory: room.is_short_of_memory() || node.redirector().is_short_of_memory(),
    }
}

fn evicted(event_loop: &EventLoop) -> Evicted {
    let node = &event_loop.parts.node;
    let room = node.room();
    Evicted {
        ended: room.evicted(Class::Ended),
        half_open: room.evicted(Class::HalfOpen),
        one_way: room.evicted(Class::OneWay),
        answered: room.evicted(Class::Answered),
        established: room.evicted(Class::Established),
        redirector: node.redirector().evicted(),
    }
}

fn interface_status(event_loop: &EventLoop, interface: Interface) -> InterfaceStatus {
    let port = &event_loop.parts.ports[interface];
    let membership = event_loop.parts.node.membership();
    let neighbours = event_loop.parts.node.forward().neighbour_counts(interface);
    let (adverts, probes) = (membership.advert_counts(interface), membership.probe_counts(interface));
    InterfaceStatus {
        tap: port.name.clone(),
        state: match port.usable {
            Usable::Yes => "up",
            Usable::No => "down",
        },
        mac: port.mac,
        offloads: port.tap.offloads(),
        queue_lost: port.tap.queue().lost(),
        adverts: AdvertStatus { sent: adverts.sent, heard: adverts.heard },
        probes: ProbeStatus { sent: probes.sent, answered: probes.answered },
        neighbours: NeighbourStatus { conflicts: neighbours.conflicts, unasked: neighbours.unasked },
    }
}

fn frames(event_loop: &EventLoop) -> FrameCounts {
    let ledger = &event_loop.out.ledger;
    FrameCounts {
        arrived_first: ledger.arrived.first,
        arrived_second: ledger.arrived.second,
        arrived_mesh: ledger.arrived_mesh,
        injected: ledger.injected,
        forwarded: ledger.forwarded,
        redirected: ledger.redirected,
        handed_over: ledger.handed_over,
        handed_to_holder: ledger.handed_to_holder,
        straight: ledger.straight,
        unproven: ledger.unproven,
        consumed: ledger.consumed,
        joined: ledger.joined,
        cut: ledger.cut,
        dropped: event_loop.out.drops().map(|(_, count)| count).sum(),
        kept: event_loop.parts.node.frames_kept() as u64,
        generated: ledger.generated,
        generated_dropped: ledger.generated_dropped,
        buffers_taken: event_loop.pool.taken() as u64,
    }
}
