//! The asking end: how commands reach a node.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Time for a node's whole answer: more than the node itself gives its event loop.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// A report that a node did not give.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error("no node at {}: there is no such socket; is the node running? Say where with --control PATH or HERALD_CONTROL", .0.display())]
    Absent(PathBuf),
    /// There is something else.
    #[error("no node at {}: that is no socket; say where the node's is with --control PATH or HERALD_CONTROL", .0.display())]
    NoSocket(PathBuf),
    /// The socket's node has ended.
    #[error("no node at {}: its process has ended; start it again with herald run, or in a lab with herald lab start", .0.display())]
    Ended(PathBuf),
    /// Something between here and there.
    #[error("node at {}: {error}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No answer.
    #[error("node at {}: no answer within {} s; is its process stopped or busy?", .0.display(), ANSWER_TIME_MAX.as_secs())]
    Late(PathBuf),
    /// The other end does not speak our HTTP.
    #[error("node at {}: {error}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        error: hyper::Error,
    },
    /// The node refuses, and says why.
    #[error("node at {}: {reason}", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Gets one report, such as `/roles`, as its JSON text.
///
/// # Errors
/// When there is no node, or it does not answer in time, or it refuses.
pub fn report(socket: &Path, report: &str) -> Result<String, ClientError> {
    exchange(socket, Method::GET, report)
}

/// Orders something, such as `/drain`, and gets the answer as its JSON text.
///
/// # Errors
/// As [`report`].
pub fn order(socket: &Path, order: &str) -> Result<String, ClientError> {
    exchange(socket, Method::POST, order)
}

fn exchange(socket: &Path, method: Method, path: &str) -> Result<String, ClientError> {
    let system = |error| ClientError::System { path: socket.to_owned(), error };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, fetch(socket, method, path)).await;
        answer.map_err(|_| ClientError::Late(socket.to_owned()))?
    })
}

async fn fetch(socket: &Path, method: Method, path: &str) -> Result<String, ClientError> {
    let protocol = |error| ClientError::Protocol { path: socket.to_owned(), error };
    let refused = |reason: String| ClientError::Refused { path: socket.to_owned(), reason };
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(protocol)?;
    let request = Request::builder().method(method).uri(path).header("host", "herald").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| refused(error.to_string()))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    // The connection must be driven while the answer comes; its own end says nothing that the exchange does not.
    let (status, body) = tokio::select! {
        exchanged = exchange => exchanged.map_err(protocol)?,
        Err(error) = connection => return Err(protocol(error)),
    };
    let text = String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::OK { Ok(text) } else { Err(refused(text)) }
}

fn unreachable(socket: &Path, error: io::Error) -> ClientError {
    let path = socket.to_owned();
    if error.kind() == io::ErrorKind::NotFound {
        ClientError::Absent(path)
    } else if error.kind() == io::ErrorKind::ConnectionRefused && !is_socket(socket) {
        ClientError::NoSocket(path)
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        ClientError::Ended(path)
    } else {
        ClientError::System { path, error }
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}
