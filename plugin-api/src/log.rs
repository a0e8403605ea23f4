//! Messages to the router's log, and the time of day. Statics of a plugin are its own, so both go by the host's table.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::abi::{self, HeraldText};
use crate::host::table;

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = abi::HERALD_LEVEL_ERROR,
    /// Something is odd.
    Warn = abi::HERALD_LEVEL_WARN,
    /// Something worth knowing happened.
    Info = abi::HERALD_LEVEL_INFO,
    /// For who looks for a mistake.
    Debug = abi::HERALD_LEVEL_DEBUG,
    /// Every step.
    Trace = abi::HERALD_LEVEL_TRACE,
}

/// The plugin's name; unset in unit tests and for plugins in the host's own binary, whose messages go nowhere.
static NAME: OnceLock<&'static str> = OnceLock::new();

/// Longest message in bytes; what is longer is cut.
const MESSAGE_LEN_MAX: usize = 1024;

/// This library's messages have a name from now on.
pub(crate) fn name(plugin: &'static str) {
    if NAME.set(plugin).is_ok() {
        // This library has its own copy of the standard library, so the hook sees this plugin's panics alone.
        static SITE: Site = Site::new();
        std::panic::set_hook(Box::new(|panic| write_log_of(&SITE, Level::Error, format_args!("{panic}"))));
    }
}

/// The host takes messages of this level.
#[must_use]
pub fn enabled(level: Level) -> bool {
    NAME.get().is_some() && table().is_some_and(|host| level as u32 <= host.level)
}

/// Lines of one place of a plugin in one second; what is more is not even formatted.
const SITE_LINES_MAX: u32 = 20;

/// A place that logs: how much it has said in this second, and what was left out since it last could say so.
#[derive(Debug)]
pub struct Site {
    second: AtomicU64,
    lines: AtomicU32,
    left_out: AtomicU64,
}

impl Site {
    /// It has said nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self { second: AtomicU64::new(0), lines: AtomicU32::new(0), left_out: AtomicU64::new(0) }
    }

    /// True if it may say a line in this second, and how many it could not say before. Threads that log at once may get one line
    /// more.
    fn admits(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Relaxed) != second {
            self.lines.store(0, Relaxed);
        }
        if self.lines.fetch_add(1, Relaxed) < SITE_LINES_MAX {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

/// Writes a message of one place to the host's log, if that has not said too much in this second; the macros
/// [`error!`](crate::error) to [`trace!`](crate::trace) call it.
pub fn write_log_of(site: &Site, level: Level, message: fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    match site.admits(unix_nanos() / 1_000_000_000) {
        None => {}
        Some(0) => write_log(level, message),
        Some(left_out) => {
            write_log(level, format_args!("{left_out} lines of this place were left out before: {message}"))
        }
    }
}

/// Writes a message to the host's log, without allocating.
pub fn write_log(level: Level, message: fmt::Arguments<'_>) {
    let (Some(host), Some(plugin)) = (table(), NAME.get()) else { return };
    let (Some(log), true) = (host.log, enabled(level)) else { return };
    let mut line = Line { bytes: [0; MESSAGE_LEN_MAX], len: 0 };
    // Only a `Display` of the caller can fail here; then what came so far is logged.
    let _ = line.write_fmt(message);
    let text = HeraldText { bytes: line.bytes.as_ptr(), len: line.len };
    // SAFETY: promised to `host::connect`; the host copies both texts.
    unsafe { log(level as u32, HeraldText::new(plugin), text) }
}

/// Nanoseconds since 1970-01-01 00:00 UTC by the host's clock; 0 without a host.
#[must_use]
pub fn unix_nanos() -> u64 {
    // SAFETY: promised to `host::connect`.
    table().and_then(|host| host.unix_nanos).map_or(0, |clock| unsafe { clock() })
}

/// A text of bounded length on the stack.
struct Line {
    bytes: [u8; MESSAGE_LEN_MAX],
    len: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut fits = text.len().min(MESSAGE_LEN_MAX - self.len);
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        let part = text.as_bytes().get(..fits).unwrap_or_default();
        if let Some(place) = self.bytes.get_mut(self.len..self.len + fits) {
            place.copy_from_slice(part);
            self.len += fits;
        }
        if fits < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Logs that something failed; arguments as for `format!`.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => {{
        static SITE: $crate::Site = $crate::Site::new();
        $crate::write_log_of(&SITE, $crate::Level::Error, ::core::format_args!($($message)+))
    }};
}

/// Logs that something is odd; arguments as for `format!`.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => {{
        static SITE: $crate::Site = $crate::Site::new();
        $crate::write_log_of(&SITE, $crate::Level::Warn, ::core::format_args!($($message)+))
    }};
}

/// Logs that something worth knowing happened; arguments as for `format!`.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => {{
        static SITE: $crate::Site = $crate::Site::new();
        $crate::write_log_of(&SITE, $crate::Level::Info, ::core::format_args!($($message)+))
    }};
}

/// Logs for who looks for a mistake; arguments as for `format!`.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => {{
        static SITE: $crate::Site = $crate::Site::new();
        $crate::write_log_of(&SITE, $crate::Level::Debug, ::core::format_args!($($message)+))
    }};
}

/// Logs a step; arguments as for `format!`.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => {{
        static SITE: $crate::Site = $crate::Site::new();
        $crate::write_log_of(&SITE, $crate::Level::Trace, ::core::format_args!($($message)+))
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_so_much_in_a_second_and_then_how_much_it_did_not_say() {
        let site = Site::new();
        let said = (0..100).filter(|_| site.admits(7) == Some(0)).count();
        assert_eq!(said, SITE_LINES_MAX as usize);
        assert_eq!([site.admits(8), site.admits(8)], [Some(100 - u64::from(SITE_LINES_MAX)), Some(0)]);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut line = Line { bytes: [0; MESSAGE_LEN_MAX], len: 0 };
        assert!(line.write_str(&"x".repeat(MESSAGE_LEN_MAX - 1)).is_ok());
        assert!(line.write_str("ä").is_err());
        assert_eq!(line.len, MESSAGE_LEN_MAX - 1);
    }
}
