//! Keeps at most so many frames on their way: what is sent is what arrives, and so the rate is the highest without loss.

use std::time::{Duration, Instant};

/// Frames that have not arrived although none arrived for this long are lost.
pub(crate) const LOST_TIME: Duration = Duration::from_millis(30);

/// Counts frames on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    frames_max: u64,
    sent: u64,
    arrived: u64,
    lost: u64,
    last_arrival: Instant,
}

impl Window {
    pub(crate) fn new(frames_max: u64, now: Instant) -> Self {
        Self { frames_max, sent: 0, arrived: 0, lost: 0, last_arrival: now }
    }

    /// Frames that were sent, have not arrived and are not lost.
    pub(crate) fn on_their_way(&self) -> u64 {
        self.sent.saturating_sub(self.arrived + self.lost)
    }

    /// Whether a burst of so many frames fits in.
    pub(crate) fn has_room(&self, frames: u64) -> bool {
        self.on_their_way() + frames <= self.frames_max
    }

    /// A burst was sent.
    pub(crate) fn burst_sent(&mut self, now: Instant, frames: u64) {
        if self.on_their_way() == 0 {
            self.last_arrival = now;
        }
        self.sent += frames;
    }

    /// The counter of the receiver was read: so many frames have arrived since the beginning.
    pub(crate) fn arrivals_read(&mut self, now: Instant, arrived: u64) {
        if arrived != self.arrived {
            self.last_arrival = now;
            self.arrived = arrived;
        } else if now.saturating_duration_since(self.last_arrival) > LOST_TIME {
            self.lost += self.on_their_way();
        }
    }

    /// Frames that have arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Frames lost, in percent of those sent.
    pub(crate) fn lost_percent(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { self.lost as f64 * 100.0 / self.sent as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn room_comes_with_arrivals() {
        let now = clock::now();
        let mut window = Window::new(64, now);
        for _ in 0..2 {
            assert!(window.has_room(32));
            window.burst_sent(now, 32);
        }
        assert!(!window.has_room(32));
        window.arrivals_read(now, 31);
        assert!(!window.has_room(32));
        window.arrivals_read(now, 32);
        assert!(window.has_room(32));
    }

    #[test]
    fn frames_are_lost_when_none_arrives_for_long() {
        let now = clock::now();
        let mut window = Window::new(64, now);
        window.burst_sent(now, 64);
        window.arrivals_read(now + LOST_TIME, 16);
        window.arrivals_read(now + LOST_TIME * 2, 16);
        assert_eq!(window.on_their_way(), 48);
        window.arrivals_read(now + LOST_TIME * 3, 16);
        assert_eq!((window.on_their_way(), window.lost_percent()), (0, 75.0));
    }
}
