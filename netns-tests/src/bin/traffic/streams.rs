//! Streams that are opened at once, used and closed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::BUFFER_LEN;
use crate::sockets::{open, parse, raise_file_limit, spawn, wrong};

/// Time after which a request without an answer is sent again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// What the streams of one call have in common.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub(crate) target: SocketAddr,
    /// Of the first stream.
    pub(crate) source_port: u16,
    pub(crate) count: u16,
    /// Bytes to send.
    pub(crate) len: usize,
    pub(crate) time_max: Duration,
}

impl Order {
    pub(crate) fn read(words: &[&str]) -> io::Result<Self> {
        let [target, source_port, count, len, seconds] = words else { return Err(wrong("five words are expected")) };
        Ok(Self {
            target: parse(target)?,
            source_port: parse(source_port)?,
            count: parse(count)?,
            len: parse(len)?,
            time_max: Duration::from_secs(parse(seconds)?),
        })
    }

    pub(crate) fn any(&self) -> IpAddr {
        if self.target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
    }
}

/// Runs the connections of an order.
pub(crate) fn tcp(words: &[&str]) -> io::Result<ExitCode> {
    run(Order::read(words)?, converse)
}

/// Runs the requests of an order.
pub(crate) fn udp(words: &[&str]) -> io::Result<ExitCode> {
    run(Order::read(words)?, ask)
}

/// Runs all streams of an order at once and reports each.
fn run(order: Order, stream: fn(Order, u16, &Barrier) -> io::Result<()>) -> io::Result<ExitCode> {
    raise_file_limit()?;
    let barrier = Arc::new(Barrier::new(usize::from(order.count)));
    let ports = (0..order.count).map(|n| order.source_port.saturating_add(n));
    let start = |port| -> io::Result<(u16, JoinHandle<io::Result<()>>)> {
        let barrier = Arc::clone(&barrier);
        Ok((port, spawn(move || stream(order, port, &barrier))?))
    };
    let running: Vec<_> = ports.map(start).collect::<io::Result<_>>()?;
    let mut code = ExitCode::SUCCESS;
    for (port, stream) in running {
        match stream.join() {
            Ok(Ok(())) => println!("{port} ok"),
            Ok(Err(error)) => {
                println!("{port} failed: {error}");
                code = ExitCode::FAILURE;
            }
            Err(_) => return Err(io::Error::other("a thread panicked")),
        }
    }
    Ok(code)
}

/// One TCP connection from this port: sends some, reads it back, sends more, until all is done and both ends close.
fn converse(order: Order, port: u16, barrier: &Barrier) -> io::Result<()> {
    let opened = open(order, port);
    barrier.wait();
    let mut stream = opened?;
    stream.set_read_timeout(Some(order.time_max))?;
    stream.set_write_timeout(Some(order.time_max))?;
    let mut back = [0; BUFFER_LEN];
    for chunk in content(port, order.len).chunks(BUFFER_LEN) {
        stream.write_all(chunk)?;
        let back = back.get_mut(..chunk.len()).unwrap_or_default();
        stream.read_exact(back)?;
        same(chunk, back)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let len = stream.read(&mut back)?;
    same(&[], back.get(..len).unwrap_or_default())
}

/// One UDP request from this port, and its answer.
fn ask(order: Order, port: u16, barrier: &Barrier) -> io::Result<()> {
    let opened = UdpSocket::bind(SocketAddr::new(order.any(), port));
    barrier.wait();
    let socket = opened?;
    socket.connect(order.target)?;
    socket.set_read_timeout(Some(REPEAT_INTERVAL))?;
    let (content, mut back) = (content(port, order.len), vec![0; BUFFER_LEN]);
    for _ in 0..order.time_max.as_secs().max(1) {
        socket.send(&content)?;
        match socket.recv(&mut back) {
            Ok(len) => return same(&content, back.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Bytes that differ from stream to stream, so that no answer can be taken for another's.
pub(crate) fn content(port: u16, len: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let numbers = std::iter::successors(Some(u32::from(port)), next);
    numbers.skip(1).map(|state| state.to_be_bytes()[0]).take(len).collect()
}

pub(crate) fn same(sent: &[u8], back: &[u8]) -> io::Result<()> {
    if sent == back {
        return Ok(());
    }
    let place = sent.iter().zip(back).position(|(s, b)| s != b).unwrap_or(sent.len().min(back.len()));
    Err(io::Error::other(format!("{} bytes sent, {} came back, different at {place}", sent.len(), back.len())))
}
