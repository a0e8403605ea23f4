//! A challenge or an answer: what is read can be written and is read as the same, and is written as it was, but for what
//! follows it.
//!
//! Input: the frame.

use herald_core::packet::Frame;
use herald_core::packet::probe::{Probe, is_probe};

pub(crate) fn run(data: &[u8]) {
    let data = data.get(..2048).unwrap_or(data);
    let frame = Frame::from_bytes(data);
    let Ok((to, from, probe)) = Probe::parse(&frame) else { return };
    assert!(is_probe(&frame));
    let written = probe.frame(to, from);
    assert!(data.starts_with(written.bytes()), "{written:?}");
    assert_eq!(Probe::parse(&written), Ok((to, from, probe)));
}
