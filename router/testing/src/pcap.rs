//! Captures as files.

/// A pcap file (libpcap's file format): its link type, and packets a millisecond apart.
#[must_use]
pub fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const VERSION: u32 = 0x0004_0002;
    const LEN_MAX: u32 = 262_144;
    const BEGIN: u32 = 1_700_000_000;
    let mut bytes = [MAGIC, VERSION, 0, 0, LEN_MAX, link].map(u32::to_le_bytes).concat();
    for (number, packet) in (0..).zip(packets) {
        let len = u32::try_from(packet.len()).unwrap();
        bytes.extend([BEGIN + number / 1_000, number % 1_000 * 1_000, len, len].map(u32::to_le_bytes).concat());
        bytes.extend(packet);
    }
    bytes
}
