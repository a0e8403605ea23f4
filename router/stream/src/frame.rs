//! The engine on frames: the segment of a checked packet, and the frame as it leaves.

use crate::engine::{Begun, Engine};
use crate::judged::{Action, Edit, Judged};
use crate::settings::Watched;
use crate::stream::{Segment, Side, Stream};
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
        let (at, payload_at) = (usize::from(headers.transport_at), usize::from(headers.payload_at));
        let bytes = frame.bytes_mut().get_mut(at..headers.end as usize).ok_or(NoSegment)?;
        let (header, payload) = bytes.split_at_mut_checked(payload_at.saturating_sub(at)).ok_or(NoSegment)?;
        let options = TcpOptions::of(header.get(FIXED_LEN..).ok_or(NoSegment)?);
        Ok(Self { is_sound, sequence, acknowledgement, flags, window, options, payload })
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
