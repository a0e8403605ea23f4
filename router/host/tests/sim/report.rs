//! Many runs on all cores, and what is printed of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::coverage::{Coverage, REQUIRED};
use crate::options::Options;
use crate::run::{Telling, run, run_twice};
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::swarm;
use crate::world::Violation;

/// What the threads have found together.
#[derive(Default)]
struct Found {
    coverage: Coverage,
    counted: u64,
    runs: u64,
    failures: BTreeMap<u64, Violation>,
}

/// A long run shows that it goes on each time it has done so many seeds.
const PROGRESS_SEEDS: u64 = 1_000;

/// Whether the first failure ends it all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterFailure {
    Stop,
    GoOn,
}

fn run_all(options: &Options, after: AfterFailure) -> Found {
    let next = AtomicU64::new(options.from);
    let stop = AtomicBool::new(false);
    let found = Mutex::new(Found::default());
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.from + options.seeds {
                return;
            }
            let outcome = run_twice(&swarm::scenario(seed));
            let mut found = found.lock().unwrap();
            found.runs += 1;
            if found.runs.is_multiple_of(PROGRESS_SEEDS) {
                println!("{} seeds done", found.runs);
            }
            found.counted += u64::from(outcome.coverage.counts());
            found.coverage.merge(&outcome.coverage);
            if let Some(violation) = outcome.violation {
                let what = violation.what.lines().next().unwrap_or_default();
                println!("seed {seed}: {} is broken: {what}", violation.invariant);
                stop.store(after == AfterFailure::Stop, Ordering::Relaxed);
                found.failures.insert(seed, violation);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.threads.unwrap_or(cores) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap()
}

fn print_found(found: &Found, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let rate = found.runs as f64 / seconds;
    println!("{} seeds, each run twice, in {seconds:.1} s: {rate:.2} seeds per second", found.runs);
    println!("{} runs count: they saw {}", found.counted, REQUIRED.join(", "));
    let lines: Vec<_> = found.coverage.0.iter().map(|(what, count)| format!("{what} {count}")).collect();
    println!("seen: {}", lines.join(", "));
}

#[expect(clippy::disallowed_methods, reason = "says how long the runs took, to a person")]
fn began() -> Instant {
    Instant::now()
}

/// Runs the seeds; stops at the first failure and shows it.
pub(crate) fn seeds(options: &Options) -> ExitCode {
    let began = began();
    let found = run_all(options, AfterFailure::Stop);
    print_found(&found, began);
    let Some((seed, violation)) = found.failures.first_key_value() else {
        return ExitCode::SUCCESS;
    };
    println!("seed {seed} fails; again with: cargo test -p herald-host --test sim -- --seeds 1 --from {seed}");
    failure(&swarm::scenario(*seed), violation)
}

/// Runs the seeds to the last and counts what fails.
pub(crate) fn survey(options: &Options) -> ExitCode {
    let began = began();
    let found = run_all(options, AfterFailure::GoOn);
    print_found(&found, began);
    let mut by_invariant: BTreeMap<&str, u64> = BTreeMap::new();
    for violation in found.failures.values() {
        *by_invariant.entry(violation.invariant).or_default() += 1;
    }
    for (invariant, seeds) in &by_invariant {
        println!("{invariant}: {seeds} seeds");
    }
    if found.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows a failure with its shortest event list and the tables at that moment.
pub(crate) fn failure(scenario: &Scenario, violation: &Violation) -> ExitCode {
    println!("{} is broken: {}", violation.invariant, violation.what);
    let shortest = shrink(scenario, violation.invariant);
    println!("\nthe shortest event list (put it into a file and give it to --replay):\n\n{shortest}");
    one(&shortest, Telling::Quiet);
    ExitCode::FAILURE
}

/// Runs one scenario and shows what came of it.
pub(crate) fn one(scenario: &Scenario, telling: Telling) -> ExitCode {
    let (outcome, tables) = run(scenario, telling);
    match outcome.violation {
        Some(violation) => {
            let at = violation.at.as_nanos() / 1_000_000;
            println!("{} is broken after {at} ms: {}\n{tables}", violation.invariant, violation.what);
            ExitCode::FAILURE
        }
        None => {
            let lines: Vec<_> = outcome.coverage.0.iter().map(|(what, count)| format!("{what} {count}")).collect();
            println!("no invariant is broken; seen: {}", lines.join(", "));
            ExitCode::SUCCESS
        }
    }
}
