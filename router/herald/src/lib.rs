//! Herald: a clustered userspace router that inspects traffic.
//!
//! The crates, `use` going downwards only:
//!
//! ```text
//! herald: main -> app -> io      the program: command line, configuration, event loop, reports; TAPs, links, clocks
//!      -> { host, lab }          plugins; networks of namespaces to run in and to break
//!      -> { core, keys }         one node without I/O; certificates
//! ```

pub mod app;
pub mod io;
