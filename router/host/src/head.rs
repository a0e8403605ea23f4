//! The host's part of a stream's record: who is asked about the stream, and where the plugins' states lie.

use herald_core::inspector::Direction;
use herald_core::limits::HOST_PART_LEN_MAX;

use crate::block::Home;
use crate::notes::NotesAt;
use crate::order::OrderAt;

/// What the host keeps of one stream. Bit n of a mask is the plugin in seat n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Where the plugins' states lie, and in which chain the stream lives: the masks are of its plugins.
    pub(super) home: Home,
    /// Plugins whose state is made.
    pub(super) made: u32,
    /// Plugins that are not asked, by direction.
    skip: [u32; 2],
    /// What a plugin has marked the stream with.
    pub(super) mark: u32,
    /// What plugins have noted on it.
    pub(super) notes: NotesAt,
    /// Where the stream is put in order.
    pub(super) order: OrderAt,
    /// The seat of the plugin that ended the stream, counted from one, and the reason's place in its book.
    pub(super) ended_by: (u8, u8),
}

const _: () = assert!(size_of::<Head>() <= HOST_PART_LEN_MAX);

impl Head {
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
}
