//! Everything that answers in the host `server`.

use std::io::{Read, stdin};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::interface::Interface;
use super::iperf::IperfServer;
use super::{connection_server, echo, print, sink};
use crate::address::{CONNECTION_PORTS, ECHO_PINNED_PORT, ECHO_PORT, SERVER};
use crate::error::BenchError;

/// Threads of the connection server: as many as the smallest machine for this has CPUs.
const CONNECTION_THREADS: usize = 2;

/// How to answer.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The CPU of the pinned echo
    #[arg(long)]
    cpu: usize,
}

/// Printed when everything listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The interface that receives the load.
    pub(crate) interface: String,
}

/// Answers until the standard input ends.
///
/// # Errors
///
/// When something cannot listen.
pub(crate) fn run(arguments: &Arguments) -> Result<(), BenchError> {
    let interface = Interface::with(SERVER)?;
    sink::start(&interface)?;
    echo::start(ECHO_PINNED_PORT, Some(arguments.cpu))?;
    echo::start(ECHO_PORT, None)?;
    for _ in 0..CONNECTION_THREADS {
        connection_server::start(CONNECTION_PORTS)?;
    }
    let _iperf = IperfServer::start()?;
    print(&Ready { interface: interface.name })?;
    let end = stdin().read_to_end(&mut Vec::new());
    end.map_err(BenchError::system("cannot wait for the end")).map(drop)
}
