//! Real plugin files: loaded and run as a chain, or refused with a clear word before anything of them runs.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test stops at a surprise")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Slot};
use herald_core::inspector::{Action, Direction, Inspection, Inspector, Stream, Totals};
use herald_core::packet::{Arrival, Came, Frame};
use herald_core::time::Instant;
use herald_host::{Chain, Clock, HostError, PluginRow, PluginSettings, Settings};
use herald_testing::frames::{self, ACK, Segment};
use herald_testing::layout::from_host;
use herald_testing::plugins::built;
use herald_testing::streams::Streams;

fn load(plugins: &[(&str, &str)]) -> Result<Chain, HostError> {
    load_from(built(), plugins)
}

fn load_from(directory: &Path, plugins: &[(&str, &str)]) -> Result<Chain, HostError> {
    let clock = Clock { monotonic: || Instant::from_nanos(0), unix_nanos: || 1_000_000_000 };
    let settings = Settings { directory: directory.to_owned(), clock };
    let plugin =
        |&(name, config): &(&str, &str)| PluginSettings { name: name.into(), config: config.into(), fault: None };
    Chain::load(&settings, &plugins.iter().map(plugin).collect::<Vec<_>>())
}

/// A chain at work.
struct Node(Streams<Chain>);

impl Node {
    fn new(plugins: &[(&str, &str)]) -> Self {
        Self(Streams::new(load(plugins).unwrap()))
    }

    /// Starts a stream to a port, in this slot.
    fn start(&mut self, slot: u32, port: u16) -> Action {
        let standing = self.0.start(Instant::from_nanos(9), Slot::new(slot), stream(slot, port));
        standing.from_opener.verdict().map_or(Action::Pass, |verdict| verdict.action)
    }

    /// What becomes of packets of one batch.
    fn judge(&mut self, packets: &[(u32, &str)]) -> Vec<Action> {
        let batch = packets.iter().map(|(slot, text)| packet(*slot, text)).collect();
        let verdicts = self.0.judge(Instant::from_nanos(10), batch);
        verdicts.into_iter().map(|verdict| verdict.action).collect()
    }

    fn end(&mut self, slot: u32) {
        let totals = Totals {
            packets_from_opener: 3,
            bytes_from_opener: 300,
            last_packet: Instant::from_nanos(2_000_000),
            ..Totals::default()
        };
        self.0.end(Instant::from_nanos(2_000_010), Slot::new(slot), &totals, EndReason::Finished);
    }

    fn row(&self, id: &str) -> PluginRow {
        self.0.plugins.report().rows().into_iter().find(|row| row.id == id).unwrap()
    }
}

fn stream(slot: u32, port: u16) -> Stream {
    let (source, destination) = ("10.1.0.100".parse().unwrap(), "10.2.0.100".parse().unwrap());
    let opener = FlowKey::new(Interface::First, 6, (source, 40_000), (destination, port));
    Stream { id: u64::from(slot) + 1, opener, chosen: "c".parse().unwrap(), midstream: false }
}

fn packet(slot: u32, text: &str) -> Inspection {
    let bytes = frames::tcp(from_host(Interface::First), (40_000, 80), Segment { payload: text.as_bytes(), ..ACK });
    let arrival = Arrival::parse(Interface::First, Frame::from_bytes(&bytes), Came::Directly).unwrap();
    Inspection::new(arrival, Direction::FromOpener, u64::from(slot) + 1, Slot::new(slot))
}

#[test]
fn the_bundled_plugins_work_as_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("flows.json");
    let rules = "[[rules]]\nname = \"telnet\"\naction = \"reject\"\nprotocol = \"tcp\"\ndestination_ports = 23";
    let mut node = Node::new(&[("acl", rules), ("hello", ""), ("flowlog", &format!("path = {log:?}"))]);
    assert_eq!(node.start(0, 80), Action::Pass);
    assert_eq!(node.start(1, 23), Action::Reject);
    assert_eq!(node.judge(&[(0, "a"), (1, "b"), (0, "c")]), [Action::Pass, Action::Reject, Action::Pass]);
    node.end(0);
    node.end(1);

    let acl = node.row("acl");
    assert_eq!((acl.packets, acl.drops, acl.reasons["telnet"]), (0, 1, 1), "the core ends what comes behind");
    assert_eq!((acl.counters["telnet"], acl.counters["default"]), (1, 1));
    let hello = node.row("hello");
    assert_eq!((hello.packets, hello.counters["packets"], hello.counters["streams"]), (2, 2, 2));
    assert_eq!((hello.state, hello.version.as_str()), ("ok", env!("CARGO_PKG_VERSION")));
    drop(node);
    let lines = fs::read_to_string(log).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "all are written when the last owner of the plugin is gone");
    assert_eq!((&lines[0]["herald"]["chosen"], &lines[0]["dest_port"]), (&"c".into(), &80.into()));
    assert_eq!(lines[1]["herald"]["duration_us"], 2000);
}

