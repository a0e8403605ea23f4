//! What a router does: next hop, TTL less one, transmit; and what it must say for it: address resolution, ICMP, resets.
//!
//! ```text
//! route ----> Hop ----> transmit --known--> outbox            local_arrived ---> echo reply, port unreachable
//!   |                      |                                  unreachable, reject ---> ICMP error, reset
//!   v                      v unknown                                                      |
//! Unroutable            queue, ask <----- arp_arrived, discovery_arrived                  v
//!                          | silent                                              routed and resolved like
//!                          v                                                     any packet, own MAC
//!                       unreachable
//! ```
//!
//! A packet that is too long for its way out becomes fragments where it leaves (`too_long`), if it may.

mod addresses;
mod announce;
mod arp;
mod conflicts;
mod discovery;
mod extensions;
mod gateway_adverts;
mod gateways;
mod icmp;
mod learning;
mod listener;
mod local;
mod local_arrived;
mod martians;
mod neighbour;
mod neighbours;
mod options;
mod path_mtu;
mod quote;
mod report;
mod reset;
mod reverse;
mod routes;
mod settings;
mod shorter_way;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod too_long;
mod unresolved;

use std::net::IpAddr;

pub use conflicts::AddressConflict;
pub use extensions::HeaderFault;
pub use icmp::{Received, Unreachable};
pub use learning::NeighbourCounts;
pub use options::is_source_routed;
pub use report::NeighbourRow;
pub use routes::Route;
pub use settings::{InterfaceSettings, ReversePath, Settings, SettingsError, StaticRoute};

use self::addresses::Addresses;
use self::announce::Schedule;
use self::learning::Learning;
use self::local::Local;
use self::martians::{Scope, scope_of};
use self::neighbours::{Neighbours, Origin, Overdue, Waiting, Way};
use self::path_mtu::PathMtus;
use self::routes::{Found, Routes};
use crate::event::DropReason;
use crate::flow::{HashKey, Hop};
use crate::id::{Interface, Mac, PerInterface};
use crate::limits::{ICMP_ERRORS_BURST_MAX, ICMP_ERRORS_PER_SECOND_MAX, RESETS_BURST_MAX, RESETS_PER_SECOND_MAX};
use crate::mutation::{Mutation, is_on};
use crate::outbox::{Leaving, Outbox};
use crate::packet::rewrite::{decrement_hop_limit, set_macs};
use crate::packet::{ETHERNET_LEN, Frame, Headers};
use crate::time::{Bucket, Instant};

/// Does this node hold an interface's redirector, and so answer for its virtual addresses?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderState {
    /// It does.
    Holds,
    /// Another node does, or none.
    DoesNot,
}

/// A packet that cannot be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// Why its frame ends here.
    pub reason: DropReason,
    /// What its source must be told with [`Forward::unreachable`], if anything.
    pub answer: Option<Unreachable>,
}

/// The router of one node.
#[derive(Debug)]
pub struct Forward {
    local: PerInterface<Local>,
    own: Addresses,
    virtuals: Addresses,
    routes: Routes,
    neighbours: PerInterface<Neighbours>,
    learning: Learning,
    conflicts: PerInterface<Vec<AddressConflict>>,
    schedule: PerInterface<Schedule>,
    errors: Bucket,
    resets: Bucket,
    paths: PathMtus,
    hash_key: HashKey,
    reverse_path: ReversePath,
    icmp_redirects: bool,
}

impl Forward {
    /// A router that knows no neighbour and holds no role. Nothing is announced before [`Forward::interface_up`].
    ///
    /// # Errors
    /// A route whose gateway is no neighbour, or too many routes.
    pub fn new(now: Instant, settings: &Settings) -> Result<Self, SettingsError> {
        let local = PerInterface::from_fn(|i| Local::new(&settings.interfaces[i]));
        let both = [&local.first, &local.second];
        let own = Addresses::new(both.iter().flat_map(|l| l.own_v4()), both.iter().flat_map(|l| l.own_v6()));
        let virtuals = Addresses::new(
            both.iter().flat_map(|l| l.virtual_v4()).copied(),
            both.iter().flat_map(|l| l.virtual_v6().iter().chain(l.anycast())).copied(),
        );
        Ok(Self {
            own,
            virtuals,
            routes: Routes::new(settings)?,
            neighbours: PerInterface::from_fn(|_| Neighbours::new(settings.hash_key)),
            learning: Learning::new(now),
            conflicts: PerInterface::default(),
            schedule: PerInterface::from_fn(|i| {
                let [spread, ..] = settings.hash_key.hash(&settings.interfaces[i].mac).to_le_bytes();
                Schedule::new(spread, settings.interfaces[i].router_lifetime)
            }),
            errors: Bucket::new(now, ICMP_ERRORS_PER_SECOND_MAX, ICMP_ERRORS_BURST_MAX),
            resets: Bucket::new(now, RESETS_PER_SECOND_MAX, RESETS_BURST_MAX),
            paths: PathMtus::new(settings.hash_key),
            hash_key: settings.hash_key,
            reverse_path: settings.reverse_path,
            icmp_redirects: settings.icmp_redirects,
            local,
        })
    }

