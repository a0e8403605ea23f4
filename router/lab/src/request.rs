//! What the commands ask the keeper: one line of JSON there, one line of JSON back, over a Unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::fault::{Ends, Fault, Lane};
use crate::filling::Store;
use crate::folder::Folder;
use crate::relay::{FaultReport, RelayReport};

/// Time for one line to arrive: the keeper is not to be stopped by a command that is, nor the reverse.
pub(crate) const LINE_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of one line.
pub(crate) const LINE_LEN_MAX: u64 = 64 * 1024;

/// What the keeper is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Starts a node that does not run.
    Start { node: String },
    /// Sends a node a signal, named as in `SIGKILL`.
    Kill { node: String, signal: String },
    /// Puts a fault on lanes.
    Break { lanes: Vec<Lane>, fault: Fault },
    /// Lets a node have no more room.
    Fill { node: String, stores: Vec<Store> },
    /// Takes away the faults that name these ends, or all.
    Heal { ends: Option<Ends> },
    /// What there is and how it is.
    Report,
}

/// What the keeper answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// It cannot be done, and why.
    Failed(String),
    /// The answer to [`Request::Report`].
    Report(Report),
}

/// The lab as the keeper sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The keeper's process id in the machine's numbering.
    pub(crate) keeper: u32,
    /// Whether `up` has finished.
    pub(crate) complete: bool,
    pub(crate) hosts: Vec<HostReport>,
    pub(crate) nodes: Vec<NodeReport>,
    pub(crate) faults: Vec<FaultReport>,
    pub(crate) relays: Vec<RelayReport>,
}

impl Report {
    pub(crate) fn host(&self, name: &str) -> Option<&HostReport> {
        self.hosts.iter().find(|h| h.host == name)
    }

    pub(crate) fn node(&self, name: &str) -> Option<&NodeReport> {
        self.nodes.iter().find(|n| n.node == name)
    }
}

/// One network namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostReport {
    /// Its name: `client`, `net-first`, `a`, ...
    pub host: String,
    /// Its addresses, with the length of their prefix.
    pub addresses: Vec<ipnet::IpNet>,
    /// The path of its network namespace, for as long as the lab is up.
    pub netns: String,
}

/// One node's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeReport {
    /// The node's id.
    pub node: String,
    /// Whether its process runs.
    pub state: NodeState,
    /// Its process id in the machine's numbering, while there is one.
    pub pid: Option<u32>,
    /// How the last process ended, such as `exit code 1` or `SIGKILL`.
    pub ended: Option<String>,
    /// What it writes to its standard output and error.
    pub log: PathBuf,
    /// Its control socket.
    pub control: PathBuf,
    /// What it has no room in.
    pub full: Vec<Store>,
}

/// Whether a node's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It runs.
    Running,
    /// A signal has stopped it and none has continued it.
    Stopped,
    /// There is no process.
    Dead,
}

/// Asks the keeper of a lab.
pub(crate) fn ask(folder: &Folder, request: &Request) -> Result<Reply, LabError> {
    let stream = connect(folder)?;
    let exchange = || -> io::Result<Reply> {
        stream.set_read_timeout(Some(LINE_TIME_MAX))?;
        stream.set_write_timeout(Some(LINE_TIME_MAX))?;
        write_line(&stream, request)?;
        read_line(&stream)
    };
    let doing = format!("the keeper of the lab {} does not answer", folder.name());
    // It may have died meanwhile; then that is what there is to say.
    let died = || connect(folder).err();
    let reply = exchange().map_err(|source| {
        died()
            .unwrap_or_else(|| LabError::system_mended(doing, "`herald lab down` removes the lab in any state")(source))
    })?;
    match reply {
        Reply::Failed(why) => Err(LabError::Keeper(why)),
        Reply::Done | Reply::Report(_) => Ok(reply),
    }
}

/// Asks the keeper how the lab is.
pub(crate) fn report(folder: &Folder) -> Result<Report, LabError> {
    match ask(folder, &Request::Report)? {
        Reply::Report(report) => Ok(report),
        Reply::Done | Reply::Failed(_) => Err(LabError::Keeper("the keeper gave an answer to another question".into())),
    }
}

/// The keeper's process id as this process numbers it, if there is a keeper. It listens from its first moment on.
pub(crate) fn keeper_pid(folder: &Folder) -> Option<Pid> {
    let stream = UnixStream::connect(folder.keeper_socket()).ok()?;
    let credentials = getsockopt(&stream, PeerCredentials).ok()?;
    // 0 is a process that this PID namespace cannot see.
    (credentials.pid() > 0).then(|| Pid::from_raw(credentials.pid()))
}

fn connect(folder: &Folder) -> Result<UnixStream, LabError> {
    UnixStream::connect(folder.keeper_socket()).map_err(|e| {
        if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
            LabError::file("reach the keeper at", &folder.keeper_socket())(e)
        } else if folder.exists() {
            LabError::Remains(folder.name().clone())
        } else {
            LabError::NotUp(folder.name().clone())
        }
    })
}

/// Writes one line of JSON.
pub fn write_line<T: Serialize>(mut stream: &UnixStream, value: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads one line of JSON. The end of the stream is an error.
pub fn read_line<T: for<'a> Deserialize<'a>>(stream: &UnixStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_LEN_MAX)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}
