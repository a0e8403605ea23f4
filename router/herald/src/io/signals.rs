//! Signals that ask the process to stop, as a descriptor for the event loop.

use std::io;
use std::os::fd::AsRawFd;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGTERM and SIGINT, which no longer end the process by themselves.
#[derive(Debug)]
pub struct StopSignals(SignalFd);

impl StopSignals {
    /// Takes the signals over. To be called before threads start, which inherit that.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take_over() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block()?;
        // A file that may not grow (setrlimit(2), RLIMIT_FSIZE) is an error of who writes to it, not the end of the process.
        SigSet::from(Signal::SIGXFSZ).thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The name of a signal that came.
    pub fn read(&mut self) -> Option<&'static str> {
        let signal = self.0.read_signal().ok().flatten()?;
        let number = i32::try_from(signal.ssi_signo).ok()?;
        Some(Signal::try_from(number).map_or("a signal", Signal::as_str))
    }
}

impl Source for StopSignals {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}
