//! Lines that wait for standard error, and the thread that writes them. While it cannot write (the disk is full, the reader
//! has stopped), lines wait; when too many do, further ones are lost, which is counted and told as soon as it can write again.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::limit::Limit;
use crate::io::clock;

/// Bytes of lines that may wait, some seven thousand lines: a burst at a busy disk, or what a node says in the hour in which
/// nobody reads.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Time between two attempts to write to what does not take anything: a full disk does not become empty sooner.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// The lines that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Lines came, or all are written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// Lines in `bytes`.
    lines: u64,
    /// Lines that the thread has taken and not written yet, and their bytes.
    taken: (u64, usize),
    /// Lines lost so far.
    lost: u64,
}

/// One line on its way into the queue.
#[derive(Debug)]
pub(super) struct Line(pub(super) Arc<Queue>);

impl Write for Line {
    /// Takes a whole line. Never waits, never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.bytes.len() + state.taken.1 + line.len() > QUEUE_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes.extend_from_slice(line);
        state.lines += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Lines that wait, and lines lost so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.lines + state.taken.0, state.lost)
    }

    /// Waits until all is written, but not longer than this.
    pub(super) fn drain(&self, time_max: Duration) {
        let waits = |state: &mut State| state.lines + state.taken.0 > 0;
        let _written_or_not = self.changed.wait_timeout_while(self.lock(), time_max, waits);
    }

    /// Waits for lines, `time_max` at most, and takes them into the emptied `bytes`. Returns how many lines are lost by now.
    fn take(&self, time_max: Option<Duration>, bytes: &mut Vec<u8>) -> u64 {
        let empty = |state: &mut State| state.lines == 0;
        let state = self.lock();
        let mut state = match time_max {
            None => self.changed.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner),
            Some(time_max) => {
                let waited = self.changed.wait_timeout_while(state, time_max, empty);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        std::mem::swap(&mut state.bytes, bytes);
        state.taken = (std::mem::take(&mut state.lines), bytes.len());
        state.lost
    }

    fn written(&self) {
        self.lock().taken = (0, 0);
        self.changed.notify_all();
    }

    /// A thread that panicked with the lock has at worst left a line uncounted.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that writes to standard error, by a descriptor of its own: the standard library's has a lock, and who
/// writes to a reader that has stopped keeps it. Signals are for other threads.
pub(super) fn start(queue: Arc<Queue>, limit: Limit) -> io::Result<()> {
    let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = thread::Builder::new().name("log".to_owned()).spawn(move || run(&queue, &limit, output));
    mask.thread_set_mask()?;
    started.map(drop)
}

/// Writes until the process ends.
fn run(queue: &Queue, limit: &Limit, mut output: impl Write) {
    let (mut bytes, mut told) = (Vec::new(), 0);
    loop {
        let lost = queue.take(limit.due_in(clock::now()), &mut bytes);
        write(&mut output, &bytes);
        bytes.clear();
        queue.written();
        if lost > told {
            // All since the start: so nothing is untold even if this line is lost, too.
            tracing::warn!("{lost} lines of the log are lost since the start: it could not be written");
            told = lost;
        }
        if limit.due_in(clock::now()) == Some(Duration::ZERO) {
            limit.tell_left_out();
        }
    }
}

/// Writes all, however long it takes.
fn write(output: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(written) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => thread::park_timeout(RETRY_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A disk that takes half of what is written, and nothing at all in between.
    #[derive(Default)]
    struct FullNowAndThen {
        taken: Vec<u8>,
        full: bool,
    }

    impl Write for FullNowAndThen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.full = !self.full;
            if self.full {
                return Err(ErrorKind::StorageFull.into());
            }
            let len = bytes.len().div_ceil(2);
            self.taken.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that reads when it is told to.
    struct Reader {
        stopped: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.stopped.recv().unwrap();
            self.read.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_written_later_and_not_torn() {
        let mut disk = FullNowAndThen::default();
        write(&mut disk, b"first\nlast\n");
        assert_eq!(disk.taken, b"first\nlast\n");
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_stopped() {
        let queue = Arc::new(Queue::default());
        let (go_on, stopped) = channel();
        let (read, lines) = channel();
        let writing = Arc::clone(&queue);
        thread::spawn(move || run(&writing, &Limit::default(), Reader { stopped, read }));
        let line = [b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<_>>();
        queue.push(b"first\n");
        // Twice what may wait; the first line may have been taken already, or not.
        let count = 2 * QUEUE_BYTES_MAX as u64 / 1024;
        (0..count).for_each(|_| queue.push(&line));
        let (waiting, lost) = queue.counts();
        assert_eq!(waiting + lost, count + 1);
        assert!(waiting.abs_diff(count / 2) <= 1, "{waiting} lines wait");
        queue.drain(Duration::from_millis(1));
        assert_eq!(queue.counts(), (waiting, lost), "the end of a process does not wait for ever");
        (0..3).for_each(|_| go_on.send(()).unwrap());
        queue.drain(PATIENCE);
        assert_eq!(queue.counts(), (0, lost));
        let written: usize = lines.try_iter().map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count()).sum();
        assert_eq!(written as u64, waiting);
    }
}
