//! A model of announcing, refusing, asking, assigning and taking over: three real nodes, up to two streams and two faults,
//! and every order of what may happen. Time stands still; that somebody has waited for long enough is a step of its own. No
//! rule has a second copy here: what a node does with a message is found out by giving it to a node. A state is told from
//! others by all that its nodes would print of themselves, by what is on its way and by what promises need to know of the
//! past.
//!
//! ```text
//! cargo test -p herald-core --test model                                   what every test run explores
//! cargo test -p herald-core --test model -- --full           more of everything, for some minutes
//! cargo test -p herald-core --test model -- --pairs          the most, for half an hour
//! cargo test -p herald-core --test model -- --mutations      is the model awake?
//! ```
//!
//! There are eight channels: six directions of links, and two networks for redirected frames and adverts. What is sent where nothing is
//! slow arrives at once. With all channels slow every interleaving is explored; where that is too much, every one for each
//! choice of one or two slow channels.
//!
//! Heartbeats are the model's to give, as levers: of their own accord they tell nothing new. A role passes by preemption,
//! when the other members report that they hear the node that outranks its holder, or by a proven death.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a promise looks only at what concerns it")]
#![expect(clippy::disallowed_methods, reason = "a run tells how long it took")]

mod action;
mod explore;
mod history;
mod layout;
mod meeting;
mod member;
mod memo;
#[cfg(debug_assertions)]
mod mutations;
mod options;
mod possible;
mod runs;
mod scenario;
mod sights;
mod state;
mod story;
mod walk;
mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::options::Options;

fn main() -> ExitCode {
    // nextest asks every test program for its tests; this one has none of that kind.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    if !options.is_asked() {
        return ExitCode::SUCCESS;
    }
    #[cfg(debug_assertions)]
    if options.mutations {
        return mutations::try_all();
    }
    runs::all(&options)
}
