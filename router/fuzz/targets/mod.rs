//! What is fuzzed: each target takes any bytes and panics if the program breaks a promise. Compiled twice: here under
//! libFuzzer, and as `router/herald/tests/fuzz_corpus.rs`, which replays the corpus.

mod advert;
mod configuration;
mod facts;
mod link;
mod node;
mod plugin_file;
mod probe;
mod scenario;
mod segments;
mod stream;

/// Its name, which is also that of its folder in `corpus`, and what it does with some bytes.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const ALL: [Target; 15] = [
    ("advert", advert::run),
    ("configuration", configuration::run),
    ("facts_dns", facts::run_dns),
    ("facts_http", facts::run_http),
    ("facts_quic", facts::run_quic),
    ("facts_ssh", facts::run_ssh),
    ("facts_stream", facts::run_stream),
    ("facts_tls", facts::run_tls),
    ("link", link::run),
    ("node", node::run),
    ("plugin_file", plugin_file::run),
    ("probe", probe::run),
    ("scenario", scenario::run),
    ("segments", segments::run),
    ("stream", stream::run),
];
