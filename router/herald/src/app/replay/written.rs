//! A pcapng file of what was replayed: every packet with a comment.

use std::io::{self, Write};
use std::time::Duration;

use herald_core::id::Interface;

/// Block types and options of pcapng (draft-ietf-opsawg-pcapng, section 4).
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const OPTION_COMMENT: u16 = 1;
const OPTION_NAME: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Written<W: Write>(W);

impl<W: Write> Written<W> {
    /// Writes the file's head: two Ethernet interfaces, `first` and `second`, with times in nanoseconds.
    pub(super) fn begin(to: W) -> io::Result<Self> {
        let mut file = Self(to);
        let words = [0x1a2b_3c4d_u32.to_le_bytes(), [1, 0, 0, 0], [0xff; 4], [0xff; 4]];
        file.block(SECTION, &words.concat())?;
        for interface in Interface::BOTH {
            // Ethernet, no limit of lengths.
            let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
            option(&mut body, OPTION_NAME, interface.as_str().as_bytes());
            option(&mut body, OPTION_RESOLUTION, &[9]);
            option(&mut body, 0, &[]);
            file.block(INTERFACE, &body)?;
        }
        Ok(file)
    }

    /// Writes a packet.
    pub(super) fn packet(&mut self, at: Duration, interface: Interface, frame: &[u8], comment: &str) -> io::Result<()> {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
        let [b0, b1, b2, b3, b4, b5, b6, b7] = nanos.to_be_bytes();
        let (high, low) = (u32::from_be_bytes([b0, b1, b2, b3]), u32::from_be_bytes([b4, b5, b6, b7]));
        let number = match interface {
            Interface::First => 0_u32,
            Interface::Second => 1,
        };
        let mut body = [number.to_le_bytes(), high.to_le_bytes(), low.to_le_bytes(), len, len].concat();
        body.extend_from_slice(frame);
        pad(&mut body);
        option(&mut body, OPTION_COMMENT, comment.as_bytes());
        option(&mut body, 0, &[]);
        self.block(PACKET, &body)
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let len = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
        self.0.write_all(&[&kind.to_le_bytes()[..], &len, body, &len].concat())
    }
}

/// Appends an option, padded to whole words. What is longer than any option may be is cut.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&len.to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
