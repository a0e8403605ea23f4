//! Are the checkers awake? The program is broken on purpose, in each way by itself, and every one must be noticed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use herald_core::mutation::{Mutation, switch};

use crate::options::Options;
use crate::run::{Telling, run, run_watched};
use crate::scenario::Scenario;
use crate::standing::{self, Kind};
use crate::swarm;

/// Those that take dozens of seeds to notice, and whose invariants others break sooner: a quick run leaves them out.
const SLOW: &[Mutation] =
    &[Mutation::IgnoreLostFrames, Mutation::NeverSuspend, Mutation::BelieveSyns, Mutation::PassFragments];

/// Seeds of a quick run for each mutation: some more than the slowest of the others takes.
const SEEDS_QUICK: u64 = 60;

/// What it took to notice one.
struct Caught {
    mutation: Mutation,
    /// The invariant that was seen broken, and the number of seeds until then.
    by: Option<(&'static str, u64)>,
}

/// Tries all of them, the quick ones, or the one with the name that the options give, and prints the table.
pub(crate) fn try_all(options: &Options) -> ExitCode {
    let asked = |mutation: &&Mutation| {
        options.mutation.as_deref().is_none_or(|name| name == mutation.name())
            && !(options.quick && SLOW.contains(mutation))
    };
    let mutations: Vec<Mutation> = Mutation::ALL.iter().filter(asked).copied().collect();
    let next = AtomicUsize::new(0);
    let table = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::panic::set_hook(Box::new(|_| {}));
    let work = || {
        while let Some(mutation) = mutations.get(next.fetch_add(1, Ordering::Relaxed)) {
            let caught = try_one(*mutation, options);
            let (name, by) = (mutation.name(), caught.by.map_or("not seen", |(invariant, _)| invariant));
            println!("{name}: {by}");
            table.lock().unwrap().push(caught);
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.threads.unwrap_or(cores) {
            scope.spawn(work);
        }
    });
    print(table.into_inner().unwrap())
}

fn try_one(mutation: Mutation, options: &Options) -> Caught {
    switch(Some(mutation));
    // What the ends hear is seen last: earlier checkers would always be first.
    let only = (mutation == Mutation::CorruptPayload).then_some("I11");
    let seeds = if options.quick { SEEDS_QUICK } else { options.seeds };
    let by = (options.from..options.from + seeds).find_map(|seed| {
        let scenario = scenario(mutation, seed);
        let (outcome, _) = run_watched(&scenario, Telling::Quiet, only);
        let violation = outcome.violation?;
        // A seed that fails without it proves nothing.
        switch(None);
        let fails_anyway = run(&scenario, Telling::Quiet).0.violation.is_some();
        switch(Some(mutation));
        if fails_anyway {
            return None;
        }
        if options.mutation.is_some() {
            println!("seed {seed}: {}", violation.what);
        }
        Some((violation.invariant, seed - options.from + 1))
    });
    switch(None);
    Caught { mutation, by }
}

/// What is about a standing fault is seen where that stands.
fn scenario(mutation: Mutation, seed: u64) -> Scenario {
    let kind = match mutation {
        Mutation::IgnoreLostGroups => Kind::Multicast,
        Mutation::BelieveUnproven | Mutation::AcceptUsedNonce => Kind::Impersonated,
        Mutation::OpenAtUnheard => Kind::Interface,
        Mutation::PreemptUnsteady => Kind::PulsesPreempting,
        _ => return swarm::scenario(seed),
    };
    standing::scenario(seed, kind)
}

fn print(mut table: Vec<Caught>) -> ExitCode {
    table.sort_by_key(|caught| caught.mutation.name());
    println!("{:<24} {:<12} SEEDS", "MUTATION", "SEEN AS");
    for Caught { mutation, by } in &table {
        match by {
            Some((invariant, seeds)) => println!("{:<24} {invariant:<12} {seeds}", mutation.name()),
            None => println!("{:<24} {:<12} -", mutation.name(), "not seen"),
        }
    }
    let missed = table.iter().filter(|caught| caught.by.is_none()).count();
    println!("{} of {} mutations are noticed", table.len() - missed, table.len());
    let unseen = seen_by_slow_alone(&table);
    if !unseen.is_empty() {
        println!(
            "a quick run would not see {}: SLOW must not have the mutations that break these",
            unseen.join(" or ")
        );
    }
    let well = missed == 0 && unseen.is_empty() && !table.is_empty();
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The invariants that no mutation of a quick run breaks, though others do. One mutation by itself says nothing of that.
fn seen_by_slow_alone(table: &[Caught]) -> Vec<&'static str> {
    let (slow, quick): (Vec<_>, Vec<_>) = table.iter().partition(|caught| SLOW.contains(&caught.mutation));
    let invariant = |caught: &&Caught| caught.by.map(|(invariant, _)| invariant);
    let seen: Vec<_> = quick.iter().filter_map(invariant).collect();
    if quick.is_empty() {
        return Vec::new();
    }
    slow.iter().filter_map(invariant).filter(|invariant| !seen.contains(invariant)).collect()
}
