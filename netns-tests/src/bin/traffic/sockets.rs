//! Sockets, threads and words of the command line.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::str::FromStr;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt, socket, sockopt,
};

use crate::streams::Order;

/// Connections that may wait to be accepted: all that a test opens at once.
const BACKLOG: i32 = 4096;

/// Enough for a thread that only copies; thousands of them run at once.
const STACK_LEN: usize = 128 * 1024;

pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// An error with what was being done; the end of a socket's time is said as such.
pub(crate) fn told(error: io::Error, what: &str) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        return io::Error::new(io::ErrorKind::TimedOut, format!("{what}: no more time"));
    }
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

pub(crate) fn parse<T: FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| wrong(&format!("{word:?} is not what is expected here")))
}

/// The standard library's listener lets too few connections wait.
pub(crate) fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let listener = tcp_socket(AddressFamily::Inet6)?;
    bind(listener.as_raw_fd(), &SockaddrStorage::from(at))?;
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(listener))
}

fn tcp_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Opens the connection of an order from this port.
pub(crate) fn open(order: Order, port: u16) -> io::Result<TcpStream> {
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

pub(crate) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>> {
    thread::Builder::new().stack_size(STACK_LEN).spawn(work)
}

pub(crate) fn raise_file_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
