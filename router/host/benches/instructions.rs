//! Instructions per packet, counted by valgrind's callgrind: the same on a busy machine and on an idle one. Each figure is
//! the difference of two runs that replay the same batches, so that what comes before them counts nothing.
//!
//! ```sh
//! cargo bench -p herald-host --bench instructions              # compares with instructions.tsv
//! cargo bench -p herald-host --bench instructions -- --write   # writes it anew
//! ```
//!
//! Figures are compared only with those of the same compiler, and may be at most 3 % more.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at a surprise"
)]

#[path = "../../core/tests/cluster/world.rs"]
#[expect(dead_code, reason = "written for the cluster tests, which do more with it")]
mod world;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use herald_core::id::{Interface, Mac};
use herald_core::inspector::Inspector;
use herald_core::limits::BATCH_PACKETS_MAX;
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::packet::{Frame, OFFLOAD_HEADER_LEN};
use herald_core::redirector::choice::Redirectors;
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_host::{Chain, Clock, PluginSettings};
use herald_plugin::{Packet, Plugin, StreamBytes, Verdict, thunk};
use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::{self, HOST, host_mac, node_mac, v4, virtual_macs};
use herald_testing::streams::Nothing;
use world::{Choices, World};

const STREAMS: u16 = 256;

/// Packets of the two runs whose difference counts.
const PACKETS: [u64; 2] = [16 * 1024, 48 * 1024];

/// How much more instructions than written down are still no regression.
const TOLERANCE: f64 = 1.03;

