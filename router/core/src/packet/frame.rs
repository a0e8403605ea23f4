//! `Frame`: the owned bytes of one Ethernet frame and the offload header that belongs to them.
//!
//! The buffer starts with the offload header (`struct virtio_net_hdr`, 10 bytes) so that one `read` fills both and one
//! `write` sends both. With 10 + 14 bytes in front of it the IP header is 8-byte aligned.

use super::joined::Joined;
use super::offload::Offload;
use crate::mistake::or_mistake;

/// Length of the offload header in bytes (`TUNSETVNETHDRSZ`; virtio 1.2, section 5.1.6, without `num_buffers`).
pub const OFFLOAD_HEADER_LEN: usize = 10;

/// Largest Ethernet frame in bytes: an IPv6 packet with 65,535 bytes behind its first header, the Ethernet header and two VLAN
/// tags.
pub const FRAME_LEN_MAX: usize = 65_535 + 40 + 14 + 8;

/// Bytes of a buffer that takes any frame.
pub const BUFFER_LEN: usize = (OFFLOAD_HEADER_LEN + FRAME_LEN_MAX).next_multiple_of(64);

/// Ethernet bytes, owned, with their offload header. Moved, never shared: one place has it at any moment.
#[derive(Debug)]
pub struct Frame {
    buffer: Box<[u8]>,
    /// Length and tag in one word: frames are moved often.
    extent: Extent,
    /// How it becomes fragments again, if it was joined from some.
    joined: Option<Box<Joined>>,
}

/// How long a frame is, in the lower half, and the VLAN tag that it came with and has no more, with a bit above it.
#[derive(Clone, Copy, Debug)]
struct Extent(u64);

impl Extent {
    const LEN: u64 = 0xffff_ffff;
    const TAG_AT: u32 = 32;
    const TAGGED: u64 = 1 << 48;

    /// No frame is longer than [`FRAME_LEN_MAX`] and no buffer much longer.
    fn of(len: usize) -> Self {
        Self(u64::try_from(len).unwrap_or_default() & Self::LEN)
    }

    fn len(self) -> usize {
        usize::try_from(self.0 & Self::LEN).unwrap_or_default()
    }

    fn tag(self) -> Option<Tag> {
        let tag = u16::try_from(self.0 >> Self::TAG_AT & 0xffff).unwrap_or_default();
        (self.0 & Self::TAGGED != 0).then_some(Tag(tag))
    }

    fn with_len(self, len: usize) -> Self {
        Self(self.0 & !Self::LEN | Self::of(len).0)
    }

    fn with_tag(self, tag: Tag) -> Self {
        Self(self.0 & Self::LEN | u64::from(tag.0) << Self::TAG_AT | Self::TAGGED)
    }
}

/// What is in a VLAN tag behind its type: three bits of priority, one of eligibility for dropping, and the number of the VLAN
/// (IEEE 802.1Q, section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub u16);

impl Tag {
    /// The tag of a VLAN, with the lowest priority.
    #[must_use]
    pub const fn of(vlan: u16) -> Self {
        Self(vlan & 0x0fff)
    }

    /// The number of the VLAN; 0 if it tells a priority alone: such a frame is as good as one without a tag.
    #[must_use]
    pub const fn vlan(self) -> u16 {
        self.0 & 0x0fff
    }
}

/// Ethernet type of a VLAN tag.
const TAG_TYPE: [u8; 2] = [0x81, 0x00];

/// Length of a VLAN tag in bytes.
pub const TAG_LEN: usize = 4;

/// Length of both Ethernet addresses, behind which a tag is.
const MACS_LEN: usize = 12;

/// Length of what is in front of a tagged frame's Ethernet type: offload header, addresses, tag.
pub const TAGGED_HEAD_LEN: usize = OFFLOAD_HEADER_LEN + MACS_LEN + TAG_LEN;

const WITHIN: &str = "a frame lies in its buffer";

impl Frame {
    /// An empty frame that takes any frame a TAP gives.
    #[must_use]
    pub fn with_full_buffer() -> Self {
        Self { buffer: vec![0; BUFFER_LEN].into_boxed_slice(), extent: Extent::of(0), joined: None }
    }

