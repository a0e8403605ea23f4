//! The keeper: the first process of a lab's PID namespace. It builds the network, holds the namespaces, starts the nodes,
//! reaps whatever dies and answers questions.
//!
//! ```text
//!  build --ok--> unfinished --"keep" from up--> complete --SIGKILL from down--> (the kernel ends everything)
//!    |               |
//!    '--error--------'--end of up's socket--> everything killed, folder removed
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::LabError;
use crate::child::{Parent, child_signal};
use crate::clients::Clients;
use crate::fault::{Ends, Fault, Faults, Lane};
use crate::filling::{self, Store};
use crate::folder::{Folder, Lock};
use crate::host::Namespaces;
use crate::name::LabName;
use crate::network;
use crate::plan::Plan;
use crate::request::{HostReport, NodeReport, NodeState, Reply, Report, Request, write_line};
use crate::wiring::{Site, Wiring};

/// Runs as the keeper of the lab whose state folder is at `path`: its plan is there, its standard input is the
/// locked folder, its standard output the socket to `up`. Returns only when the lab was not completed; nothing of it is left then.
///
/// # Errors
///
/// When the lab could not be built. `up` has been told the same.
pub fn keep(path: &Path) -> Result<(), LabError> {
    let folder = Folder::at(path)?;
    let up = io::stdout().as_fd().try_clone_to_owned().map_err(LabError::system("cannot keep the socket to `up`"))?;
    let up = UnixStream::from(up);
    let lock = io::stdin().as_fd().try_clone_to_owned().map_err(LabError::system("cannot keep the lock"))?;
    let lock = Lock(File::from(lock));
    let ended = match Keeper::build(&folder) {
        Ok(mut keeper) => keeper.serve(&up),
        Err(error) => {
            let told = write_line(&up, &Reply::Failed(error.to_string()));
            Err(told.err().map_or(error, LabError::system("cannot tell `up`")))
        }
    };
    kill_all();
    folder.remove(&lock)?;
    ended
}

/// Kills every other process of this PID namespace and waits until they are gone.
fn kill_all() {
    if std::process::id() != 1 {
        return;
    }
    let _none_there = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
}

struct Keeper {
    folder: Folder,
    plan: Plan,
    namespaces: Namespaces,
    nodes: Vec<Node>,
    clients: Clients,
    signals: SignalFd,
    wiring: Wiring,
    parent: Parent,
    complete: bool,
}

/// A node's process.
struct Node {
    report: NodeReport,
    /// Its process id in this PID namespace.
    pid: Option<Pid>,
}

impl Keeper {
    /// Listens first, so that `down` can find this process from here on, then builds.
    fn build(folder: &Folder) -> Result<Self, LabError> {
        let socket = folder.keeper_socket();
        let clients = Clients::listen(&socket).map_err(LabError::file("listen at", &socket))?;
        let mask = child_signal();
        mask.thread_block().map_err(LabError::system("cannot block SIGCHLD"))?;
        // All processes of the lab inherit that: a file that may not grow is to be an error and no end.
        SigSet::from_iter([Signal::SIGXFSZ]).thread_block().map_err(LabError::system("cannot block SIGXFSZ"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(LabError::system("cannot open a signalfd"))?;
        let plan = Plan::read(&folder.plan())?;
        let nodes = plan.nodes.iter().map(|id| Node::new(id, folder)).collect();
        let (namespaces, parent, mut wiring) = (network::build(&plan)?, Parent::find()?, Wiring::default());
        wiring.begin(&Site { plan: &plan, namespaces: &namespaces, parent: &parent })?;
        Ok(Self { folder: folder.clone(), namespaces, plan, nodes, clients, signals, wiring, parent, complete: false })
    }

    /// Serves until `up` ends before the lab is complete. A complete lab is served for ever.
    fn serve(&mut self, up: &UnixStream) -> Result<(), LabError> {
        write_line(up, &Reply::Done).map_err(LabError::system("cannot tell `up`"))?;
        loop {
            let mut sources = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            if !self.complete {
                sources.push(PollFd::new(up.as_fd(), PollFlags::POLLIN));
            }
            sources.extend(self.clients.sources());
            match poll(&mut sources, self.clients.time_left()) {
                Err(Errno::EINTR) => continue,
                other => other.map_err(LabError::system("cannot poll"))?,
            };
            let ready: Vec<bool> = sources.iter().map(|s| s.any().unwrap_or_default()).collect();
            let ready = |place: usize| ready.get(place).copied().unwrap_or_default();
            if ready(0) {
                while let Ok(Some(_)) = self.signals.read_signal() {}
                self.reap();
            }
            let up_has_spoken = !self.complete && ready(1);
            for (client, request) in self.clients.hear() {
                self.answer(&client, request);
            }
            if up_has_spoken {
                match (&mut &*up).read(&mut [0; 16]) {
                    Ok(0) | Err(_) => return Ok(()),
                    Ok(_) => self.complete = true,
                }
            }
        }
    }

    /// Takes note of processes that ended, stopped or went on; those that are no nodes are only reaped.
    fn reap(&mut self) {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        while let Ok(status) = waitpid(None, Some(flags)) {
            let Some(pid) = status.pid() else { return };
            let Some(node) = self.nodes.iter_mut().find(|n| n.pid == Some(pid)) else {
                if let Some(how) = ending(status) {
                    let _or_a_command = self.wiring.ended(pid, &how);
                }
                continue;
            };
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the other states are those of ptrace, which we do not use"
            )]
            match status {
                WaitStatus::Stopped(..) => node.report.state = NodeState::Stopped,
                WaitStatus::Continued(_) => node.report.state = NodeState::Running,
                _ => ending(status).into_iter().for_each(|how| node.ended(how)),
            }
        }
    }

