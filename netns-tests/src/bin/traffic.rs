//! Real traffic for the hosts of a lab: a server that echoes, and streams from given source ports.
//!
//! ```text
//! traffic echo PORT                                    TCP and UDP, IPv4 and IPv6; prints "ready"
//! traffic tcp TARGET SOURCE_PORT COUNT BYTES SECONDS   COUNT connections at once, from successive source ports
//! traffic udp TARGET SOURCE_PORT COUNT BYTES SECONDS   COUNT requests at once, each repeated until it is answered
//! ```
//!
//! `tcp` and `udp` print one line for each stream, `PORT ok` or `PORT failed: WHY`. What comes back must be what was
//! sent. All connections are open before the first of them carries data.

use std::env;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt, socket, sockopt,
};

/// Connections that may wait to be accepted: all that a test opens at once.
const BACKLOG: i32 = 4096;

/// Enough for a thread that only copies; thousands of them run at once.
const STACK_LEN: usize = 128 * 1024;

/// Bytes copied at once.
const BUFFER_LEN: usize = 16 * 1024;

/// Time after which a request without an answer is sent again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// What the streams of one call have in common.
#[derive(Clone, Copy)]
struct Order {
    target: SocketAddr,
    /// Of the first stream.
    source_port: u16,
    count: u16,
    /// Bytes to send.
    len: usize,
    time_max: Duration,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["echo", port] => parse(port).and_then(echo).map(|()| ExitCode::SUCCESS),
        ["tcp", order @ ..] => Order::read(order).and_then(|order| run(order, converse)),
        ["udp", order @ ..] => Order::read(order).and_then(|order| run(order, ask)),
        _ => Err(wrong("usage: traffic echo PORT | tcp|udp TARGET SOURCE_PORT COUNT BYTES SECONDS")),
    };
    done.unwrap_or_else(|error| {
        eprintln!("traffic: {error}");
        ExitCode::from(2)
    })
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn parse<T: FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| wrong(&format!("{word:?} is not what is expected here")))
}

impl Order {
    fn read(words: &[&str]) -> io::Result<Self> {
        let [target, source_port, count, len, seconds] = words else { return Err(wrong("five words are expected")) };
        Ok(Self {
            target: parse(target)?,
            source_port: parse(source_port)?,
            count: parse(count)?,
            len: parse(len)?,
            time_max: Duration::from_secs(parse(seconds)?),
        })
    }

    fn any(&self) -> IpAddr {
        if self.target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
    }
}

/// Serves both protocols until it is ended from outside.
fn echo(port: u16) -> io::Result<()> {
    raise_file_limit()?;
    let everybody = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let (listener, datagrams) = (listener(everybody)?, UdpSocket::bind(everybody)?);
    println!("ready");
    spawn(move || echo_datagrams(&datagrams))?;
    for stream in listener.incoming() {
        let stream = stream?;
        spawn(move || echo_stream(stream))?;
    }
    Ok(())
}

/// The standard library's listener lets too few connections wait.
fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let listener = tcp_socket(AddressFamily::Inet6)?;
    bind(listener.as_raw_fd(), &SockaddrStorage::from(at))?;
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(listener))
}

fn tcp_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?)
}

fn echo_stream(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER_LEN];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(buffer.get(..len).unwrap_or_default())?;
    }
}

fn echo_datagrams(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; BUFFER_LEN];
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(buffer.get(..len).unwrap_or_default(), from)?;
    }
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

fn open(order: Order, port: u16) -> io::Result<TcpStream> {
    let family = if order.target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = tcp_socket(family)?;
    let seconds = i64::try_from(order.time_max.as_secs()).unwrap_or(i64::MAX);
    // Bounds the time of connecting, too.
    setsockopt(&socket, sockopt::SendTimeout, &nix::sys::time::TimeVal::new(seconds, 0))?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(order.any(), port)))?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(order.target)) {
        Err(Errno::EINPROGRESS) => Err(io::ErrorKind::TimedOut.into()),
        result => Ok(result.map(|()| TcpStream::from(socket))?),
    }
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
fn content(port: u16, len: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let numbers = std::iter::successors(Some(u32::from(port)), next);
    numbers.skip(1).map(|state| state.to_be_bytes()[0]).take(len).collect()
}

fn same(sent: &[u8], back: &[u8]) -> io::Result<()> {
    if sent == back {
        return Ok(());
    }
    let place = sent.iter().zip(back).position(|(s, b)| s != b).unwrap_or(sent.len().min(back.len()));
    Err(io::Error::other(format!("{} bytes sent, {} came back, different at {place}", sent.len(), back.len())))
}

fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>> {
    thread::Builder::new().stack_size(STACK_LEN).spawn(work)
}

fn raise_file_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
