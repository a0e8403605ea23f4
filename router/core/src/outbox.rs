//! The list of things to do: the core writes it, the event loop carries it out.

mod last_drops;

use crate::event::{DropReason, Event};
use crate::id::{Epoch, Interface, NodeId};
use crate::inspector::Cause;
use crate::limits::PACKED_FRAME_LEN_MAX;
use crate::mesh::{Astray, Handover, Message, Redirect};
use crate::mutation::{Mutation, is_on};
use crate::packet::{Arrival, Frame};
use crate::time::Instant;
pub use last_drops::{Dropped, LastDrops};

/// Where a frame that leaves came from, for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Forwarded by its chosen node.
    Forwarded,
    /// Handed to its chosen node.
    Redirected,
    /// Made by this node.
    Generated,
}

/// The books of one node in frames: `in_first + in_second + in_mesh + cut + injected = forwarded + redirected + handed_over + consumed +
/// dropped - generated_dropped + kept + joined`, where `kept` is what waits at that moment, in holds, for neighbours or for the
/// rest of a datagram. Generated frames are counted apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger {
    /// Read from the TAPs, by interface: first, second.
    pub arrived: crate::id::PerInterface<u64>,
    /// Received over the mesh.
    pub arrived_mesh: u64,
    /// Made by plugins, as if they had arrived behind them.
    pub injected: u64,
    /// Forwarded by this node as chosen node.
    pub forwarded: u64,
    /// Redirected to another node.
    pub redirected: u64,
    /// Sent over the mesh to the node that won the stream, or to the holder, or by a detour.
    pub handed_over: u64,
    /// Of the handed over: sent to the holder of their interface, because this node has not got their streams.
    pub handed_to_holder: u64,
    /// Of the arrived: sent by hosts straight to this node's own MAC, and not for an address of it.
    pub straight: u64,
    /// Of the arrived: redirected to this node on a network, to begin a stream that it would not be chosen for.
    pub unproven: u64,
    /// Made by this node: ARP, neighbour discovery, ICMP, resets.
    pub generated: u64,
    /// Drops that are of no frame that arrived: made by this node and dropped before they were transmitted, or no frames at
    /// all (`internal`). They are among the drops, so that each has its reason, and are taken off there to balance the books.
    pub generated_dropped: u64,
    /// Ended here because they were for this node.
    pub consumed: u64,
    /// Became part of another frame: of `n` fragments of a datagram `n - 1` are joined to the first.
    pub joined: u64,
    /// Came into being here: where a frame leaves or ends as `n` fragments, `n - 1`.
    pub cut: u64,
    /// Of the forwarded: sent although no acknowledgement had come, because the return packets find this node anyway.
    pub unacknowledged: u64,
    /// Streams for which a node was chosen while a member that may have had them was out of reach.
    pub unasked: u64,
    /// Messages that named an old epoch, boot or generation, or a role this node does not hold.
    pub messages_stale: u64,
    /// Messages about something their sender may not speak for.
    pub messages_unauthorised: u64,
    /// Parts of the whole cluster's query that found no room.
    pub inquiries_lost: u64,
}

impl Ledger {
    fn count_mut(&mut self, leaving: Leaving) -> &mut u64 {
        match leaving {
            Leaving::Forwarded => &mut self.forwarded,
            Leaving::Redirected => &mut self.redirected,
            Leaving::Generated => &mut self.generated,
        }
    }

    /// A message takes a detour: if it has a frame, that is one of those that are handed over.
    pub(crate) fn note_detour(&mut self, message: &Message) {
        if matches!(message, Message::Redirect(_)) {
            self.redirected = self.redirected.saturating_sub(1);
            self.handed_over += 1;
        } else if matches!(message, Message::Astray(_)) {
            self.handed_to_holder = self.handed_to_holder.saturating_sub(1);
        }
    }
}

