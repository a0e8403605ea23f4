//! The command line of the model.

use clap::Parser;

/// Explores every state that three nodes can come into, and checks in each what a cluster promises.
#[derive(Debug, Parser)]
#[command(name = "model")]
pub(crate) struct Options {
    /// Explores more: two streams with their answers under two faults, with each slow channel.
    #[arg(long)]
    pub(crate) full: bool,
    /// Explores two streams under two faults with every pair of slow channels, for half an hour.
    #[arg(long)]
    pub(crate) pairs: bool,
    /// Only the model with this number in the table.
    #[arg(long)]
    pub(crate) only: Option<usize>,
    /// Threads; all cores if not given.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Breaks the program on purpose: each way must lead to a counter-example.
    #[cfg(debug_assertions)]
    #[arg(long)]
    pub(crate) mutations: bool,
    /// Names of tests, as `cargo test NAME` passes them: without `model` among them nothing is run.
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
        !self.list && (self.names.is_empty() || self.names.iter().any(|name| "model".contains(name.as_str())))
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}
