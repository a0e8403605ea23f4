//! `herald lab` as a value: up when made, down when dropped.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::capture::Capture;
use crate::process::{Output, Running, eventually};

/// Bytes of the hint in a lab's name: with process id and number after it, it has to stay under 32.
const HINT_LEN_MAX: usize = 12;

/// Lines of each node's log that are shown when a test fails.
const LAST_LINES: usize = 30;

/// A configuration for all nodes, with a host beside the client.
const GUEST: &str = r#"
[lab.hosts.guest]
network = "first"
addresses = ["10.1.0.101/24", "fd00:1::101/64"]
"#;

/// The built `herald`: `$HERALD_BIN`, else the one beside the tests in the target folder.
///
/// # Panics
///
/// When there is none.
#[must_use]
#[track_caller]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HERALD_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/TEST and target/debug/herald
    let path = test.ancestors().nth(2).unwrap_or(Path::new("")).join("herald");
    assert!(
        path.exists(),
        "there is no {}: build first, with `cargo build --workspace`, or set HERALD_BIN",
        path.display()
    );
    path
}

/// What a lab is to be like.
#[derive(Debug)]
pub struct Builder {
    name: String,
    nodes: u8,
    arguments: Vec<String>,
    /// Holds the configuration file.
    configuration: Option<TempDir>,
}

impl Builder {
    /// The number of nodes; 3 if this is not called.
    #[must_use]
    pub fn nodes(mut self, count: u8) -> Self {
        self.nodes = count;
        self
    }

    /// Sets a key of every node's configuration, to a TOML value or a text.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.arguments.extend(["--set".into(), format!("{key}={}", value.to_string())]);
        self
    }

    /// Roles that never move, for tests that count single packets: a moment in which the machine stands still loses none.
    #[must_use]
    pub fn static_roles(self) -> Self {
        self.set("roles", "static").set("holders.first", "a").set("holders.second", "b")
    }

    /// A host `guest` on the first network, 10.1.0.101 and fd00:1::101, beside what every lab has.
    ///
    /// # Panics
    ///
    /// As [`configuration`](Self::configuration).
    #[must_use]
    #[track_caller]
    pub fn guest(self) -> Self {
        self.configuration(GUEST)
    }

    /// A configuration, in TOML, under every node's.
    ///
    /// # Panics
    ///
    /// When it cannot be written to a file.
    #[must_use]
    #[track_caller]
    pub fn configuration(mut self, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("cannot make a folder: {e}"));
        let file = folder.path().join("herald.toml");
        fs::write(&file, toml).unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
        self.arguments.extend(["--config".into(), file.display().to_string()]);
        self.configuration = Some(folder);
        self
    }

    /// One of the topologies in `configs/topologies`, by name.
    #[must_use]
    pub fn topology(mut self, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/topologies");
        self.arguments.extend(["--topology".into(), folder.join(format!("{name}.toml")).display().to_string()]);
        self
    }

    /// The command that brings the lab up.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.args(["lab", "up", "--name", &self.name, "--nodes", &self.nodes.to_string()]).args(&self.arguments);
        // A lab within a script's lab is a lab of its own.
        command.env_remove("HERALD_LAB").env_remove("HERALD_CONTROL");
        command
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Brings the lab up: afterwards the mesh is full and both roles are held.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Lab {
        let output = run(&mut self.command());
        assert!(output.code == 0, "the lab {} does not come up: {}{}", self.name, output.stdout, output.stderr);
        Lab { name: self.name }
    }
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    name: String,
}

impl Lab {
    /// Begins a lab with a name of its own; `hint` is the beginning of it. `$HERALD_TEST_REDIRECT` says how its nodes
    /// redirect, if it is set: tests that hold for every way to redirect run with each.
    pub fn up(hint: &str) -> Builder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let hint: String = hint.chars().take(HINT_LEN_MAX).collect();
        let name = format!("{hint}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let builder = Builder { name, nodes: 3, arguments: Vec::new(), configuration: None };
        match std::env::var("HERALD_TEST_REDIRECT") {
            Ok(redirect) => builder.set("redirect", redirect),
            Err(_) => builder,
        }
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command on this lab: `herald lab WORD --name NAME`.
    #[must_use]
    pub fn command(&self, word: &str) -> Command {
        let mut command = Command::new(binary());
        command.args(["lab", word, "--name", &self.name]).env_remove("HERALD_CONTROL");
        command
    }

    /// Runs a program in a host and waits for it.
    ///
    /// # Panics
    ///
    /// When `herald` cannot be started.
    #[track_caller]
    pub fn exec<S: AsRef<OsStr>>(&self, host: &str, program: &[S]) -> Output {
        run(self.command("exec").args([host, "--"]).args(program))
    }

    /// Starts a program in a host; it ends when it is dropped.
    ///
    /// # Panics
    ///
    /// When `herald` cannot be started.
    #[must_use]
    #[track_caller]
    pub fn spawn<S: AsRef<OsStr>>(&self, host: &str, program: &[S]) -> Running {
        Running::start(self.command("exec").args([host, "--"]).args(program))
    }

    /// The same for a program that is spoken to while it runs.
    ///
    /// # Panics
    ///
    /// When `herald` cannot be started.
    #[must_use]
    #[track_caller]
    pub fn converse<S: AsRef<OsStr>>(&self, host: &str, program: &[S]) -> Running {
        Running::converse(self.command("exec").args([host, "--"]).args(program))
    }

    /// What a `herald` command says at a node: `lab.json("a", &["roles"])` is `herald roles --json` there.
    ///
    /// # Panics
    ///
    /// When the command fails or prints something else than JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self, node: &str, command: &[&str]) -> Value {
        let binary = binary().display().to_string();
        let line: Vec<&str> = [binary.as_str()].into_iter().chain(command.iter().copied()).chain(["--json"]).collect();
        parse(&self.exec(node, &line).ok())
    }

