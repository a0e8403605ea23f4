//! The kit with plugins that tell what they see.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::{ConfigError, Counters, End, Packet, StreamBytes, StreamInfo, Verdict};

/// Drops what its configuration says, panics at "panic", and counts.
#[derive(Default)]
struct Watcher {
    word: String,
    ended: AtomicU64,
    seen: Mutex<Vec<(Direction, Vec<u8>, u64)>>,
}

impl Plugin for Watcher {
    type Stream = Box<u64>;

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        self.word = config.to_owned();
        if config == "wrong" { Err(ConfigError::new("told to refuse")) } else { Ok(()) }
    }

    fn stream_started(&self, packets: &mut Box<u64>, stream: &StreamInfo<'_>) -> Verdict {
        **packets = stream.id() * 100;
        if stream.destination().port() == 23 { Verdict::reject("telnet") } else { Verdict::pass() }
    }

    fn packet(&self, packets: &mut Box<u64>, packet: &Packet<'_>) -> Verdict {
        **packets += 1;
        assert!(packet.payload() != b"panic", "told to panic");
        self.seen.lock().unwrap().push((packet.direction(), packet.payload().to_vec(), packet.now().as_secs()));
        match packet.payload() {
            b"bypass" => Verdict::bypass(),
            b"flow" => Verdict::drop("flow").for_flow(),
            payload if !self.word.is_empty() && payload == self.word.as_bytes() => Verdict::drop("word"),
            _ => Verdict::pass(),
        }
    }

    fn stream_ended(&self, packets: Box<u64>, stream: &StreamInfo<'_>, end: &End<'_>) {
        assert_eq!(*packets / 100, stream.id());
        self.ended.fetch_add(end.packets_from_opener() + end.packets_to_opener(), Relaxed);
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        counters.report("ended", self.ended.load(Relaxed));
        counters.report("seen", self.seen.lock().unwrap().len() as u64);
    }
}

use Direction::{FromOpener, ToOpener};

fn kit(config: &str) -> Kit<Watcher> {
    Kit::new(config).unwrap()
}

#[test]
fn a_connection_runs_from_handshake_to_end() {
    let mut kit = kit("word");
    for ends in [["10.1.0.100:40000", "10.2.0.100:80"], ["[fd00:1::1]:40000", "[fd00:2::1]:80"]] {
        let stream = kit.tcp(ends[0], ends[1]);
        assert_eq!(kit.handshake(stream).len(), 3);
        let said = kit.send(stream, FromOpener, &[7; 3_000]);
        assert_eq!((said.len(), said.iter().all(Said::passes)), (3, true));
        assert_eq!(kit.send(stream, ToOpener, b"word")[0].reason(), Some("word"));
        assert!(kit.send(stream, ToOpener, b"more")[0].passes(), "a packet's verdict is a packet's");
        assert_eq!(kit.close(stream).len(), 3);
        assert!(!kit.end(stream, EndReason::TimedOut), "it has ended");
    }
    assert_eq!(kit.counters(), BTreeMap::from([("ended".to_owned(), 22), ("seen".to_owned(), 22)]));
}

#[test]
fn verdicts_stand_for_what_they_cover() {
    let mut kit = kit("");
    let telnet = kit.tcp("10.1.0.100:1", "10.2.0.100:23");
    assert_eq!(kit.handshake(telnet)[0].action(), Some(Action::Reject));
    assert_eq!(kit.standing(telnet, ToOpener).and_then(Said::reason), Some("telnet"));
    let udp = kit.udp("10.1.0.100:1", "10.2.0.100:53");
    assert_eq!(kit.send(udp, FromOpener, b"flow")[0].reason(), Some("flow"));
    assert!(!kit.send(udp, FromOpener, b"")[0].passes() && kit.send(udp, ToOpener, b"")[0].passes());
    let other = kit.udp("10.1.0.100:2", "10.2.0.100:53");
    kit.send(other, ToOpener, b"bypass");
    let seen = kit.counters()["seen"];
    assert!(kit.send(other, FromOpener, b"flow")[0].passes(), "it is asked no more");
    assert_eq!(kit.counters()["seen"], seen);
    let failing = kit.udp("10.1.0.100:3", "10.2.0.100:53");
    assert_eq!(kit.send(failing, FromOpener, b"panic"), [Said::Failed]);
    assert_eq!(kit.send(failing, ToOpener, b"x"), [Said::Failed]);
    assert_eq!(Kit::<Watcher>::new("wrong").err().as_deref(), Some("told to refuse"));
}

