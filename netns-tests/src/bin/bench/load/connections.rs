//! Opens TCP connections, one after the other in each of several threads: connect, one byte each way, close.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, connect, recv, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::address::SERVER;
use crate::clock::now;
use crate::error::BenchError;

/// The first connection must succeed within this time.
const FIRST_TIME_MAX: Duration = Duration::from_secs(10);

/// What to open.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, value_parser = seconds)]
    seconds: Duration,
    /// Connections open at once
    #[arg(long, default_value_t = 16)]
    threads: usize,
    /// The first port and the one after the last
    #[arg(long, value_parser = ports, value_name = "FIRST-END")]
    ports: (u16, u16),
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Connections that were opened, answered and closed, in each second.
    pub(crate) per_second: f64,
    /// Connections that failed or were not answered within a second.
    pub(crate) failed: u64,
}

/// Measures.
///
/// # Errors
///
/// When no connection succeeds.
pub(crate) fn run(arguments: &Arguments) -> Result<Counted, BenchError> {
    let first_deadline = now() + FIRST_TIME_MAX;
    while one(arguments.ports.0).is_err() {
        if now() > first_deadline {
            return Err(BenchError::Silent(format!("{SERVER}, TCP port {}", arguments.ports.0), FIRST_TIME_MAX));
        }
    }
    let start = now();
    let deadline = start + arguments.seconds;
    let work = |first: usize| move || worker(arguments.ports, first, deadline);
    let totals = thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.threads).map(|first| scope.spawn(work(first))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect::<Vec<Total>>()
    });
    let done: u64 = totals.iter().map(|t| t.done).sum();
    let failed = totals.iter().map(|t| t.failed).sum();
    Ok(Counted { per_second: done as f64 / (now() - start).as_secs_f64(), failed })
}

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    done: u64,
    failed: u64,
}

/// Opens one connection after the other, each to the next port.
fn worker((low, high): (u16, u16), first: usize, deadline: Instant) -> Total {
    // A table of descriptors of its own, as another process would have: no lock is shared with the other threads.
    if let Err(error) = unshare(CloneFlags::CLONE_FILES) {
        eprintln!("the threads share one table of descriptors ({error})");
    }
    let mut total = Total::default();
    for port in (low..high).cycle().skip(first) {
        if now() >= deadline {
            break;
        }
        match one(port) {
            Ok(()) => total.done += 1,
            Err(_) => total.failed += 1,
        }
    }
    total
}

/// One connection from its opening to its end.
fn one(port: u16) -> io::Result<()> {
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, SendTimeout, &TimeVal::seconds(1))?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(1))?;
    let fd = socket.as_raw_fd();
    connect(fd, &server(port))?;
    send(fd, b"x", MsgFlags::MSG_NOSIGNAL)?;
    match recv(fd, &mut [0], MsgFlags::empty())? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn server(port: u16) -> SockaddrIn {
    let [a, b, c, d] = Ipv4Addr::octets(&SERVER);
    SockaddrIn::new(a, b, c, d, port)
}

/// For clap: `FIRST-END`.
fn ports(text: &str) -> Result<(u16, u16), String> {
    let (first, end) = text.split_once('-').ok_or("expected FIRST-END")?;
    let port = |text: &str| text.parse::<u16>().map_err(|e| e.to_string());
    let (first, end) = (port(first)?, port(end)?);
    if first < end { Ok((first, end)) } else { Err("the end must lie behind the first".into()) }
}
