//! What plugins say beside verdicts: rewriting, packets of their own, marks and notes; and whom a filter spares.

use std::collections::BTreeMap;
use std::sync::Mutex;

use herald_plugin::{ConfigError, Counters, Direction as Way, End, Packet as Seen, Plugin as Inspect, Refused};
use herald_plugin::{Reason, StreamInfo, Verdict, thunk};

use super::*;
use herald_core::packet::{Packet as Checked, mend};
use herald_testing::frames::{ACK, Segment};
use herald_testing::layout::from_host;

/// Does what a packet's payload says, if that begins with its own name; writes down what it sees of the others.
#[derive(Default)]
struct Scribe {
    name: String,
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Scribe {
    fn see(&self, what: String) {
        *self.seen.lock().unwrap().entry(what).or_default() += 1;
    }

    fn obey(&self, word: &str, packet: &Seen<'_>) -> Verdict {
        let done = match word {
            "dscp" => packet.set_dscp(46),
            "longer" => packet.replace_payload(b"something that is longer"),
            "twice" => {
                assert_eq!(packet.replace_payload(b"something longer"), Ok(()));
                assert_eq!(packet.replace(20, 1, &[0]), Err(Refused::Wrong));
                Ok(())
            }
            "outside" => {
                let end = packet.network().len();
                assert_eq!(packet.replace(end - 1, 2, &[0, 0]), Err(Refused::Wrong));
                Ok(())
            }
            "note" => packet.set_mark(7).and_then(|()| packet.note("sni", "example.org")),
            "answer" => {
                packet.answer(b"no").unwrap();
                return Verdict::drop(Reason::from_text("answered")).for_stream();
            }
            "strange" => packet.inject(Way::ToOpener, packet.network()),
            "nonsense" => packet.inject(Way::ToOpener, b"no packet"),
            other => panic!("told to: {other}"),
        };
        done.map_or_else(|refused| Verdict::drop(Reason::from_text(refused.as_str())), |()| Verdict::pass())
    }
}

impl Inspect for Scribe {
    type Stream = ();

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        config.clone_into(&mut self.name);
        Ok(())
    }

    fn stream_started(&self, (): &mut (), stream: &StreamInfo<'_>) -> Verdict {
        if self.name == "starter" {
            stream.set_mark(9).and_then(|()| stream.note("first", "here")).unwrap();
        }
        self.see(format!("starts with mark {}", stream.mark()));
        Verdict::pass()
    }

    fn packet(&self, (): &mut (), packet: &Seen<'_>) -> Verdict {
        let text = std::str::from_utf8(packet.payload()).unwrap_or("?");
        if let Some(word) = text.strip_prefix(&format!("{} ", self.name)) {
            return self.obey(word, packet);
        }
        let mut room = [0; 64];
        let sni = packet.noted("sni", &mut room).unwrap_or("none");
        let (way, made) = (packet.from_opener(), packet.is_injected());
        self.see(format!("{text}, dscp {}, mark {}, sni {sni}, {way}, {made}", packet.dscp(), packet.mark()));
        Verdict::pass()
    }

    fn stream_ended(&self, (): (), _: &StreamInfo<'_>, end: &End<'_>) {
        let mut notes = String::new();
        end.each_note(|name, value| notes.push_str(&format!("{name}={value} ")));
        self.see(format!("ended by {:?}, {notes}", end.by()));
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        self.seen.lock().unwrap().iter().for_each(|(what, times)| counters.report(what, *times));
    }
}

fn bench(plugins: &[(&str, &str)]) -> Streams<Chain> {
    // SAFETY: it is the host's table.
    unsafe { thunk::enter_built_in(crate::library::host(|| 0)) };
    let plugins = plugins.iter().map(|(id, more)| {
        let text = format!("id = \"{id}\"\nversion = \"1\"\nlicence = \"MIT\"\n{more}");
        let manifest = Manifest { text: toml::from_str(&text).unwrap(), schema: None, state_size: 0, state_align: 1 };
        (Plugin::make(manifest, *thunk::table::<Scribe>(), id).unwrap(), FaultPolicy::Closed)
    });
    let mut streams = Streams::new(Chain::new(plugins.collect(), Clock { monotonic: clock, unix_nanos: || 0 }));
    streams.start(NOW, Slot::new(0), stream(1));
    streams
}

fn judge(streams: &mut Streams<Chain>, mut packets: Vec<Inspection>) -> Vec<Inspection> {
    streams.plugins.inspect(NOW, &mut packets, &mut streams.records);
    packets
}

fn seen(streams: &Streams<Chain>, id: &str) -> Vec<String> {
    let row = streams.plugins.report().rows().into_iter().find(|row| row.id == id).unwrap();
    row.counters.into_keys().collect()
}

fn injected(streams: &mut Streams<Chain>) -> Vec<Inspection> {
    let mut injected = Vec::new();
    streams.plugins.take_injected(&mut injected);
    injected
}

