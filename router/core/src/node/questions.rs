//! What others ask a node about itself.

use super::Node;
use crate::chosen::Room;
use crate::forward::Forward;
use crate::id::Interface;
use crate::inspector::HostPart;
use crate::membership::Membership;
use crate::redirector::Redirector;
use crate::session::{Markers, Row};

impl<H: HostPart> Node<H> {
    /// Who is alive and who holds what.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.view
    }

    /// Routes and neighbours.
    #[must_use]
    pub fn forward(&self) -> &Forward {
        &self.forward
    }

    /// Sessions of the redirectors that this node holds.
    #[must_use]
    pub fn redirector_sessions(&self) -> usize {
        Interface::BOTH.iter().filter(|i| self.view.holds(**i)).map(|i| self.redirector.sessions(*i)).sum()
    }

    /// This node's redirectors. Of one that it only stands by for it has sessions that steer nothing.
    #[must_use]
    pub fn redirector(&self) -> &Redirector {
        &self.redirector
    }

    /// The streams of which this node is the chosen one, and the tombstones of those that have ended.
    #[must_use]
    pub fn markers(&self) -> &Markers<H> {
        &self.chosen.markers
    }

    /// Who stands in the table of these streams, and who makes room.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.chosen.room
    }

    /// The sessions of one part of the tables as reports show them, by its number from 0 on; `None` behind the last. A part
    /// has some thousands at most.
    #[must_use]
    pub fn rows(&self, part: usize) -> Option<Vec<Row>> {
        if let Some(rows) = self.redirector.rows(part) {
            return Some(rows.filter(|row| self.view.holds(row.interface)).collect());
        }
        let markers = self.chosen.markers.part(part - self.redirector.parts())?;
        Some(markers.map(|session| Row::of_marker(self.node, session)).collect())
    }

    /// All sessions as reports show them.
    pub fn all_rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..).map_while(|part| self.rows(part)).flatten()
    }

    /// Forgets every redirector session, as if this node had just started: for tests of what mends that.
    pub fn forget_redirector_sessions(&mut self) {
        Interface::BOTH.into_iter().for_each(|interface| self.redirector.forget(interface));
    }

    /// Frames that wait here: in holds, for answers, fences, claims and assignments, for neighbours, for the plugins, for the rest
    /// of their datagram.
    #[must_use]
    pub fn frames_kept(&self) -> usize {
        let waiting = self.redirector.parking.frames() + self.chosen.fenced.frames() + self.early.frames();
        self.chosen.hold.frames() + waiting + self.forward.frames_queued() + self.batch.len() + self.fragments.frames()
    }

    /// Frames among these that are held until an announcement is acknowledged.
    #[must_use]
    pub fn frames_held(&self) -> usize {
        self.chosen.hold.frames()
    }
}
