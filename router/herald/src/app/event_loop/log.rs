//! Events as log lines: what an operator wants to know is told, the steps of single streams only for debugging.

use std::net::IpAddr;

use herald_core::event::Event;
use herald_core::id::{Interface, Mac, NodeId};

/// Logs an event.
pub(super) fn log(event: &Event) {
    match event {
        Event::Step { step, flow, node } => tracing::debug!("{step:?} {flow:?}: {node}"),
        Event::Acknowledged { flow, node } => tracing::debug!("{node} acknowledged {flow:?}"),
        Event::Refused { flow, winner: Some(winner) } => {
            tracing::debug!("{flow:?} was refused: {} won it in generation {}", winner.node, winner.counter);
        }
        Event::Refused { flow, winner: None } => tracing::debug!("{flow:?} was refused: its return key is taken"),
        Event::TakenOver { flow, generation } => tracing::debug!("took over {flow:?} in generation {generation}"),
        Event::TakenBack { flow, from } => {
            tracing::debug!("took back {flow:?}: no redirector has heard that {from} took it over");
        }
        Event::InSync { interface } => tracing::info!("in sync with every member for the {interface} redirector"),
        Event::Mended { peer, sessions } => {
            tracing::warn!("{sessions} redirector sessions named {peer}, which does not have their streams: ended");
        }
        Event::HoldTimedOut { flow } => tracing::debug!("the announcement of {flow:?} was not acknowledged in time"),
        Event::InterestEnded { flow } => tracing::debug!("no plugin wants to see more of {flow:?}"),
        Event::StreamEnded { flow, reason } => tracing::debug!("{flow:?} ended: {}", reason.name()),
        Event::LinkUp { peer } => tracing::info!("link to {peer} is up"),
        Event::LinkLost { peer } => tracing::warn!("link to {peer} is lost"),
        Event::MemberCut { node } => tracing::warn!(
            "{node} is silent on the mesh, but heard on an interface: it keeps its streams and gets no new ones"
        ),
        Event::MemberDied { node } => tracing::warn!("{node} is dead"),
        Event::AdvertsUnheard { interface, holder } => tracing::warn!(
            "the adverts of {holder} do not come on the {interface} interface, although it answers probes there: it stays \
             the holder; see whether the network passes multicast (224.0.0.18, ff02::12)"
        ),
        Event::InterfaceUnheard { node, interface, unheard: true } => log_unheard(*node, *interface),
        Event::InterfaceUnheard { node, interface, unheard: false } => log_heard(*node, *interface),
        Event::HolderChanged { interface, epoch: Some(epoch) } => {
            tracing::info!("{} holds the {interface} redirector, epoch {}", epoch.node, epoch.counter);
        }
        Event::HolderChanged { interface, epoch: None } => tracing::warn!("nobody holds the {interface} redirector"),
        Event::Breaker { peer, open: true } => {
            tracing::warn!("{peer} does not acknowledge announcements: nothing is held for it any more");
        }
        Event::Breaker { peer, open: false } => tracing::info!("{peer} acknowledges announcements again"),
        Event::AcknowledgesLate { peer, late: true } => log_late(*peer),
        Event::AcknowledgesLate { peer, late: false } => {
            tracing::info!("{peer} acknowledges announcements in time again")
        }
        Event::Full { full: true } => {
            tracing::warn!("no room for new streams: other nodes are to be chosen until there is");
        }
        Event::Full { full: false } => tracing::info!("room for new streams again"),
        Event::ShortOfMemory { sessions } => {
            tracing::warn!("the machine gives no more memory: a table of sessions stays at {sessions}");
        }
        Event::MakingRoom { flow, ended } => tracing::warn!(
            "no room for more streams that are not answered: {ended} were ended so far, the last one {flow:?}"
        ),
        Event::ForeignRouter { interface, address, mac, vrid, priority } => tracing::error!(
            "a router that is no member, {address} with MAC {mac}, advertises VRRP's virtual router {vrid} with priority \
             {priority} on the {interface} interface, which is this cluster's: hosts lose packets to it until one of the two \
             has another VRID"
        ),
        Event::AddressConflict { interface, address, mac } => log_conflict(*interface, *address, *mac),
        Event::NeighbourConflict { interface, address, mac, rival } => log_rivals(*interface, *address, [*mac, *rival]),
        // Told with what is to be done, where the keys and addresses are known.
        Event::KeptApart { .. } | Event::ConfigurationDiffers { .. } => {}
        // The host has said so, with the plugin's fault policy.
        Event::PluginSuspended { .. } | Event::PluginResumed { .. } | Event::SourceLimited { .. } => {}
        Event::NodeSuspended { node, suspended: true } => tracing::warn!(
            "{node} has a suspended plugin whose fault policy is closed: it gets no new streams and gives its own away"
        ),
        Event::NodeSuspended { node, suspended: false } => tracing::info!("no plugin of {node} is suspended any more"),
        Event::AllSuspended { suspended } => log_all_suspended(*suspended),
    }
}

fn log_unheard(node: NodeId, interface: Interface) {
    tracing::warn!(
        "{node} and the others do not hear each other on the {interface} interface, where the others do: it takes no role and \
         gets no new streams; see its cable, and whether it sends and gets broadcasts and multicast"
    );
}

fn log_heard(node: NodeId, interface: Interface) {
    tracing::info!("{node} and the others hear each other on the {interface} interface again");
}

fn log_late(peer: NodeId) {
    tracing::warn!(
        "{peer} acknowledges announcements late, when their packets have waited for hold_ms_max: new streams may lose their first \
         packet; see the delay of the mesh, and whether {peer} is overloaded"
    );
}

fn log_all_suspended(suspended: bool) {
    if suspended {
        tracing::error!(
            "every node that may be chosen has a suspended plugin whose fault policy is closed: streams end by it"
        );
    } else {
        tracing::info!("streams go to nodes without a suspended plugin again");
    }
}

fn log_conflict(interface: Interface, address: IpAddr, mac: Mac) {
    tracing::error!(
        "another host, with MAC {mac}, uses {address} of this node or its cluster on the {interface} interface: who asks for it \
         hears two answers; give one of them another address"
    );
}

fn log_rivals(interface: Interface, address: IpAddr, [mac, rival]: [Mac; 2]) {
    tracing::warn!("two hosts answer for {address} on the {interface} interface: {mac}, which keeps it, and {rival}");
}
