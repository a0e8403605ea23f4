//! Descriptors that the caller left open: a process that outlives its caller must not keep its locks, pipes and sockets.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::unistd::close;

/// The last of the standard files.
const STANDARD_MAX: RawFd = 2;

/// Closes all descriptors above the standard three. Only for the beginning of a process, which has opened nothing itself yet.
///
/// # Errors
/// When there is no list of them in `/proc`.
pub fn close_inherited() -> io::Result<()> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok();
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    for inherited in open.into_iter().filter(|descriptor| *descriptor > STANDARD_MAX) {
        // One of them was the list's own, which is closed by now.
        let _closed_already = close(inherited);
    }
    Ok(())
}
