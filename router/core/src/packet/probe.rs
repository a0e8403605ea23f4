//! Challenges and answers of the nodes on an interface, which prove that a member lives there. How they are keyed is said in
//! `router/core/src/membership/proof.rs`; this is their form. All numbers are in network byte order; what follows, such as the
//! padding of a short frame, is ignored.
//!
//! ```text
//! | Ethernet header with EtherType 88-B5 | "HRLD" | word | 3 bytes of 0 | nonce, 8 bytes | tag, 16 bytes |
//! ```

use super::{ETHERNET_LEN, Frame};
use crate::event::DropReason;
use crate::id::Mac;

/// The first EtherType for local experiments: it never crosses a router, and what uses it names itself (IEEE 802, section 9.2.3).
pub const ETHER_TYPE: u16 = 0x88b5;

/// Tells these frames from others' experiments.
const NAME: [u8; 4] = *b"HRLD";

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

const PROBE_LEN: usize = ETHERNET_LEN + 8 + 8 + TAG_LEN;

/// What a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Do you live?
    Challenge,
    /// I live, and hold the redirector of this interface.
    Holds,
    /// I live, and do not hold it.
    HoldsNot,
}

impl Word {
    /// As on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Challenge => 1,
            Self::Holds => 2,
            Self::HoldsNot => 3,
        }
    }
}

/// A challenge or an answer; whether it is proven is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it says.
    pub word: Word,
    /// The challenge's number, which its answer repeats.
    pub nonce: u64,
    /// The proof that it was said by whom it comes from.
    pub tag: [u8; TAG_LEN],
}

/// True for a frame that is to be read as a probe.
#[must_use]
pub fn is_probe(frame: &Frame) -> bool {
    let [high, low] = ETHER_TYPE.to_be_bytes();
    matches!(frame.bytes().get(ETHERNET_LEN - 2..), Some(&[a, b, ..]) if (a, b) == (high, low))
}

impl Probe {
    /// Reads a probe, with its destination and its source.
    ///
    /// # Errors
    /// It is cut short or not of this form.
    pub fn parse(frame: &Frame) -> Result<(Mac, Mac, Self), DropReason> {
        Self::read(frame.bytes()).filter(|_| is_probe(frame)).ok_or(DropReason::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<(Mac, Mac, Self)> {
        let (to, rest) = bytes.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (word, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (tag, _) = rest.split_first_chunk()?;
        let words = [Word::Challenge, Word::Holds, Word::HoldsNot];
        let word = words.into_iter().find(|known| *word == [known.number(), 0, 0, 0])?;
        let probe = Self { word, nonce: u64::from_be_bytes(*nonce), tag: *tag };
        (*name == NAME).then_some((Mac(*to), Mac(*from), probe))
    }

    /// The frame of this probe.
    #[must_use]
    pub fn frame(&self, to: Mac, from: Mac) -> Frame {
        let mut bytes = Vec::with_capacity(PROBE_LEN);
        bytes.extend(to.0);
        bytes.extend(from.0);
        bytes.extend(ETHER_TYPE.to_be_bytes());
        bytes.extend(NAME);
        bytes.extend([self.word.number(), 0, 0, 0]);
        bytes.extend(self.nonce.to_be_bytes());
        bytes.extend(self.tag);
        Frame::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: Mac = Mac([2, 0, 0, 0, 1, 1]);
    const FROM: Mac = Mac([2, 0, 0, 0, 1, 2]);

    #[test]
    fn what_is_written_is_read() {
        for word in [Word::Challenge, Word::Holds, Word::HoldsNot] {
            let probe = Probe { word, nonce: 0x0102_0304_0506_0708, tag: [9; TAG_LEN] };
            let frame = probe.frame(TO, FROM);
            assert!(is_probe(&frame) && frame.bytes().len() == PROBE_LEN);
            assert_eq!(Probe::parse(&frame), Ok((TO, FROM, probe)));
            let padded: Vec<u8> = frame.bytes().iter().copied().chain([0; 20]).collect();
            assert_eq!(Probe::parse(&Frame::from_bytes(&padded)), Ok((TO, FROM, probe)), "as networks pad it");
        }
    }

    #[test]
    fn what_is_not_of_this_form_is_refused() {
        let whole = Probe { word: Word::Holds, nonce: 7, tag: [9; TAG_LEN] }.frame(TO, FROM).bytes().to_vec();
        let refused = |bytes: &[u8]| Probe::parse(&Frame::from_bytes(bytes)) == Err(DropReason::Malformed);
        for len in ETHERNET_LEN..whole.len() {
            assert!(refused(&whole[..len]), "{len} bytes");
        }
        for place in ETHERNET_LEN - 2..ETHERNET_LEN + 8 {
            let mut other = whole.clone();
            other[place] ^= 0x40;
            assert!(refused(&other), "byte {place}");
            let has_type = place >= ETHERNET_LEN;
            assert_eq!(is_probe(&Frame::from_bytes(&other)), has_type, "byte {place}");
        }
        assert!(!is_probe(&Frame::from_bytes(&whole[..ETHERNET_LEN - 1])));
    }
}
