//! The simulator: the unchanged core, three nodes of it, in a world where one seed decides everything.
//!
//! ```text
//! cargo test -p herald-host --test sim -- OPTION...
//!     (none)                         the corpus, and 10 seeds, each twice: a part of every `cargo test`
//!     --seeds 300                    the corpus, and so many seeds on all cores
//!     --seeds 20000 --from 1000      a long run, until something fails
//!     --seeds 20000 --survey         the same, to the end
//!     --from 17 --tell               one seed, with everything that happens
//!     --from 17 --show               its event list
//!     --replay FILE                  one event list, with everything that happens
//!     --standing all --seeds 100   one fault for ever, kind by kind: how many seeds of each fail
//!     --standing multicast         the same of one kind; with --tell or --show its first seed
//!     --pairs --seeds 5            each fault for ever, and one more event: all pairs
//!     --mutations --seeds 120        is every mutation noticed?
//!     --mutations --quick            is every one noticed that is noticed soon?
//! ```
//!
//! What the cluster promises is in `checkers`, one file for each promise; what goes wrong meanwhile is in `swarm`.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a checker looks only at the sights that concern it")]

mod answered;
mod chain_model;
mod checkers;
mod corpus;
mod coverage;
mod fault_model;
mod forge;
mod fragmented;
mod frames_lane;
mod host;
mod hostile;
mod links;
mod member;
mod mesh;
#[cfg(debug_assertions)]
mod mutations;
mod options;
mod packets;
mod plugins;
mod recorder;
mod report;
mod run;
mod scenario;
mod shrink;
mod sockets;
mod standing;
mod stands;
mod swarm;
mod switch;
mod tables;
mod trace;
mod turn;
mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Options, SEEDS_USUAL};
use crate::run::Telling;
use crate::standing::Asked;

fn main() -> ExitCode {
    // nextest asks every test program for its tests; this one has none of that kind.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    if !options.is_asked() {
        return ExitCode::SUCCESS;
    }
    let first = || match options.standing {
        Some(Asked::One(kind)) => standing::scenario(options.from, kind),
        Some(Asked::All) | None => swarm::scenario(options.from),
    };
    if options.show {
        print!("{}", first());
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &options.replay {
        let scenario = std::fs::read_to_string(file).unwrap().parse().unwrap();
        return report::one(&scenario, Telling::Loud);
    }
    if options.tell {
        return report::one(&first(), Telling::Loud);
    }
    if options.pairs {
        return stands::pairs(&options);
    }
    if let Some(asked) = options.standing {
        return stands::kinds(&options, asked);
    }
    #[cfg(debug_assertions)]
    if options.mutations {
        return mutations::try_all(&options);
    }
    if options.survey {
        return report::survey(&options);
    }
    if let Err(failure) = corpus::replay() {
        return failure;
    }
    let code = report::seeds(&options);
    if options.seeds == SEEDS_USUAL {
        println!("more: cargo test -p herald-host --test sim -- --seeds 300");
    }
    code
}
