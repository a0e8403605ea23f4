//! Sends one request of 64 bytes after the other and times the answers.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::address::SERVER;
use crate::clock::now;
use crate::cpus::pin_this_thread;
use crate::error::BenchError;

/// Size of a request and of its answer.
const REQUEST_LEN: usize = 64;

/// The first answer must come within this time.
const FIRST_TIME_MAX: Duration = Duration::from_secs(10);

/// A request is lost when its answer has not come after this time.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(200);

/// Exchanges that are not timed: caches and the CPU's clock have to settle.
const WARM_UP_TIME: Duration = Duration::from_millis(200);

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, value_parser = seconds)]
    seconds: Duration,
    /// The port
    #[arg(long)]
    port: u16,
    /// The CPU to run on
    #[arg(long)]
    cpu: Option<usize>,
}

/// What the answers took.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Half of the exchanges took no longer, in microseconds.
    pub(crate) p50_us: f64,
    /// 99 of 100 exchanges took no longer, in microseconds.
    pub(crate) p99_us: f64,
    /// Exchanges that were timed.
    pub(crate) exchanges: usize,
    /// Requests that were not answered.
    pub(crate) lost: usize,
}

/// Measures.
///
/// # Errors
///
/// When no answer comes.
pub(crate) fn run(arguments: &Arguments) -> Result<Times, BenchError> {
    if let Some(cpu) = arguments.cpu {
        pin_this_thread(cpu)?;
    }
    let to = (SERVER, arguments.port);
    let mut asker = Asker::new(to).map_err(BenchError::system("cannot send requests"))?;
    let failed = || BenchError::system(format!("cannot ask {SERVER}"));
    let first_deadline = now() + FIRST_TIME_MAX;
    while asker.exchange().map_err(failed())?.is_none() {
        if now() > first_deadline {
            return Err(BenchError::Silent(format!("{SERVER}, UDP port {}", arguments.port), FIRST_TIME_MAX));
        }
    }
    let warm = now() + WARM_UP_TIME;
    while now() < warm {
        asker.exchange().map_err(failed())?;
    }
    let (mut times, mut lost) = (Vec::with_capacity(1 << 20), 0);
    let deadline = now() + arguments.seconds;
    while now() < deadline {
        match asker.exchange().map_err(failed())? {
            Some(time) => times.push(time),
            None => lost += 1,
        }
    }
    times.sort_unstable();
    summary(&times, lost).ok_or_else(|| BenchError::Silent(SERVER.to_string(), arguments.seconds))
}

fn summary(sorted: &[Duration], lost: usize) -> Option<Times> {
    let percentile = |percent: usize| sorted.get(sorted.len() * percent / 100).map(|t| t.as_secs_f64() * 1e6);
    Some(Times { p50_us: percentile(50)?, p99_us: percentile(99)?, exchanges: sorted.len(), lost })
}

struct Asker {
    socket: UdpSocket,
    number: u64,
    request: [u8; REQUEST_LEN],
}

impl Asker {
    fn new(to: (Ipv4Addr, u16)) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self { socket, number: 0, request: [0; REQUEST_LEN] })
    }

    /// One request and its answer. `None` if it does not come.
    fn exchange(&mut self) -> io::Result<Option<Duration>> {
        self.number += 1;
        if let Some(place) = self.request.first_chunk_mut() {
            *place = self.number.to_be_bytes();
        }
        let sent_at = now();
        if let Err(error) = self.socket.send(&self.request) {
            return told_unreachable(error);
        }
        let mut answer = [0; REQUEST_LEN];
        loop {
            match self.socket.recv(&mut answer) {
                Ok(_) if answer == self.request => return Ok(Some(now() - sent_at)),
                // The late answer to an earlier request.
                Ok(_) => {}
                Err(error) => return told_unreachable(error),
            }
        }
    }
}

/// Silence, and what ICMP says while the way is not there yet, is a lost request; anything else is an error.
fn told_unreachable(error: io::Error) -> io::Result<Option<Duration>> {
    let is_silence = matches!(
        error.kind(),
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    );
    if is_silence { Ok(None) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Vec<Duration> = (0..100).map(Duration::from_micros).collect();
        let expected = Times { p50_us: 50.0, p99_us: 99.0, exchanges: 100, lost: 3 };
        let found = summary(&times, 3).unwrap();
        assert!((found.p50_us - expected.p50_us).abs() < 1e-6 && (found.p99_us - expected.p99_us).abs() < 1e-6);
        assert_eq!((found.exchanges, found.lost), (100, 3));
        assert_eq!(summary(&[], 3), None);
    }
}
