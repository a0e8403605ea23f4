//! `bench`: what crossing Herald costs, side by side with a plain bridge and a kernel router.
//!
//! All cases are built at once and every take measures each column in all of them, one after the other, so that what
//! drifts on a machine hits them alike. Absolute figures change from hour to hour; what counts is the ratio to the
//! kernel router of the same run.
//!
//! ```text
//!  main -> options -> run -> site (one per case) -> place: namespaces | herald_lab
//!                      |       '-> load serve, in the host `server`
//!                      |-> column -> load frames | rtt | connections, iperf3, in the host `client`
//!                      '-> results -> table, json
//! ```

mod address;
mod case;
mod clock;
mod column;
mod cpus;
mod device;
mod error;
mod herald_lab;
mod interrupt;
mod json;
mod load;
mod namespaces;
mod netns;
mod options;
mod place;
mod process;
mod quiet;
mod results;
mod run;
mod site;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::error::BenchError;
use crate::load::Load;
use crate::options::Options;
use crate::run::Outcome;

/// Measures what crossing Herald costs, side by side with a plain bridge and a kernel router. Needs root and iperf3.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    inner: Option<Inner>,
}

#[derive(Debug, clap::Subcommand)]
enum Inner {
    /// (internal) One of the programs that make or answer the load, in the host where it is started
    #[command(subcommand, hide = true)]
    Load(Load),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.inner {
        Some(Inner::Load(load)) => load.run().map(|()| Outcome::Complete),
        None => run::run(&arguments.options),
    };
    match done {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => ExitCode::FAILURE,
        Err(BenchError::Interrupted) => {
            eprintln!("bench: interrupted; everything it made is removed");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
