//! Broken invariants of this program itself: a debug build stops there, a release goes on and counts them as `internal`.

use std::cell::Cell;
use std::fmt::Display;

thread_local! {
    /// A node lives on one thread, and has it for itself in the program.
    static COUNTED: Cell<u64> = const { Cell::new(0) };
}

/// Something happened that cannot happen.
#[cold]
#[track_caller]
pub(crate) fn mistake(what: impl Display) {
    COUNTED.with(|counted| counted.set(counted.get() + 1));
    debug_assert!(false, "{what}");
}

/// How many mistakes there were since the last call.
pub(crate) fn take_mistakes() -> u64 {
    COUNTED.take()
}

/// What is always there; without it, a mistake and the value that means nothing.
#[track_caller]
pub(crate) fn or_mistake<T: Default>(value: Option<T>, what: &str) -> T {
    if value.is_none() {
        mistake(what);
    }
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn what_is_missing_is_counted_and_stops_a_debug_build() {
        take_mistakes();
        assert_eq!((or_mistake(Some(7), "it is there"), take_mistakes()), (7, 0));
        let missing = catch_unwind(|| or_mistake(None::<u8>, "it is gone"));
        assert_eq!(take_mistakes(), 1);
        assert_eq!(take_mistakes(), 0);
        match missing {
            Ok(value) => assert!(!cfg!(debug_assertions) && value == 0),
            Err(said) => assert!(said.downcast_ref::<String>().is_some_and(|text| text == "it is gone")),
        }
    }
}
