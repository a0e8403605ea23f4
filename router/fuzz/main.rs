//! One fuzz target under libFuzzer: the one that the variable `HERALD_FUZZ` names.

#![no_main]

// What the targets call `herald` are those of its modules that read bytes from outside: the whole program would be twice
// as much to build.
extern crate self as herald;

#[path = "../herald/src/app"]
#[allow(dead_code, unused_imports, reason = "the program uses all of it")]
mod app {
    pub(crate) mod config;
    pub(crate) mod stream;
}
mod targets;

use std::sync::OnceLock;

/// The body that was asked for.
static BODY: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("HERALD_FUZZ").unwrap_or_default();
        let found = targets::ALL.iter().find(|(known, _)| *known == name);
        let names: Vec<_> = targets::ALL.iter().map(|(known, _)| *known).collect();
        let (_, body) = found.unwrap_or_else(|| panic!("HERALD_FUZZ={name:?} is none of {}", names.join(", ")));
        BODY.set(*body).ok();
    },
    |data: &[u8]| {
        if let Some(body) = BODY.get() {
            body(data);
        }
    }
);
