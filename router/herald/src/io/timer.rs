//! The event loop's one timer. A time-out of the poll would be set up and taken down at every wait; this one is set when a
//! deadline comes before the one that it is set for, and otherwise left alone.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use herald_core::time::Instant;

/// It wakes the loop at whole milliseconds, so that deadlines close to each other are treated together. In nanoseconds.
const GRAIN_NS: u64 = 1_000_000;

/// Becomes readable when a deadline has come.
#[derive(Debug)]
pub struct Timer {
    timer: TimerFd,
    /// When it wakes the loop next.
    at: Instant,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self { timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?, at: Instant::NEVER })
    }

    /// Wakes the loop within a millisecond after `deadline` at the latest: perhaps earlier, for one that was named before.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wake_by(&mut self, deadline: Instant) -> io::Result<()> {
        let at = Instant::from_nanos(deadline.as_nanos().max(1).div_ceil(GRAIN_NS).saturating_mul(GRAIN_NS));
        if at < self.at {
            let time = TimeSpec::from_duration(Duration::from_nanos(at.as_nanos()));
            self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.at = at;
        }
        Ok(())
    }

    /// It has woken the loop. It need not be read: the poll tells the next time anew.
    pub fn has_woken(&mut self) {
        self.at = Instant::NEVER;
    }
}

impl Source for Timer {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.timer.as_fd().as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.timer.as_fd().as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.timer.as_fd().as_raw_fd()).deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;
    use crate::io::clock;

    #[test]
    fn it_wakes_at_the_earliest_deadline_and_again_without_being_read() {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
        let mut timer = Timer::new().unwrap();
        timer.register(poll.registry(), Token(7), Interest::READABLE).unwrap();
        for _ in 0..3 {
            let begin = clock::now();
            let deadline = begin + Duration::from_millis(20);
            timer.wake_by(begin + Duration::from_secs(600)).unwrap();
            timer.wake_by(deadline).unwrap();
            timer.wake_by(begin + Duration::from_secs(300)).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
            assert_eq!(events.iter().map(mio::event::Event::token).collect::<Vec<_>>(), [Token(7)]);
            assert!(clock::now() >= deadline);
            timer.has_woken();
        }
        timer.wake_by(Instant::default()).unwrap();
        poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
        assert!(!events.is_empty());
        timer.has_woken();
        timer.wake_by(Instant::NEVER).unwrap();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
    }
}
