//! What is fuzzed: each target takes any bytes and panics if the program breaks a promise. Compiled twice: here under
//! libFuzzer, and as `router/herald/tests/fuzz_corpus.rs`, which replays the corpus.

mod advert;
mod configuration;
mod link;
mod node;
mod plugin_file;
mod scenario;
mod stream;

/// All targets; the name is also that of the folder in `corpus`.
pub(crate) const ALL: [(&str, fn(&[u8])); 7] = [
    ("advert", advert::run),
    ("configuration", configuration::run),
    ("link", link::run),
    ("node", node::run),
    ("plugin_file", plugin_file::run),
    ("scenario", scenario::run),
    ("stream", stream::run),
];
