//! Builds a lab and starts its nodes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::LabError;
use crate::configuration::{Check, Configuration, Files, Setting};
use crate::control;
use crate::down;
use crate::folder::{Folder, Lock};
use crate::name::LabName;
use crate::nodes::last_words;
use crate::plan::{NODES_MAX, Plan};
use crate::request::{NodeState, Reply, Report, Request, ask, read_line, report};
use crate::wait::eventually;
use herald_core::id::Interface;
use herald_keys::Validity;

/// Time for the keeper to build the network: a second on an idle machine, much more on a crowded one.
const BUILD_TIME_MAX: Duration = Duration::from_secs(60);

/// Time for the nodes to link up and take the roles.
const MESH_TIME_MAX: Duration = Duration::from_secs(60);

/// Days for which the certificates of a lab are valid: longer than any lab is up.
const KEYS_DAYS: u32 = 365;

/// Time for a lab of the same name that nobody wants any more to be gone.
const CLAIM_TIME_MAX: Duration = Duration::from_secs(5);

/// What `lab up` is asked for.
#[derive(Clone, Debug)]
pub struct Up {
    /// The lab's name.
    pub name: LabName,
    /// Number of nodes, 1 to 9.
    pub nodes: u8,
    /// A configuration under every node's.
    pub file: Option<PathBuf>,
    /// What there is beside two plain networks with a host on each.
    pub topology: Option<PathBuf>,
    /// Keys for every node, over everything else.
    pub settings: Vec<Setting>,
    /// The time since 1970 (UTC), from which on the nodes' certificates are valid.
    pub now: Duration,
    /// Looks at each node's configuration before anything is built.
    pub check: Check,
}

/// Builds a lab that stays up, as [`build`] does. When this fails, or this process dies meanwhile, nothing is left.
///
/// # Errors
///
/// As [`build`].
pub fn up(wanted: &Up, tell: &mut dyn FnMut(&str)) -> Result<(), LabError> {
    build(wanted, tell)?.keep()
}

/// Builds a lab, starts its nodes and waits until the mesh is full, both roles are held and every node is in sync. `tell`
/// hears of each step. The lab lives as long as what is returned.
///
/// # Errors
///
/// When the name is taken, the configuration is wrong, a right is missing, or a node does not come up. Nothing is left
/// then.
pub fn build(wanted: &Up, tell: &mut dyn FnMut(&str)) -> Result<Built, LabError> {
    if wanted.nodes == 0 || wanted.nodes > NODES_MAX {
        return Err(LabError::Configuration(format!("{} nodes: 1 to {NODES_MAX} are allowed", wanted.nodes)));
    }
    let files = Files { configuration: wanted.file.as_deref(), topology: wanted.topology.as_deref() };
    let configuration = Configuration::read(&wanted.name, files, &wanted.settings)?;
    let plan = configuration.plan(&wanted.name, Plan::node_ids(wanted.nodes))?;
    configuration.check(&plan, wanted.file.as_deref(), wanted.check)?;
    let (folder, lock) = claim(&wanted.name)?;
    let mut built = Built { folder, lock, keeper: None, kept: false };
    built.make_keys(&plan, wanted.now)?;
    built.run(&plan, &configuration, tell)?;
    Ok(built)
}

/// Takes the name. A keeper whose `up` was killed needs a moment to clear the name; that is waited for.
fn claim(name: &LabName) -> Result<(Folder, Lock), LabError> {
    let claimed = eventually(CLAIM_TIME_MAX, || match Folder::claim(name) {
        Err(LabError::Busy(_)) => {
            let is_up = report(&Folder::of(name)).is_ok_and(|report| report.complete);
            is_up.then(|| Err(LabError::Taken(name.clone())))
        }
        other => Some(other),
    });
    claimed.unwrap_or_else(|| Err(LabError::Busy(name.clone())))
}

/// A lab that lives as long as this value, and at most as long as this process, unless it is kept: however the process
/// ends, nothing of the lab is left.
#[derive(Debug)]
pub struct Built {
    folder: Folder,
    lock: Lock,
    /// Our end of the socket pair; unless the lab is kept, the keeper lives as long as it is open.
    keeper: Option<UnixStream>,
    kept: bool,
}

