//! Kernel settings of the host in which it runs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use clap::Args;

use crate::error::BenchError;

/// What to set.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Paths under /proc/sys with their values
    #[arg(value_name = "PATH=VALUE")]
    settings: Vec<String>,
}

/// Sets them. One that this kernel does not have is passed over: there is nothing then that it could disturb.
///
/// # Errors
///
/// When the kernel refuses a value.
pub(crate) fn run(arguments: &Arguments) -> Result<(), BenchError> {
    for (path, value) in arguments.settings.iter().filter_map(|setting| setting.split_once('=')) {
        match fs::write(Path::new("/proc/sys").join(path), value) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(BenchError::system(format!("cannot set {path} to {value}"))(e)),
        }
    }
    Ok(())
}
