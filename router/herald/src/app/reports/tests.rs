//! The stable shapes: the JSON of each report, and the text that people see.

use serde_json::{Value, json};

use super::drops::Drops;
use super::members::MemberRow;
use super::neighbours::NeighbourRow;
use super::roles::{Role, Roles};
use super::routes::RouteRow;
use super::status::{
    AdvertStatus, Evicted, FrameCounts, InterfaceStatus, NeighbourStatus, ProbeStatus, Room, SessionCounts, Status,
    StreamCounts, messages, session_counts,
};
use super::strangers::{AddressConflictRow, ForeignRouterRow};
use super::table::Columns;
use super::*;
use crate::app::logging::LineCounts;
use herald_core::event::EndReason;
use herald_core::id::{Interface, Mac, PerInterface};
use herald_core::inspector::{
    Action, Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals, Verdict,
};
use herald_core::outbox::{Ledger, Outbox};
use herald_core::packet::Frame;
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_host::{InOrder, PluginRow, SuspendedRow};
use herald_testing::{frames, layout};

fn roles() -> Roles {
    Roles { first: Some(Role { holder: "a".parse().unwrap(), epoch: 3 }), second: None }
}

fn members() -> Vec<MemberRow> {
    let row = |node: &str, state, link, in_sync, plugins| MemberRow {
        node: node.parse().unwrap(),
        state,
        link,
        in_sync,
        full: false,
        weight: 100,
        plugins,
        refused: None,
        differs: Vec::new(),
    };
    let b = MemberRow {
        refused: Some("differs in redirect".to_owned()),
        differs: vec!["midstream".to_owned(), "routes".to_owned()],
        ..row("b", "dead", "down", false, "ok")
    };
    vec![row("a", "alive", "up", true, "suspended"), b]
}

fn foreign_router() -> ForeignRouterRow {
    ForeignRouterRow {
        interface: Interface::First,
        address: "10.1.0.200".parse().unwrap(),
        mac: Mac([0, 0, 0x5e, 0, 1, 1]),
        vrid: 1,
        priority: 200,
        heard_ms_ago: 40,
    }
}

fn status() -> Status {
    let adverts = AdvertStatus { sent: 1, heard: 2 };
    let probes = ProbeStatus { sent: 4, answered: 3 };
    let interface = |tap: &str, last| InterfaceStatus {
        tap: tap.to_owned(),
        state: "up",
        mac: Mac([2, 0, 0, 0, 0, last]),
        offloads: "checksum",
        queue_lost: 5,
        adverts,
        probes,
        neighbours: NeighbourStatus { conflicts: 6, unasked: 7 },
    };
    Status {
        node: "a".parse().unwrap(),
        cluster: "three".to_owned(),
        version: "0.1.0",
        pid: 7,
        uptime_ms: 61_500,
        interfaces: PerInterface { first: interface("herald-first", 1), second: interface("herald-second", 2) },
        roles: roles(),
        members: members(),
        plugins: "suspended",
        suspended_plugins: vec![SuspendedRow {
            plugin: "acl",
            state: "trying",
            fault_cause: Some("verdict"),
            fault_source: None,
        }],
        foreign_routers: vec![foreign_router()],
        address_conflicts: vec![AddressConflictRow {
            interface: Interface::Second,
            address: "10.2.0.1".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 0x66]),
            claims: 3,
            heard_ms_ago: 50,
        }],
        sessions: SessionCounts { redirector: 4, marker: 5 },
        room: Room { half_open: 1, one_way: 2, marker_max: 1_000, redirector_max: 2_000, short_of_memory: false },
        streams: StreamCounts::default(),
        evicted: Evicted { one_way: 6, ..Evicted::default() },
        frames: FrameCounts { arrived_first: 9, ..FrameCounts::default() },
        drops: Drops::new(),
        refusals: [("not-tls", 3)].into(),
        messages: messages(&Ledger {
            messages_stale: 1,
            messages_unauthorised: 2,
            inquiries_lost: 3,
            ..Ledger::default()
        }),
        in_order: InOrder { streams: 1, bytes: 2, conflicts: 3, midstream: 4, ..InOrder::default() },
        log: LineCounts { waiting: 3, lost: 2, left_out: 1 },
    }
}

fn session() -> SessionRow {
    SessionRow {
        kind: "marker",
        interface: Interface::First,
        protocol: "tcp".to_owned(),
        source: "10.1.0.100:41234".to_owned(),
        destination: "10.2.0.100:80".to_owned(),
        chosen: "c".parse().unwrap(),
        generation: 1,
        state: "established",
        interest: Some("plugins"),
        age_ms: 10,
        idle_ms: 5,
        packets: 12,
        bytes: 3_400,
    }
}

