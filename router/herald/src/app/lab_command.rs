//! `herald lab`: the network on this laptop.

mod breaking;
mod scripts;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::demo::{self, DemoArguments, DemoError};
use super::{output, relay, run};
use crate::io::{clock, descriptors};
use breaking::{CutArguments, FillArguments, HealArguments, ImpairArguments};
use herald_core::id::Interface;
use herald_lab::{
    Down, FaultReport, HostReport, LabError, LabName, NodeReport, NodeState, RelayReport, Setting, Status, Up,
};
use scripts::TestArguments;

/// Builds, uses, breaks and removes a cluster and two networks on this machine.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Build a lab and start its nodes
    Up(UpArguments),
    /// Run a command in a host; its exit code is the command's
    Exec {
        /// Which lab
        #[command(flatten)]
        lab: Which,
        /// Where: client, server, a, b, c, net-first, net-second, net-mesh
        host: String,
        /// What: after --, with its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Show hosts, nodes and roles
    Status {
        /// Which lab
        #[command(flatten)]
        lab: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a node's process a signal
    Kill {
        /// Which lab
        #[command(flatten)]
        lab: Which,
        /// The node
        node: String,
        /// The signal: KILL, TERM, STOP, CONT, ...
        #[arg(long, default_value = "KILL")]
        signal: String,
    },
    /// Start a node that does not run
    Start {
        /// Which lab
        #[command(flatten)]
        lab: Which,
        /// The node
        node: String,
    },
    /// Cut what runs between two nodes, or between a node and everybody
    Cut(CutArguments),
    /// Delay, lose, double or reorder what runs between two nodes, or between a node and everybody
    Impair(ImpairArguments),
    /// Fill a node's disk, or take its descriptors
    Fill(FillArguments),
    /// Mend what was cut, impaired or filled: everything, or what names these nodes
    Heal(HealArguments),
    /// Show one real HTTP request crossing a lab of three nodes, step by step
    Demo(DemoArguments),
    /// Run scripts, each in a fresh lab, and print how each went (TAP)
    Test(TestArguments),
    /// Remove a lab, in whatever state it is
    Down {
        /// Which lab
        #[command(flatten)]
        lab: Which,
    },
    /// (internal) Enter new namespaces and start the keeper
    #[command(hide = true)]
    Found {
        /// The state folder
        folder: PathBuf,
    },
    /// (internal) Build and keep a lab
    #[command(hide = true)]
    Keeper {
        /// The state folder
        folder: PathBuf,
    },
    /// (internal) Run one script on a lab
    #[command(hide = true)]
    Script {
        /// The lab
        name: LabName,
        /// The script
        script: PathBuf,
    },
    /// (internal) Relay the frames of a network with faults
    #[command(hide = true)]
    Relay,
    /// (internal) Try what a lab needs
    #[command(hide = true)]
    Probe,
    /// (internal) Serve one file over HTTP
    #[command(hide = true)]
    PageServer {
        /// The file
        file: PathBuf,
        /// Where to listen
        at: SocketAddr,
    },
    /// (internal) Fetch a page over HTTP
    #[command(hide = true)]
    PageClient {
        /// Where the server listens
        from: SocketAddr,
    },
}

/// A lab command that failed.
#[derive(Debug, thiserror::Error)]
pub enum LabCommandError {
    /// The lab could not do it.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The demonstration failed.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The page could not be served or fetched, or the relay lost its keeper.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Arguments of `herald lab up`.
#[derive(Debug, Args)]
pub struct UpArguments {
    #[command(flatten)]
    lab: Which,
    #[command(flatten)]
    shape: ShapeArguments,
}

/// What a lab is to be like.
#[derive(Clone, Debug, Args)]
struct ShapeArguments {
    /// Number of nodes, 1 to 9
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// A configuration under every node's; [lab.hosts.NAME] adds hosts
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What there is beside two plain networks: routers, hosts behind them, more networks, MTUs, VLAN tags
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Set a key of every node's configuration; the value is TOML or a text
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,
}

impl ShapeArguments {
    fn wanted(self, name: LabName) -> Up {
        Up {
            name,
            nodes: self.nodes,
            file: self.config,
            topology: self.topology,
            settings: self.set,
            now: clock::wall(),
            check: run::check_draft,
        }
    }
}

/// Which lab is meant.
#[derive(Debug, Args)]
pub struct Which {
    /// The lab's name [default: $HERALD_LAB, else lab]
    #[arg(long)]
    name: Option<LabName>,
}

impl Which {
    fn name(self) -> Result<LabName, LabError> {
        match (self.name, std::env::var("HERALD_LAB")) {
            (Some(name), _) => Ok(name),
            (None, Ok(name)) => name.parse().map_err(|e| LabError::Configuration(format!("$HERALD_LAB: {e}"))),
            (None, Err(_)) => Ok(LabName::default()),
        }
    }
}

/// Runs one of the lab's commands. The process must have only this one thread: `exec` enters namespaces.
///
/// # Errors
///
/// What could not be done.
pub fn run(command: LabCommand) -> Result<ExitCode, LabCommandError> {
    match command {
        LabCommand::Up(arguments) => up(arguments)?,
        LabCommand::Exec { lab, host, command } => {
            return Ok(exit_code(herald_lab::exec(&lab.name()?, &host, &command))?);
        }
        LabCommand::Status { lab, json } => {
            let status = herald_lab::status(&lab.name()?)?;
            print(&if json { to_json(&status)? } else { to_table(&status) })?;
        }
        LabCommand::Kill { lab, node, signal } => herald_lab::kill(&lab.name()?, &node, &signal)?,
        LabCommand::Start { lab, node } => herald_lab::start(&lab.name()?, &node)?,
        LabCommand::Cut(arguments) => breaking::cut(arguments)?,
        LabCommand::Impair(arguments) => breaking::impair(arguments)?,
        LabCommand::Fill(arguments) => breaking::fill(arguments)?,
        LabCommand::Heal(arguments) => breaking::heal(arguments)?,
        LabCommand::Demo(arguments) => demo::run(&arguments)?,
        LabCommand::Test(arguments) => return scripts::run(&arguments),
        LabCommand::Script { name, script } => return Ok(exit_code(herald_lab::run_script(&name, &script))?),
        LabCommand::Down { lab } => {
            let name = lab.name()?;
            match herald_lab::down(&name)? {
                Down::Removed => print(&format!("lab {name} removed"))?,
                Down::NothingThere => print(&format!("no lab {name} was up"))?,
            }
        }
        LabCommand::Found { folder } => {
            descriptors::close_inherited()?;
            herald_lab::found(&folder)?;
        }
        LabCommand::Keeper { folder } => herald_lab::keep(&folder)?,
        LabCommand::Relay => relay::run()?,
        LabCommand::Probe => print(&to_json(&herald_lab::probe())?)?,
        LabCommand::PageServer { file, at } => demo::serve_page(&file, at)?,
        LabCommand::PageClient { from } => io::stdout().write_all(&demo::fetch_page(from, "/")?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(arguments: UpArguments) -> Result<(), LabCommandError> {
    let name = arguments.lab.name()?;
    let wanted = arguments.shape.wanted(name);
    // A lab is brought up for whoever uses it, even if nobody reads the steps.
    herald_lab::up(&wanted, &mut |step| drop(print(step)))?;
    let status = herald_lab::status(&wanted.name)?;
    let hosts: Vec<&str> = status.hosts.iter().map(|h| h.host.as_str()).collect();
    let option = if wanted.name == LabName::default() { String::new() } else { format!(" --name {}", wanted.name) };
    Ok(print(&format!(
        "\nlab {} is up: {}\n\ntry\n\
         \x20 herald lab exec{option} client -- ping -c 3 10.2.0.100\n\
         \x20 herald lab exec{option} a -- herald sessions\n\
         \x20 herald lab kill{option} a\n\
         \x20 herald lab status{option}\n\
         \x20 herald lab down{option}",
        wanted.name,
        hosts.join(", ")
    ))?)
}

/// Prints what ends with a line.
fn print(text: &str) -> io::Result<()> {
    output::print(&format!("{text}\n"))
}

/// The exit codes for a program that cannot be run are those of the shell (POSIX.1, section 2.8.2).
fn exit_code(ended: Result<u8, LabError>) -> Result<ExitCode, LabError> {
    match ended {
        Err(error @ LabError::Command { .. }) => {
            output::complain(&error.to_string());
            let LabError::Command { source, .. } = error else { return Ok(ExitCode::FAILURE) };
            Ok(ExitCode::from(if source.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
        }
        other => other.map(ExitCode::from),
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, LabError> {
    serde_json::to_string_pretty(value).map_err(|e| LabError::Configuration(format!("cannot print JSON: {e}")))
}

fn to_table(status: &Status) -> String {
    let mut hosts = Table::new();
    hosts.load_preset(presets::NOTHING).set_header(["HOST", "ADDRESSES", "NETNS"]);
    for HostReport { host, addresses, netns } in &status.hosts {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        hosts.add_row([host.as_str(), &addresses.join(" "), netns]);
    }
    let mut nodes = Table::new();
    nodes.load_preset(presets::NOTHING).set_header(["NODE", "STATE", "PID", "HOLDS"]);
    for NodeReport { node, state, pid, ended, full, .. } in &status.nodes {
        let mut state = match (state, ended) {
            (NodeState::Running, _) => "running".to_owned(),
            (NodeState::Stopped, _) => "stopped".to_owned(),
            (NodeState::Dead, Some(how)) => format!("dead ({how})"),
            (NodeState::Dead, None) => "dead".to_owned(),
        };
        if !full.is_empty() {
            let full: Vec<&str> = full.iter().map(|store| store.as_str()).collect();
            state.push_str(&format!(", {}", full.join(", ")));
        }
        let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
        let roles = Interface::BOTH.into_iter().filter(|role| status.holds(node, *role));
        let roles: Vec<&str> = roles.map(Interface::as_str).collect();
        nodes.add_row([node.as_str(), &state, &pid, &roles.join(" ")]);
    }
    let mut text = format!("lab {}\n\n{hosts}\n\n{nodes}", status.name);
    if !status.faults.is_empty() {
        text.push_str(&format!("\n\n{}", faults(status)));
    }
    for RelayReport { network, ended, .. } in &status.relays {
        if let Some(how) = ended {
            text.push_str(&format!(
                "\n\nthe relay of the {network} network ended ({how}): nothing passes it until `heal`"
            ));
        }
    }
    text
}

fn faults(status: &Status) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NETWORK", "FROM", "TO", "FAULT", "FRAMES"]);
    for FaultReport { lane, fault, counts } in &status.faults {
        let end = |node: &Option<String>| node.clone().unwrap_or_else(|| "everybody".into());
        let counts = counts.map_or_else(String::new, |c| {
            let mut parts = vec![format!("{} passed", c.passed)];
            let rare = [(c.lost, "lost"), (c.duplicated, "duplicated"), (c.reordered, "reordered")];
            let rare = rare.into_iter().chain([(c.overflowed, "overflowed")]);
            parts.extend(rare.filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
            parts.join(", ")
        });
        table.add_row([lane.network.to_string(), end(&lane.from), end(&lane.to), fault.to_string(), counts]);
    }
    table
}
