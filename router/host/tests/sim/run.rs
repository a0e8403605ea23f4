//! One run and what came of it; and the same run twice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::coverage::Coverage;
use crate::scenario::Scenario;
use crate::tables;
use crate::world::{Violation, World};

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: u64,
    pub(crate) coverage: Coverage,
}

/// Whether a run tells what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Quiet,
    Loud,
}

/// Runs a scenario. A panic of the program is a broken promise like any other.
pub(crate) fn run(scenario: &Scenario, telling: Telling) -> (Outcome, String) {
    run_watched(scenario, telling, None)
}

/// The same, watched only by the checkers of one invariant.
pub(crate) fn run_watched(scenario: &Scenario, telling: Telling, only: Option<&str>) -> (Outcome, String) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(scenario);
        if let Some(invariant) = only {
            world.watch_only(invariant);
        }
        world.log = telling == Telling::Loud;
        world.run();
        for place in 0..world.members.len() {
            world.coverage.close_books(&world.members[place].out);
        }
        let text = if world.violation.is_some() { tables::of(&world) } else { String::new() };
        let coverage = world.coverage.clone();
        (Outcome { violation: world.violation.clone(), trace: world.trace.value(), coverage }, text)
    }));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = text.unwrap_or_else(|| "without a word".to_owned());
        let violation = Violation { invariant: "no panic", what, at: herald_core::time::Instant::NEVER };
        (Outcome { violation: Some(violation), trace: 0, coverage: Coverage::default() }, String::new())
    })
}

/// Runs a scenario twice: the same must happen.
pub(crate) fn run_twice(scenario: &Scenario) -> Outcome {
    let (first, _) = run(scenario, Telling::Quiet);
    if first.violation.is_some() {
        return first;
    }
    let (second, _) = run(scenario, Telling::Quiet);
    if first.trace == second.trace {
        return first;
    }
    let what = format!("two runs differ: {:016x} and {:016x}", first.trace, second.trace);
    let violation = Violation { invariant: "one seed, one run", what, at: herald_core::time::Instant::NEVER };
    Outcome { violation: Some(violation), ..first }
}