/// Everything the core wants done, in order.
#[derive(Debug)]
pub struct Outbox {
    /// Frames to transmit, each with its place in the books.
    pub transmit: Vec<(Interface, Frame, Leaving)>,
    /// Messages to send.
    pub send: Vec<(NodeId, Message)>,
    /// Events to tell.
    pub events: Vec<Event>,
    /// Frames that ended here; their buffers go back to the pool.
    pub spent: Vec<Frame>,
    /// The books.
    pub ledger: Ledger,
    dropped: [u64; DropReason::ALL.len()],
    /// The last dropped frames, if anybody may ask for them.
    last_drops: Option<Box<LastDrops>>,
    /// When the present call into the node began.
    pub(crate) now: Instant,
    /// Where the frame arrived that this call is about.
    pub arriving: Option<Interface>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            transmit: Vec::new(),
            send: Vec::new(),
            events: Vec::new(),
            spent: Vec::new(),
            ledger: Ledger::default(),
            dropped: [0; DropReason::ALL.len()],
            last_drops: None,
            now: Instant::default(),
            arriving: None,
        }
    }
}

impl Outbox {
    /// A frame that is to wait: a short one in a buffer of its own size, so that a burst of them that waits takes no buffers
    /// from what passes, each of which takes any frame.
    #[must_use]
    #[inline(never)]
    pub fn packed(&mut self, frame: Frame) -> Frame {
        let is_long = frame.wire().len() > PACKED_FRAME_LEN_MAX;
        if is_long || !frame.has_full_buffer() {
            return frame;
        }
        let Some(packed) = frame.copied() else { return frame };
        self.spent.push(frame);
        packed
    }

    /// A packet that is to wait, as [`packed`](Self::packed).
    #[must_use]
    pub fn packed_arrival(&mut self, arrival: Arrival) -> Arrival {
        Arrival { frame: self.packed(arrival.frame), ..arrival }
    }

    /// Sends a frame out of an interface; one that was joined as its fragments.
    #[inline]
    pub fn transmit(&mut self, interface: Interface, frame: Frame, leaving: Leaving) {
        if frame.is_joined() {
            let fragments = frame.fragments();
            return self.part(frame, fragments, |out, fragment| out.transmit(interface, fragment, leaving));
        }
        *self.ledger.count_mut(leaving) += 1;
        self.transmit.push((interface, frame, leaving));
    }

    /// A frame of the list was not taken by its interface: it did not leave as it was booked, it ends here.
    pub fn untransmitted(&mut self, frame: Frame, leaving: Leaving, reason: DropReason) {
        let count = self.ledger.count_mut(leaving);
        *count = count.saturating_sub(1);
        match leaving {
            Leaving::Forwarded | Leaving::Redirected => self.drop(frame, reason),
            Leaving::Generated => self.drop_generated(frame, reason),
        }
    }

    /// A message of the list was not sent: if it had a frame, that did not leave as it was booked, it ended here.
    pub fn unsent(&mut self, message: &Message, reason: DropReason) {
        let count = if matches!(message, Message::Handover(_)) {
            &mut self.ledger.handed_over
        } else if matches!(message, Message::Astray(_)) {
            self.ledger.handed_to_holder = self.ledger.handed_to_holder.saturating_sub(1);
            &mut self.ledger.handed_over
        } else if matches!(message, Message::Redirect(_)) {
            &mut self.ledger.redirected
        } else if let Message::RelayFrame(relayed) = message
            && relayed.has_frame()
        {
            &mut self.ledger.handed_over
        } else {
            return;
        };
        *count = count.saturating_sub(1);
        self.count_drop(reason);
    }

    /// Sends a message to a peer.
    pub fn send(&mut self, to: NodeId, message: Message) {
        self.send.push((to, message));
    }

    /// Ends a frame with a reason. One that was joined ends as so many as came for it.
    pub fn drop(&mut self, frame: Frame, reason: DropReason) {
        self.drop_by(frame, reason, Cause::default());
    }

    /// Ends a frame with a reason that a plugin gave, as [`drop`](Self::drop). Kept out of the way of frames that go on.
    #[inline(never)]
    pub fn drop_by(&mut self, frame: Frame, reason: DropReason, cause: Cause) {
        if frame.is_joined() {
            let others = frame.pieces() - 1;
            self.ledger.cut += others;
            (0..others).for_each(|_| self.count_drop(reason));
        }
        if !is_on(Mutation::LoseFrames) {
            self.count_drop(reason);
        }
        if let Some(last_drops) = &mut self.last_drops {
            last_drops.keep(self.now, &frame, reason, (self.arriving, cause));
        }
        self.spent.push(frame);
    }