#[test]
fn segments_come_late_twice_or_never_and_time_is_the_tests() {
    let mut kit = kit("");
    let stream = kit.tcp("10.1.0.100:1", "10.2.0.100:80");
    let segments = kit.cut_at(stream, FromOpener, b"abcdef", &[1, 4]);
    kit.deliver(&segments[2]);
    kit.advance(Duration::from_secs(9));
    kit.deliver(&segments[0]);
    kit.deliver(&segments[0]);
    let seen = kit.counters()["seen"];
    assert_eq!(seen, 3, "the middle was lost");
    // The numbers in the segments say where they belong.
    let numbers: Vec<_> = segments.iter().map(|segment| segment.frame()[41] - segments[0].frame()[41]).collect();
    assert_eq!(numbers, [0, 1, 4]);
    assert_eq!(kit.cut(stream, ToOpener, &[0; 10], 4).len(), 3);
}

/// Who sent it, its offset, the bytes, and what is known of them.
type Seen = (bool, u64, Vec<u8>, &'static str);

/// Tells what it sees in order, and says what the bytes say.
#[derive(Default)]
struct Reader {
    seen: Mutex<Vec<Seen>>,
}

impl Plugin for Reader {
    type Stream = u64;

    fn stream_bytes(&self, calls: &mut u64, bytes: &StreamBytes<'_>) -> Verdict {
        *calls += 1;
        let mark = match (bytes.has_gap(), bytes.is_end()) {
            (true, false) => "gap",
            (false, true) => "end",
            (true, true) => "both",
            (false, false) => "",
        };
        self.seen.lock().unwrap().push((bytes.from_opener(), bytes.offset(), bytes.fresh().to_vec(), mark));
        match bytes.fresh() {
            b"panic" => panic!("told to"),
            b"want" => bytes.want(4),
            b"bad" => return Verdict::drop("bad"),
            b"enough" => return Verdict::pass().for_flow(),
            b"bypass" => return Verdict::bypass(),
            _ => {}
        }
        Verdict::pass()
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        for (from_opener, offset, fresh, mark) in self.seen.lock().unwrap().drain(..) {
            let fresh = String::from_utf8(fresh).unwrap();
            counters.report(&format!("{} {offset} {fresh} {mark}", if from_opener { '>' } else { '<' }), 1);
        }
    }
}

/// What was seen since the last call.
fn read(kit: &Kit<Reader>) -> Vec<String> {
    kit.counters().into_keys().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn bytes_come_in_order_whatever_the_segments_do() {
    let mut kit = Kit::<Reader>::new("").unwrap();
    let stream = kit.tcp("10.1.0.100:1", "10.2.0.100:80");
    assert!(kit.handshake(stream).iter().all(Said::passes) && read(&kit).is_empty());
    let segments = kit.cut_at(stream, FromOpener, b"abcdefghi", &[3, 6]);
    let mut other = segments[2].clone();
    other.frame_mut()[54..57].copy_from_slice(b"GHI");
    for segment in [&segments[2], &other, &segments[1]] {
        assert!(kit.deliver(segment).passes());
    }
    assert!(read(&kit).is_empty(), "the beginning is missing");
    kit.deliver(&segments[0]);
    kit.deliver(&segments[0]);
    kit.send(stream, ToOpener, b"answer");
    assert_eq!(read(&kit), ["< 0 answer", "> 0 abcdefghi"], "the first copy stands");
    kit.send(stream, FromOpener, b"want");
    kit.send(stream, FromOpener, b"123");
    assert_eq!(read(&kit), ["> 9 want"]);
    kit.send(stream, FromOpener, b"4");
    assert_eq!(read(&kit), ["> 13 1234"]);
    kit.send(stream, FromOpener, b"want");
    kit.send(stream, FromOpener, b"5");
    kit.close(stream);
    assert_eq!(read(&kit), ["< 6  end", "> 17 want", "> 21 5 end"]);
}

#[test]
fn what_is_said_of_bytes_covers_what_the_contract_says() {
    let mut kit = Kit::<Reader>::new("").unwrap();
    let open = |kit: &mut Kit<Reader>, port: u16| {
        let stream = kit.tcp(&format!("10.1.0.100:{port}"), "10.2.0.100:80");
        kit.handshake(stream);
        stream
    };
    let stream = open(&mut kit, 1);
    assert_eq!(kit.send(stream, FromOpener, b"bad")[0].reason(), Some("bad"));
    assert!(!kit.send(stream, ToOpener, b"x")[0].passes(), "the stream has ended");
    let stream = open(&mut kit, 2);
    for (direction, text) in [(FromOpener, "enough"), (FromOpener, "more"), (ToOpener, "back"), (ToOpener, "bypass")] {
        assert!(kit.send(stream, direction, text.as_bytes())[0].passes());
    }
    kit.send(stream, ToOpener, b"more");
    assert_eq!(read(&kit), ["< 0 back", "< 4 bypass", "> 0 bad", "> 0 enough"]);
    let stream = open(&mut kit, 3);
    assert_eq!(kit.send(stream, FromOpener, b"panic"), [Said::Failed]);
    assert_eq!(kit.send(stream, ToOpener, b"x"), [Said::Failed]);
    read(&kit);
    // Taken up in its middle; of UDP there are no bytes in order.
    let stream = kit.tcp("10.1.0.100:4", "10.2.0.100:80");
    let segments = kit.cut(stream, FromOpener, b"abcd", 2);
    kit.deliver(&segments[1]);
    kit.deliver(&segments[0]);
    let udp = kit.udp("10.1.0.100:4", "10.2.0.100:53");
    assert!(kit.send(udp, FromOpener, b"bad")[0].passes());
    assert_eq!(read(&kit), ["> 0 cd gap"]);
}

/// A pcap file of these frames, a second apart.
fn pcap(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    for (second, frame) in (100_u32..).zip(frames) {
        let len = u32::try_from(frame.len()).unwrap();
        bytes.extend([second, 0, len, len].map(u32::to_le_bytes).concat());
        bytes.extend_from_slice(frame);
    }
    bytes
}

#[test]
fn a_capture_runs_in_its_time() {
    let mut other = kit("");
    let stream = other.udp("10.1.0.100:1", "10.2.0.100:53");
    let question = other.cut(stream, FromOpener, b"word", 9);
    let answer = other.cut(stream, ToOpener, b"fine", 9);
    let bytes = pcap(&[question[0].frame(), &[0; 60], answer[0].frame()]);
    let path = std::env::temp_dir().join(format!("herald-testkit-{}.pcap", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let mut kit = kit("word");
    let said = kit.pcap(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(said.iter().map(|(number, said)| (*number, said.passes())).collect::<Vec<_>>(), [(1, false), (3, true)]);
    let cut = capture::packets(&bytes[..bytes.len() - 1]).map(drop).unwrap_err();
    assert!(cut.starts_with("at byte ") && cut.ends_with("in the middle of a packet"), "{cut}");
    assert!(capture::packets(b"text").map(drop).unwrap_err().contains("no pcap file"));
    assert!(Kit::<Watcher>::new("").unwrap().pcap("/nonexistent").unwrap_err().contains("/nonexistent"));
}