impl Drop for Built {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Some(keeper) = self.keeper.take() {
            // The keeper sees the end of its input, ends everything, and its own end of the pair goes with it.
            let _gone_already = keeper.shutdown(Shutdown::Write);
            let _told = (&keeper).read_to_end(&mut Vec::new());
        }
        // Nobody is left to tell; `down` says what is wrong if something is.
        let _ended = down::end_keeper(&self.folder).and_then(|()| self.folder.remove(&self.lock));
    }
}

impl Built {
    /// Leaves the lab up, also after the end of this process.
    ///
    /// # Errors
    ///
    /// When the lab has died.
    pub fn keep(mut self) -> Result<(), LabError> {
        let keep = |mut keeper: &UnixStream| keeper.write_all(b"keep\n");
        self.keeper.as_ref().map_or(Ok(()), keep).map_err(LabError::system("the keeper died"))?;
        self.kept = true;
        Ok(())
    }

    /// Removes the lab; dropping it does the same and does not tell what went wrong.
    ///
    /// # Errors
    ///
    /// When something does not end, or a file cannot be removed.
    pub fn remove(self) -> Result<(), LabError> {
        let name = self.folder.name().clone();
        drop(self);
        down::down(&name).map(drop)
    }

    /// A place for files that go with the lab.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a node's `flowlog` writes unless its configuration says otherwise.
    #[must_use]
    pub fn flow_log(&self, node: &str) -> PathBuf {
        self.folder.node_flow_log(node)
    }

    /// The lab is its own authority.
    fn make_keys(&self, plan: &Plan, now: Duration) -> Result<(), LabError> {
        let keys = self.folder.keys();
        keys.init(plan.name.as_str(), now)?;
        plan.nodes
            .iter()
            .filter_map(|id| id.parse().ok())
            .try_for_each(|node| keys.issue(node, Validity::days(now, KEYS_DAYS)).map_err(LabError::from))
    }

    fn run(&mut self, plan: &Plan, configuration: &Configuration, tell: &mut dyn FnMut(&str)) -> Result<(), LabError> {
        tell("state folder made");
        plan.write(&self.folder.plan())?;
        self.start_keeper()?;
        tell("keeper started");
        self.await_network()?;
        tell("network built");
        let report = report(&self.folder)?;
        for id in &plan.nodes {
            self.start_node(id, configuration, &report)?;
            tell(&format!("node {id} started"));
        }
        self.await_mesh(&plan.nodes)?;
        tell(if plan.nodes.len() > 1 { "mesh full, both roles held" } else { "both roles held" });
        Ok(())
    }

    /// Starts the keeper with the lock as its standard input, the socket pair as its standard output and its log.
    fn start_keeper(&mut self) -> Result<(), LabError> {
        let failed = || LabError::system("cannot start the keeper");
        let program = std::env::current_exe().map_err(failed())?;
        let log = File::create(self.folder.keeper_log()).map_err(LabError::file("make", &self.folder.keeper_log()))?;
        let (ours, theirs) = UnixStream::pair().map_err(failed())?;
        ours.set_read_timeout(Some(BUILD_TIME_MAX)).map_err(failed())?;
        self.keeper = Some(ours);
        let mut command = Command::new(&program);
        command.args(["lab", "found"]).arg(self.folder.path());
        let lock = self.lock.0.try_clone().map_err(failed())?;
        command.stdin(lock).stdout(OwnedFd::from(theirs)).stderr(log);
        let status = command.status().map_err(LabError::file("run", &program))?;
        // The descriptors in `command` are the other holders of the keeper's end.
        drop(command);
        if status.success() { Ok(()) } else { Err(LabError::Keeper(self.keeper_words("cannot start the keeper"))) }
    }

    fn await_network(&self) -> Result<(), LabError> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        match read_line(keeper) {
            Ok(Reply::Done | Reply::Report(_)) => Ok(()),
            Ok(Reply::Failed(why)) => Err(LabError::Keeper(why)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(LabError::Keeper(format!(
                "the network was not built within {} s; is the machine overloaded?",
                BUILD_TIME_MAX.as_secs()
            ))),
            Err(_) => Err(LabError::Keeper(self.keeper_words("the keeper died"))),
        }
    }

