//! What the links to the peers tell: who is there, and what they say of themselves.

use super::{MemberState, Membership};
use crate::event::Event;
use crate::id::{Interface, NodeId, PerInterface};
use crate::mesh::{Heartbeat, Hello};
use crate::outbox::Outbox;
use crate::time::Instant;

impl Membership {
    /// A link is up and its peer has said hello. A new boot ends what the old one was, without a wait.
    pub fn link_up(&mut self, now: Instant, hello: &Hello, out: &mut Outbox) {
        let node = hello.node;
        let Some(member) = self.peer_mut(node) else { return };
        let replaced = member.lives() && member.boot.is_some_and(|boot| boot != hello.boot);
        if replaced {
            self.died(node, out);
        }
        if let Some(member) = self.peer_mut(node) {
            member.greeted(now, hello);
            self.admit();
            out.tell(Event::LinkUp { peer: node });
        }
        self.settle(now, out);
    }

    /// A link is lost: its peer is suspect until it has been silent for the detection time.
    pub fn link_lost(&mut self, now: Instant, peer: NodeId, out: &mut Outbox) {
        let Some(member) = self.peer_mut(peer).filter(|member| member.link_up) else { return };
        member.link_up = false;
        if member.state == MemberState::Alive {
            member.state = MemberState::Suspect;
        }
        out.tell(Event::LinkLost { peer });
        self.settle(now, out);
    }

    /// Frames can be sent to a peer over the mesh.
    pub fn frames_up(&mut self, now: Instant, peer: NodeId, out: &mut Outbox) {
        if let Some(member) = self.peer_mut(peer).filter(|member| !member.takes_frames) {
            member.takes_frames = true;
            self.settle(now, out);
        }
    }

    /// Frames cannot be sent to a peer over the mesh, where they should: to those who choose it has no link.
    pub fn frames_lost(&mut self, now: Instant, peer: NodeId, out: &mut Outbox) {
        if let Some(member) = self.peer_mut(peer).filter(|member| member.takes_frames) {
            member.takes_frames = false;
            self.settle(now, out);
        }
    }

    /// A peer told its view.
    pub fn heartbeat_arrived(&mut self, now: Instant, from: NodeId, heartbeat: &Heartbeat, out: &mut Outbox) {
        let Some(boot) = self.heard_from(now, from) else { return };
        let hears = PerInterface::from_fn(|interface| self.places(&heartbeat.heard[interface]) & !self.places(&[from]));
        if let Some(member) = self.peer_mut(from) {
            member.reported(heartbeat);
            member.hears = hears;
            self.readiness_heard(from, heartbeat.suspended, out);
        }
        for interface in Interface::BOTH {
            if let Some(epoch) = heartbeat.epochs[interface] {
                self.epoch_heard(now, (interface, epoch), (from, boot), out);
            }
        }
        for interface in Interface::BOTH {
            let followed = self.elections[interface].followed().filter(|epoch| epoch.node == from);
            let told = followed.filter(|epoch| heartbeat.epochs[interface] == Some(*epoch));
            self.confirmed[interface] = told.or(self.confirmed[interface]);
        }
        self.settle(now, out);
    }
}