/// A name, and how it is made.
type Case = (&'static str, fn() -> Box<dyn Runs>);

/// What is measured.
const CASES: &[Case] = &[
    ("one-node", one_node),
    ("one-node-two-plugins", one_node_with_plugins),
    ("one-node-bytes-unwanted", || one_node_with_bytes("udp")),
    ("one-node-bytes", || one_node_with_bytes("tcp")),
    ("redirected", redirected),
    ("chosen", || chosen(Checksums::Partial)),
    ("chosen-summed", || chosen(Checksums::Whole)),
];

/// A plugin that looks at every packet and passes it.
#[derive(Default)]
struct Passes;

impl Plugin for Passes {
    type Stream = u64;
    fn packet(&self, seen: &mut u64, packet: &Packet<'_>) -> Verdict {
        *seen += u64::from(packet.wire_packets());
        Verdict::pass()
    }

    fn stream_bytes(&self, seen: &mut u64, bytes: &StreamBytes<'_>) -> Verdict {
        *seen += bytes.fresh().len() as u64;
        Verdict::pass()
    }
}

/// Something that can be replayed.
trait Runs {
    /// Replays packets in full batches.
    fn run(&mut self, packets: u64);
}

/// A node and the frames that come to it again and again.
struct Replay<P: Inspector> {
    node: Node<P::Part>,
    plugins: P,
    out: Outbox,
    frames: Vec<(Interface, Vec<u8>)>,
    pool: Vec<Frame>,
    now: Instant,
    checksums: Checksums,
}

/// What the TAP says of the frames' checksums.
#[derive(Clone, Copy)]
enum Checksums {
    /// They are partial, as of hosts on this machine.
    Partial = 1,
    /// Nothing: the node sums up.
    Whole = 0,
}

impl<P: Inspector> Replay<P> {
    fn new(now: Instant, node: Node<P::Part>, plugins: P) -> Self {
        let pool = (0..BATCH_PACKETS_MAX * 2).map(|_| Frame::with_full_buffer()).collect();
        Self { node, plugins, out: Outbox::default(), frames: Vec::new(), pool, now, checksums: Checksums::Partial }
    }

    fn arrives(&mut self, interface: Interface, bytes: &[u8]) {
        let mut frame = self.pool.pop().unwrap_or_else(Frame::with_full_buffer);
        frame.buffer_mut()[..OFFLOAD_HEADER_LEN].fill(0);
        frame.buffer_mut()[0] = self.checksums as u8;
        frame.buffer_mut()[OFFLOAD_HEADER_LEN..][..bytes.len()].copy_from_slice(bytes);
        frame.filled(OFFLOAD_HEADER_LEN + bytes.len());
        self.node.frame_arrived(&mut Turn::new(self.now, &mut self.plugins, &mut self.out), interface, frame);
    }

    fn batch_ended(&mut self) {
        self.node.batch_ended(&mut Turn::new(self.now, &mut self.plugins, &mut self.out));
        self.out.events.clear();
        self.out.send.clear();
        let ended = self.out.transmit.drain(..).map(|(_, frame, _)| frame).chain(self.out.spent.drain(..));
        self.pool.extend(ended.filter(Frame::has_full_buffer));
    }
}

impl<P: Inspector> Runs for Replay<P> {
    fn run(&mut self, packets: u64) {
        let frames = std::mem::take(&mut self.frames);
        let mut next = frames.iter().cycle();
        for _ in 0..packets / BATCH_PACKETS_MAX as u64 {
            for (interface, bytes) in next.by_ref().take(BATCH_PACKETS_MAX) {
                self.arrives(*interface, bytes);
            }
            self.batch_ended();
            self.now = self.now + Duration::from_micros(1);
        }
        let ledger = &self.out.ledger;
        assert_eq!(ledger.forwarded + ledger.redirected, packets, "every packet goes on: {ledger:?}");
    }
}

fn ports() -> impl Iterator<Item = u16> {
    40_000..40_000 + STREAMS
}

fn segment(interface: Interface, [from, to]: [Mac; 2], port: u16, segment: Segment<'_>) -> (Interface, Vec<u8>) {
    let ip = frames::ip([from.0, to.0], v4(interface, HOST), v4(interface.other(), HOST), 64);
    let ports = if interface == Interface::First { (port, 80) } else { (80, port) };
    (interface, frames::tcp(ip, ports, segment))
}

/// Data of an established connection, each way.
const DATA: Segment<'_> = Segment { payload: &[0x55; 64], ..ACK };
const DATA_BACK: Segment<'_> = Segment { sequence: 501, acknowledgement: 101, ..DATA };

fn alone<P: Inspector + 'static>(mut plugins: P) -> Box<dyn Runs> {
    let now = Instant::from_nanos(1_000_000_000);
    let settings = layout::steady_settings(0, 1, ["a"; 2]);
    let mut out = Outbox::default();
    let mut node = layout::linked(settings, &mut Turn::new(now, &mut plugins, &mut out));
    let mut now = now;
    while !Interface::BOTH.iter().all(|&interface| node.membership().holds(interface)) {
        now = now + Duration::from_millis(50);
        node.deadline_reached(&mut Turn::new(now, &mut plugins, &mut out));
    }
    let mut replay = Replay::new(now, node, plugins);
    let macs = |i| [host_mac(i), virtual_macs(i)[0]];
    for port in ports() {
        for (interface, said) in [(Interface::First, SYN), (Interface::Second, SYN_ACK), (Interface::First, ACK)] {
            let (interface, bytes) = segment(interface, macs(interface), port, said);
            replay.arrives(interface, &bytes);
            replay.batch_ended();
            for interface in Interface::BOTH {
                replay.arrives(interface, &layout::arp_reply(interface, 0));
            }
        }
        replay.frames.push(segment(Interface::First, macs(Interface::First), port, DATA));
        replay.frames.push(segment(Interface::Second, macs(Interface::Second), port, DATA_BACK));
    }
    replay.batch_ended();
    replay.out = Outbox::default();
    Box::new(replay)
}

fn one_node() -> Box<dyn Runs> {
    alone(Nothing)
}

fn one_node_with_plugins() -> Box<dyn Runs> {
    let clock = Clock { monotonic: Instant::default, unix_nanos: || 0 };
    let seats = ["one", "two"].map(|name| PluginSettings { name: name.into(), config: String::new(), fault: None });
    // SAFETY: the table is the SDK's, which keeps the contract.
    let chain = unsafe { Chain::built_in(clock, thunk::table::<Passes>(), &seats) };
    alone(chain.unwrap())
}