#[test]
fn the_router_survives_a_plugin_that_panics() {
    use Action::{Drop, Pass};
    let mut node = Node::new(&[("faulty", "when = \"packet\"\npayload = \"boom\""), ("hello", "")]);
    node.start(0, 80);
    node.start(1, 80);
    let packets = [(0, "fine"), (1, "fine"), (1, "boom"), (1, "fine"), (0, "fine")];
    assert_eq!(node.judge(&packets), [Pass, Pass, Drop, Drop, Pass]);
    assert_eq!((node.row("faulty").faults, node.row("faulty").state), (1, "ok"));
    assert_eq!(node.row("hello").counters["packets"], 3, "the next plugin goes on");
    node.end(0);
    node.end(1);
    for (when, faults) in [("start", 1), ("end", 1), ("never", 0)] {
        let mut node = Node::new(&[("faulty", &format!("when = \"{when}\""))]);
        node.start(0, 80);
        node.end(0);
        assert_eq!(node.row("faulty").faults, faults, "{when}");
    }
    let error = load(&[("faulty", "when = \"configure\"")]).unwrap_err().to_string();
    assert!(error.contains("panicked while it was configured"), "{error}");
}

#[test]
fn a_plugin_twice_has_two_instances() {
    let mut node = Node::new(&[("hello", ""), ("hello", "")]);
    node.start(0, 80);
    node.judge(&[(0, "x")]);
    let counted: Vec<_> = node.0.plugins.report().rows().iter().map(|row| row.counters["packets"]).collect();
    assert_eq!(counted, [1, 1]);
}

