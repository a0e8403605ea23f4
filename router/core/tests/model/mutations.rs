//! Is the model awake? The program is broken on purpose, in each way by itself, and every one must lead to a
//! counter-example.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use herald_core::mutation::Mutation;
use stateright::Checker;

use crate::explore::Explored;
use crate::memo::Memo;
use crate::runs::{long, short};

/// The ways that concern announcing, refusing, asking, moving and epochs.
const CONCERNING: &[Mutation] = &[
    Mutation::TransmitEarly,
    Mutation::IgnoreRefuse,
    Mutation::AcceptOldEpoch,
    Mutation::ObeyOldEpoch,
    Mutation::AcknowledgeUnheard,
    Mutation::LowerGenerationWins,
    Mutation::Guess,
    Mutation::SteerToDead,
    Mutation::ReuseEpoch,
    Mutation::KeepRole,
    Mutation::NeverTake,
    Mutation::TransmitTwice,
    Mutation::LoseFrames,
];

/// Tries all of them, and tells the shortest way to break a promise with each.
pub(crate) fn try_all() -> ExitCode {
    let missed: Vec<_> = CONCERNING.iter().filter(|mutation| !is_caught(**mutation)).map(|m| m.name()).collect();
    if missed.is_empty() {
        println!("all {} mutations lead to a counter-example", CONCERNING.len());
        return ExitCode::SUCCESS;
    }
    println!("no counter-example with {}", missed.join(", "));
    ExitCode::FAILURE
}

fn is_caught(mutation: Mutation) -> bool {
    let begin = Instant::now();
    short().into_iter().chain(long().into_iter().take(1)).any(|run| {
        let memo = Arc::new(Memo::new(&run.scenario, &Arc::default()).broken_by(mutation));
        run.scenarios().any(|scenario| breaks(&Explored::new(scenario, &memo), mutation, begin))
    })
}

/// True if a promise is broken: then the way to it is told.
fn breaks(model: &Explored, mutation: Mutation, begin: Instant) -> bool {
    // One thread, so that the path is as short as can be.
    let (Some(path), checker) = model.explore(1) else { return false };
    println!(
        "{}: {}; {} states of it, {:.1} seconds",
        mutation.name(),
        model.scenario,
        checker.state_count(),
        begin.elapsed().as_secs_f64()
    );
    model.story(&path).iter().for_each(|line| println!("  {line}"));
    true
}