    /// The lab as `herald lab status --json` shows it.
    ///
    /// # Panics
    ///
    /// When it is not up.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> Value {
        parse(&run(self.command("status").arg("--json")).ok())
    }

    /// Sends a node a signal, such as `"KILL"`.
    ///
    /// # Panics
    ///
    /// When the node does not run.
    #[track_caller]
    pub fn kill(&self, node: &str, signal: &str) {
        let _nothing_said = run(self.command("kill").args([node, "--signal", signal])).ok();
    }

    /// Starts a node that does not run, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[track_caller]
    pub fn start(&self, node: &str) {
        let _nothing_said = run(self.command("start").arg(node)).ok();
    }

    /// Waits until all these nodes are linked with each other and agree on the holders; returns the roles.
    ///
    /// # Panics
    ///
    /// When that takes longer than `limit`.
    #[track_caller]
    pub fn await_mesh(&self, limit: Duration, nodes: &[&str]) -> Value {
        eventually(limit, "the mesh is full and the roles are held", || {
            let views: Vec<(Value, Value)> =
                nodes.iter().map(|node| (self.json(node, &["members"]), self.json(node, &["roles"]))).collect();
            let linked = |members: &Value, node: &str| {
                nodes.iter().all(|other| {
                    members.as_array().into_iter().flatten().any(|m| {
                        text(m, "node") == *other
                            && text(m, "state") == "alive"
                            && (*other == node || text(m, "link") == "up")
                    })
                })
            };
            let (_, roles) = views.first()?;
            let held = |role: &str| roles.get(role).is_some_and(|r| nodes.contains(&text(r, "holder")));
            let agreed = views.iter().zip(nodes).all(|((members, seen), node)| seen == roles && linked(members, node));
            (held("first") && held("second") && agreed).then(|| roles.clone())
        })
    }

    /// Starts to capture at the bridge of `first`, `second` or `mesh`: every frame that crosses it, once.
    ///
    /// # Panics
    ///
    /// When tcpdump does not start.
    #[must_use]
    #[track_caller]
    pub fn capture(&self, network: &str) -> Capture {
        Capture::start(self, &format!("net-{network}"))
    }

    /// Starts to capture at one device of a host.
    ///
    /// # Panics
    ///
    /// When tcpdump does not start.
    #[must_use]
    #[track_caller]
    pub fn capture_at(&self, host: &str, device: &str) -> Capture {
        Capture::start_at(self, host, device)
    }

    /// Breaks or mends what is between nodes: `lab.links("cut", &["a", "b"])` is `herald lab cut a b`.
    ///
    /// # Panics
    ///
    /// When the command fails.
    #[track_caller]
    pub fn links(&self, word: &str, arguments: &[&str]) {
        let _nothing_said = run(self.command(word).args(arguments)).ok();
    }

    /// Everything that helps to see why a test failed.
    #[must_use]
    pub fn state(&self) -> String {
        let mut said = run(&mut self.command("status")).stdout;
        let status = run(self.command("status").arg("--json")).stdout;
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        for node in status.get("nodes").and_then(Value::as_array).into_iter().flatten() {
            let log = fs::read_to_string(text(node, "log")).unwrap_or_default();
            let mut lines: Vec<&str> = log.lines().collect();
            said.push_str(&format!("\nlast lines of node {}:\n", text(node, "node")));
            lines.drain(..lines.len().saturating_sub(LAST_LINES));
            said.push_str(&lines.join("\n"));
        }
        said
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.state());
        }
        let output = run(&mut self.command("down"));
        if output.code != 0 && !thread::panicking() {
            panic!("the lab {} does not go: {}", self.name, output.stderr);
        }
    }
}

/// A text field of a JSON object; empty if it is none.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[track_caller]
fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("this is no JSON: {e}\n{json}"))
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {}: {e}", command.get_program().display()));
    Output::new(output.status, &output.stdout, &output.stderr)
}
