//! The keeper's clients. Each has its time to say one line; one that says nothing stops neither the keeper nor the others.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::request::{LINE_LEN_MAX, LINE_TIME_MAX, Request};
use crate::wait::Deadline;

/// Clients that have not said their line yet. When one more comes, the one that has been silent for longest has to go.
const CLIENTS_MAX: usize = 32;

/// Bytes read at once.
const READ_LEN: usize = 4096;

/// The socket and who has come to it.
#[derive(Debug)]
pub(crate) struct Clients {
    listener: UnixListener,
    /// The oldest first.
    silent: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    deadline: Deadline,
}

/// How far a client is.
enum Heard {
    Line(Request),
    NotYet,
    /// It has gone, or says what is no request.
    Nothing,
}

impl Clients {
    pub(crate) fn listen(socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, silent: Vec::new() })
    }

    /// What to poll for them.
    pub(crate) fn sources(&self) -> impl Iterator<Item = PollFd<'_>> {
        let streams = self.silent.iter().map(|client| client.stream.as_fd());
        [self.listener.as_fd()].into_iter().chain(streams).map(|fd| PollFd::new(fd, PollFlags::POLLIN))
    }

    /// Time until one of them has to go.
    pub(crate) fn time_left(&self) -> PollTimeout {
        // A little later is early enough; earlier would find the deadline not over yet.
        let left = self.silent.first().map(|oldest| oldest.deadline.left().as_millis() + 1);
        left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))
    }

    /// Takes what has come; the clients that have said their line, with it. Never waits, and neither do answers to them.
    pub(crate) fn hear(&mut self) -> Vec<(UnixStream, Request)> {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.silent.len() >= CLIENTS_MAX {
                self.silent.remove(0);
            }
            let deadline = Deadline::after(LINE_TIME_MAX);
            self.silent.push(Client { stream, line: Vec::new(), deadline });
        }
        let mut heard = Vec::new();
        for mut client in std::mem::take(&mut self.silent) {
            match client.hear() {
                Heard::Line(request) => heard.push((client.stream, request)),
                Heard::NotYet if !client.deadline.left().is_zero() => self.silent.push(client),
                Heard::NotYet | Heard::Nothing => {}
            }
        }
        heard
    }
}

impl Client {
    fn hear(&mut self) -> Heard {
        let mut buffer = [0; READ_LEN];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(len @ 1..) => self.line.extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::NotYet,
                Ok(_) | Err(_) => return Heard::Nothing,
            }
            if let Some(line) = self.line.strip_suffix(b"\n") {
                return serde_json::from_slice(line).map_or(Heard::Nothing, Heard::Line);
            }
            if u64::try_from(self.line.len()).is_ok_and(|len| len > LINE_LEN_MAX) {
                return Heard::Nothing;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::write_line;

    #[test]
    fn clients_that_say_nothing_are_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.sock");
        let mut clients = Clients::listen(&path).unwrap();
        let come = || UnixStream::connect(&path).unwrap();
        let mut silent: Vec<_> = (0..CLIENTS_MAX + 5).map(|_| come()).collect();
        let asks = come();
        write_line(&asks, &Request::Report).unwrap();
        assert!(matches!(clients.hear().as_slice(), [(_, Request::Report)]));
        assert_eq!(clients.silent.len(), CLIENTS_MAX - 1, "the first ones had to go");
        let last = silent.pop().unwrap();
        (&last).write_all(b"\"rep").unwrap();
        assert!(clients.hear().is_empty());
        (&last).write_all(b"ort\"\n").unwrap();
        assert!(matches!(clients.hear().as_slice(), [(_, Request::Report)]), "a line may come in parts");
        let wrong = come();
        (&wrong).write_all(b"hello\n").unwrap();
        assert!(clients.hear().is_empty());
        drop(silent);
        assert!(clients.hear().is_empty() && clients.silent.is_empty());
        assert_eq!(clients.time_left(), PollTimeout::NONE);
    }

    #[test]
    fn a_client_that_says_nothing_goes_when_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper.sock");
        let mut clients = Clients::listen(&path).unwrap();
        let mut silent = UnixStream::connect(&path).unwrap();
        assert!(clients.hear().is_empty() && clients.time_left() > PollTimeout::ZERO);
        clients.silent[0].deadline = Deadline::after(std::time::Duration::ZERO);
        assert!(clients.hear().is_empty() && clients.silent.is_empty());
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    }

    use std::io::Write;
}
