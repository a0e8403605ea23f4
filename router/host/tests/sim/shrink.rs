//! From a scenario that fails to the shortest one that fails in the same way: steps are left out, by halves and then one
//! by one, but for the healing, and choices go back to their defaults.

use crate::run::{Telling, run};
use crate::scenario::{Action, Choices, Scenario, Step};

/// The shortest scenario that breaks the same invariant.
pub(crate) fn shrink(failing: &Scenario, invariant: &str) -> Scenario {
    let fails = |candidate: &Scenario| {
        let (outcome, _) = run(candidate, Telling::Quiet);
        outcome.violation.is_some_and(|violation| violation.invariant == invariant)
    };
    let mut best = failing.clone();
    loop {
        let before = best.clone();
        shorten(&mut best, &fails);
        simplify(&mut best, &fails);
        if best == before {
            return best;
        }
    }
}

fn shorten(best: &mut Scenario, fails: &impl Fn(&Scenario) -> bool) {
    let mut len = best.steps.len().div_ceil(2);
    while len > 0 {
        let mut from = 0;
        while from < best.steps.len() {
            let to = (from + len).min(best.steps.len());
            let mended = best.steps[from..to].iter().filter(|step| step.action == Action::Heal);
            let mut steps: Vec<Step> = [&best.steps[..from], &best.steps[to..]].concat();
            steps.extend(mended);
            steps.sort_by_key(|step| step.at_ms);
            let candidate = Scenario { steps, ..best.clone() };
            if candidate.steps.len() < best.steps.len() && fails(&candidate) {
                *best = candidate;
            } else {
                from = to;
            }
        }
        len /= 2;
    }
}

fn simplify(best: &mut Scenario, fails: &impl Fn(&Scenario) -> bool) {
    let plain = Choices::default();
    let setters: [fn(&mut Choices, &Choices); 12] = [
        |c, plain| c.keying = plain.keying,
        |c, plain| c.redirectors = plain.redirectors,
        |c, plain| c.redirecting = plain.redirecting,
        |c, plain| c.midstream = plain.midstream,
        |c, plain| c.hold_ms = plain.hold_ms,
        |c, plain| c.hold_frames = plain.hold_frames,
        |c, plain| c.ageing_s = plain.ageing_s,
        |c, plain| c.mesh_us = plain.mesh_us,
        |c, plain| c.drift = plain.drift,
        |c, plain| c.forged = plain.forged,
        |c, plain| c.opinions = plain.opinions,
        |c, plain| c.fault = plain.fault,
    ];
    for set in setters {
        let mut candidate = best.clone();
        set(&mut candidate.choices, &plain);
        if candidate != *best && fails(&candidate) {
            *best = candidate;
        }
    }
}
