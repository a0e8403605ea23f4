//! `herald plugin`: what authors of plugins need.

mod check;
mod new;

use clap::Subcommand;

pub use check::{CheckArguments, CheckError};
pub use new::{Language, NewArguments, NewError};

use super::output;

/// `herald plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a project for a plugin: it builds and tests offline, with what is in this program
    New(NewArguments),
    /// Test whether a plugin keeps the contract, each test in a process of its own
    ///
    /// Exit code 0: all tests passed; 1: the file is no plugin, or tests failed.
    Check(CheckArguments),
}

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The project was not made.
    #[error(transparent)]
    New(#[from] NewError),
    /// The plugin was not accepted.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
}

/// Does what the command says.
///
/// # Errors
/// What failed, and what to do.
pub fn run(command: &PluginCommand) -> Result<(), PluginError> {
    match command {
        PluginCommand::New(arguments) => output::print(&new::run(arguments)?).map_err(PluginError::Output),
        PluginCommand::Check(arguments) => {
            let (text, outcome) = check::run(arguments)?;
            output::print(&text).map_err(PluginError::Output)?;
            Ok(outcome?)
        }
    }
}
