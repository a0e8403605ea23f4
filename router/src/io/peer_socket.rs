//! The TCP connection of one link: moves bytes between the socket and [`Link`], and remembers what is still ready.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::id::NodeId;
use crate::mesh::PeerError;
use crate::mesh::link::{Identity, Input, Link, LinkEvent};
use crate::time::Instant;

/// A link and its connection. Readiness is edge-triggered: `readable` and `writable` stay set until the socket says that
/// it would block.
#[derive(Debug)]
pub struct PeerSocket {
    stream: TcpStream,
    address: SocketAddr,
    link: Link,
    readable: bool,
    writable: bool,
}

/// How many more bytes may be read in this turn.
#[derive(Debug)]
pub struct Budget(pub usize);

impl PeerSocket {
    /// Begins to open a connection to a peer. The socket becomes writable when that has succeeded or failed.
    ///
    /// # Errors
    ///
    /// The system cannot even begin: no file descriptor, no route.
    pub fn dial(
        now: Instant,
        registry: &Registry,
        token: Token,
        peer: NodeId,
        address: SocketAddr,
    ) -> io::Result<Self> {
        Self::register(registry, token, TcpStream::connect(address)?, address, Link::dialled(now, peer))
    }

    /// Takes a connection that another node opened.
    ///
    /// # Errors
    ///
    /// The connection has already ended, or cannot be registered.
    pub fn accept(
        now: Instant,
        registry: &Registry,
        token: Token,
        stream: TcpStream,
        address: SocketAddr,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Self::register(registry, token, stream, address, Link::accepted(now))
    }

    fn register(
        registry: &Registry,
        token: Token,
        mut stream: TcpStream,
        address: SocketAddr,
        link: Link,
    ) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, address, link, readable: false, writable: false })
    }

    /// The other end's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The link.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The link, to send.
    pub fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }

    /// Notes what the poll says. Errors and hang-ups show themselves at the next read or write.
    pub fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// True if there may be something to do without another word from the poll: the turn's budget ended first.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readable && !self.link.is_connecting()
    }

    /// Reads once more even if the poll has said nothing: what lies in the socket counts before a deadline does.
    pub fn suspect_readable(&mut self) {
        self.readable = true;
    }

    /// The next event of the link; `None` when the socket would block or the budget is spent.
    pub fn next_event(&mut self, now: Instant, identity: &Identity, budget: &mut Budget) -> Option<LinkEvent> {
        if self.link.is_connecting()
            && let Some(event) = self.finish_connecting(now, identity)
        {
            return Some(event);
        }
        loop {
            if let Some(event) = self.link.next_event(now, identity) {
                return Some(event);
            }
            if !self.is_ready() || budget.0 == 0 {
                return None;
            }
            if let Some(input) = self.read(budget) {
                return self.link.step(now, identity, input);
            }
        }
    }

    /// Writes what waits: one write, if the system takes it all.
    pub fn flush(&mut self, now: Instant, identity: &Identity) -> Option<LinkEvent> {
        while self.writable && !self.link.is_connecting() && !self.link.unsent().is_empty() {
            match self.stream.write(self.link.unsent()) {
                Ok(len) => self.link.written(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.link.step(now, identity, Input::Failed(broken(&error))),
            }
        }
        None
    }

    /// Ends the connection; a last word that waits is written if the system takes it at once.
    pub fn close(mut self, registry: &Registry) {
        if self.writable && !self.link.unsent().is_empty() {
            // The link has ended; whether the peer hears the last word changes nothing here.
            self.stream.write_all(self.link.unsent()).ok();
        }
        // Fails only if the socket is not registered, and dropping it ends the registration anyway.
        registry.deregister(&mut self.stream).ok();
    }

    /// A connection is open when the socket is writable, has no error and knows its other end.
    fn finish_connecting(&mut self, now: Instant, identity: &Identity) -> Option<LinkEvent> {
        if !self.writable {
            return None;
        }
        let opened = match self.stream.take_error() {
            Ok(None) => self.stream.peer_addr().and_then(|_| self.stream.set_nodelay(true)),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        match opened {
            Ok(()) => self.link.step(now, identity, Input::Connected).or_else(|| self.flush(now, identity)),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                self.writable = false;
                None
            }
            Err(error) => {
                let why = error.to_string();
                self.link.step(now, identity, Input::Failed(PeerError::Unreachable { why }))
            }
        }
    }

    /// One read into the link; an input if the stream ended or broke.
    fn read(&mut self, budget: &mut Budget) -> Option<Input> {
        match self.stream.read(self.link.space()) {
            Ok(0) => Some(Input::EndOfStream),
            Ok(len) => {
                self.link.filled(len);
                budget.0 = budget.0.saturating_sub(len);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => Some(Input::Failed(broken(&error))),
        }
    }
}

fn broken(error: &io::Error) -> PeerError {
    PeerError::Broken { why: error.to_string() }
}