fn plugin() -> PluginRow {
    PluginRow {
        id: "acl".to_owned(),
        version: "0.1.0".to_owned(),
        generation: 1,
        packets: 8,
        bytes: 9,
        drops: 7,
        faults: 6,
        p50_ns: 5,
        p99_ns: 4,
        state: "ok",
        fault_cause: Some("packets"),
        fault_source: Some("10.1.0.66".to_owned()),
        forgotten_sources: 3,
        counters: [("rules".to_owned(), 2)].into(),
        reasons: [("acl".to_owned(), 7)].into(),
    }
}

fn neighbour() -> NeighbourRow {
    NeighbourRow {
        interface: Interface::Second,
        address: "10.2.0.100".parse().unwrap(),
        mac: None,
        state: "incomplete",
        frames: 2,
    }
}

fn route() -> RouteRow {
    RouteRow { to: "10.1.0.0/24".to_owned(), interface: Interface::First, via: None }
}

/// Each report with its JSON, and with the cells of each line that people see.
const SHAPES: &[(&str, &str, &str)] = &[
    (
        "status",
        r#"{"node":"a","cluster":"three","version":"0.1.0","pid":7,"uptime_ms":61500,"interfaces":{"first":{"tap":"herald-first","state":"up","mac":"02:00:00:00:00:01","offloads":"checksum","queue_lost":5,"adverts":{"sent":1,"heard":2},"probes":{"sent":4,"answered":3},"neighbours":{"conflicts":6,"unasked":7}},"second":{"tap":"herald-second","state":"up","mac":"02:00:00:00:00:02","offloads":"checksum","queue_lost":5,"adverts":{"sent":1,"heard":2},"probes":{"sent":4,"answered":3},"neighbours":{"conflicts":6,"unasked":7}}},"roles":{"first":{"holder":"a","epoch":3},"second":null},"members":[{"node":"a","state":"alive","link":"up","in_sync":true,"full":false,"weight":100,"plugins":"suspended","refused":null,"differs":[]},{"node":"b","state":"dead","link":"down","in_sync":false,"full":false,"weight":100,"plugins":"ok","refused":"differs in redirect","differs":["midstream","routes"]}],"plugins":"suspended","suspended_plugins":[{"plugin":"acl","state":"trying","fault_cause":"verdict","fault_source":null}],"foreign_routers":[{"interface":"first","address":"10.1.0.200","mac":"00:00:5e:00:01:01","vrid":1,"priority":200,"heard_ms_ago":40}],"address_conflicts":[{"interface":"second","address":"10.2.0.1","mac":"02:00:00:00:00:66","claims":3,"heard_ms_ago":50}],"sessions":{"redirector":4,"marker":5},"room":{"half_open":1,"one_way":2,"marker_max":1000,"redirector_max":2000,"short_of_memory":false},"streams":{"chosen_unasked":0},"evicted":{"ended":0,"half_open":0,"one_way":6,"answered":0,"established":0,"redirector":0},"frames":{"arrived_first":9,"arrived_second":0,"arrived_mesh":0,"injected":0,"forwarded":0,"redirected":0,"handed_over":0,"handed_to_holder":0,"straight":0,"unproven":0,"consumed":0,"joined":0,"cut":0,"dropped":0,"kept":0,"generated":0,"generated_dropped":0,"buffers_taken":0},"drops":{},"refusals":{"not-tls":3},"messages":{"stale":1,"unauthorised":2,"inquiries_lost":3},"in_order":{"streams":1,"bytes":2,"segments":0,"changed":0,"conflicts":3,"stream_bytes":0,"stream_pieces":0,"all_bytes":0,"all_streams":0,"midstream":4},"log":{"waiting":3,"lost":2,"left_out":1}}"#,
        "node a of cluster three, up 61 s, version 0.1.0, process 7, plugins suspended\n\n\
         INTERFACE|TAP|STATE|MAC|QUEUE LOST|HOLDER|EPOCH\n\
         first|herald-first|up|02:00:00:00:00:01|5|a|3\n\
         second|herald-second|up|02:00:00:00:00:02|5|-|-\n\n\
         NODE|STATE|LINK|IN SYNC|FULL|WEIGHT|PLUGINS|REFUSED|DIFFERS\n\
         a|alive|up|yes|no|100|suspended|-|-\n\
         b|dead|down|no|no|100|ok|differs in redirect|midstream, routes\n\n\
         suspended plugins:\n\
         PLUGIN|STATE|FAULT CAUSE|FAULT SOURCE\n\
         acl|trying|verdict|-\n\n\
         foreign routers:\n\
         INTERFACE|ADDRESS|MAC|VRID|PRIORITY|HEARD MS AGO\n\
         first|10.1.0.200|00:00:5e:00:01:01|1|200|40\n\n\
         address conflicts:\n\
         INTERFACE|ADDRESS|MAC|CLAIMS|HEARD MS AGO\n\
         second|10.2.0.1|02:00:00:00:00:66|3|50\n\n\
         sessions: marker 5, redirector 4\n\
         room: half_open 1, marker_max 1000, one_way 2, redirector_max 2000, short_of_memory no\n\
         streams: chosen_unasked 0\n\
         made room: answered 0, ended 0, established 0, half_open 0, one_way 6, redirector 0\n\
         frames: arrived_first 9, arrived_mesh 0, arrived_second 0, buffers_taken 0, consumed 0, cut 0, dropped 0, \
         forwarded 0, generated 0, generated_dropped 0, handed_over 0, handed_to_holder 0, injected 0, joined 0, kept 0, redirected 0, \
         straight 0, unproven 0\n\
         drops: none\n\
         refused connections: not-tls 3\n\
         refused messages: inquiries_lost 3, stale 1, unauthorised 2\n\
         in order: all_bytes 0, all_streams 0, bytes 2, changed 0, conflicts 3, midstream 4, segments 0, \
         stream_bytes 0, stream_pieces 0, streams 1\n\
         lines of the log: left_out 1, lost 2, waiting 3",
    ),
    (
        "members",
        r#"[{"node":"a","state":"alive","link":"up","in_sync":true,"full":false,"weight":100,"plugins":"suspended","refused":null,"differs":[]},{"node":"b","state":"dead","link":"down","in_sync":false,"full":false,"weight":100,"plugins":"ok","refused":"differs in redirect","differs":["midstream","routes"]}]"#,
        "NODE|STATE|LINK|IN SYNC|FULL|WEIGHT|PLUGINS|REFUSED|DIFFERS\na|alive|up|yes|no|100|suspended|-|-\n\
         b|dead|down|no|no|100|ok|differs in redirect|midstream, routes",
    ),
    ("roles", r#"{"first":{"holder":"a","epoch":3},"second":null}"#, "INTERFACE|HOLDER|EPOCH\nfirst|a|3\nsecond|-|-"),
    (
        "sessions",
        r#"[{"kind":"marker","interface":"first","protocol":"tcp","source":"10.1.0.100:41234","destination":"10.2.0.100:80","chosen":"c","generation":1,"state":"established","interest":"plugins","age_ms":10,"idle_ms":5,"packets":12,"bytes":3400}]"#,
        "KIND|INTERFACE|PROTOCOL|SOURCE|DESTINATION|CHOSEN|GENERATION|STATE|INTEREST|AGE MS|IDLE MS|PACKETS|BYTES\n\
         marker|first|tcp|10.1.0.100:41234|10.2.0.100:80|c|1|established|plugins|10|5|12|3400",
    ),
    ("drops", r#"{"mid-stream":4}"#, "REASON|COUNT\nmid-stream|4"),
    (
        "plugins",
        r#"[{"id":"acl","version":"0.1.0","generation":1,"packets":8,"bytes":9,"drops":7,"faults":6,"p50_ns":5,"p99_ns":4,"state":"ok","fault_cause":"packets","fault_source":"10.1.0.66","forgotten_sources":3,"counters":{"rules":2},"reasons":{"acl":7}}]"#,
        "ID|VERSION|GENERATION|PACKETS|BYTES|DROPS|FAULTS|FAULT CAUSE|FAULT SOURCE|P50 NS|P99 NS|STATE\nacl|0.1.0|1|8|9|7|6|packets|10.1.0.66|5|4|ok",
    ),
    (
        "neighbours",
        r#"[{"interface":"second","address":"10.2.0.100","mac":null,"state":"incomplete","frames":2}]"#,
        "INTERFACE|ADDRESS|MAC|STATE|FRAMES\nsecond|10.2.0.100|-|incomplete|2",
    ),
    ("routes", r#"[{"to":"10.1.0.0/24","interface":"first","via":null}]"#, "TO|INTERFACE|VIA\n10.1.0.0/24|first|-"),
];

/// An answer of each report.
fn answers() -> [Answer; 8] {
    [
        unwritten(status()),
        unwritten(members()),
        unwritten(roles()),
        unwritten([session()]),
        unwritten(Drops::from([("mid-stream", 4)])),
        unwritten([plugin()]),
        unwritten([neighbour()]),
        unwritten([route()]),
    ]
}

/// The cells of each line; in a table two spaces or more are between them.
fn cells(text: &str) -> String {
    let line = |line: &str| {
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        cells.join("|")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_report_has_its_stable_json_and_its_text() {
    let names: Vec<_> = REPORTS.iter().map(|report| report.name).collect();
    assert_eq!(names, SHAPES.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), "each report has a shape here");
    for (report, (answer, (name, json, text))) in REPORTS.iter().zip(answers().into_iter().zip(SHAPES)) {
        let written = String::from_utf8(answer().unwrap()).unwrap();
        assert_eq!(written, *json, "{name}");
        assert_eq!(cells(&(report.shown.text)(&serde_json::from_str(json).unwrap())), *text, "{name}");
    }
}

/// The compiler sees that a column is a field; that the field is written under its name, it does not.
#[test]
fn every_column_is_a_key_of_the_json() {
    fn check<R: Serialize + Columns>(row: &R) {
        let json = serde_json::to_value(row).unwrap();
        for column in R::COLUMNS {
            assert!(json.get(column).is_some(), "{column} in {json}");
        }
    }
    check(&members()[0]);
    check(&foreign_router());
    check(&session());
    check(&plugin());
    check(&neighbour());
    check(&route());
    check(&roles().first.unwrap());
    check(&status().interfaces.first);
}

#[test]
fn what_is_not_known_is_a_dash() {
    let who = Who { chosen: Some("c".parse().unwrap()), first: Some("a".parse().unwrap()), second: None };
    let json = serde_json::to_value(who).unwrap();
    assert_eq!(json, json!({"chosen": "c", "first": "a", "second": null}));
    let text = "chosen node: c\nfirst redirector says: a\nsecond redirector says: -\n";
    assert_eq!(Who::text(&json), text);
}

#[test]
fn an_empty_answer_is_no_error() {
    for report in REPORTS.iter() {
        let text = |json: Value| (report.shown.text)(&json);
        assert!([text(json!([])), text(json!({})), text(Value::Null)].iter().all(|t| !t.is_empty()), "{}", report.name);
    }
    assert!(Vec::<SessionRow>::text(&json!([])).contains("KIND"));
}

/// Plugins that end every stream when it starts.
struct Closed;

impl Inspector for Closed {
    type Part = ();

    fn stream_started(&mut self, _: Instant, _: &Stream, (): &mut ()) -> PerDirection<Standing> {
        let ended = Standing::Ended(Verdict { action: Action::Drop, ..Verdict::default() });
        PerDirection { from_opener: ended, to_opener: ended }
    }

    fn inspect(&mut self, _: Instant, _: &mut [Inspection], _: &mut dyn Parts<()>) {}

    fn stream_ended(&mut self, _: Instant, _: &Stream, _: &Totals, _: EndReason, (): &mut ()) {}

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

#[test]
fn a_stream_that_never_got_a_return_key_counts_as_one() {
    let (mut plugins, mut out) = (Closed, Outbox::default());
    let at = |millis: u64| Instant::from_nanos(1_000_000_000 + millis * 1_000_000);
    let settings = layout::steady_settings(0, 1, ["a"; 2]);
    let mut node = layout::linked(settings, &mut Turn::new(at(0), &mut plugins, &mut out));
    let mut tenths = 0..100;
    while !Interface::BOTH.iter().all(|interface| node.membership().holds(*interface)) {
        let now = at(100 * tenths.next().expect("the only node takes the roles"));
        node.deadline_reached(&mut Turn::new(now, &mut plugins, &mut out));
    }
    let turn = &mut Turn::new(at(20_000), &mut plugins, &mut out);
    for port in [1000, 1001, 1002] {
        let frame = Frame::from_bytes(&frames::udp(layout::from_host(Interface::First), (port, 7), b"ends here"));
        node.frame_arrived(turn, Interface::First, frame);
    }
    node.batch_ended(turn);
    assert!(node.markers().iter().all(|(_, session)| session.return_key.is_none()));
    assert_eq!(session_counts(&node).marker, 3);
}