    /// Answers one question. A client that does not read is left alone: what its socket does not take is lost.
    fn answer(&mut self, client: &UnixStream, request: Request) {
        let reply = match request {
            Request::Start { node } => done(self.start(&node)),
            Request::Kill { node, signal } => done(self.kill(&node, &signal)),
            Request::Break { lanes, fault } => done(self.break_lanes(&lanes, &fault)),
            Request::Fill { node, stores } => done(self.fill(&node, &stores)),
            Request::Heal { ends } => done(self.heal(ends.as_ref())),
            Request::Report => self.report().map_or_else(|e| Reply::Failed(e.to_string()), Reply::Report),
        };
        let _gone = write_line(client, &reply);
    }

    fn start(&mut self, id: &str) -> Result<(), LabError> {
        self.reap();
        let node = self.node(id)?;
        if node.pid.is_some() {
            let name = self.folder.name();
            return Err(LabError::Node(format!("{id} runs already; end it with `herald lab kill --name {name} {id}`")));
        }
        let (log, control) = (self.folder.node_log(id), self.folder.node_control(id));
        let _none_there = fs::remove_file(&control);
        let log_file = OpenOptions::new().create(true).append(true).open(&log);
        let log_file = log_file.map_err(LabError::file("open", &log))?;
        let log_twin = log_file.try_clone().map_err(LabError::file("open", &log))?;
        self.namespaces.enter(id)?;
        let mut command = Command::new(&self.parent.program);
        command.args(["run", "--config"]).arg(self.folder.node_configuration(id));
        command.env("HERALD_CONTROL", &control).env("HERALD_LAB", self.folder.name().as_str());
        command.stdin(Stdio::null()).stdout(log_twin).stderr(log_file).process_group(0);
        let is_full = self.node(id)?.report.full.contains(&Store::Disk);
        let spawned = if is_full {
            filling::with_full_disk(|| self.parent.spawn(&mut command))
                .map_err(LabError::system("cannot limit the files of a process"))?
        } else {
            self.parent.spawn(&mut command)
        };
        let pid = spawned.inspect_err(|_| self.reap())?.id();
        let outer = self.parent.outer_pid(pid);
        self.node(id)?.started(pid, outer);
        self.reap();
        Ok(())
    }

    fn kill(&mut self, id: &str, signal: &str) -> Result<(), LabError> {
        let signal: Signal = signal.parse().map_err(|_| LabError::Node(format!("{signal} is no signal")))?;
        self.reap();
        let Some(pid) = self.node(id)?.pid else { return Err(not_running(self.folder.name(), id)) };
        kill(pid, signal).map_err(LabError::system(format!("cannot send {signal} to {id}")))
    }

    fn break_lanes(&mut self, lanes: &[Lane], fault: &Fault) -> Result<(), LabError> {
        for node in lanes.iter().flat_map(|lane| lane.from.iter().chain(&lane.to)) {
            self.node(node)?;
        }
        let faults = self.wiring.faults().with(lanes, fault)?;
        self.rewire(faults)
    }

