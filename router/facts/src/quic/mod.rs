//! What a client says in QUIC Initial packets, which are encrypted with keys that everybody can derive (RFC 9001, section 5).

mod crypto;
mod keys;
mod packet;
#[cfg(test)]
mod tests;

use crate::limits::{HELLO_BYTES_MAX, QUIC_PACKETS_MAX};
use crate::tls::{ClientHello, Transport, hex};
use crate::{FactName, Facts, Oddity, Progress, Value};

use crypto::Crypto;
use keys::Keys;
use packet::{Next, Packet};

/// The least length of a datagram with a client's Initial packet (RFC 9000, section 14.1).
const DATAGRAM_LEN_MIN: usize = 1_200;

/// Handshake type and length before a hello.
const MESSAGE_HEADER_LEN: usize = 4;

/// True if a datagram may begin a connection: a packet of a known version with a long header, or of an unknown one in a
/// datagram as long as only QUIC's are.
pub(crate) fn is_plausible(datagram: &[u8]) -> bool {
    match packet::next(&mut &*datagram) {
        Next::Packet(_) => true,
        Next::UnknownVersion => datagram.len() >= DATAGRAM_LEN_MIN,
        Next::None => false,
    }
}

/// Reads a client's datagrams up to the end of its hello.
#[derive(Debug, Default)]
pub struct Parser {
    /// Of the first packet's connection ID, or of the one that a Retry gave.
    keys: Option<Keys>,
    /// The largest packet number so far.
    largest: Option<u64>,
    packets: usize,
    crypto: Crypto,
    end: Option<Progress>,
}

impl Parser {
    /// A parser at a client's first datagram.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the client's next datagram.
    pub fn datagram(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.end {
            return end;
        }
        let progress = self.read(bytes, facts);
        if progress.is_end() {
            *self = Self { end: Some(progress), ..Self::default() };
        }
        if let Progress::Refused(oddity) = progress {
            facts.add_oddity(FactName::QuicOddities, oddity);
        }
        progress
    }

    fn read(&mut self, datagram: &[u8], facts: &mut Facts) -> Progress {
        let mut rest = datagram;
        loop {
            let packet = match packet::next(&mut rest) {
                Next::Packet(packet) => packet,
                Next::UnknownVersion if self.packets == 0 && datagram.len() >= DATAGRAM_LEN_MIN => {
                    return Progress::Refused(Oddity::QuicVersion);
                }
                Next::UnknownVersion | Next::None if self.packets == 0 => return Progress::NotThis,
                Next::UnknownVersion | Next::None => return Progress::Need(1),
            };
            if !packet.is_initial {
                // 0-RTT may come before; anything else begins no connection.
                if self.packets == 0 && rest.is_empty() {
                    return Progress::NotThis;
                }
                continue;
            }
            if datagram.len() < DATAGRAM_LEN_MIN {
                facts.add_oddity(FactName::QuicOddities, Oddity::QuicShort);
            }
            if self.packets >= QUIC_PACKETS_MAX {
                return Progress::Refused(Oddity::QuicPackets);
            }
            if let Some(end) = self.initial(&packet, facts) {
                return end;
            }
        }
    }

    /// Reads one Initial packet. Comes back with an end, if this is one.
    fn initial(&mut self, packet: &Packet<'_>, facts: &mut Facts) -> Option<Progress> {
        if self.packets == 0 {
            facts.add(FactName::QuicVersion, Value::Number(packet.version.number()));
            facts.add(FactName::QuicDestination, Value::Text(hex(packet.connection)));
        }
        self.packets += 1;
        // What cannot be opened is nothing to the server either. After a Retry keys follow from its connection ID.
        let known = self.keys.take().and_then(|keys| Some((open(&keys, packet, self.largest)?, keys)));
        let opened = known.or_else(|| {
            let keys = Keys::new(packet.version, packet.connection).ok()?;
            Some((open(&keys, packet, self.largest)?, keys))
        });
        let ((number, content), keys) = opened?;
        self.keys = Some(keys);
        self.largest = self.largest.max(Some(number));
        if let Err(oddity) = self.crypto.frames(&content) {
            return Some(Progress::Refused(oddity));
        }
        self.hello(facts)
    }

    /// Tells of the hello once it is whole.
    fn hello(&self, facts: &mut Facts) -> Option<Progress> {
        let ([kind, length @ ..], rest) = self.crypto.in_order().split_first_chunk::<MESSAGE_HEADER_LEN>()?;
        let [high, middle, low] = length.map(usize::from);
        let len = high << 16 | middle << 8 | low;
        if *kind != 1 {
            return Some(Progress::Refused(Oddity::TlsHello));
        }
        if len + MESSAGE_HEADER_LEN > HELLO_BYTES_MAX {
            return Some(Progress::Refused(Oddity::TlsHelloTooLong));
        }
        match ClientHello::parse(rest.get(..len)?) {
            Some(hello) => hello.tell(&Transport::Quic.names(), facts),
            None => return Some(Progress::Refused(Oddity::TlsHello)),
        }
        Some(Progress::Done)
    }
}

/// Takes the protection off a packet (RFC 9001, sections 5.3 and 5.4): its number and its content.
fn open(keys: &Keys, packet: &Packet<'_>, largest: Option<u64>) -> Option<(u64, Vec<u8>)> {
    let sample_at = packet.number_at + 4;
    let [first_mask, masks @ ..] = keys.mask(packet.bytes.get(sample_at..sample_at + 16)?).ok()?;
    let mut bytes = packet.bytes.to_vec();
    let first = bytes.first_mut()?;
    *first ^= first_mask & 0x0f;
    let number_len = usize::from(*first & 0x03) + 1;
    let mut short = 0;
    for (byte, mask) in bytes.get_mut(packet.number_at..)?.iter_mut().zip(masks).take(number_len) {
        *byte ^= mask;
        short = short << 8 | u64::from(*byte);
    }
    let number = whole_number(short, number_len, largest);
    let (header, content) = bytes.split_at_mut_checked(packet.number_at + number_len)?;
    let content = keys.open(number, header, content).ok()?;
    Some((number, content.to_vec()))
}

/// The packet number of which only the lowest bytes were sent (RFC 9000, appendix A.3).
fn whole_number(short: u64, len: usize, largest: Option<u64>) -> u64 {
    let expected = largest.map_or(0, |largest| largest.saturating_add(1));
    let window = 1_u64 << (8 * len);
    let candidate = expected & !(window - 1) | short;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}
