//! A learning switch: it remembers behind which port it saw a MAC, forgets that after a while, and floods what it does
//! not know.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::id::Mac;

use crate::scenario::{Impairment, Way};
use herald_core::time::Instant;

/// Where something is plugged in: the nodes by their places, then the host, then the hostile host.
pub(crate) type Port = usize;

/// The honest host's port.
pub(crate) const HOST_PORT: Port = 3;
/// The hostile host's port.
pub(crate) const HOSTILE_PORT: Port = 4;
/// All ports.
pub(crate) const PORTS: usize = 5;

/// What the cable of one port does, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cable {
    /// Nothing comes out of the switch.
    pub(crate) cut_in: bool,
    /// Nothing gets into the switch.
    pub(crate) cut_out: bool,
    /// No frame to a group address comes out of the switch.
    pub(crate) groups_cut_in: bool,
    /// No frame to a group address gets into the switch.
    pub(crate) groups_cut_out: bool,
    /// The node sees that there is no cable.
    pub(crate) unplugged: bool,
}

/// Whether who is behind a port listens to a frame: the hostile host to none, and the honest one's device to none that is for
/// all routers that speak VRRP.
pub(crate) fn listens(port: Port, frame: &[u8]) -> bool {
    let routers = [Mac([1, 0, 0x5e, 0, 0, 0x12]), Mac([0x33, 0x33, 0, 0, 0, 0x12])];
    match port {
        HOST_PORT => mac_at(frame, 0).is_none_or(|to| !routers.contains(&to)),
        HOSTILE_PORT => false,
        _ => true,
    }
}

/// One switch.
#[derive(Debug)]
pub(crate) struct Switch {
    learnt: BTreeMap<Mac, (Port, Instant)>,
    ageing: Duration,
    pub(crate) cables: [Cable; PORTS],
    pub(crate) impairment: Impairment,
    /// When the last frame was delivered to a port, so that frames stay in order.
    pub(crate) last_out: [Instant; PORTS],
}

impl Switch {
    pub(crate) fn new(ageing: Duration) -> Self {
        Self {
            learnt: BTreeMap::new(),
            ageing,
            cables: Default::default(),
            impairment: Impairment::default(),
            last_out: Default::default(),
        }
    }

    /// Cuts the cable of a port. A switch that sees that a cable is dead forgets who was behind it.
    pub(crate) fn cut(&mut self, port: Port, way: Way) {
        let cable = &mut self.cables[port];
        cable.cut_in |= way != Way::Out;
        cable.cut_out |= way != Way::In;
        if cable.cut_in && cable.cut_out {
            self.learnt.retain(|_, (behind, _)| *behind != port);
        }
    }

    /// Cuts the cable of a port for frames to group addresses.
    pub(crate) fn cut_groups(&mut self, port: Port, way: Way) {
        let cable = &mut self.cables[port];
        cable.groups_cut_in |= way != Way::Out;
        cable.groups_cut_out |= way != Way::In;
    }

    /// Whether a frame gets from the switch to what is behind a port.
    pub(crate) fn comes_out(&self, port: Port, frame: &[u8]) -> bool {
        let cable = &self.cables[port];
        !(cable.cut_in || cable.groups_cut_in && mac_at(frame, 0).is_some_and(Mac::is_multicast))
    }

    /// A frame came in at a port: the ports it leaves by.
    pub(crate) fn ports_for(&mut self, now: Instant, from: Port, frame: &[u8]) -> Vec<Port> {
        let (Some(to), Some(source)) = (mac_at(frame, 0), mac_at(frame, 6)) else { return Vec::new() };
        if self.cables[from].cut_out || self.cables[from].groups_cut_out && to.is_multicast() {
            return Vec::new();
        }
        if !source.is_multicast() {
            self.learnt.insert(source, (from, now));
        }
        let ageing = self.ageing;
        let known = self.learnt.get(&to).filter(|(_, at)| now.since(*at) < ageing).map(|(port, _)| *port);
        match known.filter(|_| !to.is_multicast()) {
            Some(port) if port == from => Vec::new(),
            Some(port) => vec![port],
            None => (0..PORTS).filter(|port| *port != from).collect(),
        }
    }
}

/// The address at an offset of an Ethernet header.
pub(crate) fn mac_at(frame: &[u8], at: usize) -> Option<Mac> {
    frame.get(at..at + 6)?.try_into().ok().map(Mac)
}
