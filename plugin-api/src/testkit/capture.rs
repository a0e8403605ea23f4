//! A pcap file of Ethernet frames, as `tcpdump -w` writes it (pcap-savefile(5)).

use std::time::Duration;

/// A packet of the file.
pub(super) struct Packet<'a> {
    /// From 1 on.
    pub(super) number: usize,
    pub(super) at: Duration,
    pub(super) frame: &'a [u8],
}

const HEADER_LEN: usize = 24;
const RECORD_LEN: usize = 16;

/// The packets of a file.
///
/// # Errors
/// What it is instead, and where.
pub(super) fn packets(bytes: &[u8]) -> Result<Vec<Packet<'_>>, String> {
    let magic = bytes.first_chunk::<4>().ok_or("the file is too short for a capture")?;
    let (little, nanos) = match u32::from_le_bytes(*magic) {
        0xa1b2_c3d4 => (true, 1_000),
        0xa1b2_3c4d => (true, 1),
        0xd4c3_b2a1 => (false, 1_000),
        0x4d3c_b2a1 => (false, 1),
        0x0a0d_0d0a => return Err("this is pcapng; `editcap -F pcap` makes pcap of it".to_owned()),
        _ => return Err("this is no pcap file".to_owned()),
    };
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.first_chunk::<4>());
        word.map(|word| if little { u32::from_le_bytes(*word) } else { u32::from_be_bytes(*word) })
    };
    if word(20).map(|kind| kind & 0xffff) != Some(1) {
        return Err("at byte 20: the capture's link is not Ethernet".to_owned());
    }
    let (mut at, mut packets) = (HEADER_LEN, Vec::new());
    while at < bytes.len() {
        let cut = || format!("at byte {at}: the file ends in the middle of a packet");
        let (seconds, fraction, len) =
            word(at).zip(word(at + 4)).zip(word(at + 8)).map(|((s, f), l)| (s, f, l)).ok_or_else(cut)?;
        let begin = at + RECORD_LEN;
        let frame = bytes.get(begin..begin + len as usize).ok_or_else(cut)?;
        let time = Duration::from_secs(seconds.into()) + Duration::from_nanos(u64::from(fraction) * nanos);
        packets.push(Packet { number: packets.len() + 1, at: time, frame });
        at = begin + len as usize;
    }
    Ok(packets)
}
