//! The page: who serves it in `server`, who fetches it in `client`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::DemoError;
use herald_lab::LabName;

/// The port of HTTP.
pub(super) const PORT: u16 = 80;

/// Time for a server to start: Python alone needs a second on a crowded machine.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Lines of the page: with these it fills several packets.
const LINES: usize = 100;

const FILE: &str = "page.txt";

const PYTHON_SERVER: &str = include_str!("page_server.py");
const PYTHON_CLIENT: &str = include_str!("page_client.py");

/// A page of some packets.
pub(super) fn text() -> Vec<u8> {
    let line =
        |number| format!("line {number:>3}: every packet of this page, in both directions, is inspected on one node\n");
    (1..=LINES).map(line).collect::<String>().into_bytes()
}

/// A server that serves the page in the host `server`; it ends when this is dropped.
pub(super) struct Server {
    exec: Child,
    /// What it is, for people.
    pub(super) program: &'static str,
}

impl Server {
    /// Starts it and waits until it listens. `folder` goes with the lab.
    pub(super) fn start(lab: &LabName, folder: &Path, at: IpAddr, page: &[u8]) -> Result<Self, DemoError> {
        let place = folder.join("page");
        let log = folder.join("server.log");
        let system = |doing: &str| DemoError::system(format!("cannot {doing} the page"));
        fs::create_dir(&place).map_err(system("make a folder for"))?;
        fs::write(place.join(FILE), page).map_err(system("write"))?;
        let mut command = exec(lab, "server")?;
        let program = if is_usable("python3", &["-c", "import http.server"]) {
            command.args(["python3", "-I", "-c", PYTHON_SERVER]).arg(&place).args([at.to_string(), PORT.to_string()]);
            "Python's http.server"
        } else {
            command.arg(own_program()?).args(["lab", "page-server"]).arg(place.join(FILE)).arg(url_host(at));
            "Herald's own small server"
        };
        let (ours, theirs) = UnixStream::pair().map_err(system("listen for the server of"))?;
        ours.set_read_timeout(Some(START_TIME_MAX)).map_err(system("listen for the server of"))?;
        let errors = File::create(&log).map_err(system("make a log for the server of"))?;
        command.stdin(Stdio::null()).stdout(OwnedFd::from(theirs)).stderr(errors);
        let server = Self { exec: command.spawn().map_err(system("serve"))?, program };
        // The descriptors in `command` are other holders of the server's end.
        drop(command);
        let mut line = String::new();
        match BufReader::new(ours).read_line(&mut line) {
            Ok(_) if line == "ready\n" => Ok(server),
            Ok(_) | Err(_) => Err(DemoError::Program { program, said: last_line(&log) }),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.exec.id()) {
            // `lab exec` hands the signal on to the server. Both may have ended with the lab.
            let _ended_already = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _reaped = self.exec.wait();
    }
}

/// Fetches the page in the host `client`; gives its bytes and what fetched it.
pub(super) fn fetch(lab: &LabName, from: IpAddr) -> Result<(Vec<u8>, &'static str), DemoError> {
    let url = format!("http://{}/{FILE}", url_host(from));
    let mut command = exec(lab, "client")?;
    let program = if is_usable("curl", &["--version"]) {
        // -q: no configuration of the user's, such as a proxy.
        command.args(["curl", "-q", "--silent", "--show-error", "--fail", "--globoff", "--max-time", "10"]);
        command.args(["--noproxy", "*", &url]);
        "curl"
    } else if is_usable("python3", &["-c", "import urllib.request"]) {
        command.args(["python3", "-I", "-c", PYTHON_CLIENT, &url]);
        "Python's urllib"
    } else {
        command.arg(own_program()?).args(["lab", "page-client", &url_host(from)]);
        "Herald's own small client"
    };
    let output = command.stdin(Stdio::null()).output().map_err(DemoError::system("cannot fetch the page"))?;
    if output.status.success() {
        return Ok((output.stdout, program));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(DemoError::Program { program, said: said.lines().last().unwrap_or_default().to_owned() })
}

/// The own server and client take address and port in the form of a URL, always with the port.
fn url_host(address: IpAddr) -> String {
    std::net::SocketAddr::new(address, PORT).to_string()
}

/// `herald lab exec HOST --`, to be completed.
fn exec(lab: &LabName, host: &str) -> Result<Command, DemoError> {
    let mut command = Command::new(own_program()?);
    command.args(["lab", "exec", "--name", lab.as_str(), host, "--"]);
    Ok(command)
}

fn own_program() -> Result<PathBuf, DemoError> {
    std::env::current_exe().map_err(DemoError::system("cannot find this program's file"))
}

/// Whether a program is there and does this.
fn is_usable(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let tried = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it did not start in time").to_owned()
}

impl DemoError {
    pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::System { doing, error }
    }
}
