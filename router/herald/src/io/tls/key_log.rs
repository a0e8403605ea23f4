//! The secrets of each connection in a file, so that tests can read captures (`SSLKEYLOGFILE` format, RFC 9850).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::O_NONBLOCK;
use rustls::KeyLog;

/// A file that only its owner may read.
#[derive(Debug)]
pub(super) struct FileKeyLog(File);

impl FileKeyLog {
    /// Appends to the file, which is made if there is none. Nobody waits for it, even if it is a pipe.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(O_NONBLOCK).open(path).map(Self)
    }
}

impl KeyLog for FileKeyLog {
    /// One line in one write, so that the lines of several connections do not mix.
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        // A full disk costs the log, not the connection.
        (&self.0).write_all(line.as_bytes()).ok();
    }
}
