//! Past failures as event lists: each must stay mended. And the scenarios that a lab runs, too.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::report;
use crate::run::run_twice;

/// Past failures, and what runs in a lab, below the package's folder.
const FOLDERS: [&str; 2] = ["tests/sim/corpus", "../../netns-tests/scenarios"];

fn files() -> Vec<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = FOLDERS.iter().flat_map(|folder| std::fs::read_dir(package.join(folder)).unwrap());
    let entries = folders.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "scenario")).collect();
    files.sort();
    files
}

/// Runs all of them; the exit code if one fails again.
pub(crate) fn replay() -> Result<(), ExitCode> {
    let files = files();
    for file in &files {
        let scenario = std::fs::read_to_string(file).unwrap().parse().unwrap();
        if let Some(violation) = run_twice(&scenario).violation {
            println!("{} fails", file.display());
            return Err(report::failure(&scenario, &violation));
        }
    }
    println!("{} scenarios, of past failures and of labs, are well", files.len());
    Ok(())
}
