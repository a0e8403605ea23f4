//! One interface as the event loop sees it: its TAP, its watch, and what is still to be read.

use crate::io::tap::Taken;
use crate::io::{InterfaceWatch, Pool, Tap, Usable};
use herald_core::event::DropReason;
use herald_core::id::Mac;
use herald_core::outbox::Leaving;
use herald_core::packet::{Frame, Tag};

/// An interface's devices. mio tells only changes, so what may still be read is remembered here.
#[derive(Debug)]
pub struct Port {
    /// The TAP.
    pub tap: Tap,
    /// Tells whether the TAP is usable.
    pub watch: InterfaceWatch,
    /// The TAP's name, for reports.
    pub name: String,
    /// The node's own MAC there, for reports.
    pub mac: Mac,
    /// The tag of the VLAN that the network is, which each frame gets that goes out.
    pub(super) tag: Option<Tag>,
    pub(super) readable: bool,
    pub(in crate::app) usable: Usable,
    /// For frames that come while the pool is empty.
    spare: Frame,
}

/// What came out of a port.
pub(super) enum Came {
    /// A frame.
    Frame(Frame),
    /// A frame that ends right here; its buffer stays.
    Lost(DropReason),
    /// Nothing any more for now.
    Nothing,
    /// The TAP is gone.
    Gone,
}

impl Port {
    /// A port whose state nobody knows yet.
    #[must_use]
    pub fn new(tap: Tap, watch: InterfaceWatch, name: String, mac: Mac, vlan: Option<u16>) -> Self {
        let (tag, spare) = (vlan.map(Tag::of), Frame::with_full_buffer());
        Self { tap, watch, name, mac, tag, readable: false, usable: Usable::No, spare }
    }

    /// Writes one frame. What is redirected keeps the VLAN tag that it came with.
    pub(super) fn transmit(&self, frame: &Frame, leaving: Leaving) -> Result<(), DropReason> {
        let tag = match leaving {
            Leaving::Redirected => frame.tag().or(self.tag),
            Leaving::Forwarded | Leaving::Generated => self.tag,
        };
        match tag {
            None => self.tap.write(frame),
            Some(tag) => self.tap.write_tagged(frame, tag),
        }
    }

    /// Reads one frame into a buffer of the pool. While there is none, frames are read away: left in the TAP they would
    /// only hide how many are lost.
    pub(super) fn take(&mut self, pool: &mut Pool) -> Came {
        let pooled = pool.take();
        let lost = pooled.is_none();
        let mut frame = pooled.unwrap_or_else(|| std::mem::replace(&mut self.spare, Frame::from_bytes(&[])));
        let came = match self.tap.read(&mut frame) {
            Taken::Frame if !lost => return Came::Frame(frame),
            Taken::Frame => Came::Lost(DropReason::PoolEmpty),
            Taken::Cut => Came::Lost(DropReason::Malformed),
            Taken::Empty => Came::Nothing,
            Taken::Gone => Came::Gone,
        };
        if lost {
            self.spare = frame;
        } else {
            pool.give(frame);
        }
        came
    }
}
