//! `herald doctor`: what this machine lacks for the lab.

use std::process::ExitCode;

use super::commands::{CommandError, print};
use herald_lab::Finding;

/// Prints each thing that a lab needs, what is wrong with it and what mends it. The exit code tells whether all is well.
///
/// # Errors
///
/// When the checks could not be run, or standard output is gone.
pub fn run() -> Result<ExitCode, CommandError> {
    let findings = herald_lab::doctor()?;
    for Finding { need, problem, mend } in &findings {
        let found = match problem {
            None => format!("ok      {need}\n"),
            Some(problem) => format!("lacking {need}: {problem}\n"),
        };
        let mend = mend.as_ref().map_or_else(String::new, |mend| format!("        as root: {mend}\n"));
        print(&(found + &mend))?;
    }
    Ok(if findings.iter().all(|f| f.problem.is_none()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
