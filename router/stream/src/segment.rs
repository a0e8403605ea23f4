//! A TCP segment as the engine takes it, and what may be done with it.

use herald_core::packet::{TcpFlags, TcpOptions};

use crate::settings::Settings;

/// A TCP segment. The engine rewrites its payload in place.
#[derive(Debug)]
pub struct Segment<'a> {
    /// Its checksum is right, or not for us to finish.
    pub is_sound: bool,
    /// It stands behind IPv6 options for which its receiver may discard it.
    pub has_odd_options: bool,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window, without scale.
    pub window: u16,
    /// What its options say.
    pub options: TcpOptions,
    /// Its bytes.
    pub payload: &'a mut [u8],
}

impl Segment<'_> {
    pub(crate) fn is_urgent(&self) -> bool {
        const URGENT: u8 = 0x20;
        self.flags.0 & URGENT != 0
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.payload.is_empty() && !self.flags.fin()
    }
}

/// What may be done now: settings, and what is left of the bounds.
pub(crate) struct Rules<'a> {
    pub(crate) settings: &'a Settings,
    /// Bytes that the stream keeps.
    pub(crate) stream_cost: usize,
    /// Bytes that all streams may still keep.
    pub(crate) room: usize,
}
