//! A configuration: the file's text and, behind a zero byte, lines of `--set`.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use herald::app::config::Config;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, sets) = text.split_once('\0').unwrap_or((text, ""));
    let sets: Vec<_> = sets.lines().map(str::to_owned).collect();
    // Without a name: nothing of it is left behind, even by a crash.
    let mut file: File = tempfile::tempfile().expect("a temporary file");
    file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("a file that takes bytes");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    match Config::load(&path, &sets) {
        Ok(config) => {
            assert!(config.members.contains(&config.options.node), "{config:?}");
            // Values of plugins may be more than TOML can say; that is an error, not a panic.
            config.to_toml().ok();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
