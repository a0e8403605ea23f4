//! The application: command line, configuration, event loop, control API, reports.

pub mod doctor;
pub mod lab_command;
