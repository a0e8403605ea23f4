//! The end of traffic that goes on until it is told to stop.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

/// Whether the traffic is to end, for all threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Keeps SIGTERM from ending this thread and those that it will start.
    pub(crate) fn prepare() -> io::Result<Self> {
        signal().thread_block()?;
        Ok(Self::default())
    }

    /// Says that all traffic flows, waits for SIGTERM and tells all threads.
    pub(crate) fn await_signal(&self) -> io::Result<()> {
        println!("ready");
        signal().wait()?;
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
        Ok(())
    }

    pub(crate) fn is_told(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this time, or until the traffic is to end.
    pub(crate) fn wait(&self, time: Duration) {
        let told = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _told_or_over = self.0.1.wait_timeout_while(told, time, |told| !*told);
    }
}

fn signal() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set
}
