//! The host's own part of a stream's state, at its beginning: who is asked about the stream, and what stands already.

use std::cell::Cell;

use herald_core::inspector::{Action, Direction, Line};

/// Bytes of the head; plugins' states follow.
pub(super) const HEAD_LEN: usize = 32;

/// A verdict that covers all packets of one direction from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) action: Action,
    /// Index of the plugin that said so.
    pub(super) seat: u8,
    /// Place of its reason in that plugin's book.
    pub(super) reason: u8,
    /// It comes from that plugin's fault policy.
    pub(super) fault: bool,
}

/// What the host keeps of one stream. Bit n of a mask is the plugin in seat n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The stream's number; 0 while there is none.
    pub(super) stream: u64,
    /// Plugins whose state is made.
    pub(super) made: u32,
    /// Plugins that are not asked, by direction.
    skip: [u32; 2],
    /// Action pass: nothing stands.
    standing: [Standing; 2],
}

impl Head {
    /// The head of a new stream.
    pub(super) fn of(stream: u64) -> Self {
        Self { stream, ..Self::default() }
    }

    /// Reads the head of a stream's state.
    pub(super) fn read(state: &[Cell<Line>]) -> Self {
        let Some(line) = state.first().map(Cell::get) else { return Self::default() };
        Self {
            stream: u64::from_ne_bytes(part(&line, 0)),
            made: u32::from_ne_bytes(part(&line, 8)),
            skip: [u32::from_ne_bytes(part(&line, 12)), u32::from_ne_bytes(part(&line, 16))],
            standing: [Standing::read(part(&line, 20)), Standing::read(part(&line, 24))],
        }
    }

    /// Writes it back.
    pub(super) fn write(&self, state: &[Cell<Line>]) {
        let Some(cell) = state.first() else { return };
        let mut line = cell.get();
        let [skip, skip_back] = self.skip.map(u32::to_ne_bytes);
        let [standing, standing_back] = self.standing.map(Standing::bytes);
        let parts: [&[u8]; 6] =
            [&self.stream.to_ne_bytes(), &self.made.to_ne_bytes(), &skip, &skip_back, &standing, &standing_back];
        for (place, byte) in line.0.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        cell.set(line);
    }

    /// The plugins that are not asked about packets of this direction.
    pub(super) fn skips(&self, direction: Direction) -> u32 {
        let [from_opener, to_opener] = self.skip;
        match direction {
            Direction::FromOpener => from_opener,
            Direction::ToOpener => to_opener,
        }
    }

    /// The plugins of this mask are not asked about packets of this direction any more.
    pub(super) fn skip(&mut self, mask: u32, direction: Direction) {
        let [from_opener, to_opener] = &mut self.skip;
        match direction {
            Direction::FromOpener => *from_opener |= mask,
            Direction::ToOpener => *to_opener |= mask,
        }
    }

    /// Takes on what a word on the stream adds.
    pub(super) fn take_on(&mut self, word: &Self) {
        for direction in [Direction::FromOpener, Direction::ToOpener] {
            self.skip(word.skips(direction), direction);
            if let Some(standing) = word.standing(direction) {
                self.stand(standing, direction);
            }
        }
    }

    /// What stands for packets of this direction.
    pub(super) fn standing(&self, direction: Direction) -> Option<Standing> {
        let [from_opener, to_opener] = self.standing;
        let standing = match direction {
            Direction::FromOpener => from_opener,
            Direction::ToOpener => to_opener,
        };
        (standing.action != Action::Pass).then_some(standing)
    }

    /// Lets a verdict stand for this direction, unless a stronger one does.
    pub(super) fn stand(&mut self, standing: Standing, direction: Direction) {
        let [from_opener, to_opener] = &mut self.standing;
        let place = match direction {
            Direction::FromOpener => from_opener,
            Direction::ToOpener => to_opener,
        };
        if standing.action > place.action {
            *place = standing;
        }
    }
}

impl Standing {
    /// The same, from a fault policy.
    pub(super) fn of_fault(self) -> Self {
        Self { fault: true, ..self }
    }

    fn read([action, seat, reason, fault]: [u8; 4]) -> Self {
        let action = match action {
            0 => Action::Pass,
            1 => Action::Drop,
            _ => Action::Reject,
        };
        Self { action, seat, reason, fault: fault != 0 }
    }

    fn bytes(self) -> [u8; 4] {
        let action = match self.action {
            Action::Pass => 0,
            Action::Drop => 1,
            Action::Reject => 2,
        };
        [action, self.seat, self.reason, u8::from(self.fault)]
    }
}

fn part<const LEN: usize>(line: &Line, at: usize) -> [u8; LEN] {
    line.0.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let mut head = Head { stream: 7, made: 0x8000_0001, ..Head::default() };
        head.skip(1 << 31 | 1, Direction::ToOpener);
        head.stand(Standing { action: Action::Drop, seat: 3, reason: 9, fault: true }, Direction::FromOpener);
        head.stand(Standing { action: Action::Reject, seat: 31, reason: 1, fault: false }, Direction::ToOpener);
        let state = [Cell::new(Line([0xee; 64]))];
        head.write(&state);
        assert_eq!(Head::read(&state), head);
        assert!(state[0].get().0[HEAD_LEN..].iter().all(|&byte| byte == 0xee), "plugins' state begins there");
        assert_eq!((head.skips(Direction::ToOpener), head.skips(Direction::FromOpener)), (1 << 31 | 1, 0));
    }
}
