//! The command line of the simulator.

use std::path::PathBuf;

use clap::Parser;

use crate::standing::Asked;

/// Seeds of a plain `cargo test`.
pub(crate) const SEEDS_USUAL: u64 = 10;

/// Runs three real nodes in a simulated world, seed by seed, and checks after every event what a cluster promises.
#[derive(Debug, Parser)]
#[command(name = "sim")]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = SEEDS_USUAL)]
    pub(crate) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) from: u64,
    /// Threads; all cores if not given.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Runs one scenario file and tells what happens.
    #[arg(long)]
    pub(crate) replay: Option<PathBuf>,
    /// Prints the scenario of the first seed, and runs nothing.
    #[arg(long)]
    pub(crate) show: bool,
    /// Tells everything that happens in a run of the first seed.
    #[arg(long)]
    pub(crate) tell: bool,
    /// Goes on after a failure and counts failures by invariant.
    #[arg(long)]
    pub(crate) survey: bool,
    /// Runs only seeds in which one fault stands for ever, of this kind or of `all`, and counts what fails.
    #[arg(long, value_name = "KIND")]
    pub(crate) standing: Option<Asked>,
    /// Lets one more event follow each standing fault: all pairs, so many seeds of each.
    #[arg(long, conflicts_with = "standing")]
    pub(crate) pairs: bool,
    /// Breaks the program on purpose, once for each mutation, and prints how many seeds it takes to notice.
    #[cfg(debug_assertions)]
    #[arg(long)]
    pub(crate) mutations: bool,
    /// With `--mutations`: without those that take many seeds, and whose invariants others break sooner.
    #[cfg(debug_assertions)]
    #[arg(long, requires = "mutations")]
    pub(crate) quick: bool,
    /// Only the mutation with this name.
    #[cfg(debug_assertions)]
    #[arg(long)]
    pub(crate) mutation: Option<String>,
    /// Names of tests, as `cargo test NAME` passes them: without `sim` among them nothing is run.
    names: Vec<String>,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
}

impl Options {
    /// False if `cargo test` asks for other tests or only for their names.
    pub(crate) fn is_asked(&self) -> bool {
        !self.list && (self.names.is_empty() || self.names.iter().any(|name| "simulation".contains(name.as_str())))
    }
}
