//! `iperf3 -s`, kept by the program that answers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::address::IPERF_PORT;
use crate::error::BenchError;

/// An iperf3 server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct IperfServer(Child);

impl IperfServer {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    ///
    /// When there is no iperf3 or its port is taken.
    pub(crate) fn start() -> Result<Self, BenchError> {
        let mut command = Command::new("iperf3");
        command.args(["--server", "--forceflush", "--port", &IPERF_PORT.to_string()]);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut server = Self(spawned.map_err(BenchError::system("cannot start iperf3 --server"))?);
        let mut lines =
            server.0.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok);
        if !lines.any(|line| line.contains("Server listening")) {
            return Err(BenchError::Missing("iperf3 --server ended before it listened".into()));
        }
        // Its reports have to go somewhere, or it would stop at a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }
}

impl Drop for IperfServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
