//! Other hosts that use this node's or the cluster's addresses: watched for beside the traffic, told, and contradicted.
//!
//! A node keeps an address that another has, too (RFC 5227, section 2.4 (c)): people gave it to the node, and streams must not
//! wait. What is left to do is up to people.

use std::net::IpAddr;

use super::Forward;
use crate::event::Event;
use crate::id::{Interface, Mac};
use crate::limits::CONFLICT_TIME;
use crate::outbox::Outbox;
use crate::time::Instant;

/// Another host that uses an address of this node or of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressConflict {
    /// The network.
    pub interface: Interface,
    /// The address.
    pub address: IpAddr,
    /// The MAC that claimed it last.
    pub mac: Mac,
    /// How often that was heard, in this outbreak.
    pub claims: u64,
    /// When it was heard last.
    pub heard: Instant,
}

impl AddressConflict {
    fn is_heard(&self, now: Instant) -> bool {
        now < self.heard + CONFLICT_TIME
    }
}

impl Forward {
    /// Another host claims an address of this node or of the cluster: people are told, once in each outbreak, and if this node
    /// answers for it, it says so again.
    pub(super) fn conflict_heard(
        &mut self,
        now: Instant,
        interface: Interface,
        (address, mac): (IpAddr, Mac),
        out: &mut Outbox,
    ) {
        let new = AddressConflict { interface, address, mac, claims: 1, heard: now };
        let known = &mut self.conflicts[interface];
        match known.iter_mut().find(|other| other.address == address) {
            Some(before) if before.is_heard(now) => *before = AddressConflict { claims: before.claims + 1, ..new },
            Some(before) => {
                *before = new;
                out.tell(Event::AddressConflict { interface, address, mac });
            }
            // One for each address that this node or the cluster has, so there is an end.
            None => {
                known.push(new);
                out.tell(Event::AddressConflict { interface, address, mac });
            }
        }
        self.defend(now, interface, address, out);
    }

    /// Addresses of this node and of the cluster that others used a short while ago.
    pub fn address_conflicts(&self, now: Instant) -> impl Iterator<Item = AddressConflict> + '_ {
        let all = Interface::BOTH.into_iter().flat_map(|interface| &self.conflicts[interface]);
        all.filter(move |conflict| conflict.is_heard(now)).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use herald_testing::frames;

    use super::super::testing::*;
    use super::*;
    use crate::packet::Frame;

    const THIEF: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

    fn claim(router: &mut Router, address: Ipv4Addr) {
        let frame = frames::arp(Mac::BROADCAST.0, 1, (THIEF.0, address), ([0; 6], address));
        router.arrives(FIRST, Frame::from_bytes(&frame));
    }

    #[test]
    fn a_conflict_is_told_once_and_listed_until_it_is_over() {
        let mut router = Router::new();
        let told = |router: &mut Router| router.out.events.drain(..).collect::<Vec<_>>();
        let event =
            |address: Ipv4Addr| Event::AddressConflict { interface: FIRST, address: address.into(), mac: THIEF };
        for _ in 0..3 {
            claim(&mut router, OWN);
            router.wait(Duration::from_secs(1));
        }
        claim(&mut router, VIRTUAL);
        assert_eq!(told(&mut router), [event(OWN), event(VIRTUAL)]);
        let listed: Vec<_> = router.forward.address_conflicts(router.now).map(|c| (c.address, c.claims)).collect();
        assert_eq!(listed, [(OWN.into(), 3), (VIRTUAL.into(), 1)]);
        router.wait(CONFLICT_TIME);
        assert_eq!(router.forward.address_conflicts(router.now).count(), 0);
        claim(&mut router, OWN);
        assert_eq!(told(&mut router), [event(OWN)]);
        assert_eq!(router.forward.address_conflicts(router.now).next().unwrap().claims, 1);
    }
}
