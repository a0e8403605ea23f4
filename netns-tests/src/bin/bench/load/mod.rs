//! The programs that make the load and those that answer it. They run in the hosts of a place and print one line of
//! JSON.

mod connection_server;
pub(crate) mod connections;
mod echo;
pub(crate) mod frames;
mod interface;
mod iperf;
mod packet_socket;
pub(crate) mod rtt;
pub(crate) mod serve;
mod settings;
mod sink;
mod window;

use std::io;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use crate::error::BenchError;

/// One of the programs.
#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Answers every load until its standard input ends
    Serve(serve::Arguments),
    /// Sends small UDP frames as fast as none is lost
    Frames(frames::Arguments),
    /// Sends one request after the other and times the answers
    Rtt(rtt::Arguments),
    /// Opens and closes TCP connections
    Connections(connections::Arguments),
    /// Writes kernel settings of this host
    Settings(settings::Arguments),
}

impl Load {
    /// Runs the program.
    ///
    /// # Errors
    ///
    /// When it cannot measure, or not answer.
    pub(crate) fn run(self) -> Result<(), BenchError> {
        match self {
            Self::Serve(arguments) => serve::run(&arguments),
            Self::Frames(arguments) => print(&frames::run(&arguments)?),
            Self::Rtt(arguments) => print(&rtt::run(&arguments)?),
            Self::Connections(arguments) => print(&connections::run(&arguments)?),
            Self::Settings(arguments) => settings::run(&arguments),
        }
    }
}

/// Prints one line of JSON.
fn print(result: &impl Serialize) -> Result<(), BenchError> {
    let text = serde_json::to_string(result).map_err(io::Error::from);
    println!("{}", text.map_err(BenchError::system("cannot print the result"))?);
    Ok(())
}

/// For clap: a duration in seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|e| e.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}
