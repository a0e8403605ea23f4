//! The client's handshake bytes out of CRYPTO frames, which come in any order and may overlap (RFC 9000, section 19.6).

use std::ops::Range;

use super::packet::varint;
use crate::Oddity;
use crate::limits::{HELLO_BYTES_MAX, QUIC_PIECES_MAX};
use crate::reader::Reader;

/// Types of frames that an Initial packet may have (RFC 9000, section 12.4).
const PADDING: u64 = 0x00;
const PING: u64 = 0x01;
const ACK: u64 = 0x02;
const ACK_WITH_COUNTS: u64 = 0x03;
const CRYPTO: u64 = 0x06;
const CONNECTION_CLOSE: u64 = 0x1c;

/// What has come of the handshake.
#[derive(Debug, Default)]
pub(super) struct Crypto {
    bytes: Vec<u8>,
    /// Where bytes are, in order; two do not touch.
    pieces: Vec<Range<usize>>,
}

impl Crypto {
    /// The bytes without a hole before them.
    pub(super) fn in_order(&self) -> &[u8] {
        match self.pieces.first() {
            Some(first) if first.start == 0 => self.bytes.get(..first.end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Takes the frames of a packet.
    pub(super) fn frames(&mut self, content: &[u8]) -> Result<(), Oddity> {
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            self.frame(&mut reader).ok_or(Oddity::QuicFrame)??;
        }
        Ok(())
    }

    fn frame(&mut self, reader: &mut Reader<'_>) -> Option<Result<(), Oddity>> {
        let kind = varint(reader)?;
        match kind {
            PADDING | PING => {}
            ACK | ACK_WITH_COUNTS => {
                let (_largest, _delay, ranges, _first) =
                    (varint(reader)?, varint(reader)?, varint(reader)?, varint(reader)?);
                // Each step reads bytes, so the count is bound by them.
                for _ in 0..ranges {
                    let (_gap, _len) = (varint(reader)?, varint(reader)?);
                }
                if kind == ACK_WITH_COUNTS {
                    let _counts = (varint(reader)?, varint(reader)?, varint(reader)?);
                }
            }
            CRYPTO => {
                let (offset, len) = (varint(reader)?, varint(reader)?);
                let bytes = reader.take(usize::try_from(len).ok()?)?;
                return Some(self.add(offset, bytes));
            }
            CONNECTION_CLOSE => {
                let (_error, _kind, len) = (varint(reader)?, varint(reader)?, varint(reader)?);
                reader.take(usize::try_from(len).ok()?)?;
            }
            _ => return None,
        }
        Some(Ok(()))
    }

    /// Keeps bytes. Those that came before must be the same again.
    fn add(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Oddity> {
        let start = usize::try_from(offset).map_err(|_| Oddity::TlsHelloTooLong)?;
        let end =
            start.checked_add(bytes.len()).filter(|end| *end <= HELLO_BYTES_MAX).ok_or(Oddity::TlsHelloTooLong)?;
        if bytes.is_empty() {
            return Ok(());
        }
        for piece in &self.pieces {
            let both = piece.start.max(start)..piece.end.min(end);
            if both.start < both.end && self.bytes.get(both.clone()) != bytes.get(both.start - start..both.end - start)
            {
                return Err(Oddity::QuicOverlap);
            }
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(place) = self.bytes.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
        self.join(start..end)
    }

    fn join(&mut self, mut new: Range<usize>) -> Result<(), Oddity> {
        self.pieces.retain(|piece| {
            let touches = piece.start <= new.end && new.start <= piece.end;
            if touches {
                new = new.start.min(piece.start)..new.end.max(piece.end);
            }
            !touches
        });
        if self.pieces.len() >= QUIC_PIECES_MAX {
            return Err(Oddity::QuicPieces);
        }
        let place = self.pieces.partition_point(|piece| piece.start < new.start);
        self.pieces.insert(place, new);
        Ok(())
    }
}
