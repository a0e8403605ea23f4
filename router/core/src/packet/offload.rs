//! The offload header: what the kernel left undone in a frame (`struct virtio_net_hdr`, `linux/virtio_net.h`).

use super::frame::OFFLOAD_HEADER_LEN;

/// The transport checksum is partial: the field holds the pseudo header's sum (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
const NEEDS_CHECKSUM: u8 = 1;
/// A device has found the transport checksum right (`VIRTIO_NET_HDR_F_DATA_VALID`).
const CHECKSUM_VALID: u8 = 2;
/// No segmentation (`VIRTIO_NET_HDR_GSO_NONE`).
const GSO_NONE: u8 = 0;

/// One frame's offload header, host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    flags: u8,
    gso_type: u8,
    header_len: u16,
    gso_size: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl Offload {
    pub(super) fn from_bytes(b: &[u8; OFFLOAD_HEADER_LEN]) -> Self {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = *b;
        Self {
            flags,
            gso_type,
            header_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            checksum_start: u16::from_ne_bytes([s0, s1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; OFFLOAD_HEADER_LEN] {
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.checksum_start.to_ne_bytes();
        let [o0, o1] = self.checksum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }

    /// The same for the frame with a VLAN tag in front of its network header.
    pub(super) fn with_tag(self) -> Self {
        self.moved(|place| place.saturating_add(4))
    }

    /// The same for the frame without its VLAN tag.
    pub(super) fn without_tag(self) -> Self {
        self.moved(|place| place.saturating_sub(4))
    }

    /// Fields that nothing uses stay 0.
    fn moved(self, by: impl Fn(u16) -> u16) -> Self {
        let checksum_start = if self.needs_checksum() { by(self.checksum_start) } else { self.checksum_start };
        let header_len = if self.header_len > 0 { by(self.header_len) } else { 0 };
        Self { checksum_start, header_len, ..self }
    }

    /// True if the transport checksum still has to be finished over `checksum_start..`.
    #[must_use]
    pub fn needs_checksum(&self) -> bool {
        self.flags & NEEDS_CHECKSUM != 0
    }

    /// True if the transport checksum need not be looked at: it is unfinished, was found right, or is that of segments which
    /// do not exist yet.
    #[must_use]
    pub fn vouches_for_checksum(&self) -> bool {
        self.flags & (NEEDS_CHECKSUM | CHECKSUM_VALID) != 0 || self.is_super_frame()
    }

    /// True if the transport checksum was verified before the frame came here (`VIRTIO_NET_HDR_F_CHECKSUM_VALID`).
    #[must_use]
    pub fn has_valid_checksum(&self) -> bool {
        self.flags & CHECKSUM_VALID != 0
    }

    /// True if the kernel left the frame whole for others to cut.
    #[must_use]
    pub fn is_super_frame(&self) -> bool {
        self.gso_type != GSO_NONE
    }

    /// How a super-frame is cut (`VIRTIO_NET_HDR_GSO_*`); 0 for one packet.
    #[must_use]
    pub fn gso_type(&self) -> u8 {
        self.gso_type
    }

    /// Where the checksum of a frame that [`needs_checksum`](Self::needs_checksum) starts, and where its field is, in
    /// bytes from the Ethernet header.
    #[must_use]
    pub fn checksum_field(&self) -> (usize, usize) {
        let start = usize::from(self.checksum_start);
        (start, start + usize::from(self.checksum_offset))
    }

    /// Payload bytes of each segment of a super-frame; 0 if the frame is none.
    #[must_use]
    pub fn segment_size(&self) -> u16 {
        if self.is_super_frame() { self.gso_size } else { 0 }
    }
}
