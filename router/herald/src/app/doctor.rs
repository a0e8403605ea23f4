//! `herald doctor`: what this machine lacks for the lab.

use std::process::ExitCode;

use herald_lab::{Finding, LabError};

/// Prints each thing that a lab needs, what is wrong with it and what mends it. The exit code tells whether all is well.
///
/// # Errors
///
/// When the checks could not be run.
pub fn run() -> Result<ExitCode, LabError> {
    let findings = herald_lab::doctor()?;
    for Finding { need, problem, mend } in &findings {
        match problem {
            None => println!("ok      {need}"),
            Some(problem) => println!("lacking {need}: {problem}"),
        }
        if let Some(mend) = mend {
            println!("        as root: {mend}");
        }
    }
    Ok(if findings.iter().all(|f| f.problem.is_none()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
