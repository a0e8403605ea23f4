//! Ctrl-C and other requests to end: they are noted, the measurement stops at the next check, and unwinding removes
//! what was made.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::BenchError;

static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: c_int) {
    ASKED_TO_END.store(true, Ordering::Relaxed);
}

/// From now on requests to end are noted instead of ending the process.
///
/// # Errors
///
/// When the kernel refuses a handler.
pub(crate) fn watch() -> Result<(), BenchError> {
    // Without SA_RESTART: a waiting poll ends at once.
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is safe in a signal handler.
        unsafe { sigaction(signal, &action) }.map_err(BenchError::system(format!("cannot handle {signal}")))?;
    }
    Ok(())
}

/// Fails once an end was asked for.
///
/// # Errors
///
/// [`BenchError::Interrupted`].
pub(crate) fn check() -> Result<(), BenchError> {
    if ASKED_TO_END.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
}
