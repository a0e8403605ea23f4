//! What tests, benchmarks and fuzz targets have in common: how a cluster of nodes between two networks is laid out, frames
//! of its hosts, made captures, streams around plugins, chance from a seed, and the bundled plugins as files. What a test does with its
//! nodes is its own.
//!
//! The core's unit tests are linked with a second, ordinary copy of the core, which this crate uses; so they can share
//! [`frames`], which has no type of the core, and nothing else.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

pub mod cases;
pub mod chance;
pub mod fragments;
pub mod frames;
pub mod layout;
pub mod pcap;
pub mod plugins;
pub mod receiver;
pub mod schedule;
pub mod streams;
