//! The hosts of a replay: each has a MAC of its own network's, and answers when the node asks for it (RFC 826; RFC 4861, section
//! 4.4).

use herald_core::id::{Interface, Mac};

/// The MAC of all hosts of a network, locally administered.
pub(super) fn mac(interface: Interface) -> Mac {
    match interface {
        Interface::First => Mac([0x02, 0, 0x5e, 0, 0x10, 1]),
        Interface::Second => Mac([0x02, 0, 0x5e, 0, 0x10, 2]),
    }
}

/// What a host answers to a frame of the node that asks for its MAC; `None` to any other.
pub(super) fn answer(interface: Interface, frame: &[u8]) -> Option<Vec<u8>> {
    let ether_type = frame.get(12..14)?;
    if ether_type == [0x08, 0x06] { arp(interface, frame) } else { discovery(interface, frame) }
}

/// Sender MAC and address are at 22 and 28, target MAC and address at 32 and 38.
fn arp(interface: Interface, frame: &[u8]) -> Option<Vec<u8>> {
    let (sender, target) = (frame.get(22..32)?, frame.get(38..42)?);
    if frame.get(20..22)? != [0, 1] || sender.get(6..)? == target {
        return None;
    }
    let own = mac(interface).0;
    let head = [sender.get(..6)?, &own, &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]].concat();
    Some([&head[..], &own, target, sender].concat())
}

/// A neighbour solicitation (type 135) asks for the target at 62.
fn discovery(interface: Interface, frame: &[u8]) -> Option<Vec<u8>> {
    let (source, target) = (frame.get(22..38)?, frame.get(62..78)?);
    if frame.get(12..14)? != [0x86, 0xdd] || frame.get(20)? != &58 || frame.get(54)? != &135 || source == [0; 16] {
        return None;
    }
    let own = mac(interface).0;
    // Type 136, solicited and override, the target, and the option with the target's MAC (type 2, 8 bytes).
    let mut message = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], target, &[2, 1], &own].concat();
    let pseudo = [target, source, &[0, 0, 0, 32, 0, 0, 0, 58], &message].concat();
    let sum = checksum(&pseudo).to_be_bytes();
    message.get_mut(2..4)?.copy_from_slice(&sum);
    let ip = [&[0x60, 0, 0, 0, 0, 32, 58, 255][..], target, source].concat();
    Some([frame.get(6..12)?, &own, &[0x86, 0xdd], &ip, &message].concat())
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).filter_map(|word| word.first_chunk::<2>());
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or_default()
}