    /// True for an address of this node on either interface, link-local ones included.
    #[must_use]
    pub fn is_own_address(&self, address: IpAddr) -> bool {
        self.own.contains(address)
    }

    /// True for an address of the cluster on either interface, whoever answers for it now; those of all routers are among them.
    #[must_use]
    pub fn is_virtual_address(&self, address: IpAddr) -> bool {
        self.virtuals.contains(address)
    }

    /// Where a packet that arrived at `arrived` goes next; of several gateways `spread` says which. Nothing changes by the
    /// look-up.
    ///
    /// # Errors
    /// Why it cannot go anywhere, and what its source must be told.
    pub fn route(
        &self,
        arrived: Interface,
        headers: &Headers,
        frame: &Frame,
        spread: impl FnOnce() -> u64,
    ) -> Result<Hop, Unroutable> {
        match scope_of(headers.source, headers.destination) {
            Scope::Global => {}
            Scope::Martian => return Err(Unroutable::silent(DropReason::Martian)),
            Scope::Multicast => return Err(Unroutable::silent(DropReason::Multicast)),
        }
        if self.is_own_address(headers.source) || self.is_virtual_address(headers.source) {
            return Err(Unroutable::silent(DropReason::Martian));
        }
        let hop = match self.routes.look_up(headers.destination) {
            Found::Hop(hop) => hop,
            Found::Several(number) => {
                let no_route = Unroutable::told(DropReason::NoRoute, Unreachable::NoRoute);
                self.routes.gateways.pick(number, spread()).ok_or(no_route)?
            }
            Found::Broadcast => return Err(Unroutable::silent(DropReason::Multicast)),
            Found::Nothing => return Err(Unroutable::told(DropReason::NoRoute, Unreachable::NoRoute)),
        };
        if hop.interface == arrived && reverse::turns_on_the_spot(headers, &hop) {
            return Err(Unroutable::silent(DropReason::SameInterface));
        }
        if headers.hop_limit <= 1 {
            return Err(Unroutable::told(DropReason::TtlExceeded, Unreachable::TimeExceeded));
        }
        if options::are_there(headers) {
            options::check(headers, frame)?;
        }
        let mtu = self.local[hop.interface].mtu;
        if wire_len(headers, frame) > usize::from(mtu) {
            too_long::may_leave(headers, frame, mtu)?;
        }
        Ok(hop)
    }

    /// Forwards a packet: TTL less one, this node's MAC as source, the next hop's as destination. If that is not known
    /// yet, the frame waits; if it stays silent, the packet's source is told.
    pub fn transmit(&mut self, now: Instant, hop: Hop, headers: &Headers, frame: Frame, out: &mut Outbox) {
        match self.neighbours[hop.interface].used(now, &headers.source, hop.next_hop) {
            Way::Known(mac) => self.leave_transit(now, (hop.interface, mac), headers, frame, out),
            Way::Doubtful(mac) => {
                self.leave_transit(now, (hop.interface, mac), headers, frame, out);
                self.ask(hop, Some(mac), out);
            }
            way @ (Way::Asked | Way::Unasked | Way::Full) => {
                self.wait(hop, way, Waiting { frame, origin: Origin::Transit(*headers) }, out);
            }
        }
    }

    /// Does what is due: asks again, gives up on silent neighbours, announces.
    pub fn deadline_reached(&mut self, now: Instant, out: &mut Outbox) {
        for interface in Interface::BOTH {
            while let Some(overdue) = self.neighbours[interface].overdue(now) {
                match overdue {
                    Overdue::Ask(next_hop, mac) => self.ask(Hop { interface, next_hop }, mac, out),
                    Overdue::AskBoth(next_hop, macs) => self.ask_both(Hop { interface, next_hop }, macs, out),
                    Overdue::Changed(address, mac) => self.changed(interface, address, mac),
                    Overdue::Conflict(next_hop, macs) => {
                        self.conflicted(now, Hop { interface, next_hop }, macs, out);
                    }
                    Overdue::Silent(next_hop, queue) => {
                        let hop = Hop { interface, next_hop };
                        self.routes.gateways.fell_silent(now, hop);
                        queue.into_iter().for_each(|waiting| self.give_up(now, hop, waiting, out));
                    }
                }
            }
            self.announce_due(now, interface, out);
        }
        while let Some(hop) = self.routes.gateways.next_due(now) {
            self.ask(hop, None, out);
        }
        self.paths.deadline_reached(now);
    }