    /// A frame of exactly these Ethernet bytes, with full checksums and nothing offloaded. Bytes beyond
    /// [`FRAME_LEN_MAX`] are cut off.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..FRAME_LEN_MAX).unwrap_or(bytes);
        let mut buffer = Vec::with_capacity(OFFLOAD_HEADER_LEN + bytes.len());
        buffer.extend_from_slice(&[0; OFFLOAD_HEADER_LEN]);
        buffer.extend_from_slice(bytes);
        Self { buffer: buffer.into_boxed_slice(), extent: Extent::of(bytes.len()), joined: None }
    }

    /// A frame from offload header and Ethernet bytes; `None` if they are too short or too long for one.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let len = wire.len().checked_sub(OFFLOAD_HEADER_LEN)?;
        (len <= FRAME_LEN_MAX).then(|| Self { buffer: wire.into(), extent: Extent::of(len), joined: None })
    }

    /// The Ethernet bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        or_mistake(self.buffer.get(OFFLOAD_HEADER_LEN..OFFLOAD_HEADER_LEN + self.extent.len()), WITHIN)
    }

    /// The Ethernet bytes, to rewrite in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        or_mistake(self.buffer.get_mut(OFFLOAD_HEADER_LEN..OFFLOAD_HEADER_LEN + self.extent.len()), WITHIN)
    }

    /// Offload header and Ethernet bytes, as a TAP takes them.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        or_mistake(self.buffer.get(..OFFLOAD_HEADER_LEN + self.extent.len()), WITHIN)
    }

    /// The whole buffer, for a driver to read into; then [`Frame::filled`] says how much came.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// `wire_len` bytes (offload header included) have been read into the buffer.
    pub fn filled(&mut self, wire_len: usize) {
        self.extent = Extent::of(wire_len.min(self.buffer.len()).saturating_sub(OFFLOAD_HEADER_LEN));
    }

    /// The VLAN tag that the frame came with; it is not in its bytes any more.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        self.extent.tag()
    }

    /// The VLAN tag that is in the frame's bytes.
    #[must_use]
    pub fn inner_tag(&self) -> Option<Tag> {
        let [type_high, type_low, high, low] = *self.bytes().get(MACS_LEN..)?.first_chunk()?;
        ([type_high, type_low] == TAG_TYPE).then(|| Tag(u16::from_be_bytes([high, low])))
    }

    /// Takes the VLAN tag out of the frame's bytes and keeps it apart. False if there is none, or one was taken out already.
    #[cold]
    #[inline(never)]
    pub fn untag(&mut self) -> bool {
        let (None, Some(tag)) = (self.tag(), self.inner_tag()) else { return false };
        self.bytes_mut().copy_within(MACS_LEN + TAG_LEN.., MACS_LEN);
        self.set_offload(self.offload().without_tag());
        self.extent = Extent::of(self.extent.len().saturating_sub(TAG_LEN)).with_tag(tag);
        true
    }

    /// What is written before [`Frame::behind_tag`] so that the frame goes out with a tag.
    #[must_use]
    pub fn tagged_head(&self, tag: Tag) -> [u8; TAGGED_HEAD_LEN] {
        let mut head = [0; TAGGED_HEAD_LEN];
        let (offload, rest) = head.split_at_mut(OFFLOAD_HEADER_LEN);
        let (macs, place) = rest.split_at_mut(MACS_LEN);
        offload.copy_from_slice(&self.offload().with_tag().to_bytes());
        if let Some(own) = self.bytes().get(..MACS_LEN) {
            macs.copy_from_slice(own);
        }
        let [type_high, type_low] = TAG_TYPE;
        let [high, low] = tag.0.to_be_bytes();
        place.copy_from_slice(&[type_high, type_low, high, low]);
        head
    }

    /// The frame's bytes behind its addresses.
    #[must_use]
    pub fn behind_tag(&self) -> &[u8] {
        self.bytes().get(MACS_LEN..).unwrap_or_default()
    }

    /// Offload header and Ethernet bytes as they travel over the mesh: with the tag that the frame came with.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        match self.tag() {
            None => self.wire().to_vec(),
            Some(tag) => [&self.tagged_head(tag)[..], self.behind_tag()].concat(),
        }
    }

    /// The same frame in a buffer of its own size.
    #[must_use]
    pub fn copied(&self) -> Option<Self> {
        Some(Self { extent: self.extent, ..Self::from_wire(self.wire())? })
    }

    /// Cuts off what lies behind so many Ethernet bytes.
    pub fn truncate(&mut self, len: usize) {
        self.extent = self.extent.with_len(self.extent.len().min(len));
    }

    /// Replaces `old_len` bytes from `from` on by others. False, and nothing changed, if those are not in the frame or the frame
    /// would be too long. A buffer that is too small gives way to a larger one.
    pub fn splice(&mut self, from: usize, old_len: usize, new: &[u8]) -> bool {
        let Some(behind) = from.checked_add(old_len).filter(|behind| *behind <= self.extent.len()) else {
            return false;
        };
        let len = self.extent.len() - old_len + new.len();
        if len > FRAME_LEN_MAX {
            return false;
        }
        if OFFLOAD_HEADER_LEN + len > self.buffer.len() {
            let mut larger = std::mem::take(&mut self.buffer).into_vec();
            larger.resize(OFFLOAD_HEADER_LEN + len, 0);
            self.buffer = larger.into_boxed_slice();
        }
        let at = OFFLOAD_HEADER_LEN + from;
        self.buffer.copy_within(OFFLOAD_HEADER_LEN + behind..OFFLOAD_HEADER_LEN + self.extent.len(), at + new.len());
        or_mistake(self.buffer.get_mut(at..at + new.len()), WITHIN).copy_from_slice(new);
        self.extent = self.extent.with_len(len);
        true
    }

    /// The offload header.
    #[must_use]
    pub fn offload(&self) -> Offload {
        self.buffer.first_chunk().map_or_else(Offload::default, Offload::from_bytes)
    }

    /// Replaces the offload header.
    pub fn set_offload(&mut self, offload: Offload) {
        if let Some(header) = self.buffer.first_chunk_mut() {
            *header = offload.to_bytes();
        }
    }

    /// How many packets this frame stands for on the wire: 1, or the segments of a super-frame whose packet has
    /// `payload_len` bytes behind its transport header, or the fragments of a joined one.
    #[must_use]
    pub fn segments(&self, payload_len: usize) -> u64 {
        let size = usize::from(self.offload().segment_size());
        if size == 0 { self.pieces() } else { payload_len.div_ceil(size).max(1) as u64 }
    }

    /// True if it was joined from fragments, and leaves as fragments.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined.is_some()
    }

    /// The frames that came for it: its fragments, or itself.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.joined.as_ref().map_or(1, |joined| joined.pieces() as u64)
    }

    /// Length in bytes of the IP packet of the longest fragment of a joined frame.
    #[must_use]
    pub fn longest_fragment(&self) -> Option<usize> {
        self.joined.as_ref().map(|joined| joined.longest())
    }

    /// Forgets that it was joined: it is a packet of this node's own from now on.
    pub fn forget_fragments(&mut self) {
        self.joined = None;
    }

    pub(super) fn joined(&self) -> Option<&Joined> {
        self.joined.as_deref()
    }

    pub(super) fn with_joined(self, joined: Joined) -> Self {
        Self { joined: Some(Box::new(joined)), ..self }
    }

    /// True if the buffer takes any frame, so that a pool can use it again.
    #[must_use]
    pub fn has_full_buffer(&self) -> bool {
        self.buffer.len() == BUFFER_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A tag that is put in and taken out leaves the frame and its offload header as they were.
        #[test]
        fn a_tag_comes_and_goes(bytes in prop::collection::vec(any::<u8>(), 14..200), tag: u16, start in 14_u16..60) {
            let mut plain = Frame::from_bytes(&bytes);
            prop_assume!(plain.inner_tag().is_none());
            let mut header = [1, 1, 54, 0, 100, 0, 0, 0, 16, 0];
            header[6..8].copy_from_slice(&start.to_ne_bytes());
            plain.buffer_mut()[..OFFLOAD_HEADER_LEN].copy_from_slice(&header);
            prop_assert!(!plain.untag());
            let wire = [&plain.tagged_head(Tag(tag))[..], plain.behind_tag()].concat();
            let mut tagged = Frame::from_wire(&wire).unwrap();
            prop_assert_eq!(tagged.inner_tag(), Some(Tag(tag)));
            prop_assert_eq!(tagged.bytes().len(), bytes.len() + TAG_LEN);
            prop_assert_eq!(tagged.offload().checksum_field().0, usize::from(start) + TAG_LEN);
            prop_assert!(tagged.untag());
            prop_assert_eq!((tagged.wire(), tagged.tag()), (plain.wire(), Some(Tag(tag))));
            prop_assert_eq!(tagged.to_wire(), wire);
            prop_assert_eq!(tagged.copied().unwrap().tag(), Some(Tag(tag)));
            prop_assert!(!tagged.untag(), "only one");
        }
    }
}
