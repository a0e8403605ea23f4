//! Bytes in order: what a plugin sees, what leaves meanwhile, and what the router itself ends.

use std::collections::BTreeMap;
use std::sync::Mutex;

use herald_plugin::{ConfigError, Direction as Way, Packet as Seen, Plugin as Inspect, StreamBytes, Verdict, thunk};
use proptest::prelude::*;

use super::*;
use crate::book::PluginRow;
use crate::order::OrderAt;
use herald_core::event::DropReason;
use herald_core::limits::{PLUGIN_FAULTS_MIN, PLUGIN_SUSPENDED_TIME_MIN};
use herald_core::packet::{Transport, mend};
use herald_testing::frames::{ACK, SYN, SYN_ACK, Segment};
use herald_testing::receiver::{Receiver, Wire};

/// Writes down what it sees, and obeys the words behind its own name: `a=bypass`.
#[derive(Default)]
struct Reader {
    name: String,
    seen: Mutex<Vec<Line>>,
}

/// Who sent it, its offset, its bytes, and what is known of it.
type Line = (char, u64, Vec<u8>, String);

impl Inspect for Reader {
    type Stream = u64;

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        config.clone_into(&mut self.name);
        Ok(())
    }

    /// With `.for_stream()` packets are nobody's business, and bytes are still.
    fn packet(&self, _: &mut u64, packet: &Seen<'_>) -> Verdict {
        match packet.payload() {
            b"accept all" if self.name == "a" => Verdict::accept().for_stream(),
            b"no packets" => Verdict::pass().for_stream(),
            b"drop packet" if self.name == "a" => Verdict::drop("told"),
            _ => Verdict::pass(),
        }
    }

    fn stream_bytes(&self, calls: &mut u64, bytes: &StreamBytes<'_>) -> Verdict {
        *calls += 1;
        let marks = [(bytes.has_gap(), "gap"), (bytes.is_end(), "end"), (bytes.is_lost(), "lost")];
        let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        let way = if bytes.direction() == Way::FromOpener { '>' } else { '<' };
        self.seen.lock().unwrap().push((way, bytes.offset(), bytes.fresh().to_vec(), marks));
        let text = String::from_utf8_lossy(bytes.fresh()).into_owned();
        let word = text.split(' ').filter_map(|word| word.split_once('=')).find(|(name, _)| *name == self.name);
        match word.map(|(_, word)| word) {
            Some("want") => {
                bytes.want(10);
                Verdict::pass()
            }
            Some("mark") => {
                bytes.set_mark(7).unwrap();
                bytes.note("said", "mark").unwrap();
                Verdict::pass()
            }
            Some("own") => Verdict::pass().for_flow(),
            Some(word) => obey(word),
            None => Verdict::pass(),
        }
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        for (way, offset, fresh, marks) in self.seen.lock().unwrap().drain(..) {
            let fresh: String = fresh.iter().map(|byte| char::from(*byte)).collect();
            counters.report(&format!("{way}{offset:04} {fresh} {marks}"), 1);
        }
    }
}

/// A chain with one TCP connection that was opened from 10.1.0.100:40000 to port 80.
struct Wired {
    streams: Streams<Chain>,
    injected: Vec<Inspection>,
    lines: BTreeMap<String, Vec<String>>,
}

const BYTES: &str = "hooks = [\"stream_bytes\"]";

fn tcp_stream(id: u64) -> Stream {
    Stream { opener: FlowKey::new(Interface::First, 6, end(1, 40_000), end(2, 80)), ..stream(id) }
}

fn end(network: u8, port: u16) -> (std::net::IpAddr, u16) {
    ([10, network, 0, 100].into(), port)
}

impl Wired {
    /// Plugins with these lines in their manifests.
    fn new(plugins: &[(&str, &str)]) -> Self {
        Self::with_policy(plugins, FaultPolicy::Closed)
    }

    fn with_policy(plugins: &[(&str, &str)], policy: FaultPolicy) -> Self {
        // SAFETY: it is the host's table.
        unsafe { thunk::enter_built_in(crate::library::host(|| 0)) };
        let table = thunk::table::<Reader>();
        let plugins = plugins.iter().map(|(id, more)| {
            let text = format!("id = \"{id}\"\nversion = \"1\"\nlicence = \"MIT\"\n{more}");
            let text = toml::from_str(&text).unwrap();
            let (state_size, state_align) = (table.state_size as usize, table.state_align as usize);
            (Plugin::make(Manifest { text, schema: None, state_size, state_align }, *table, id).unwrap(), policy)
        });
        let mut streams = Streams::new(Chain::new(plugins.collect(), Clock { monotonic: clock, unix_nanos: || 0 }));
        streams.start(NOW, Slot::new(0), tcp_stream(1));
        Self { streams, injected: Vec::new(), lines: BTreeMap::new() }
    }

