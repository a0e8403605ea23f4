//! Bounds of a lab's relays.

use std::time::Duration;

/// Frames on their way through a relay of the lab: at 50 ms of delay, a Gbit/s of full-size packets.
pub const RELAY_FRAMES_MAX: usize = 4_096;

/// Bytes of these frames, as some are super-frames.
pub const RELAY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Ethernet addresses that a relay of the lab remembers: those of all hosts of a lab many times over.
pub const RELAY_MACS_MAX: usize = 1_024;

/// How long a frame that is to be overtaken waits for the next one.
pub const RELAY_REORDER_TIME_MAX: Duration = Duration::from_millis(100);

/// Frames that a relay of the lab takes from one port before it looks at the others.
pub const RELAY_TURN_FRAMES_MAX: usize = 64;