/// The IP packet, as it would leave, is well-formed and its checksums are right.
fn is_right(inspection: &Inspection) -> bool {
    let headers = Checked::parse_ip(&inspection.arrival.frame).unwrap();
    mend::is_sound(&inspection.arrival.frame, &headers) && headers.end == inspection.arrival.headers.end
}

#[test]
fn a_later_plugin_sees_what_an_earlier_one_wrote() {
    let mut streams = bench(&[("a", ""), ("b", "")]);
    let batch = ["a dscp", "a longer", "a twice", "a outside", "plain"].map(|text| packet(0, To, text));
    let judged = judge(&mut streams, batch.into());
    assert_eq!(
        judged.iter().map(|packet| packet.verdict.rewritten).collect::<Vec<_>>(),
        [true, true, true, false, false]
    );
    assert!(judged.iter().all(|packet| is_right(packet) && packet.verdict.action == Action::Pass));
    let seen = seen(&streams, "b");
    for expected in
        ["a dscp, dscp 46,", "something that is longer, dscp 0,", "something longer, dscp 0,", "plain, dscp 0,"]
    {
        assert!(seen.iter().any(|line| line.starts_with(expected)), "{expected}: {seen:?}");
    }
}

#[test]
fn a_packet_with_a_wrong_checksum_is_not_made_good() {
    let mut streams = bench(&[("a", "")]);
    let mut wrong = packet(0, To, "a dscp");
    let at = usize::from(wrong.arrival.headers.transport_at) + 6;
    wrong.arrival.frame.bytes_mut()[at] ^= 0xff;
    let judged = judge(&mut streams, vec![wrong]);
    assert_eq!(judged[0].verdict.action, Action::Drop);
    assert_eq!(streams.plugins.report().rows()[0].reasons["bad-checksum"], 1);
}

#[test]
fn tcp_keeps_its_length() {
    let mut streams = bench(&[("a", "")]);
    let segment = frames::tcp(from_host(Interface::First), (1000, 80), Segment { payload: b"a longer", ..ACK });
    let arrival = Arrival::parse(Interface::First, Frame::from_bytes(&segment), Came::Directly).unwrap();
    let judged = judge(&mut streams, vec![Inspection::new(arrival, To, 1, Slot::new(0))]);
    assert_eq!(judged[0].verdict.action, Action::Drop);
    assert!(streams.plugins.report().rows()[0].reasons.contains_key(Refused::NoRoom.as_str()));
}

#[test]
fn marks_and_notes_reach_later_plugins_and_the_end() {
    let mut streams = bench(&[("starter", ""), ("a", ""), ("b", "")]);
    judge(&mut streams, ["before", "a note", "behind"].map(|text| packet(0, To, text)).into());
    let seen_b = seen(&streams, "b");
    for expected in [
        "starts with mark 9",
        // A note has no place in the batch: it stood when this plugin was asked.
        "before, dscp 0, mark 9, sni example.org,",
        "a note, dscp 0, mark 7, sni example.org,",
        "behind, dscp 0, mark 7, sni example.org,",
    ] {
        assert!(seen_b.iter().any(|line| line.starts_with(expected)), "{expected}: {seen_b:?}");
    }
    assert!(seen(&streams, "a").iter().any(|line| line.starts_with("behind, dscp 0, mark 9, sni none")));
    streams.end(NOW, Slot::new(0), &Totals::default(), EndReason::TimedOut);
    let ended = "ended by None, first=here sni=example.org ".to_owned();
    assert!(seen(&streams, "b").contains(&ended), "{:?}", seen(&streams, "b"));
    streams.start(NOW, Slot::new(0), stream(2));
    assert!(seen(&streams, "b").contains(&"starts with mark 9".to_owned()));
}

#[test]
fn an_answered_datagram_is_seen_by_later_plugins_alone() {
    let mut streams = bench(&[("a", ""), ("b", ""), ("c", "")]);
    let judged = judge(&mut streams, vec![packet(0, To, "b answer"), packet(0, To, "later")]);
    assert!(judged.iter().all(|packet| packet.verdict.action == Action::Drop));
    let answers = injected(&mut streams);
    assert_eq!(answers.len(), 1);
    let answer = &answers[0].arrival;
    assert!(is_right(&answers[0]) && answers[0].verdict.action == Action::Pass);
    assert_eq!((answer.interface, answers[0].direction), (Interface::Second, Back));
    assert_eq!(answer.key(), packet(0, To, "").arrival.key().reversed(Interface::Second));
    let line = "no, dscp 0, mark 0, sni none, false, true".to_owned();
    let saw = |id| seen(&streams, id).contains(&line);
    assert_eq!([saw("a"), saw("b"), saw("c")], [false, false, true]);
    streams.end(NOW, Slot::new(0), &Totals::default(), EndReason::Verdict);
    assert!(seen(&streams, "a").contains(&"ended by Some((\"b\", \"answered\")), ".to_owned()));
}