    /// The same, behind the handshake.
    fn open(plugins: &[(&str, &str)]) -> Self {
        let mut wired = Self::new(plugins);
        for (direction, segment) in [(To, SYN), (Back, SYN_ACK), (To, ACK)] {
            assert_eq!(wired.send(direction, segment).verdict.action, Action::Pass);
        }
        wired
    }

    fn batch(&mut self, segments: &[(Direction, Segment<'_>)]) -> Vec<Inspection> {
        let mut batch: Vec<_> = segments.iter().map(|&(direction, segment)| inspection(direction, segment)).collect();
        self.streams.plugins.inspect(NOW, &mut batch, &mut self.streams.records);
        self.streams.plugins.take_injected(&mut self.injected);
        batch
    }

    fn send(&mut self, direction: Direction, segment: Segment<'_>) -> Inspection {
        self.batch(&[(direction, segment)]).remove(0)
    }

    /// Bytes of the opener at an offset.
    fn data(&mut self, offset: u32, payload: &[u8]) -> Inspection {
        self.send(To, data(offset, payload))
    }

    /// The other end has all bytes before an offset.
    fn acknowledge(&mut self, offset: u32) -> Inspection {
        self.send(Back, Segment { sequence: 501, acknowledgement: 101 + offset, ..ACK })
    }

    /// What a plugin has seen since the last call, by direction and offset.
    fn seen(&mut self, id: &str) -> Vec<String> {
        let _row = self.row(id);
        self.lines.remove(id).unwrap_or_default()
    }

    /// A plugin's line of the report. Who is asked for its counters forgets them: they are kept here.
    fn row(&mut self, id: &str) -> PluginRow {
        let rows = self.streams.plugins.report().rows();
        for row in &rows {
            let lines = row.counters.keys().map(|line| line.trim_end().to_owned());
            self.lines.entry(row.id.clone()).or_default().extend(lines);
        }
        rows.into_iter().find(|row| row.id == id).unwrap()
    }

    fn head(&mut self) -> Head {
        use herald_core::inspector::Parts;
        *self.streams.records.part(Slot::new(0), 1).unwrap()
    }

    fn is_ordered(&mut self) -> bool {
        self.head().order != OrderAt::default()
    }
}

fn data(offset: u32, payload: &[u8]) -> Segment<'_> {
    Segment { sequence: 101 + offset, payload, ..ACK }
}

fn inspection(direction: Direction, segment: Segment<'_>) -> Inspection {
    inspection_of(1, direction, segment)
}

/// The same of a packet of another stream, whose opener is another host.
fn inspection_of(stream: u64, direction: Direction, segment: Segment<'_>) -> Inspection {
    let (opener, server) = (source(stream), Ipv4Addr::new(10, 2, 0, 100));
    let (interface, ends, ports) = match direction {
        To => (Interface::First, (opener, server), (40_000, 80)),
        Back => (Interface::Second, (server, opener), (80, 40_000)),
    };
    let bytes = frames::tcp(frames::ip([[2; 6], [4; 6]], ends.0, ends.1, 64), ports, segment);
    let arrival = Arrival::parse(interface, Frame::from_bytes(&bytes), Came::Directly).unwrap();
    Inspection::new(arrival, direction, 1, Slot::new(0))
}

/// Sequence number and payload as they would leave; nothing of what ends.
fn leaves(inspection: &Inspection) -> Option<(u32, Vec<u8>)> {
    let frame = &inspection.arrival.frame;
    let headers = herald_core::packet::Packet::parse_ip(frame).unwrap();
    assert!(mend::is_sound(frame, &headers), "a wrong checksum leaves");
    let Transport::Tcp { sequence, .. } = headers.transport else { panic!("TCP") };
    let payload = frame.bytes()[usize::from(headers.payload_at)..headers.end as usize].to_vec();
    (inspection.verdict.action == Action::Pass).then_some((sequence, payload))
}

fn ended(inspection: &Inspection) -> Option<(Action, Option<DropReason>)> {
    let (action, by_host) = (inspection.verdict.action, inspection.verdict.by_host);
    (action != Action::Pass).then_some((action, by_host))
}

#[test]
fn bytes_are_shown_in_order_and_the_first_copy_leaves() {
    let mut wired = Wired::open(&[("a", BYTES)]);
    assert!(wired.seen("a").is_empty());
    // Behind a hole: it leaves at once, and nobody has seen it.
    assert_eq!(leaves(&wired.data(3, b"def")), Some((104, b"def".to_vec())));
    assert!(wired.seen("a").is_empty());
    // The hole is filled, and a part of what came is said otherwise.
    let filler = wired.data(0, b"abcDE");
    assert_eq!((leaves(&filler), filler.verdict.rewritten), (Some((101, b"abcde".to_vec())), true));
    assert_eq!(wired.seen("a"), [">0000 abcdef"]);
    // Once more, otherwise: until it is acknowledged it becomes the first copy, afterwards nothing of it leaves.
    assert_eq!(leaves(&wired.data(0, b"ABCDEF")), Some((101, b"abcdef".to_vec())));
    wired.acknowledge(6);
    assert_eq!(leaves(&wired.data(0, b"XYZDEF")).map(|(_, payload)| payload), Some(Vec::new()));
    assert!(wired.seen("a").is_empty());
    let fin = Segment { flags: 17, ..data(6, b"g") };
    let answer = Segment { sequence: 501, acknowledgement: 107, payload: b"yes", ..ACK };
    assert!(wired.batch(&[(To, fin), (Back, answer)]).iter().all(|packet| leaves(packet).is_some()));
    assert_eq!(wired.seen("a"), ["<0000 yes", ">0006 g end"]);
    assert_eq!(wired.streams.plugins.report().rows()[0].bytes, 10);
    let expected = InOrder { streams: 1, bytes: 4, segments: 10, changed: 3, conflicts: 2, ..InOrder::default() };
    assert_eq!(wired.streams.plugins.in_order(), expected);
}

#[test]
fn what_no_receiver_would_take_ends_by_its_name() {
    let mut wired = Wired::open(&[("a", BYTES)]);
    let cases = [
        ("behind the window", data(70_000, b"x"), DropReason::TcpBeyondWindow),
        ("no acknowledgement", Segment { flags: 8, ..data(0, b"x") }, DropReason::TcpNoAcknowledgement),
        ("of what was not sent", Segment { acknowledgement: 900, ..data(0, b"x") }, DropReason::TcpAcknowledgesUnsent),
        ("a reset beside", Segment { flags: 4, ..data(90_000, b"") }, DropReason::TcpResetOutOfSequence),
        ("flags", Segment { flags: 3, ..data(0, b"") }, DropReason::TcpFlags),
    ];
    for (name, segment, reason) in cases {
        assert_eq!(ended(&wired.send(To, segment)), Some((Action::Drop, Some(reason))), "{name}");
    }
    assert!(wired.injected.is_empty() && wired.seen("a").is_empty());
    // A SYN in the connection is dropped, and challenged in the other end's name.
    let syn = wired.send(To, Segment { sequence: 9_000, ..SYN });
    assert_eq!(ended(&syn), Some((Action::Drop, Some(DropReason::TcpSynInConnection))));
    let challenge = wired.injected.pop().unwrap();
    assert_eq!((challenge.direction, challenge.arrival.interface), (Back, Interface::Second));
    assert_eq!(leaves(&challenge), Some((501, Vec::new())));
    let Transport::Tcp { acknowledgement, flags, .. } = challenge.arrival.headers.transport else { panic!("TCP") };
    assert_eq!((acknowledgement, flags.0), (101, 16));
    // The stream goes on.
    assert_eq!(ended(&wired.data(0, b"on")), None);
    assert_eq!(wired.seen("a"), [">0000 on"]);
}

#[test]
fn a_stream_that_nobody_wants_is_not_put_in_order() {
    for plugins in [&[("a", "")][..], &[("a", "hooks = [\"stream_bytes\"]\n[[filter]]\nprotocol = [\"udp\"]")]] {
        let mut wired = Wired::new(plugins);
        assert!(!wired.is_ordered());
        // Not even what no receiver would take is looked at.
        for segment in [data(0, b"x"), data(900_000, b"y"), Segment { flags: 3, ..ACK }] {
            assert_eq!(ended(&wired.send(To, segment)), None);
        }
        assert!(wired.seen("a").is_empty());
    }
    let mut wired = Wired::new(&[("a", BYTES)]);
    assert!(wired.is_ordered());
    let totals = Totals { packets_from_opener: 3, ..Totals::default() };
    wired.streams.end(NOW, Slot::new(0), &totals, EndReason::TimedOut);
    wired.streams.start(NOW, Slot::new(0), stream(1));
    assert!(!wired.is_ordered(), "a stream of UDP");
}

#[test]
fn a_bypass_holds_once_the_receiver_has_what_was_shown() {
    let mut wired = Wired::open(&[("a", BYTES)]);
    wired.data(0, b"hello a=bypass");
    assert!(wired.is_ordered());
    // The allowed hello has not arrived, so there is no other one.
    assert_eq!(leaves(&wired.data(0, b"other hello...")), Some((101, b"hello a=bypass".to_vec())));
    wired.data(20, b"behind a hole");
    wired.acknowledge(14);
    assert!(wired.is_ordered(), "a hole is open");
    wired.data(14, b"filler");
    assert!(wired.is_ordered(), "what fills it has not arrived");
    let last = wired.acknowledge(33);
    assert!(!wired.is_ordered() && last.standing.interests_nobody());
    wired.data(33, b"unseen");
    assert!(wired.seen("a").iter().all(|line| !line.contains("unseen")));
}

#[test]
fn what_ends_bytes_ends_the_stream() {
    let mut wired = Wired::open(&[("a", BYTES), ("b", BYTES)]);
    let batch = wired.batch(&[(To, data(0, b"ok")), (To, data(2, b"a=reject")), (To, data(10, b"x")), (Back, ACK)]);
    let said: Vec<_> = batch.iter().map(|packet| (packet.verdict.action, packet.standing.is_ended())).collect();
    assert_eq!(said[..3], [(Action::Pass, false), (Action::Reject, true), (Action::Reject, false)]);
    assert_eq!(said[3].0, Action::Reject, "the other direction, too");
    assert_eq!((wired.seen("a").len(), wired.seen("b")), (2, vec![">0000 ok".to_owned()]));
    assert!(!wired.is_ordered(), "nothing of it is kept");
    assert_eq!(wired.streams.plugins.report().rows()[0].reasons["told-so"], 3);
}

#[test]
fn a_plugin_that_sleeps_gets_everything_that_the_others_had() {
    let mut wired = Wired::open(&[("a", BYTES), ("b", BYTES)]);
    for (offset, payload) in [(0, &b"a=want"[..]), (6, b"12345"), (11, b"6789")] {
        wired.data(offset, payload);
        wired.acknowledge(offset + u32::try_from(payload.len()).unwrap());
    }
    assert_eq!(wired.seen("b"), [">0000 a=want", ">0006 12345", ">0011 6789"]);
    assert_eq!(wired.seen("a"), [">0000 a=want"]);
    wired.data(15, b"0!");
    assert_eq!((wired.seen("a"), wired.seen("b")), (vec![">0006 1234567890!".into()], vec![">0015 0!".into()]));
    // Both sleep.
    wired.data(17, b"a=want b=want");
    wired.data(30, b"123456789");
    assert_eq!((wired.seen("a").len(), wired.seen("b").len()), (1, 1));
    wired.send(To, Segment { flags: 17, ..data(39, b"") });
    assert_eq!(
        (wired.seen("a"), wired.seen("b")),
        (vec![">0030 123456789 end".into()], vec![">0030 123456789 end".into()])
    );
}

#[test]
fn words_on_bytes_and_packets_cover_what_the_contract_says() {
    let mut wired = Wired::open(&[("a", BYTES), ("b", BYTES)]);
    wired.data(0, b"a=accept");
    assert_eq!((wired.seen("a"), wired.seen("b")), (vec![">0000 a=accept".into()], vec![]));
    wired.data(8, b"a=own");
    assert_eq!(wired.seen("b"), [">0008 a=own gap"]);
    wired.data(13, b"b");
    assert_eq!((wired.seen("a"), wired.seen("b")), (vec![">0008 a=own".into()], vec![">0013 b".into()]));
    // A word on packets: what `a` accepts as a stream nobody behind it sees, nor `a` itself.
    let answer = Segment { sequence: 501, acknowledgement: 114, payload: b"accept all", ..ACK };
    wired.send(Back, answer);
    assert!(wired.seen("a").is_empty() && wired.seen("b").is_empty());
    wired.acknowledge(14);
    wired.send(To, Segment { acknowledgement: 511, ..data(14, b"") });
    assert!(!wired.is_ordered());
    // A packet that ends is nothing that its receiver reads.
    let mut wired = Wired::open(&[("a", BYTES)]);
    assert!(leaves(&wired.data(0, b"drop packet")).is_none() && wired.seen("a").is_empty());
    wired.data(0, b"a=mark");
    let head = wired.head();
    assert_eq!((head.mark, wired.seen("a")), (7, vec![">0000 a=mark".into()]));
}

#[test]
fn faults_meet_the_policy() {
    let mut wired = Wired::open(&[("a", BYTES), ("b", BYTES)]);
    let failed = wired.data(0, b"a=panic");
    assert_eq!((failed.verdict.action, failed.verdict.fault, failed.standing.is_ended()), (Action::Drop, true, true));
    assert!(wired.seen("b").is_empty() && !wired.is_ordered());
    assert_eq!(wired.row("a").fault_cause, Some("stream-bytes"));
    let mut wired = Wired::with_policy(&[("a", BYTES), ("b", BYTES)], FaultPolicy::Open);
    wired.batch(&[(To, SYN), (Back, SYN_ACK)]);
    assert_eq!(ended(&wired.data(0, b"a=panic")), None);
    wired.data(7, b"more");
    assert_eq!((wired.seen("a").len(), wired.seen("b")), (1, vec![">0000 a=panic".into(), ">0007 more".into()]));
}

#[test]
fn a_plugin_that_is_called_no_more_lets_nothing_pass_unseen() {
    let mut wired = Wired::open(&[("a", BYTES)]);
    assert_eq!(ended(&wired.data(0, b"no packets")), None);
    for number in 2..2 + PLUGIN_FAULTS_MIN {
        let slot = Slot::new(u32::try_from(number).unwrap());
        wired.streams.start(NOW, slot, tcp_stream(number));
        for (direction, segment) in [(To, SYN), (Back, SYN_ACK), (To, data(0, b"a=panic"))] {
            let mut packet = inspection_of(number, direction, segment);
            (packet.stream, packet.slot) = (number, slot);
            wired.streams.judge(NOW, vec![packet]);
        }
    }
    assert_eq!(wired.streams.plugins.readiness(), Readiness::Suspended);
    for _ in 0..2 {
        let refused = wired.data(10, b"once more");
        assert_eq!((refused.verdict.action, refused.verdict.fault), (Action::Drop, true));
        assert!(!refused.standing.is_ended(), "another node may take the stream");
    }
    assert_eq!(wired.row("a").state, "faulted");
    wired.streams.plugins.time_passed(NOW + PLUGIN_SUSPENDED_TIME_MIN);
    assert_eq!(wired.row("a").state, "trying");
    assert_eq!(ended(&wired.data(10, b"once more")), None);
    assert_eq!((wired.row("a").state, wired.seen("a").pop()), ("ok", Some(">0010 once more".into())));
}

#[test]
fn a_stream_that_had_begun_goes_on_behind_a_gap() {
    let mut wired = Wired::new(&[("a", BYTES)]);
    wired.send(Back, Segment { sequence: 7_000, acknowledgement: 101, payload: b"back", ..ACK });
    wired.send(To, Segment { acknowledgement: 7_004, ..data(0, b"to") });
    assert_eq!(wired.seen("a"), ["<0000 back gap", ">0000 to gap"]);
}

/// What a hostile sender does with a text: places, lengths, and whether the bytes are other ones.
fn pieces() -> impl Strategy<Value = Vec<(u8, u8, bool, bool)>> {
    prop::collection::vec((0_u8..100, 1_u8..40, any::<bool>(), any::<bool>()), 1..60)
}

proptest! {
    /// What the receiver's application reads is what the hook saw: it errs as Linux does.
    #[test]
    fn the_receiver_reads_what_the_hook_saw(pieces in pieces(), per_batch in 1_usize..9) {
        let mut wired = Wired::open(&[("a", BYTES)]);
        let mut receiver = Receiver::new(101, 501, 65_000);
        let text: Vec<u8> = (0..140_u8).map(|at| b'0' + at % 75).collect();
        let mut hook = Vec::new();
        let segments: Vec<_> = pieces.iter().map(|&(at, len, is_other, arrives)| {
            let mut payload = text[usize::from(at)..usize::from(at) + usize::from(len)].to_vec();
            if is_other {
                payload.iter_mut().for_each(|byte| *byte ^= 1);
            }
            (u32::from(at), payload, arrives)
        }).collect();
        for batch in segments.chunks(per_batch) {
            let sent: Vec<_> = batch.iter().map(|(at, payload, _)| (To, data(*at, payload))).collect();
            let judged = wired.batch(&sent);
            for line in wired.seen("a") {
                prop_assert_eq!(line[1..5].parse::<usize>().unwrap(), hook.len());
                hook.extend(line[6..].chars().map(|byte| u8::try_from(byte).unwrap()));
            }
            for (inspection, (.., arrives)) in judged.iter().zip(batch) {
                if let Some((sequence, payload)) = leaves(inspection).filter(|_| *arrives) {
                    receiver.arrive(&Wire { payload, ..Wire::ack(sequence, 501) });
                }
            }
            prop_assert!(hook.starts_with(&receiver.read), "read {:?}\nseen {:?}", receiver.read, hook);
            wired.acknowledge(receiver.next - 101);
        }
    }
}
