//! Runs with standing faults, kind by kind or pair by pair, and what is printed of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::options::Options;
use crate::report;
use crate::run::{Telling, run};
use crate::scenario::Scenario;
use crate::standing::{self, Asked, Event, Kind};
use crate::world::Violation;

/// One row of the table: what stands, and what follows it.
type Row = (Kind, Option<Event>);

fn scenario(seed: u64, (kind, event): Row) -> Scenario {
    event.map_or_else(|| standing::scenario(seed, kind), |event| standing::pair(seed, kind, event))
}

/// The seeds of a row that fail.
type Failures = BTreeMap<u64, Violation>;

/// Runs all seeds of all rows.
fn run_all(options: &Options, rows: &[Row]) -> Vec<Failures> {
    let seeds = usize::try_from(options.seeds).unwrap();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(vec![Failures::new(); rows.len()]);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = rows.get(number / seeds.max(1)) else { return };
            let seed = options.from + (number % seeds) as u64;
            let (outcome, _) = run(&scenario(seed, *row), Telling::Quiet);
            if let Some(violation) = outcome.violation {
                found.lock().unwrap()[number / seeds].insert(seed, violation);
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

/// The seed whose run has the fewest steps.
fn shortest(failures: &Failures, row: Row) -> Option<u64> {
    failures.keys().copied().min_by_key(|seed| scenario(*seed, row).steps.len())
}

fn print(options: &Options, rows: &[Row], found: &[Failures]) -> ExitCode {
    println!("{:<18} {:<18} {:>8} {:<22} SHORTEST", "STANDS", "THEN", "FAIL", "BROKEN");
    for (row, failures) in rows.iter().zip(found) {
        let mut broken: BTreeMap<&str, u64> = BTreeMap::new();
        for violation in failures.values() {
            *broken.entry(violation.invariant).or_default() += 1;
        }
        let broken: Vec<_> = broken.iter().map(|(invariant, count)| format!("{invariant} {count}")).collect();
        let then = row.1.map_or("-", Event::name);
        let share = format!("{}/{}", failures.len(), options.seeds);
        let shortest = shortest(failures, *row).map_or_else(|| "-".to_owned(), |seed| format!("seed {seed}"));
        println!("{:<18} {then:<18} {share:>8} {:<22} {shortest}", row.0.name(), broken.join(", "));
    }
    if let ([row], [failures]) = (rows, found) {
        for (seed, violation) in failures {
            let what = violation.what.lines().next().unwrap_or_default();
            println!("seed {seed} of {}: {} is broken: {what}", row.0.name(), violation.invariant);
        }
    }
    let failing: Vec<_> = found.iter().filter(|failures| !failures.is_empty()).collect();
    println!("{} of {} rows have seeds that fail", failing.len(), rows.len());
    if failing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the kinds that are asked for. Of one kind alone the shortest failure is shown.
pub(crate) fn kinds(options: &Options, asked: Asked) -> ExitCode {
    let rows: Vec<Row> = asked.kinds().into_iter().map(|kind| (kind, None)).collect();
    let found = run_all(options, &rows);
    let code = print(options, &rows, &found);
    if let ([row], [failures]) = (rows.as_slice(), found.as_slice())
        && let Some(seed) = shortest(failures, *row)
    {
        println!("\nseed {seed}:");
        return report::failure(&scenario(seed, *row), &failures[&seed]);
    }
    code
}

/// Runs all pairs of a standing fault and what follows; of the first that fails the shortest failure is shown.
pub(crate) fn pairs(options: &Options) -> ExitCode {
    let then = |kind: Kind| Event::after(kind).into_iter().map(move |event| (kind, Some(event)));
    let rows: Vec<Row> = Kind::ALL.into_iter().flat_map(then).collect();
    let found = run_all(options, &rows);
    let code = print(options, &rows, &found);
    let failing = rows.iter().zip(&found).find_map(|(row, failures)| Some((*row, failures, shortest(failures, *row)?)));
    let Some((row, failures, seed)) = failing else { return code };
    println!("\nseed {seed}:");
    report::failure(&scenario(seed, row), &failures[&seed])
}
