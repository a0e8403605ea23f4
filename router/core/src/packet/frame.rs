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
    len: usize,
    /// How it becomes fragments again, if it was joined from some.
    joined: Option<Box<Joined>>,
}

const WITHIN: &str = "a frame lies in its buffer";

impl Frame {
    /// An empty frame that takes any frame a TAP gives.
    #[must_use]
    pub fn with_full_buffer() -> Self {
        Self { buffer: vec![0; BUFFER_LEN].into_boxed_slice(), len: 0, joined: None }
    }

    /// A frame of exactly these Ethernet bytes, with full checksums and nothing offloaded. Bytes beyond
    /// [`FRAME_LEN_MAX`] are cut off.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..FRAME_LEN_MAX).unwrap_or(bytes);
        let mut buffer = Vec::with_capacity(OFFLOAD_HEADER_LEN + bytes.len());
        buffer.extend_from_slice(&[0; OFFLOAD_HEADER_LEN]);
        buffer.extend_from_slice(bytes);
        Self { buffer: buffer.into_boxed_slice(), len: bytes.len(), joined: None }
    }

    /// A frame from offload header and Ethernet bytes; `None` if they are too short or too long for one.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let len = wire.len().checked_sub(OFFLOAD_HEADER_LEN)?;
        (len <= FRAME_LEN_MAX).then(|| Self { buffer: wire.into(), len, joined: None })
    }

    /// The Ethernet bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        or_mistake(self.buffer.get(OFFLOAD_HEADER_LEN..OFFLOAD_HEADER_LEN + self.len), WITHIN)
    }

    /// The Ethernet bytes, to rewrite in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        or_mistake(self.buffer.get_mut(OFFLOAD_HEADER_LEN..OFFLOAD_HEADER_LEN + self.len), WITHIN)
    }

    /// Offload header and Ethernet bytes, as a TAP takes them.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        or_mistake(self.buffer.get(..OFFLOAD_HEADER_LEN + self.len), WITHIN)
    }

    /// The whole buffer, for a driver to read into; then [`Frame::filled`] says how much came.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// `wire_len` bytes (offload header included) have been read into the buffer.
    pub fn filled(&mut self, wire_len: usize) {
        self.len = wire_len.min(self.buffer.len()).saturating_sub(OFFLOAD_HEADER_LEN);
    }

    /// Cuts off what lies behind so many Ethernet bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Replaces `old_len` bytes from `from` on by others. False, and nothing changed, if those are not in the frame or the frame
    /// would be too long. A buffer that is too small gives way to a larger one.
    pub fn splice(&mut self, from: usize, old_len: usize, new: &[u8]) -> bool {
        let Some(behind) = from.checked_add(old_len).filter(|behind| *behind <= self.len) else { return false };
        let len = self.len - old_len + new.len();
        if len > FRAME_LEN_MAX {
            return false;
        }
        if OFFLOAD_HEADER_LEN + len > self.buffer.len() {
            let mut larger = std::mem::take(&mut self.buffer).into_vec();
            larger.resize(OFFLOAD_HEADER_LEN + len, 0);
            self.buffer = larger.into_boxed_slice();
        }
        let at = OFFLOAD_HEADER_LEN + from;
        self.buffer.copy_within(OFFLOAD_HEADER_LEN + behind..OFFLOAD_HEADER_LEN + self.len, at + new.len());
        or_mistake(self.buffer.get_mut(at..at + new.len()), WITHIN).copy_from_slice(new);
        self.len = len;
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
