//! Sees from a thread of its own that the event loop makes progress, and says in which phase it stands still.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks; a loop that stays in one turn for a whole one stands still.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the event loop does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It waits for something to do.
    Waiting,
    /// It treats messages of peers.
    Peers,
    /// It takes frames from the TAPs and steers them.
    Frames,
    /// The plugins inspect.
    Plugins,
    /// It carries out what the node decided.
    Outbox,
    /// It treats deadlines.
    Deadlines,
    /// It answers questions of commands.
    Answers,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Waiting, Self::Peers, Self::Frames, Self::Plugins, Self::Outbox, Self::Deadlines, Self::Answers];

    fn describe(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Peers => "treating messages of peers",
            Self::Frames => "taking frames from a TAP",
            Self::Plugins => "running the plugins",
            Self::Outbox => "transmitting and sending",
            Self::Deadlines => "treating deadlines",
            Self::Answers => "answering commands",
        }
    }
}

/// Written by the loop, read by the watchdog. No order between the two is needed: a look that comes too early sees the
/// change one interval later.
#[derive(Debug, Default)]
pub struct Progress {
    turns: AtomicU64,
    phase: AtomicU8,
}

impl Progress {
    /// A turn begins.
    pub fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// A phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn look(&self) -> Look {
        let number = usize::from(self.phase.load(Ordering::Relaxed));
        let phase = Phase::ALL.get(number).copied().unwrap_or(Phase::Waiting);
        Look { turns: self.turns.load(Ordering::Relaxed), phase }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    turns: u64,
    phase: Phase,
}

impl Look {
    /// True if the loop was in this very turn at the look before, and does not just wait.
    fn stands_still_since(self, before: Self) -> bool {
        self.turns == before.turns && self.phase != Phase::Waiting
    }
}

/// The running watchdog. Dropping it ends its thread.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

/// Starts to watch. `look` is called at each look, for what else must be looked at beside the loop.
///
/// # Errors
/// When there can be no more threads.
pub fn start(progress: Arc<Progress>, look: impl FnMut() + Send + 'static) -> io::Result<Watchdog> {
    let (stop, stopped) = sync_channel(0);
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    let thread = thread.spawn(move || watch(&progress, look, &stopped))?;
    Ok(Watchdog { stop: Some(stop), thread: Some(thread) })
}

fn watch(progress: &Progress, mut look_beside: impl FnMut(), stopped: &Receiver<()>) {
    let mut before = progress.look();
    let mut still: u32 = 0;
    while stopped.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        look_beside();
        let look = progress.look();
        if look.stands_still_since(before) {
            still += 1;
            // At 1, 2, 4, 8, ... intervals: often enough to be seen, seldom enough to be read.
            if still.is_power_of_two() {
                let standing = LOOK_INTERVAL * still;
                tracing::error!("the event loop has not moved for {standing:?}: it is {}", look.phase.describe());
            }
        } else if still > 0 {
            tracing::warn!("the event loop moves again after {:?}", LOOK_INTERVAL * still);
            still = 0;
        }
        before = look;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_stands_still_in_one_turn_of_work_only() {
        let progress = Progress::default();
        progress.turn();
        progress.enter(Phase::Plugins);
        let before = progress.look();
        assert!(progress.look().stands_still_since(before));
        progress.turn();
        assert!(!progress.look().stands_still_since(before));
        progress.enter(Phase::Waiting);
        let waiting = progress.look();
        assert!(!progress.look().stands_still_since(waiting), "an idle loop waits");
    }

    #[test]
    fn every_phase_is_found_by_its_number() {
        let progress = Progress::default();
        for phase in Phase::ALL {
            progress.enter(phase);
            assert_eq!(progress.look().phase, phase);
        }
    }

    #[test]
    fn the_watchdog_ends_at_once() {
        drop(start(Arc::new(Progress::default()), || {}).unwrap());
    }
}
