//! What plugins note on streams: `sni` is `example.org`. Bounded for each stream, and in all.

use herald_core::limits::{NOTE_NAME_LEN_MAX, NOTE_VALUE_LEN_MAX, NOTED_STREAMS_MAX, NOTES_PER_STREAM_MAX};

/// The notes of all streams of a chain.
#[derive(Debug, Default)]
pub(super) struct Notes {
    streams: Vec<Vec<Note>>,
    free: Vec<u32>,
}

/// A name and its value.
pub(super) type Note = (String, String);

/// Where the notes of a stream are, counted from one; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NotesAt(u32);

impl Notes {
    /// Notes a value under a name. False if there is no room for it.
    pub(super) fn add(&mut self, at: &mut NotesAt, name: &str, value: &str) -> bool {
        if name.is_empty() || name.len() > NOTE_NAME_LEN_MAX || value.len() > NOTE_VALUE_LEN_MAX {
            return false;
        }
        let Some(notes) = self.of_mut(at) else { return false };
        if let Some((_, place)) = notes.iter_mut().find(|(known, _)| known == name) {
            place.clear();
            place.push_str(value);
            return true;
        }
        let fits = notes.len() < NOTES_PER_STREAM_MAX;
        if fits {
            notes.push((name.to_owned(), value.to_owned()));
        }
        fits
    }

    /// The notes of a stream, in the order in which their names came.
    pub(super) fn of(&self, at: NotesAt) -> &[Note] {
        let place = at.0.checked_sub(1).and_then(|place| self.streams.get(place as usize));
        place.map_or(&[], Vec::as_slice)
    }

    /// The stream has ended.
    pub(super) fn forget(&mut self, at: &mut NotesAt) {
        let NotesAt(number) = std::mem::take(at);
        if let Some(place) = number.checked_sub(1).and_then(|place| self.streams.get_mut(place as usize)) {
            place.clear();
            self.free.push(number);
        }
    }

    fn of_mut(&mut self, at: &mut NotesAt) -> Option<&mut Vec<Note>> {
        if at.0 == 0 {
            at.0 = match self.free.pop() {
                Some(free) => free,
                None if self.streams.len() < NOTED_STREAMS_MAX => {
                    self.streams.push(Vec::new());
                    u32::try_from(self.streams.len()).ok()?
                }
                None => return None,
            };
        }
        self.streams.get_mut(at.0 as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_and_forgotten() {
        let (mut notes, mut one, mut other) = (Notes::default(), NotesAt::default(), NotesAt::default());
        assert!(notes.of(one).is_empty());
        for number in 0..NOTES_PER_STREAM_MAX {
            assert!(notes.add(&mut one, &format!("n{number}"), "x"));
        }
        assert!(!notes.add(&mut one, "one-more", "x") && notes.add(&mut one, "n0", "y"));
        assert_eq!(notes.of(one).first(), Some(&("n0".to_owned(), "y".to_owned())));
        assert!(!notes.add(&mut other, "", "x") && !notes.add(&mut other, &"n".repeat(NOTE_NAME_LEN_MAX + 1), "x"));
        assert!(!notes.add(&mut other, "n", &"x".repeat(NOTE_VALUE_LEN_MAX + 1)));
        assert_eq!(other, NotesAt::default());
        let before = one;
        notes.forget(&mut one);
        assert!(notes.add(&mut other, "n", "x"));
        assert_eq!((other, notes.of(other).len()), (before, 1));
    }
}
