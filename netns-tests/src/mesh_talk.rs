//! What the nodes say to each other, as the bridge of the mesh saw it, read with the secrets that they wrote down.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use herald_core::limits::MESSAGE_LEN_MAX;
use herald_core::mesh::Message;
use herald_core::mesh::codec::{Decoder, Spoken};

use crate::capture::CapturedFrame;
use crate::tls_record::{Head, RecordKey, begins_handshake, head, keys};

/// The first node has 11 as the last byte of its mesh address, and so on.
const FIRST_NODE_BYTE: u8 = 11;

/// A capture may begin in the middle of a connection. How many records it has had by then is found out by trying: so many
/// are tried, those of an hour of heartbeats.
const NUMBERS_MAX: u64 = 40_000;

/// Bytes of the longest record with which numbers are tried; a heartbeat is shorter.
const TRIED_RECORD_LEN_MAX: usize = 1024;

/// Segments of one direction that wait for one that is missing: a few round trips of them.
const WAITING_SEGMENTS_MAX: usize = 64;

/// One message between two nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When the last byte of it came to the bridge, in nanoseconds since 1970 (UTC): its receiver had it later.
    pub at_nanos: u64,
    /// Who said it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What.
    pub message: Message,
}

/// The messages in these frames, opened with the secrets in the nodes' key logs. Of a record whose beginning was not
/// captured nothing is heard. A test that waits for a certain message then fails; it never takes one for another, as
/// each record proves its key and its number.
#[must_use]
pub fn overheard(frames: &[CapturedFrame], key_logs: &[PathBuf]) -> Vec<Said> {
    let keys = keys(key_logs);
    let mut streams: BTreeMap<Ends, Stream<'_>> = BTreeMap::new();
    let mut all = Vec::new();
    for segment in frames.iter().filter_map(segment) {
        let Some((from, to)) = node(segment.ends.0.0).zip(node(segment.ends.1.0)) else { continue };
        let stream = streams.entry(segment.ends).or_insert_with(|| Stream::new(&keys));
        let said = |message| Said { at_nanos: segment.at_nanos, from: from.clone(), to: to.clone(), message };
        all.extend(stream.take(&segment).into_iter().map(said));
    }
    all.sort_by_key(|said| said.at_nanos);
    all
}

/// Source and destination, addresses and ports.
type Ends = ((IpAddr, u16), (IpAddr, u16));

/// The payload of one TCP packet.
#[derive(Clone, Copy)]
struct Segment<'a> {
    at_nanos: u64,
    ends: Ends,
    sequence: u32,
    payload: &'a [u8],
    /// Bytes of the payload that the capture did not keep.
    missing: usize,
}

fn segment(frame: &CapturedFrame) -> Option<Segment<'_>> {
    let packet = LaxSlicedPacket::from_ethernet(&frame.bytes).ok()?;
    let LaxNetSlice::Ipv4(ip) = packet.net? else { return None };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    let (source, destination) = (ip.header().source_addr().into(), ip.header().destination_addr().into());
    // Behind the kept bytes; an Ethernet frame of a short packet is padded, and that is in neither.
    let missing = frame.len.saturating_sub(frame.bytes.len());
    Some(Segment {
        at_nanos: frame.at_nanos,
        ends: ((source, tcp.source_port()), (destination, tcp.destination_port())),
        sequence: tcp.sequence_number(),
        payload: tcp.payload(),
        missing,
    })
}

fn node(address: IpAddr) -> Option<String> {
    let IpAddr::V4(address) = address else { return None };
    let [.., last] = address.octets();
    Some(char::from(b'a'.checked_add(last.checked_sub(FIRST_NODE_BYTE)?)?).to_string())
}

/// One direction of one connection.
struct Stream<'a> {
    keys: &'a [RecordKey],
    /// Its own key and the number of its next record, once they are known.
    own: Option<(&'a RecordKey, u64)>,
    /// The handshake was captured, so the numbers begin at 0.
    whole: bool,
    /// The sequence number of the next byte.
    next: Option<u32>,
    bytes: Vec<u8>,
    /// Segments that came before others that are before them.
    waiting: Vec<Segment<'a>>,
    decoder: Decoder,
}

impl<'a> Stream<'a> {
    fn new(keys: &'a [RecordKey]) -> Self {
        Self {
            keys,
            own: None,
            whole: false,
            next: None,
            bytes: Vec::new(),
            waiting: Vec::new(),
            decoder: Decoder::default(),
        }
    }