    /// What the keeper, or the step before it, wrote to its log.
    fn keeper_words(&self, otherwise: &str) -> String {
        let log = fs::read_to_string(self.folder.keeper_log()).unwrap_or_default();
        let last = log.lines().rfind(|l| !l.is_empty()).unwrap_or(otherwise);
        last.strip_prefix("herald: ").unwrap_or(last).to_owned()
    }

    fn start_node(&self, id: &str, configuration: &Configuration, report: &Report) -> Result<(), LabError> {
        let place = self.folder.node(id);
        DirBuilder::new().mode(0o700).create(&place).map_err(LabError::file("make", &place))?;
        let file = self.folder.node_configuration(id);
        let text = configuration.node(id, &self.folder, report)?;
        // It has the cluster's secret.
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(LabError::file("write", &file))?;
        ask(&self.folder, &Request::Start { node: id.to_owned() }).map(drop)
    }

    /// Waits until each node sees all others alive, linked and in sync, so that they may be chosen, and all agree on a
    /// holder of each role.
    fn await_mesh(&self, nodes: &[String]) -> Result<(), LabError> {
        let mut lacking = String::from("no node answers");
        let looked = eventually(MESH_TIME_MAX, || {
            if let Err(error) = self.all_run() {
                return Some(Err(error));
            }
            match self.lacking(nodes) {
                None => Some(Ok(())),
                Some(what) => {
                    lacking = what;
                    None
                }
            }
        });
        looked.unwrap_or_else(|| {
            let words = nodes.iter().map(|id| last_words(&self.folder, id)).collect::<String>();
            Err(LabError::Node(format!(
                "the cluster was not ready within {} s: {lacking}{words}",
                MESH_TIME_MAX.as_secs()
            )))
        })
    }

    fn all_run(&self) -> Result<(), LabError> {
        let report = report(&self.folder)?;
        let Some(node) = report.nodes.iter().find(|n| n.state == NodeState::Dead) else { return Ok(()) };
        let how = node.ended.as_deref().unwrap_or("never started");
        Err(LabError::Node(format!("node {} ended: {how}{}", node.node, last_words(&self.folder, &node.node))))
    }

    /// What the cluster lacks, if anything.
    fn lacking(&self, nodes: &[String]) -> Option<String> {
        let mut agreed: Option<Value> = None;
        for id in nodes {
            let get = |path| control::get(&self.folder.node_control(id), path);
            let (members, roles) = match get("/members").and_then(|m| Ok((m, get("/roles")?))) {
                Ok(both) => both,
                Err(e) => return Some(format!("node {id} does not answer ({e})")),
            };
            if let Some(other) = nodes.iter().find(|other| !is_linked(&members, id, other)) {
                return Some(format!("node {id} has no link with {other}"));
            }
            if let Some(other) = nodes.iter().find(|other| !is_in_sync(&members, other)) {
                return Some(format!("node {id} knows node {other} as out of sync"));
            }
            if let Some(role) = Interface::BOTH.into_iter().find(|role| control::holder(&roles, *role).is_none()) {
                return Some(format!("node {id} knows no holder of the {role} redirector"));
            }
            if agreed.as_ref().is_some_and(|before| *before != roles) {
                return Some(format!("node {id} sees other holders than the nodes before it"));
            }
            agreed = Some(roles);
        }
        None
    }
}

/// Whether the members that `id` sees contain `other`, alive and, if it is not `id` itself, linked.
fn is_linked(members: &Value, id: &str, other: &str) -> bool {
    row(members, other).is_some_and(|m| says(m, "state", "alive") && (id == other || says(m, "link", "up")))
}

fn is_in_sync(members: &Value, node: &str) -> bool {
    row(members, node).and_then(|m| m.get("in_sync")?.as_bool()) == Some(true)
}

fn row<'a>(members: &'a Value, node: &str) -> Option<&'a Value> {
    members.as_array()?.iter().find(|m| says(m, "node", node))
}

fn says(row: &Value, key: &str, value: &str) -> bool {
    row.get(key).is_some_and(|v| v == value)
}
