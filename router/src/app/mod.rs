//! The application round the core: command line, configuration, event loop, control API, reports.

pub mod config;
pub mod control;
pub mod doctor;
pub mod lab_command;
pub mod reports;
pub mod stream;