    /// The messages that this segment completes. One that has overtaken others waits for them, but not for ever: the
    /// capture may never have had them.
    fn take(&mut self, segment: &Segment<'a>) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.is_ahead(segment) {
            self.waiting.push(*segment);
            if self.waiting.len() <= WAITING_SEGMENTS_MAX {
                return messages;
            }
        } else {
            messages.extend(self.take_next(segment));
        }
        while let Some(place) = self.next_waiting() {
            let segment = self.waiting.swap_remove(place);
            messages.extend(self.take_next(&segment));
        }
        messages
    }

    fn is_ahead(&self, segment: &Segment<'_>) -> bool {
        !segment.payload.is_empty() && self.ahead(segment) > 0
    }

    /// Bytes that are missing before this segment; below zero where it repeats what was there.
    fn ahead(&self, segment: &Segment<'_>) -> i32 {
        self.next.map_or(0, |next| segment.sequence.wrapping_sub(next).cast_signed())
    }

    /// The waiting segment to go on with: one that nothing is missing before, or the first if too many wait.
    fn next_waiting(&self) -> Option<usize> {
        let first = (0..self.waiting.len()).min_by_key(|place| self.waiting.get(*place).map(|s| self.ahead(s)))?;
        let is_next = self.waiting.get(first).is_some_and(|segment| self.ahead(segment) <= 0);
        (is_next || self.waiting.len() > WAITING_SEGMENTS_MAX).then_some(first)
    }

    fn take_next(&mut self, segment: &Segment<'_>) -> Vec<Message> {
        if segment.payload.is_empty() {
            return Vec::new();
        }
        if self.next.is_none() {
            self.whole = begins_handshake(segment.payload);
        }
        let ahead = self.ahead(segment);
        if ahead > 0 {
            self.begin_anew();
        }
        let repeated = usize::try_from(-i64::from(ahead)).unwrap_or(0);
        let Some(news) = segment.payload.get(repeated..) else { return Vec::new() };
        let len = u32::try_from(news.len().saturating_add(segment.missing)).unwrap_or(u32::MAX);
        let at = if ahead > 0 { segment.sequence } else { self.next.unwrap_or(segment.sequence) };
        self.next = Some(at.wrapping_add(len));
        self.bytes.extend_from_slice(news);
        let messages = self.records();
        if segment.missing > 0 {
            self.begin_anew();
        }
        messages
    }

    /// Bytes are missing: the next segment may begin a record.
    fn begin_anew(&mut self) {
        self.bytes.clear();
        self.decoder = Decoder::default();
    }

    fn records(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match head(&self.bytes) {
                Head::Record { len, encrypted } if len <= self.bytes.len() => {
                    let record: Vec<u8> = self.bytes.drain(..len).collect();
                    if encrypted && let Some(plain) = self.open(&record) {
                        messages.extend(self.decode(&plain));
                    }
                }
                Head::Record { .. } | Head::Short => return messages,
                Head::None => {
                    self.begin_anew();
                    return messages;
                }
            }
        }
    }

    fn open(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        // After bytes were missing the number may be some further.
        let (keys, from, to) = match self.own {
            Some((key, number)) => (std::slice::from_ref(key), number, number + NUMBERS_MAX),
            // The other records of a handshake have another key.
            None if self.whole => (self.keys, 0, 1),
            None if record.len() > TRIED_RECORD_LEN_MAX => return None,
            None => (self.keys, 0, NUMBERS_MAX),
        };
        let opened = (from..to).find_map(|number| {
            let opened = keys.iter().find_map(|key| Some((key, key.open(number, record)?)));
            opened.map(|(key, plain)| (key, number, plain))
        });
        let (key, number, plain) = opened?;
        self.own = Some((key, number + 1));
        Some(plain)
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.decoder.decode(MESSAGE_LEN_MAX) {
                Ok(Some(Spoken::Message(_, message))) => messages.push(message),
                Ok(Some(
                    Spoken::Greeting(_)
                    | Spoken::Received(_)
                    | Spoken::Ping(_)
                    | Spoken::Pong(_)
                    | Spoken::Unknown { .. },
                )) => {}
                Ok(None) if bytes.is_empty() => return messages,
                Ok(None) => {
                    let space = self.decoder.space();
                    let len = space.len().min(bytes.len());
                    let (now, later) = bytes.split_at(len);
                    if let Some(place) = space.get_mut(..len) {
                        place.copy_from_slice(now);
                    }
                    self.decoder.filled(len);
                    bytes = later;
                }
                // The record began in the middle of a message.
                Err(_) => {
                    self.decoder = Decoder::default();
                    return messages;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use etherparse::PacketBuilder;
    use herald::io::clock;
    use herald::io::tls::{Pulled, Session, TlsFiles, TlsIdentity};
    use herald_core::id::{BootId, Epoch, Interface};
    use herald_core::mesh::{Claim, codec};
    use herald_keys::{KeysFolder, Validity};

    use super::*;

    fn claim(counter: u64) -> Message {
        let epoch = Epoch { counter, node: "a".parse().unwrap(), boot: BootId(1) };
        Message::Claim(Claim { interface: Interface::First, epoch })
    }

    /// What an end writes now, as one captured frame, taken by the other end.
    fn carry(from: &mut Session, to: &mut Session, sequence: &mut u32, last: [u8; 2]) -> Option<CapturedFrame> {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_to(&mut bytes).unwrap();
        }
        for piece in bytes.chunks(1_000) {
            to.space()[..piece.len()].copy_from_slice(piece);
            to.filled(piece.len());
            while to.pull(&mut [0; 20_000]).unwrap() != Pulled::Nothing {}
        }
        let ports = if last[0] == 11 { (5_000, 7_400) } else { (7_400, 5_000) };
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 9, 0, last[0]], [10, 9, 0, last[1]], 64);
        let mut frame = Vec::new();
        builder.tcp(ports.0, ports.1, *sequence, 1024).write(&mut frame, &bytes).unwrap();
        *sequence = sequence.wrapping_add(u32::try_from(bytes.len()).unwrap());
        (!bytes.is_empty()).then_some(CapturedFrame { at_nanos: 0, len: frame.len(), bytes: frame })
    }

    #[test]
    fn what_was_said_is_heard_from_the_beginning_and_from_the_middle() {
        let place = tempfile::tempdir().unwrap();
        let (folder, now) = (KeysFolder::at(place.path()), clock::wall());
        folder.init("lab", now).unwrap();
        let key_log = place.path().join("log");
        let [mut a, mut b] = ["a", "b"].map(|name| {
            let node = name.parse().unwrap();
            folder.issue(node, Validity::days(now, 1)).unwrap();
            let (ca, certificate, key) = (folder.authority_certificate(), folder.certificate(node), folder.key(node));
            let files = TlsFiles { ca, certificate, key, key_log: Some(key_log.clone()) };
            let identity = TlsIdentity::read(node, &files).unwrap();
            let address = ([10, 9, 0, 12], 7_400).into();
            if name == "a" { Session::dialled(&identity, address) } else { Session::accepted(&identity) }.unwrap()
        });
        let mut frames = Vec::new();
        // One begins just before its sequence numbers do again.
        let (mut from_a, mut from_b) = (u32::MAX - 700, 9);
        for _ in 0..3 {
            frames.extend(carry(&mut a, &mut b, &mut from_a, [11, 12]));
            frames.extend(carry(&mut b, &mut a, &mut from_b, [12, 11]));
        }
        let mut expected = Vec::new();
        for counter in 0..20 {
            let mut bytes = Vec::new();
            codec::encode_numbered(counter + 1, &claim(counter), &mut bytes).unwrap();
            assert_eq!(a.push(&bytes), bytes.len());
            let at_nanos = 100 + counter;
            let frame = carry(&mut a, &mut b, &mut from_a, [11, 12]).unwrap();
            frames.push(CapturedFrame { at_nanos, ..frame });
            expected.push(Said { at_nanos, from: "a".into(), to: "b".into(), message: claim(counter) });
        }
        let logs = [key_log, place.path().join("nothing")];
        assert_eq!(overheard(&frames, &logs), expected);
        // One that others overtook is heard before them.
        let last = frames.len() - 1;
        frames.swap(last - 2, last);
        let contents = |said: Vec<Said>| said.into_iter().map(|said| said.message).collect::<Vec<_>>();
        assert_eq!(contents(overheard(&frames, &logs)), contents(expected.clone()));
        frames.swap(last - 2, last);
        // A retransmission is heard once.
        let again = frames[frames.len() - 3].clone();
        frames.insert(frames.len() - 1, again);
        assert_eq!(overheard(&frames, &logs), expected);
        // From the middle, and with one frame that was cut short.
        let begin = frames.len() - 6;
        assert_eq!(overheard(&frames[begin..], &logs), expected[15..]);
        let cut = frames.len() - 5;
        frames[cut].bytes.truncate(80);
        let heard = overheard(&frames[begin..], &logs);
        assert_eq!(heard, [&expected[15..16], &expected[17..]].concat());
        // Without the secrets nothing is heard.
        fs::write(&logs[1], "CLIENT_TRAFFIC_SECRET_0 00 zz\nnothing\n").unwrap();
        assert_eq!(overheard(&frames, &logs[1..]), []);
    }
}
