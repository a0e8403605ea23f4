//! The nodes of a benchmark: without plugins, with static roles and streams that do not end.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::net::Ipv4Addr;
use std::time::Duration;

use herald_core::chosen::HoldMax;
use herald_core::event::EndReason;
use herald_core::flow::{FlowKey, HashKey};
use herald_core::forward;
use herald_core::id::{BootId, Generation, Interface, Mac, NodeId, PerInterface};
use herald_core::inspector::{HostPart, Inspection, Inspector, Parts, PerDirection, Standing, Stream, Totals};
use herald_core::membership::{self, InterfaceState, RolesMode};
use herald_core::mesh::{Assign, Hello};
use herald_core::node::{Announcing, Node, Redirecting, Settings};
use herald_core::outbox::Outbox;
use herald_core::redirector::choice::{self, Keying, Redirectors};
use herald_core::session::{Midstream, Timeouts};
use herald_core::time::Instant;
use herald_core::turn::Turn;

/// No plugins.
pub(crate) struct Nothing;

impl Inspector for Nothing {
    type Part = ();

    fn stream_started(&mut self, _: Instant, _: &Stream, (): &mut ()) -> PerDirection<Standing> {
        PerDirection { from_opener: Standing::Uninspected, to_opener: Standing::Uninspected }
    }

    fn inspect(&mut self, _: Instant, _: &mut [Inspection], _: &mut dyn Parts<()>) {}

    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, (): &mut ()) {}
}

pub(crate) fn id(node: &str) -> NodeId {
    node.parse().unwrap()
}

/// One of some nodes, by its number from 1 on; `holders` hold the first and the second redirector.
pub(crate) fn settings(nodes: &[&str], number: u8, holders: [&str; 2]) -> Settings {
    let node = id(nodes[usize::from(number) - 1]);
    let [first, second] = holders.map(|holder| Some(id(holder)));
    let net = |i: Interface| if i == Interface::First { 1 } else { 2 };
    let mac = |i: Interface| Mac([2, 0, 0, 0, net(i), number]);
    let long = Duration::from_secs(3600);
    Settings {
        node,
        boot: BootId(number.into()),
        membership: membership::Settings {
            node,
            boot: BootId(number.into()),
            macs: PerInterface::from_fn(mac),
            addresses: PerInterface::from_fn(|i| vec![Ipv4Addr::new(10, net(i), 0, 10 + number).into()]),
            peers: nodes.iter().map(|n| id(n)).filter(|n| *n != node).collect(),
            priorities: PerInterface { first: 100, second: 100 },
            weight: 100,
            adverts: membership::AdvertSettings::default(),
            roles: RolesMode::Static(PerInterface { first, second }),
        },
        forward: forward::Settings {
            interfaces: PerInterface::from_fn(|i| forward::InterfaceSettings {
                mac: mac(i),
                virtual_mac_v4: Mac([0, 0, 0x5e, 0, 1, net(i)]),
                virtual_mac_v6: Mac([0, 0, 0x5e, 0, 2, net(i)]),
                addresses: vec![format!("10.{}.0.{}/24", net(i), 10 + number).parse().unwrap()],
                virtual_addresses: vec![Ipv4Addr::new(10, net(i), 0, 1).into()],
                mtu: 1500,
            }),
            routes: Vec::new(),
            hash_key: HashKey([3; 16]),
        },
        choice: choice::Settings { key: HashKey([9; 16]), redirectors: Redirectors::Equal, keying: Keying::Shared },
        midstream: Midstream::Drop,
        hold_max: HoldMax { time: Duration::from_millis(20), frames: 32, bytes: 1 << 20 },
        timeouts: Timeouts {
            tcp_established: long,
            tcp_opening: long,
            tcp_closing: long,
            tcp_closed: long,
            udp: long,
            icmp: long,
            other: long,
            provisional: long,
        },
        redirecting: Redirecting::Ethernet,
        announcing: Announcing::On(Duration::ZERO),
        hash_key: HashKey([5; 16]),
    }
}

/// Four nodes, of which the first two hold the redirectors, and the third stands by for both.
pub(crate) const NODES: [&str; 4] = ["a", "b", "c", "d"];
const HOLDERS: [&str; 2] = ["a", "b"];

fn hello(number: u8) -> Hello {
    let membership = settings(&NODES, number, HOLDERS).membership;
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: "bench".into(),
        node: membership.node,
        boot: membership.boot,
        macs: membership.macs,
        addresses: membership.addresses,
        config_digest: 0,
    }
}

/// One of the four, linked with the others.
pub(crate) fn linked<H: HostPart>(
    now: Instant,
    number: u8,
    plugins: &mut dyn Inspector<Part = H>,
    out: &mut Outbox,
) -> Node<H> {
    let mut node = Node::new(now, settings(&NODES, number, HOLDERS)).unwrap();
    let turn = &mut Turn::new(now, plugins, out);
    for interface in Interface::BOTH {
        node.interface_changed(turn, interface, InterfaceState::Up);
    }
    for other in (1..=4).filter(|other| *other != number) {
        node.link_up(turn, &hello(other));
    }
    node
}

/// Stream number `number`, given to a node.
pub(crate) fn assign(node: &str, number: u32) -> Assign {
    let [_, high, middle, low] = number.to_be_bytes();
    let source = (Ipv4Addr::new(10, 1, high, middle).into(), 1024 + u16::from(low));
    let arrival = FlowKey::new(Interface::First, 17, source, (Ipv4Addr::new(10, 2, 0, 100).into(), 53));
    let generation = Generation { counter: 1, node: id(node) };
    let choice = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Assign { arrival, return_key: arrival.reversed(Interface::Second), choice, generation, life: None }
}
