//! Asks a node through its control socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use herald_core::id::Interface;

/// Time for a node to answer: as much as the node gives its event loop, and more.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of one answer.
const ANSWER_LEN_MAX: u64 = 4 * 1024 * 1024;

/// The holder of a role in an answer to `/roles`.
pub(crate) fn holder(roles: &Value, role: Interface) -> Option<&str> {
    roles.get(role.as_str())?.get("holder")?.as_str()
}

/// Gets one of the node's reports, such as `/roles`, in the shape of the command's `--json`.
///
/// # Errors
///
/// When the node does not listen, does not answer in time, or answers with something else than JSON.
pub(crate) fn get(socket: &Path, path: &str) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
    // HTTP/1.0 (RFC 1945): the answer is not chunked and ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: herald\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_LEN_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(io::Error::other(format!("{path}: status {status}: {}", body.trim_end())));
    }
    Ok(serde_json::from_str(body)?)
}
