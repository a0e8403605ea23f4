//! The application round the core: command line, configuration, event loop, control API, reports.

pub mod command_line;
pub mod commands;
pub mod config;
pub mod control;
pub mod demo;
mod descriptors;
pub mod doctor;
mod drain;
pub mod event_loop;
pub mod keys_command;
pub mod lab_command;
pub mod logging;
pub mod output;
pub mod plugin_command;
pub mod published;
mod queue_losses;
pub mod relay;
pub mod replay;
pub mod reports;
pub mod run;
pub mod stream;
pub mod watchdog;