/// As with two plugins, of which one wants bytes in order of streams of this protocol. All segments but a stream's first two
/// come again and again: they are compared, and nothing is new.
fn one_node_with_bytes(protocol: &str) -> Box<dyn Runs> {
    let clock = Clock { monotonic: Instant::default, unix_nanos: || 0 };
    let text = |id: &str, more: &str| format!("id = \"{id}\"\nversion = \"1\"\nlicence = \"MIT\"\n{more}");
    let wants = format!("hooks = [\"stream_bytes\"]\n[[filter]]\nprotocol = [\"{protocol}\"]");
    let seat = |id: &str, more: &str| {
        let settings = PluginSettings { name: id.into(), config: String::new(), fault: None };
        (toml::from_str(&text(id, more)).unwrap(), settings)
    };
    // The third one looks at packets where the second is spared them.
    let mut seats = vec![seat("one", ""), seat("two", &wants)];
    if protocol == "udp" {
        seats.push(seat("three", ""));
    }
    // SAFETY: the table is the SDK's, which keeps the contract.
    let chain = unsafe { Chain::built_in_as(clock, thunk::table::<Passes>(), seats) };
    alone(chain.unwrap())
}

/// One of three nodes, where the third is chosen for every stream, with the frames that come to it from `senders`.
fn of_three(place: usize, checksums: Checksums, senders: &[(Interface, [Mac; 2], Segment<'_>)]) -> Box<dyn Runs> {
    let choices = Choices { redirectors: Redirectors::LastResort, ..Choices::default() };
    let mut world = World::new(&choices);
    for port in ports() {
        world.host_sends(Interface::First, port, 80, SYN);
        world.host_sends(Interface::Second, 80, port, SYN_ACK);
        world.host_sends(Interface::First, port, 80, ACK);
    }
    let now = world.now;
    let mut replay = Replay::new(now, world.members.swap_remove(place).node, Nothing);
    let frames = |port| senders.iter().map(move |&(interface, macs, said)| segment(interface, macs, port, said));
    (replay.frames, replay.checksums) = (ports().flat_map(frames).collect(), checksums);
    Box::new(replay)
}

fn redirected() -> Box<dyn Runs> {
    let first = Interface::First;
    of_three(0, Checksums::Partial, &[(first, [host_mac(first), virtual_macs(first)[0]], DATA)])
}

fn chosen(checksums: Checksums) -> Box<dyn Runs> {
    let (first, second) = (Interface::First, Interface::Second);
    of_three(
        2,
        checksums,
        &[
            (first, [node_mac(first, 0), node_mac(first, 2)], DATA),
            (second, [node_mac(second, 1), node_mac(second, 2)], DATA_BACK),
        ],
    )
}

/// The instructions of one run under callgrind.
fn counted(case: &str, packets: u64) -> u64 {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap());
    let output = command.args([case, &packets.to_string()]).output().expect("valgrind runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{case}: {said}");
    let collected =
        said.lines().find_map(|line| line.split("Collected :").nth(1)).expect("callgrind says what it counted");
    collected.trim().parse().unwrap()
}

fn per_packet(case: &str) -> u64 {
    let [few, many] = thread::scope(|scope| {
        PACKETS.map(|packets| scope.spawn(move || counted(case, packets))).map(|run| run.join().unwrap())
    });
    (many - few) / (PACKETS[1] - PACKETS[0])
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc runs");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [case, packets] = &arguments[..] {
        let (_, make) = CASES.iter().find(|(name, _)| name == case).expect("a case");
        make().run(packets.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.tsv");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let compiler = compiler();
    let comparable = written.lines().next() == Some(&compiler);
    let (mut text, mut grown) = (compiler + "\n", false);
    for (case, _) in CASES {
        let now = per_packet(case);
        let before = written.lines().find_map(|line| line.strip_prefix(case)?.strip_prefix('\t')?.parse::<u64>().ok());
        match before {
            Some(before) if comparable => {
                grown |= now as f64 > before as f64 * TOLERANCE;
                println!("{case:24} {now:6} instructions per packet, {before} written down");
            }
            Some(_) | None => println!("{case:24} {now:6} instructions per packet, nothing to compare with"),
        }
        text.push_str(&format!("{case}\t{now}\n"));
    }
    if arguments == ["--write"] {
        std::fs::write(&path, text).unwrap();
    } else if grown {
        println!("more than 3 % above instructions.tsv: mend it, or write the file anew and say why in the commit");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
