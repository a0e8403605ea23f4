//! Past failures as event lists: each must stay mended.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::report;
use crate::run::run_twice;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/corpus");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
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
            println!("{} fails again", file.display());
            return Err(report::failure(&scenario, &violation));
        }
    }
    println!("corpus: {} past failures stay mended", files.len());
    Ok(())
}