#[test]
fn configurations_are_refused_in_the_plugins_words() {
    for (name, config, expected) in [
        ("hello", "x = 1", "plugin hello refuses its configuration: this plugin takes no configuration"),
        ("acl", "[[rules]]\naction = \"deny\"", "plugin acl refuses its configuration: rule 1: action is \"deny\""),
        ("flowlog", "", "plugin flowlog refuses its configuration: missing field `path`"),
    ] {
        let error = load(&[(name, config)]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// Copies the hello plugin, lets `change` change its bytes, and tells why that is refused.
fn refusal_of(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.so");
    let mut bytes = fs::read(built().join("libherald_hello.so")).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    load(&[(path.to_str().unwrap(), "")]).unwrap_err().to_string()
}

/// The word of the manifest's header with this index.
fn header_word(bytes: &mut [u8], index: usize) -> &mut [u8] {
    let at = bytes.windows(4).position(|window| window == b"HRLD").expect("the manifest's magic number");
    &mut bytes[at + 4 * index..][..4]
}

#[test]
fn files_that_are_no_fitting_plugin_are_refused() {
    let abi = refusal_of(|bytes| header_word(bytes, 2).copy_from_slice(&1_u32.to_ne_bytes()));
    assert!(abi.contains("major ABI version 0 expected, 1 found; build it anew"), "{abi}");
    let old = refusal_of(|bytes| header_word(bytes, 1).copy_from_slice(&60_u32.to_ne_bytes()));
    assert!(old.contains("a manifest expected, a header from before the contract 0.9 found; build it anew"), "{old}");
    let size = refusal_of(|bytes| header_word(bytes, 8).copy_from_slice(&48_u32.to_ne_bytes()));
    assert!(size.contains("HeraldPacket of size 64 expected, 48 found; build it anew"), "{size}");
    let state = refusal_of(|bytes| header_word(bytes, 11).copy_from_slice(&8_u32.to_ne_bytes()));
    assert!(state.contains("a table that agrees with the manifest expected, another size of state found"), "{state}");
    let machine = refusal_of(|bytes| bytes[18..20].copy_from_slice(&8_u16.to_le_bytes()));
    assert!(machine.contains("expected, Mips64 found; build it for this machine"), "{machine}");
    let manifest = refusal_of(|bytes| {
        let at = bytes.windows(12).position(|window| window == b"id = \"hello\"").unwrap();
        bytes[at] = b'I';
    });
    assert!(manifest.contains("is wrong") && manifest.contains("unknown field `Id`"), "{manifest}");
    let cut = refusal_of(|bytes| bytes.truncate(1000));
    assert!(cut.contains("is no plugin for this router: a whole ELF file expected"), "{cut}");
    let text = refusal_of(|bytes| *bytes = b"#!/bin/sh\n".to_vec());
    assert!(text.contains("an ELF file expected, a file that starts with \"#!/bin/s\" found"), "{text}");
    let program = fs::read("/proc/self/exe").unwrap();
    let program = refusal_of(|bytes| *bytes = program);
    assert!(program.contains("a section .note.herald expected, none found; build it as a cdylib"), "{program}");
}

#[test]
fn files_that_others_may_change_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.so");
    fs::copy(built().join("libherald_hello.so"), &path).unwrap();
    let refusal = |path: &Path| load(&[(path.to_str().unwrap(), "")]).err().map(|error| error.to_string());
    for (mode, refused) in [(0o775, true), (0o757, true), (0o777, true), (0o755, false), (0o600, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let found = refusal(&path);
        assert_eq!(found.is_some(), refused, "{mode:o}: {found:?}");
        assert!(found.is_none_or(|text| text.contains(&format!("its mode {mode:04o} lets others write to it"))));
    }
    let link = folder.path().join("link.so");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(refusal(&link).unwrap().contains("it is a symbolic link"));
    assert!(refusal(folder.path()).unwrap().contains("it is no regular file"));
    // Only root can give a file away.
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        assert!(refusal(&path).unwrap().contains("it belongs to user 12345; root,"));
    }
}

#[test]
fn unknown_plugins_are_refused_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |name: &str| load_from(folder.path(), &[(name, "")]).unwrap_err().to_string();
    assert!(refusal("acl").ends_with("libherald_acl.so; there are no plugins"), "{}", refusal("acl"));
    let other = folder.path().join("libherald_tls_guard.so");
    fs::write(&other, "").unwrap();
    fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
    assert!(refusal("acl").ends_with("there are: tls_guard"), "{}", refusal("acl"));
    assert!(refusal("tls-guard").contains("an ELF file expected"), "dashes become underscores");
    for name in ["", "Acl", "acl.so", "a b"] {
        assert!(refusal(name).contains("is no plugin name"), "{name}");
    }
    assert!(refusal("./nowhere.so").starts_with("cannot open plugin ./nowhere.so: No such file"));
    let many: Vec<_> = std::iter::repeat_n(("hello", ""), 33).collect();
    assert_eq!(load(&many).unwrap_err().to_string(), "33 plugins are configured, at most 32 are allowed");
}

/// `cargo test --release -p herald-host --test plugins -- --ignored --nocapture` prints the figures.
#[test]
#[ignore = "a measurement, for a release build on an idle machine"]
#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn nanoseconds_per_packet() {
    for (name, plugins) in [
        ("hello", &[("hello", "")][..]),
        ("acl", &[("acl", "")]),
        ("acl, hello", &[("acl", ""), ("hello", "")]),
        ("hello, hello", &[("hello", ""), ("hello", "")]),
    ] {
        for batch_len in [64, 8, 1] {
            let mut node = Node::new(plugins);
            for slot in 0..64 {
                node.start(slot, 80);
            }
            let mut batch: Vec<_> = (0..batch_len).map(|n| packet(n, "0123456789")).collect();
            let rounds = 200_000;
            let mut takes: Vec<_> = (0..7)
                .map(|_| {
                    let begin = std::time::Instant::now();
                    for _ in 0..rounds {
                        let batch = std::hint::black_box(&mut batch);
                        node.0.plugins.inspect(Instant::from_nanos(10), batch, &mut node.0.records);
                    }
                    begin.elapsed().as_nanos() as f64 / f64::from(rounds) / f64::from(batch_len)
                })
                .collect();
            takes.sort_by(f64::total_cmp);
            println!(
                "{name}: batches of {batch_len}: {:.1} ns a packet ({:.1} to {:.1})",
                takes[3], takes[0], takes[6]
            );
        }
    }
}