    /// From now on the last dropped frames are kept.
    pub fn keep_drops(&mut self) {
        self.last_drops = Some(Box::default());
    }

    /// The newest dropped frame, if they are [kept](Self::keep_drops).
    #[must_use]
    pub fn newest_drop(&self) -> Option<&Dropped> {
        self.last_drops.as_ref()?.newest()
    }

    /// The last dropped frames; none unless they are [kept](Self::keep_drops).
    #[must_use]
    pub fn last_drops(&self) -> Vec<Dropped> {
        self.last_drops.as_ref().map_or_else(Vec::new, |last| last.all())
    }

    /// A frame goes over the mesh to the node that has its stream now, from where it may go on `hops` times.
    pub fn hand_over(&mut self, to: NodeId, interface: Interface, hops: u8, frame: Frame) {
        if frame.is_joined() {
            let fragments = frame.fragments();
            return self.part(frame, fragments, |out, fragment| out.hand_over(to, interface, hops, fragment));
        }
        self.ledger.handed_over += 1;
        self.send(to, Message::Handover(Handover { interface, hops, wire: frame.to_wire() }));
        self.spent.push(frame);
    }

    /// A frame goes over the mesh to the holder of its interface, which alone can place it.
    pub fn hand_to_holder(&mut self, holder: NodeId, interface: Interface, frame: Frame) {
        if frame.is_joined() {
            let fragments = frame.fragments();
            return self.part(frame, fragments, |out, fragment| out.hand_to_holder(holder, interface, fragment));
        }
        self.ledger.handed_over += 1;
        self.ledger.handed_to_holder += 1;
        self.send(holder, Message::Astray(Astray { interface, wire: frame.to_wire() }));
        self.spent.push(frame);
    }

    /// A frame goes over the mesh to its chosen node.
    pub fn redirect(&mut self, to: NodeId, interface: Interface, epoch: Epoch, frame: Frame) {
        if frame.is_joined() {
            let fragments = frame.fragments();
            return self.part(frame, fragments, |out, fragment| out.redirect(to, interface, epoch, fragment));
        }
        self.ledger.redirected += 1;
        self.send(to, Message::Redirect(Redirect { interface, epoch, wire: frame.to_wire() }));
        self.spent.push(frame);
    }

    /// Ends a frame that this node has made, with a reason.
    pub fn drop_generated(&mut self, frame: Frame, reason: DropReason) {
        self.ledger.generated_dropped += 1;
        self.drop(frame, reason);
    }

    /// Ends a frame that was for this node.
    pub fn consume(&mut self, frame: Frame) {
        self.count_consumed(&frame);
        self.spent.push(frame);
    }

    /// As for the books, a frame ends here that was for this node; what becomes of it is made here.
    pub fn count_consumed(&mut self, frame: &Frame) {
        self.ledger.consumed += frame.pieces();
        self.ledger.cut += frame.pieces() - 1;
    }

    /// Sends a frame as these fragments, into which it was cut.
    pub fn transmit_cut(&mut self, interface: Interface, (frame, fragments): (Frame, Vec<Frame>), leaving: Leaving) {
        match leaving {
            Leaving::Forwarded | Leaving::Redirected => {
                self.part(frame, fragments, |out, fragment| out.transmit(interface, fragment, leaving));
            }
            // They are counted apart.
            Leaving::Generated => {
                self.spent.push(frame);
                fragments.into_iter().for_each(|fragment| self.transmit(interface, fragment, leaving));
            }
        }
    }

    /// A frame becomes fragments.
    #[cold]
    #[inline(never)]
    fn part(&mut self, whole: Frame, fragments: Vec<Frame>, mut each: impl FnMut(&mut Self, Frame)) {
        let Some(others) = fragments.len().checked_sub(1) else {
            // Its headers leave no room in what follows.
            return self.drop(whole, DropReason::TooBig);
        };
        self.ledger.cut += others as u64;
        fragments.into_iter().for_each(|fragment| each(self, fragment));
        self.spent.push(whole);
    }

