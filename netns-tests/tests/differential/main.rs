//! Herald beside a kernel router: the same packets through both, and what comes out compared. Differences are only those that
//! `differences.rs` lists with their reasons.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test's own steps may panic too"
)]

mod case;
mod differences;
mod draw;
mod odd;
mod outcome;
mod packet;
mod port;
mod talk;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use herald_testing::chance::Chance;
use netns_tests::{eventually, pause};

use self::case::{Case, End, Sent};
use self::differences::{DIFFERENCES, explain, is_late};
use self::draw::SERVER_PORTS;
use self::world::{MTU_SECOND, NUMBER_MIN, World};

/// For anything that takes a moment on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Packets of a gate, and of a long run.
const PACKETS: usize = 2_000;
const PACKETS_LONG: usize = 10_000;

/// Cases whose packets are on the way at the same time: fewer errors than a node sends at once.
const BATCH: usize = 50;

/// A node sends 1,000 errors a second at most, so a batch has its time. Few errors are of a later round than the first.
const BATCH_TIME: Duration = Duration::from_millis(50);

/// Looks for late packets of a batch, each a pause of 10 ms: time decides only when something is wrong.
const LOOKS: usize = 300;

/// Packets to hosts that are not there.
const SILENT: u16 = 20;

/// The seed of the gate.
const SEED: u64 = 1;

/// Whether to wait for what comes 30 s late.
#[derive(Clone, Copy)]
enum Late {
    Awaited,
    NotAwaited,
}

struct Both {
    herald: World,
    kernel: World,
    rounds: u64,
    looks_left: usize,
}

impl Both {
    fn worlds(&self) -> [&World; 2] {
        [&self.herald, &self.kernel]
    }

    /// Waits until everything sent has come out, or been dropped.
    fn barrier(&mut self) {
        self.rounds += 1;
        self.worlds().iter().for_each(|world| world.barrier(self.rounds));
    }

    fn is_settled(&self, case: &Case) -> bool {
        let (herald, kernel) = (self.herald.outcome(case), self.kernel.outcome(case));
        herald == kernel || explain(case, &herald, &kernel).is_some()
    }

    /// Sends the cases of a batch, round by round.
    fn play(&mut self, cases: &[Case]) {
        let rounds = cases.iter().map(|case| case.rounds.len()).max().unwrap_or_default();
        for round in 0..rounds {
            for case in cases {
                for sent in case.rounds.get(round).into_iter().flatten() {
                    self.worlds().iter().for_each(|world| world.send(case.number, sent));
                }
                self.worlds().iter().for_each(|world| world.look());
            }
            self.barrier();
            if round == 0 {
                pause(BATCH_TIME);
            }
            self.settle(cases, LOOKS);
        }
    }

    /// Waits until a node has given up a datagram of which a fragment is missing, if that is wanted.
    fn await_late(&self, wait: Late, cases: &[Case]) {
        let is_late = |case: &Case| self.herald.outcome(case).iter().any(|e| is_late(case, e));
        match wait {
            Late::NotAwaited => {}
            Late::Awaited => eventually(LIMIT, "a fragment's source is told", || {
                self.herald.look();
                cases.iter().any(is_late).then_some(())
            }),
        }
    }

    fn settle(&mut self, cases: &[Case], looks: usize) {
        for _ in 0..looks.min(self.looks_left) {
            self.worlds().iter().for_each(|world| world.look());
            if cases.iter().all(|case| self.is_settled(case)) {
                return;
            }
            self.looks_left -= 1;
            pause(Duration::from_millis(10));
        }
    }
}

/// Whether a packet fits into the sender's network.
fn can_be_sent(sent: &Sent) -> bool {
    sent.payload.len()
        <= match sent.from {
            End::Client => 1_500,
            End::Server => MTU_SECOND,
        }
}

/// Cases with so many packets in all.
fn cases(seed: u64, packets: usize) -> Vec<Case> {
    let mut chance = Chance::of(seed);
    let mut all: Vec<Case> = Vec::new();
    let mut count = 0;
    // A reset names its case by a port, so no case has the number of a server's port.
    for number in (NUMBER_MIN..).filter(|number| !SERVER_PORTS.contains(number)) {
        if count >= packets {
            break;
        }
        let case = if number < NUMBER_MIN + SILENT { odd::silent(number) } else { draw::draw(&mut chance, number) };
        if !case.rounds.iter().flatten().all(can_be_sent) {
            continue;
        }
        count += case.frames();
        all.push(case);
    }
    all
}

fn compare(seed: u64, packets: usize, wait: Late) -> BTreeMap<&'static str, usize> {
    let cases = cases(seed, packets);
    let sent: usize = cases.iter().map(Case::frames).sum();
    let mut both = Both { herald: World::herald(), kernel: World::kernel(), rounds: 0, looks_left: LOOKS * 4 };
    both.barrier();
    for batch in cases.chunks(BATCH) {
        both.play(batch);
    }
    both.barrier();
    both.await_late(wait, &cases);
    let mut used: BTreeMap<&'static str, usize> = DIFFERENCES.iter().map(|d| (d.name, 0)).collect();
    let mut failed = String::new();
    let mut failures = 0;
    for case in &cases {
        let (herald, kernel) = (both.herald.outcome(case), both.kernel.outcome(case));
        if herald == kernel {
            continue;
        }
        if let Some(names) = explain(case, &herald, &kernel) {
            names.iter().for_each(|name| *used.entry(name).or_default() += 1);
            continue;
        }
        failures += 1;
        let _ = writeln!(failed, "\ncase {}: {} {:?}", case.number, case.what, case.traits);
        for (name, outcome) in [("Herald", &herald), ("kernel", &kernel)] {
            let _ = writeln!(failed, "  {name}: {outcome:#?}");
        }
    }
    println!("{sent} packets of seed {seed} in {} cases; {} permitted differences:", cases.len(), DIFFERENCES.len());
    for difference in DIFFERENCES {
        println!("{:6} {}: {}", used[difference.name], difference.name, difference.why);
    }
    assert!(failures == 0, "{failures} cases differ from the kernel router:{failed}");
    used
}

#[test]
fn packets_meet_what_they_meet_at_a_kernel_router() {
    let number = |text: String| text.parse().unwrap_or_else(|_| panic!("HERALD_SEED is a number, and not {text}"));
    let seed = std::env::var("HERALD_SEED").map_or(SEED, number);
    let _used = compare(seed, PACKETS, Late::NotAwaited);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn every_difference_of_the_list_is_needed() {
    let used = compare(SEED + 1, PACKETS_LONG, Late::Awaited);
    let stale: Vec<_> = used.iter().filter(|(_, count)| **count == 0).collect();
    assert!(stale.is_empty(), "the list names what does not differ: {stale:?}");
}
