//! What a packet meets at the table of marker sessions: its stream, or the place where a new one begins.

use super::{Chosen, Unmarked};
use crate::event::{DropReason, EndReason};
use crate::id::Slot;
use crate::inspector::{Direction, HostPart};
use crate::packet::{Arrival, Came};
use crate::session::{Announced, Count, Life, Midstream, NewMarker, Opening, Renewal};
use crate::turn::Turn;

/// What a packet met at the marker table.
pub(super) enum Meeting {
    Known { slot: Slot, direction: Direction },
    New { generation: u32, slot: Option<Slot> },
}

impl<H: HostPart> Chosen<H> {
    /// A packet of a stream that has a session.
    pub(super) fn meet_again(
        &mut self,
        turn: &mut Turn<'_, H>,
        (slot, direction): (Slot, Direction),
        arrival: &Arrival,
        size: Count,
    ) -> Result<Meeting, Unmarked> {
        let headers = &arrival.headers;
        let session = self.markers.at_mut(slot);
        match session.announced {
            Announced::Lost if arrival.came == Came::Straight => return Err(Unmarked::Astray),
            Announced::Lost => return Err(Unmarked::Dropped(DropReason::Refused)),
            Announced::Moved(moved) => return Err(Unmarked::Moved(moved.to.node)),
            Announced::No | Announced::Waiting | Announced::TimedOut { .. } | Announced::Acknowledged => {}
        }
        session.silent_since = turn.now;
        if session.fenced && !arrival.came.is_handed_over() {
            return Err(Unmarked::Fenced(session.id));
        }
        if session.alive {
            match session.life.renewal(direction, headers) {
                Renewal::None => return Ok(Meeting::Known { slot, direction }),
                Renewal::Answers(life) => return self.renew(turn, (slot, direction), life, size),
                Renewal::Opens => {}
            }
        }
        // What plugins have ended stays so as long as its key is remembered.
        let is_blocked = session.standing.is_ended();
        match (Opening::of(headers), self.settings.midstream) {
            (Opening::Connects | Opening::Opens, _) => {}
            (Opening::Midstream, Midstream::PickUp) if !is_blocked => {}
            (Opening::Midstream, Midstream::Reset) if !is_blocked => {
                return Err(Unmarked::Unknown(DropReason::Tombstone));
            }
            (Opening::Midstream | Opening::Quotes, _) => return Err(Unmarked::Dropped(DropReason::Tombstone)),
        }
        let generation = session.generation.saturating_add(1);
        if session.alive {
            self.end(turn, slot, EndReason::Replaced);
        }
        Ok(Meeting::New { generation, slot: Some(slot) })
    }

    /// An end has accepted a SYN that went by as a packet of a stream: what has begun with it takes the stream's place. The
    /// first packet of it that the plugins see is this answer.
    #[cold]
    fn renew(
        &mut self,
        turn: &mut Turn<'_, H>,
        (slot, direction): (Slot, Direction),
        life: Life,
        size: Count,
    ) -> Result<Meeting, Unmarked> {
        let session = self.markers.at(slot);
        let (Some(&opener), Some(&return_key)) = (session.key(direction.other()), session.key(direction)) else {
            return Ok(Meeting::Known { slot, direction });
        };
        let (choice, identity) = (session.choice, session.identity);
        let generation = session.generation.saturating_add(1);
        self.end(turn, slot, EndReason::Replaced);
        let new = NewMarker { opener, midstream: false, choice, generation, life, size: Count::default() };
        let slot = self.start(turn, Some(slot), &new).map_err(Unmarked::Dropped)?;
        if self.learn_return_key(turn, slot, (return_key, identity)).is_err() {
            self.end(turn, slot, EndReason::Refused);
            return Err(Unmarked::Dropped(DropReason::ReturnKeyTaken));
        }
        self.markers.at_mut(slot).counts.to_opener = size;
        Ok(Meeting::Known { slot, direction: Direction::ToOpener })
    }

    /// Whether a packet may be a stream's first.
    pub(super) fn may_start(&self, opening: Opening) -> Result<(), DropReason> {
        match (opening, self.settings.midstream) {
            (Opening::Connects | Opening::Opens, _) | (Opening::Midstream, Midstream::PickUp) => Ok(()),
            (Opening::Midstream, Midstream::Drop | Midstream::Reset) => Err(DropReason::MidStream),
            (Opening::Quotes, _) => Err(DropReason::UnknownQuote),
        }
    }
}
