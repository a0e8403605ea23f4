//! Accepts TCP connections, answers one byte with one byte, and closes when the other side has.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::sockopt::{ReuseAddr, ReusePort};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket};
use slab::Slab;

use crate::error::BenchError;

/// Connections that may wait to be accepted, for each port and thread.
const BACKLOG: i32 = 4095;

/// Events taken at once.
const EVENTS_MAX: usize = 256;

/// Serves these ports from now on in a thread of its own; several threads can serve the same ports.
///
/// # Errors
///
/// When a port is taken.
pub(crate) fn start(ports: Range<u16>) -> Result<(), BenchError> {
    let listeners = ports.map(listener).collect::<io::Result<Vec<_>>>();
    let listeners = listeners.map_err(BenchError::system("cannot listen for connections"))?;
    let mut server = Server::new(listeners).map_err(BenchError::system("cannot wait for connections"))?;
    thread::spawn(move || {
        // A table of descriptors of its own, as another process would have: no lock is shared with the other threads.
        // It copies the descriptors, so the listeners stay open until the process ends, which is intended.
        if let Err(error) = unshare(CloneFlags::CLONE_FILES).map_err(io::Error::from).and_then(|()| server.run()) {
            eprintln!("the connection server ended: {error}");
        }
    });
    Ok(())
}

/// A listening socket that shares its port with those of the other threads.
fn listener(port: u16) -> io::Result<TcpListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    setsockopt(&socket, ReusePort, &true)?;
    let any = Ipv4Addr::UNSPECIFIED.octets();
    bind(socket.as_raw_fd(), &SockaddrIn::new(any[0], any[1], any[2], any[3], port))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from_std(std::net::TcpListener::from(socket)))
}

struct Server {
    poll: Poll,
    listeners: Vec<TcpListener>,
    connections: Slab<TcpStream>,
}

impl Server {
    fn new(mut listeners: Vec<TcpListener>) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (place, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(place), Interest::READABLE)?;
        }
        Ok(Self { poll, listeners, connections: Slab::new() })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                match event.token().0.checked_sub(self.listeners.len()) {
                    None => self.accept(event.token().0)?,
                    Some(place) => self.answer(place),
                }
            }
        }
    }

    /// Accepts all that wait at one listener.
    fn accept(&mut self, listener: usize) -> io::Result<()> {
        let Some(listener) = self.listeners.get(listener) else { return Ok(()) };
        loop {
            let mut connection = match listener.accept() {
                Ok((connection, _)) => connection,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has given up while it waited.
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            let place = self.connections.vacant_entry();
            let token = Token(self.listeners.len() + place.key());
            self.poll.registry().register(&mut connection, token, Interest::READABLE)?;
            place.insert(connection);
        }
    }

    /// Answers what has come on one connection, and closes it at its end.
    fn answer(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        let mut request = [0; 16];
        loop {
            match connection.read(&mut request) {
                Ok(n) if n > 0 => {
                    if connection.write_all(b"y").is_err() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.connections.remove(place);
    }
}
