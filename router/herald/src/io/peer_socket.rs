//! The TCP connection of one link: moves bytes between the socket, its [`Session`] and [`Link`], and remembers what is
//! still ready.

use std::io::{self, Read};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};

use crate::io::tls::{Pulled, Session};
use herald_core::limits::{CONTROL_SEND_BUFFER_LEN, FRAMES_UNTAKEN_TIME_MAX};
use herald_core::mesh::PeerError;
use herald_core::mesh::link::{Identity, Input, Link, LinkEvent};
use herald_core::time::Instant;

/// A link and its connection. Readiness is edge-triggered: `readable` and `writable` stay set until the socket says that
/// it would block.
#[derive(Debug)]
pub struct PeerSocket {
    stream: TcpStream,
    address: SocketAddr,
    session: Session,
    link: Link,
    readable: bool,
    writable: bool,
}

/// How much more may be done in this turn.
#[derive(Debug)]
pub struct Budget {
    /// Bytes that may be read from this connection.
    pub bytes: usize,
    /// Handshakes that may go on, of all connections.
    pub handshakes: u32,
}

impl PeerSocket {
    /// Begins to open a connection for a link. The socket becomes writable when that has succeeded or failed.
    ///
    /// # Errors
    ///
    /// The system cannot even begin: no file descriptor, no route.
    pub fn dial(
        registry: &Registry,
        token: Token,
        address: SocketAddr,
        session: Session,
        link: Link,
    ) -> io::Result<Self> {
        Self { stream: TcpStream::connect(address)?, address, session, link, readable: false, writable: false }
            .register(registry, token)
    }

    /// Takes a connection that another node opened.
    ///
    /// # Errors
    ///
    /// The connection has already ended, or cannot be registered.
    pub fn accept(
        registry: &Registry,
        token: Token,
        (stream, address): (TcpStream, SocketAddr),
        session: Session,
        link: Link,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Self { stream, address, session, link, readable: false, writable: false }.register(registry, token)
    }

    fn register(mut self, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(self)
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

    /// True if bytes wait to be written.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.link.unsent().is_empty() || self.session.wants_write()
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

    /// Keeps the kernel's send buffer small, so that what is urgent does not wait behind megabytes.
    pub fn bound_send_buffer(&self) {
        // The system's own size works, too, only slower.
        setsockopt(&self.stream, sockopt::SndBuf, &CONTROL_SEND_BUFFER_LEN).ok();
    }

    /// Gives the connection up once the other end has taken nothing for too long: what is written to it would be lost all
    /// the while.
    pub fn bound_untaken_time(&self) {
        let time = u32::try_from(FRAMES_UNTAKEN_TIME_MAX.as_millis()).unwrap_or(u32::MAX);
        // Without it the connection lasts until the peer's control connection falls silent, too.
        setsockopt(&self.stream, sockopt::TcpUserTimeout, &time).ok();
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
            let input = match self.session.pull(self.link.space()) {
                Ok(Pulled::Plain(len)) => {
                    self.link.filled(len);
                    continue;
                }
                Ok(Pulled::Nothing) => match self.read(budget) {
                    Progress::Some => continue,
                    Progress::None => return None,
                    Progress::Closed => Input::EndOfStream,
                    Progress::Broken(error) => Input::Failed(broken(&error)),
                },
                Ok(Pulled::Secured(node)) => Input::Secured(node),
                Ok(Pulled::Ended) => Input::EndOfStream,
                Err(error) => Input::Failed(error),
            };
            if let Some(event) = self.link.step(now, identity, input) {
                return Some(event);
            }
        }
    }

    /// Writes what waits: one write, if the system takes it all.
    pub fn flush(&mut self, now: Instant, identity: &Identity) -> Option<LinkEvent> {
        while self.writable && !self.link.is_connecting() {
            match self.write() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.link.step(now, identity, Input::Failed(broken(&error))),
            }
        }
        None
    }

    /// Encrypts what there is room for and writes once; 0: nothing waits.
    fn write(&mut self) -> io::Result<usize> {
        let pushed = self.session.push(self.link.unsent());
        self.link.written(pushed);
        if self.session.wants_write() { self.session.write_to(&mut self.stream) } else { Ok(0) }
    }

    /// Ends the connection; a last word that waits is written if the system takes it at once.
    pub fn close(mut self, registry: &Registry) {
        if self.writable {
            let pushed = self.session.push(self.link.unsent());
            self.link.written(pushed);
            self.session.end();
            // The link has ended; whether the peer hears the last word or the alert changes nothing here.
            while self.session.wants_write() && self.session.write_to(&mut self.stream).is_ok_and(|len| len > 0) {}
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

    /// One read into the session.
    fn read(&mut self, budget: &mut Budget) -> Progress {
        if !self.is_ready() || budget.bytes == 0 {
            return Progress::None;
        }
        if self.link.is_securing() {
            let Some(left) = budget.handshakes.checked_sub(1) else { return Progress::None };
            budget.handshakes = left;
        }
        match self.stream.read(self.session.space()) {
            Ok(0) => Progress::Closed,
            Ok(len) => {
                self.session.filled(len);
                budget.bytes = budget.bytes.saturating_sub(len);
                Progress::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Progress::None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Progress::Some,
            Err(error) => Progress::Broken(error),
        }
    }
}

/// What a read came to.
enum Progress {
    /// There may be more now.
    Some,
    /// Not before the poll says so, or the next turn.
    None,
    /// The peer closed its end.
    Closed,
    /// The connection broke.
    Broken(io::Error),
}

fn broken(error: &io::Error) -> PeerError {
    PeerError::Broken { why: error.to_string() }
}