    fn fill(&mut self, id: &str, stores: &[Store]) -> Result<(), LabError> {
        self.reap();
        let name = self.folder.name().clone();
        let node = self.node(id)?;
        let (Some(pid), Some(outer)) = (node.pid, node.report.pid) else {
            return Err(not_running(&name, id));
        };
        for store in stores {
            filling::fill(pid, outer, *store).map_err(LabError::system(format!("cannot limit the process of {id}")))?;
            if !node.report.full.contains(store) {
                node.report.full.push(*store);
            }
        }
        Ok(())
    }

    fn heal(&mut self, ends: Option<&Ends>) -> Result<(), LabError> {
        for node in ends.iter().flat_map(|ends| ends.other.iter().chain([&ends.node])) {
            self.node(node)?;
        }
        let emptied = self.make_room(ends)?;
        match self.wiring.faults().without(ends) {
            Err(_) if emptied => Ok(()),
            faults => self.rewire(faults?),
        }
    }

    /// Whoever is meant has room again; tells whether somebody had none.
    fn make_room(&mut self, ends: Option<&Ends>) -> Result<bool, LabError> {
        self.reap();
        let meant =
            |id: &str| ends.is_none_or(|ends| ends.node == id && ends.other.is_none() && ends.network.is_none());
        let mut emptied = false;
        for node in self.nodes.iter_mut().filter(|node| meant(&node.report.node)) {
            for store in std::mem::take(&mut node.report.full) {
                emptied = true;
                let Some(pid) = node.pid else { continue };
                let failed = LabError::system(format!("cannot limit the process of {}", node.report.node));
                filling::empty(pid, store).map_err(failed)?;
            }
        }
        Ok(emptied)
    }

    fn rewire(&mut self, faults: Faults) -> Result<(), LabError> {
        self.reap();
        let Self { plan, namespaces, parent, wiring, .. } = self;
        let changed = wiring.change(&Site { plan, namespaces, parent }, faults);
        // Whatever ended while a relay was started was not told.
        self.reap();
        changed
    }

    fn node(&mut self, id: &str) -> Result<&mut Node, LabError> {
        let known = self.plan.nodes.join(", ");
        self.nodes.iter_mut().find(|n| n.report.node == id).ok_or_else(|| LabError::NoNode {
            name: self.plan.name.clone(),
            node: id.to_owned(),
            known,
        })
    }

    fn report(&self) -> Result<Report, LabError> {
        let host = |name: &str| {
            let addresses = self.plan.hosts.iter().find(|h| h.name == name).map(|h| h.addresses.clone());
            let addresses = addresses.unwrap_or_default();
            Ok(HostReport { host: name.to_owned(), addresses, netns: self.namespaces.path(name, self.parent.pid)? })
        };
        let hosts = self.plan.namespaces().map(host).collect::<Result<_, LabError>>()?;
        let nodes = self.nodes.iter().map(|n| n.report.clone()).collect();
        let (faults, relays) = (self.wiring.fault_reports(), self.wiring.relay_reports());
        Ok(Report { keeper: self.parent.pid, complete: self.complete, hosts, nodes, faults, relays })
    }
}

impl Node {
    fn new(id: &str, folder: &Folder) -> Self {
        let (log, control) = (folder.node_log(id), folder.node_control(id));
        let (node, full) = (id.to_owned(), Vec::new());
        let report = NodeReport { node, state: NodeState::Dead, pid: None, ended: None, log, control, full };
        Self { report, pid: None }
    }

    fn started(&mut self, pid: u32, outer: Option<u32>) {
        self.pid = i32::try_from(pid).ok().map(Pid::from_raw);
        self.report = NodeReport { state: NodeState::Running, pid: outer, ended: None, ..self.report.clone() };
    }

    fn ended(&mut self, how: String) {
        self.pid = None;
        self.report.full.retain(|store| *store == Store::Disk);
        self.report = NodeReport { state: NodeState::Dead, pid: None, ended: Some(how), ..self.report.clone() };
    }
}

fn not_running(name: &LabName, id: &str) -> LabError {
    LabError::Node(format!("{id} does not run; start it with `herald lab start --name {name} {id}`"))
}

fn done(result: Result<(), LabError>) -> Reply {
    result.map_or_else(|e| Reply::Failed(e.to_string()), |()| Reply::Done)
}

/// How a process ended, if it did.
fn ending(status: WaitStatus) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other states are no ends")]
    match status {
        WaitStatus::Exited(_, code) => Some(format!("exit code {code}")),
        WaitStatus::Signaled(_, signal, _) => Some(signal.to_string()),
        _ => None,
    }
}