    /// Tells an event.
    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Counts a drop whose frame is already gone.
    pub fn count_drop(&mut self, reason: DropReason) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Counts broken invariants of this program as `internal`. They end no frame: what a frame lost by one is counted where it
    /// ended.
    pub fn count_mistakes(&mut self, mistakes: u64) {
        if let Some(count) = self.dropped.get_mut(DropReason::Internal as usize) {
            *count += mistakes;
            self.ledger.generated_dropped += mistakes;
        }
    }

    /// How often each reason ended a frame; reasons without a drop are left out.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().copied().zip(self.dropped).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Fence;

    #[test]
    fn a_frame_that_the_mesh_does_not_take_is_booked_once() {
        let mut out = Outbox::default();
        let (to, interface) = ("b".parse().unwrap(), Interface::First);
        out.hand_over(to, interface, 0, Frame::from_bytes(&[0; 60]));
        out.hand_over(to, interface, 0, Frame::from_bytes(&[0; 60]));
        let (_, message) = out.send.pop().unwrap();
        out.unsent(&message, DropReason::MeshQueueFull);
        assert_eq!((out.ledger.handed_over, out.spent.len()), (1, 2));
        out.hand_to_holder(to, interface, Frame::from_bytes(&[0; 60]));
        assert_eq!((out.ledger.handed_over, out.ledger.handed_to_holder), (2, 1));
        let (_, message) = out.send.pop().unwrap();
        out.unsent(&message, DropReason::MeshQueueFull);
        assert_eq!((out.ledger.handed_over, out.ledger.handed_to_holder), (1, 0));
        let (epoch, wire) = (crate::id::Epoch { counter: 1, node: to, boot: crate::id::BootId(1) }, Vec::new());
        out.ledger.redirected = 1;
        out.unsent(&Message::Redirect(Redirect { interface, epoch, wire }), DropReason::MeshUnreachable);
        assert_eq!(out.ledger.redirected, 0);
        let key = crate::flow::FlowKey::new(interface, 6, ([10, 1, 0, 1].into(), 1), ([10, 2, 0, 1].into(), 2));
        let fence = Fence { arrival: key, generation: crate::id::Generation { counter: 1, node: to } };
        out.unsent(&Message::Fence(fence), DropReason::MeshUnreachable);
        assert_eq!(out.drops().collect::<Vec<_>>(), [(DropReason::MeshQueueFull, 2), (DropReason::MeshUnreachable, 1)]);
    }

    #[test]
    fn a_short_frame_that_waits_gives_its_buffer_back() {
        let mut out = Outbox::default();
        let full = |len: usize| {
            let mut frame = Frame::with_full_buffer();
            frame.buffer_mut().fill(7);
            frame.filled(len);
            frame
        };
        let (short, long) = (out.packed(full(100)), out.packed(full(PACKED_FRAME_LEN_MAX + 1)));
        assert!(!short.has_full_buffer() && short.wire() == [7; 100]);
        assert!(long.has_full_buffer() && out.spent.len() == 1 && out.spent.iter().all(Frame::has_full_buffer));
        assert_eq!(out.packed(short).wire(), [7; 100]);
        assert_eq!(out.spent.len(), 1, "what is short already stays where it is");
    }

    #[test]
    fn mistakes_are_counted_and_leave_the_books_balanced() {
        let mut out = Outbox::default();
        out.count_mistakes(3);
        assert_eq!(out.drops().collect::<Vec<_>>(), [(DropReason::Internal, 3)]);
        assert_eq!(out.ledger.generated_dropped, 3);
    }

    #[test]
    fn a_frame_that_an_interface_refuses_is_booked_once() {
        for leaving in [Leaving::Forwarded, Leaving::Redirected, Leaving::Generated] {
            let mut out = Outbox::default();
            for _ in 0..2 {
                out.transmit(Interface::First, Frame::from_bytes(&[0; 60]), leaving);
            }
            let (_, frame, booked) = out.transmit.pop().unwrap();
            out.untransmitted(frame, booked, DropReason::TapFull);
            let Ledger { forwarded, redirected, generated, generated_dropped, .. } = out.ledger;
            assert_eq!((booked, forwarded + redirected + generated), (leaving, 1));
            assert_eq!(generated_dropped, u64::from(leaving == Leaving::Generated));
            assert_eq!(out.drops().collect::<Vec<_>>(), [(DropReason::TapFull, 1)]);
            assert_eq!(out.spent.len(), 1);
        }
    }
}
