//! The `herald` program: reads the command line, does what it says, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use herald::app::command_line::CommandLine;
use herald::app::commands::{self, CommandError};
use herald::app::output::complain;

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return refuse(&error),
    };
    match run(command_line) {
        Ok(exit_code) => exit_code,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.downcast_ref().map_or(1, CommandError::exit_code))
        }
    }
}

fn run(command_line: CommandLine) -> anyhow::Result<ExitCode> {
    Ok(commands::execute(command_line.command)?)
}

/// Help and version are what was asked for; everything else is wrong usage, said on one line. A hint at a similar word
/// stays in it; the one to pass what is no option behind `--` helps nobody here. What it says of numbers is for programmers.
fn refuse(error: &clap::Error) -> ExitCode {
    let kind = error.kind();
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let is_end = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
    let what = text.lines().map(str::trim).take_while(|line| !is_end(line));
    let what: Vec<_> = what.filter(|line| !line.is_empty() && !line.starts_with("tip: to pass")).collect();
    let what = [
        (" tip: ", "; "),
        ("provided: --control <PATH>", "provided: --control <PATH>, or $HERALD_CONTROL"),
        ("invalid digit found in string", "a whole number is expected"),
        ("number too large to fit in target type", "it is too large"),
    ]
    .into_iter()
    .fold(what.join(" "), |text, (theirs, ours)| text.replace(theirs, ours));
    complain(&format!("{}; see --help", what.trim_start_matches("error: ")));
    ExitCode::from(2)
}