#[test]
fn a_segment_is_answered_by_data_with_a_fin_and_a_reset() {
    use herald_core::packet::Transport;
    let mut streams = bench(&[("a", "")]);
    let request = Segment { payload: b"a answer", sequence: 100, acknowledgement: 500, ..ACK };
    let segment = frames::tcp(from_host(Interface::First), (1000, 80), request);
    let arrival = Arrival::parse(Interface::First, Frame::from_bytes(&segment), Came::Directly).unwrap();
    judge(&mut streams, vec![Inspection::new(arrival, To, 1, Slot::new(0))]);
    let answers = injected(&mut streams);
    let of = |made: &Inspection| {
        let Transport::Tcp { flags, sequence, acknowledgement, .. } = made.arrival.headers.transport else {
            panic!("a segment is answered by segments");
        };
        (made.direction, flags.0, sequence, acknowledgement)
    };
    assert!(answers.iter().all(is_right));
    let (fin_ack_push, reset_ack) = (1 | 8 | 16, 4 | 16);
    assert_eq!(answers.iter().map(of).collect::<Vec<_>>(), [(Back, fin_ack_push, 500, 108), (To, reset_ack, 100, 500)]);
}

#[test]
fn what_is_no_packet_of_the_stream_is_a_fault() {
    for word in ["a strange", "a nonsense"] {
        let mut streams = bench(&[("a", ""), ("b", "")]);
        let judged = judge(&mut streams, vec![packet(0, To, word)]);
        assert!(judged[0].verdict.fault && injected(&mut streams).is_empty(), "{word}");
        assert_eq!(streams.plugins.report().rows()[0].faults, 1);
    }
}

#[test]
fn a_plugin_is_not_told_of_streams_that_its_filter_leaves_out() {
    let filter = "[[filter]]\nprotocol = [\"tcp\"]\n[[filter]]\ndestination_ports = [81]";
    let mut streams = bench(&[("a", filter), ("b", "[[filter]]\nprotocol = [\"udp\"]\ndestination_ports = [80]")]);
    judge(&mut streams, vec![packet(0, To, "x"), packet(0, Back, "x")]);
    streams.end(NOW, Slot::new(0), &Totals::default(), EndReason::TimedOut);
    assert_eq!((seen(&streams, "a").len(), seen(&streams, "b").len()), (0, 4));
    assert_eq!(streams.plugins.report().rows()[0].packets, 0);
    let mut streams = bench(&[("a", filter)]);
    assert!(streams.standing(Slot::new(0)).interests_nobody(), "its packets cost nothing");
    streams.end(NOW, Slot::new(0), &Totals::default(), EndReason::TimedOut);
}

#[test]
fn the_company_that_a_manifest_wants_is_checked() {
    let text = |id: &str, more: &str| -> ManifestText {
        toml::from_str(&format!("id = \"{id}\"\nversion = \"1\"\nlicence = \"MIT\"\n{more}")).unwrap()
    };
    let (needs, not, plain) = (text("a", "needs = [\"b\"]"), text("c", "conflicts = [\"b\"]"), text("b", ""));
    assert!(check_order(&[&needs, &plain]).is_ok() && check_order(&[&plain, &needs]).is_ok());
    let error = |chain: &[&ManifestText]| check_order(chain).unwrap_err().to_string();
    assert_eq!(error(&[&needs]), "plugin a needs b: add that to [[plugins]]");
    for chain in [[&not, &plain], [&plain, &not]] {
        assert_eq!(error(&chain), "plugin c does not go with b: take one out of [[plugins]]");
    }
}

#[test]
fn the_header_marks_as_reserved_what_the_host_does_not_offer() {
    let host = library::host(|| 0);
    let header = include_str!("../../../../plugin-api/include/herald_plugin.h");
    let (before, _) = header.split_once("} HeraldHost;").unwrap();
    let (_, fields) = before.rsplit_once("typedef struct").unwrap();
    let offered = [
        ("replace", host.replace.is_some()),
        ("inject", host.inject.is_some()),
        ("mark", host.mark.is_some()),
        ("note", host.note.is_some()),
        ("noted", host.noted.is_some()),
        ("timer", host.timer.is_some()),
        ("expect", host.expect.is_some()),
        ("hold", host.hold.is_some()),
        ("resolve", host.resolve.is_some()),
        ("count", host.count.is_some()),
    ];
    for (name, is_offered) in offered {
        let (before, _) = fields.split_once(&format!("(*{name})(")).unwrap();
        let (_, comment) = before.rsplit_once("/**").unwrap();
        assert_ne!(comment.contains("Reserved:"), is_offered, "{name}:{comment}");
    }
}
