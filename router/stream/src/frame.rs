//! The engine on frames: the segment of a checked packet, and the frame as it leaves.

use crate::engine::{Begun, Engine};
use crate::judged::{Action, Edit, Judged};
use crate::segment::Segment;
use crate::settings::Watched;
use crate::side::Side;
use crate::stream::Stream;
use herald_core::packet::{Frame, Headers, TcpOptions, Transport, checksum, mend};

/// The packet is no TCP segment that an end would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no TCP segment")]
pub struct NoSegment;

/// Length of a TCP header without options in bytes.
const FIXED_LEN: usize = 20;
/// Places in a TCP header, in bytes.
const SEQUENCE_AT: usize = 4;
const FLAGS_AT: usize = 13;
const URGENT_POINTER_AT: usize = 18;
const URGENT: u8 = 0x20;
/// Place of the next header's number in an IPv6 header, numbers of headers with other lengths or with options, and of padding
/// (RFC 8200, section 4).
const NEXT_HEADER_AT: usize = 6;
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
const PAD_1: u8 = 0;
const PAD_N: u8 = 1;

impl<'a> Segment<'a> {
    /// The segment of a packet whose headers were checked.
    ///
    /// # Errors
    /// It is another protocol's, or its header is broken.
    pub fn of(headers: &Headers, frame: &'a mut Frame) -> Result<Self, NoSegment> {
        let Transport::Tcp { flags, sequence, acknowledgement, window, .. } = headers.transport else {
            return Err(NoSegment);
        };
        let is_sound = checksum::is_right(headers, frame);
        let has_odd_options = has_odd_options(headers, frame);
        let (at, payload_at) = (usize::from(headers.transport_at), usize::from(headers.payload_at));
        let bytes = frame.bytes_mut().get_mut(at..headers.end as usize).ok_or(NoSegment)?;
        let (header, payload) = bytes.split_at_mut_checked(payload_at.saturating_sub(at)).ok_or(NoSegment)?;
        let options = TcpOptions::of(header.get(FIXED_LEN..).ok_or(NoSegment)?);
        Ok(Self { is_sound, has_odd_options, sequence, acknowledgement, flags, window, options, payload })
    }
}

impl Engine {
    /// As [`Engine::begin`], of the frame with the first segment.
    ///
    /// # Errors
    /// The packet is no TCP segment.
    pub fn begin_frame(
        &mut self,
        from: Side,
        headers: &Headers,
        frame: &mut Frame,
        watched: Watched,
    ) -> Result<Begun, NoSegment> {
        Ok(self.begin(from, &Segment::of(headers, frame)?, watched))
    }

    /// Judges the segment in a frame, and makes the frame what is to leave.
    ///
    /// # Errors
    /// The packet is no TCP segment.
    pub fn frame(
        &mut self,
        stream: &mut Stream,
        from: Side,
        headers: &Headers,
        frame: &mut Frame,
    ) -> Result<Judged, NoSegment> {
        let mut segment = Segment::of(headers, frame)?;
        let len = segment.payload.len();
        let judged = self.segment(stream, from, &mut segment);
        if judged.action == Action::Pass && !judged.edit.is_none(len) {
            change(frame, headers, &judged.edit).ok_or(NoSegment)?;
        }
        Ok(judged)
    }
}

/// True if IPv6 options in front of the segment have padding that Linux refuses: more than seven bytes at once, or any that is
/// not zero. Nothing may be taken that its receiver discards, and other receivers take it.
fn has_odd_options(headers: &Headers, frame: &Frame) -> bool {
    const FIRST_LEN: usize = 40;
    let network_at = usize::from(headers.network_at);
    let Some(mut rest) = frame.bytes().get(network_at + FIRST_LEN..usize::from(headers.transport_at)) else {
        return false;
    };
    let mut kind = frame.bytes().get(network_at + NEXT_HEADER_AT).copied().unwrap_or_default();
    if !headers.is_ipv6() {
        return false;
    }
    while let [next, len, ..] = *rest {
        let len = if kind == FRAGMENT { 8 } else { (usize::from(len) + 1) * 8 };
        let Some((header, behind)) = rest.split_at_checked(len) else { return true };
        if (kind == HOP_BY_HOP || kind == DESTINATION_OPTIONS) && !is_padding_plain(header.get(2..).unwrap_or_default())
        {
            return true;
        }
        (kind, rest) = (next, behind);
    }
    false
}

fn is_padding_plain(mut options: &[u8]) -> bool {
    const PADDING_MAX: usize = 7;
    let mut padding = 0;
    while let Some((&kind, rest)) = options.split_first() {
        let len = match (kind, rest.first()) {
            (PAD_1, _) => 1,
            (_, Some(&len)) => usize::from(len) + 2,
            (_, None) => return false,
        };
        let Some((option, behind)) = options.split_at_checked(len) else { return false };
        let is_padding = kind == PAD_1 || kind == PAD_N;
        padding = if is_padding { padding + len } else { 0 };
        let content = option.get(2..).unwrap_or_default();
        if padding > PADDING_MAX || kind == PAD_N && content.iter().any(|byte| *byte != 0) {
            return false;
        }
        options = behind;
    }
    true
}

/// Changes a frame as the engine says; its payload is rewritten already.
#[cold]
fn change(frame: &mut Frame, headers: &Headers, edit: &Edit) -> Option<()> {
    let (at, payload_at) = (usize::from(headers.transport_at), usize::from(headers.payload_at));
    let header = frame.bytes_mut().get_mut(at..payload_at)?;
    let sequence: &mut [u8; 4] = header.get_mut(SEQUENCE_AT..)?.first_chunk_mut()?;
    *sequence = u32::from_be_bytes(*sequence).wrapping_add(u32::try_from(edit.cut).ok()?).to_be_bytes();
    if edit.clears_urgent {
        *header.get_mut(FLAGS_AT)? &= !URGENT;
        *header.get_mut(URGENT_POINTER_AT..)?.first_chunk_mut::<2>()? = [0, 0];
    }
    let payload_len = headers.payload_len();
    let tail_at = payload_at + edit.cut + edit.keep;
    let tail_len = payload_len.checked_sub(edit.cut + edit.keep)?;
    // The tail first: what is cut in front moves it.
    let headers = mend::replace(frame, headers, (tail_at, tail_len), &[]).ok()?;
    if edit.cut > 0 {
        mend::replace(frame, &headers, (payload_at, edit.cut), &[]).ok()?;
    }
    Some(())
}