    /// When [`Forward::deadline_reached`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let of = |i: Interface| [self.neighbours[i].next_deadline(), self.schedule[i].next_deadline()];
        let others = [self.routes.gateways.next_deadline(), self.paths.next_deadline()];
        Interface::BOTH.into_iter().flat_map(of).chain(others).flatten().min()
    }

    /// Where a packet of this node's own goes. A link-local destination is on the link of `interface`.
    fn way_to(&self, interface: Interface, destination: IpAddr) -> Option<Hop> {
        match destination {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Hop { interface, next_hop: destination }),
            IpAddr::V4(_) | IpAddr::V6(_) => self.routes.hop_to(destination, 0),
        }
    }

    /// Sends a packet of this node's own by its hop. It goes by the neighbour table, never back to the Ethernet source of
    /// what it answers: that may be another node, which redirected the frame.
    fn originate(&mut self, now: Instant, hop: Hop, frame: Frame, out: &mut Outbox) {
        // What this node says itself is an answer to that neighbour.
        match self.neighbours[hop.interface].used(now, &hop.next_hop, hop.next_hop) {
            Way::Known(mac) => self.leave_generated(hop.interface, mac, frame, out),
            Way::Doubtful(mac) => {
                self.leave_generated(hop.interface, mac, frame, out);
                self.ask(hop, Some(mac), out);
            }
            way @ (Way::Asked | Way::Unasked | Way::Full) => {
                self.wait(hop, way, Waiting { frame, origin: Origin::Generated }, out);
            }
        }
    }

    /// Keeps a frame whose neighbour has no MAC yet.
    fn wait(&mut self, hop: Hop, way: Way, waiting: Waiting, out: &mut Outbox) {
        if way == Way::Full {
            return waiting.drop(DropReason::NeighboursFull, out);
        }
        self.neighbours[hop.interface].keep(hop.next_hop, waiting, out);
        if way == Way::Unasked {
            self.ask(hop, None, out);
        }
    }

    /// Frames that waited for a neighbour leave.
    fn release(
        &self,
        now: Instant,
        (interface, mac): (Interface, Mac),
        queue: impl IntoIterator<Item = Waiting>,
        out: &mut Outbox,
    ) {
        for Waiting { frame, origin } in queue {
            match origin {
                Origin::Transit(headers) => self.leave_transit(now, (interface, mac), &headers, frame, out),
                Origin::Generated => self.leave_generated(interface, mac, frame, out),
            }
        }
    }

    fn leave_transit(
        &self,
        now: Instant,
        (interface, to): (Interface, Mac),
        headers: &Headers,
        mut frame: Frame,
        out: &mut Outbox,
    ) {
        if !is_on(Mutation::KeepHopLimit) {
            decrement_hop_limit(&mut frame, headers);
        }
        // What a network has put behind the packet stays there.
        frame.truncate(headers.end as usize);
        let local = &self.local[interface];
        if options::are_there(headers)
            && let Some(IpAddr::V4(own)) = self.speaker(interface, headers.destination)
        {
            options::fill_in(headers, &mut frame, own, now);
        }
        let source = if is_on(Mutation::VirtualSource) { local.virtual_mac_v4 } else { local.mac };
        set_macs(&mut frame, to, source);
        if frame.bytes().len() > usize::from(local.mtu) + ETHERNET_LEN {
            return too_long::leave(local.mtu, (interface, Leaving::Forwarded), headers, frame, out);
        }
        out.transmit(interface, frame, Leaving::Forwarded);
    }

    fn leave_generated(&self, interface: Interface, to: Mac, mut frame: Frame, out: &mut Outbox) {
        let local = &self.local[interface];
        set_macs(&mut frame, to, local.mac);
        let mtu = if self.paths.is_empty() { local.mtu } else { self.own_mtu(local.mtu, &frame) };
        if frame.bytes().len() > usize::from(mtu) + ETHERNET_LEN {
            return too_long::leave_own(mtu, interface, &self.hash_key, frame, out);
        }
        out.transmit(interface, frame, Leaving::Generated);
    }

    /// The neighbour that this frame waited for is silent. If it is one of several gateways, another one takes the frame.
    fn give_up(&mut self, now: Instant, silent: Hop, waiting: Waiting, out: &mut Outbox) {
        let Origin::Transit(headers) = waiting.origin else {
            return waiting.drop(DropReason::NeighbourSilent, out);
        };
        if let Found::Several(number) = self.routes.look_up(headers.destination)
            && let Some(hop) = self.routes.gateways.pick_heard(number, 0)
        {
            return self.transmit(now, hop, &headers, waiting.frame, out);
        }
        // Where it arrived says nothing here: its source is no link-local one.
        let received = Received { interface: silent.interface.other(), headers: &headers, frame: &waiting.frame };
        self.unreachable(now, received, Unreachable::NeighbourSilent, out);
        out.drop(waiting.frame, DropReason::NeighbourSilent);
    }
}

impl Unroutable {
    const fn silent(reason: DropReason) -> Self {
        Self { reason, answer: None }
    }

    fn told(reason: DropReason, answer: Unreachable) -> Self {
        Self { reason, answer: Some(answer) }
    }
}

/// Length in bytes of the largest IP packet that this frame becomes on the wire.
#[inline]
fn wire_len(headers: &Headers, frame: &Frame) -> usize {
    match usize::from(frame.offload().segment_size()) {
        0 => frame.longest_fragment().unwrap_or_else(|| headers.packet_len()),
        segment => (usize::from(headers.payload_at - headers.network_at) + segment).min(headers.packet_len()),
    }
}
