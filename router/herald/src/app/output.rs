//! What commands print. Neither a reader that has gone nor a full disk makes a program panic here.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Milliseconds for standard error to take a last complaint: a program whose reader has stopped must still end.
const COMPLAINT_MS_MAX: u16 = 2_000;

/// Prints; a reader that has seen enough and closed the pipe is no failure.
///
/// # Errors
/// What the system says of standard output.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says on one line of standard error what went wrong. There is no other place to complain of standard error itself.
pub fn complain(text: &str) {
    let line = format!("herald: {}\n", text.replace('\n', "; "));
    let error = io::stderr();
    let mut ready = [PollFd::new(error.as_fd(), PollFlags::POLLOUT)];
    // A pipe that is ready takes `PIPE_BUF` bytes (4,096, pipe(7)) at once; no line here is longer.
    if poll(&mut ready, PollTimeout::from(COMPLAINT_MS_MAX)).is_ok_and(|count| count > 0) {
        let _ = error.lock().write_all(line.as_bytes());
    }
}
