//! The smallest HTTP server and client, for machines that have neither Python nor curl.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Time for the other end to say something.
const WAIT_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_LEN_MAX: u64 = 16 * 1024;

/// Bytes of an answer.
const ANSWER_LEN_MAX: u64 = 1024 * 1024;

/// Serves one file under every path, to one client after the other, for ever. Says `ready` once it listens.
///
/// # Errors
///
/// When the file cannot be read or the address is taken.
pub(crate) fn serve(file: &Path, at: SocketAddr) -> io::Result<()> {
    let page = fs::read(file)?;
    let listener = TcpListener::bind(at)?;
    let mut output = io::stdout();
    output.write_all(b"ready\n")?;
    output.flush()?;
    for client in listener.incoming() {
        // A client that goes away is its own affair.
        let _served = client.and_then(|client| answer(client, &page));
    }
    Ok(())
}

/// HTTP/1.0 (RFC 1945): the end of the connection is the end of the answer.
fn answer(mut client: TcpStream, page: &[u8]) -> io::Result<()> {
    client.set_read_timeout(Some(WAIT_TIME_MAX))?;
    client.set_write_timeout(Some(WAIT_TIME_MAX))?;
    let mut head = BufReader::new((&client).take(HEAD_LEN_MAX));
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    write!(client, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", page.len())?;
    client.write_all(page)
}

/// Fetches a page; gives its bytes.
///
/// # Errors
///
/// When there is no connection, or the answer is not a good one.
pub(crate) fn fetch(from: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect_timeout(&from, WAIT_TIME_MAX)?;
    server.set_read_timeout(Some(WAIT_TIME_MAX))?;
    server.set_write_timeout(Some(WAIT_TIME_MAX))?;
    write!(server, "GET {path} HTTP/1.0\r\nHost: {from}\r\n\r\n")?;
    let mut answer = Vec::new();
    server.take(ANSWER_LEN_MAX).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let page = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer);
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(page),
        Some(_) | None => Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_fetched() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| answer(listener.accept().unwrap().0, b"a page\r\n\r\nin two parts").unwrap());
            assert_eq!(fetch(at, "/").unwrap(), b"a page\r\n\r\nin two parts");
        });
    }
}
