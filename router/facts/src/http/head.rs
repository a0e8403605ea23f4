//! Collects a head up to its empty line.

use crate::Oddity;
use crate::limits::HTTP_HEAD_BYTES_MAX;

/// What came of the next bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Collected {
    Need,
    Whole,
    TooLong,
}

/// A head as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Where the current line begins.
    line: usize,
    has_bare_line_feed: bool,
    has_empty_lines: bool,
}

impl Head {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins the next head in the same memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.line, self.has_bare_line_feed, self.has_empty_lines) = (0, false, false);
    }

    /// What its lines are odd about.
    pub(super) fn oddities(&self) -> impl Iterator<Item = Oddity> + use<> {
        let bare = self.has_bare_line_feed.then_some(Oddity::HttpBareLineFeed);
        bare.into_iter().chain(self.has_empty_lines.then_some(Oddity::HttpEmptyLines))
    }

    /// Takes bytes up to the end of the head, or all. Empty lines before the first one are skipped.
    pub(super) fn collect(&mut self, bytes: &mut &[u8]) -> Collected {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
            let (line, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
            // What does not fit is not copied.
            if self.bytes.len() + line.len() > HTTP_HEAD_BYTES_MAX {
                return Collected::TooLong;
            }
            self.bytes.extend_from_slice(line);
            *bytes = rest;
            if end.is_some() && self.line_ended() {
                return Collected::Whole;
            }
        }
        Collected::Need
    }

    /// True if the line that just ended is the empty one behind a head.
    fn line_ended(&mut self) -> bool {
        let line = self.bytes.get(self.line..).unwrap_or_default();
        self.has_bare_line_feed |= !line.ends_with(b"\r\n");
        let is_empty = matches!(line, b"\r\n" | b"\n");
        if is_empty && self.line == 0 {
            self.bytes.clear();
            self.has_empty_lines = true;
            return false;
        }
        self.line = self.bytes.len();
        is_empty
    }
}
