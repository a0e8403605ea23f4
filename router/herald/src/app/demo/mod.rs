//! `herald lab demo`: one real HTTP request through a cluster of three nodes, and the twelve steps of the method as they
//! happened.

mod own_http;
mod page;
mod steps;
mod story;
mod witness;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use super::control::client::ClientError;
use super::{output, run as node};
use crate::io::clock;
use herald_lab::{Built, LabError, LabName, LabNameError, NodeReport, Setting, SettingError, Up};

pub(super) use own_http::{fetch as fetch_page, serve as serve_page};
pub use steps::StepsError;
use steps::Stream;
use story::{Cast, Paint};
use witness::{Plugin, Witness};

/// `server` of the lab.
const SERVER: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 2, 0, 100), Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x100));

/// Under the user's own settings. The chain has a plugin that counts every packet, and a closed stream is soon over, as
/// the demonstration waits for its end.
const SETTINGS: [&str; 2] = [
    r#"plugins=[{ name = "acl", config = { default = "pass" } }, { name = "hello" }, { name = "flowlog" }]"#,
    "timeouts.tcp_closed_s=2",
];

/// Arguments of `herald lab demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// The lab's name [default: demo- and the process id]
    #[arg(long)]
    name: Option<LabName>,
    /// Leave the lab up
    #[arg(long)]
    keep: bool,
    /// Fetch the page over IPv6
    #[arg(long)]
    ipv6: bool,
    /// Set a key of every node's configuration; the value is TOML or a text
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,
}

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The lab's name.
    #[error(transparent)]
    Name(#[from] LabNameError),
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A node gave no report.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A node's report cannot be read.
    #[error("a node's report cannot be read: {0}; are node and command of one version?")]
    Report(String),
    /// A system call failed.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// Server or client failed.
    #[error("{program} failed: {said}")]
    Program {
        /// What it is.
        program: &'static str,
        /// Its last words.
        said: String,
    },
    /// Other bytes arrived.
    #[error("the page that arrived is not the page that was served: {arrived} bytes came, {served} were served")]
    Page {
        /// Bytes that arrived.
        arrived: usize,
        /// Bytes that were served.
        served: usize,
    },
    /// The steps are not what they have to be.
    #[error(transparent)]
    Steps(#[from] StepsError),
    /// Another node than the chosen one inspected something.
    #[error("{other} inspected the stream, too: only {chosen}, the chosen node, may")]
    Inspected {
        /// The chosen node.
        chosen: String,
        /// The other one.
        other: String,
    },
    /// The chosen node did not inspect all.
    #[error("the stream had {had} packets, and {chosen} inspected {inspected}")]
    Packets {
        /// The chosen node.
        chosen: String,
        /// What `flowlog` counted.
        had: u64,
        /// What `hello` counted.
        inspected: u64,
    },
    /// The stream did not end.
    #[error("flowlog on {node} wrote no line of the stream within {seconds} s")]
    NoFlowLine {
        /// The chosen node.
        node: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Builds a lab, fetches a page through it, shows how that went and takes the lab down, however this ends.
///
/// # Errors
///
/// When the lab cannot be built, the page does not arrive as it was served, a step is missing or out of order, or another
/// node than the chosen one inspected a packet.
pub fn run(arguments: &DemoArguments) -> Result<(), DemoError> {
    let paint = Paint::of_stdout();
    say(&story::opening(paint))?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => format!("demo-{}", std::process::id()).parse()?,
    };
    let own = SETTINGS.iter().map(|text| text.parse()).collect::<Result<Vec<Setting>, SettingError>>()?;
    let settings = own.into_iter().chain(arguments.set.iter().cloned()).collect();
    let (now, check) = (clock::wall(), node::check_draft);
    let wanted = Up { name: name.clone(), nodes: 3, file: None, topology: None, settings, now, check };
    let lab = herald_lab::build(&wanted, &mut |_| ())?;
    say(&format!("lab {name} is up: client, server and three nodes; the mesh is full, both roles are held"))?;
    show(&lab, &name, arguments, paint)?;
    if arguments.keep {
        lab.keep()?;
        return say(&format!("lab {name} stays up; herald lab down --name {name} removes it"));
    }
    lab.remove()?;
    say(&format!("lab {name} removed"))
}

/// The request, and everything that is known of it.
fn show(lab: &Built, name: &LabName, arguments: &DemoArguments, paint: Paint) -> Result<(), DemoError> {
    let server = if arguments.ipv6 { IpAddr::V6(SERVER.1) } else { IpAddr::V4(SERVER.0) };
    let nodes = herald_lab::status(name)?.nodes;
    let requested = request(lab, name, server);
    let witnesses = nodes.iter().map(Witness::hear).collect::<Result<Vec<_>, DemoError>>()?;
    let stream = match (Stream::to(&SocketAddr::new(server, page::PORT).to_string(), &witnesses), &requested) {
        (Err(error), Ok(())) => return Err(error.into()),
        (Err(_), Err(_)) => return requested,
        (Ok(stream), _) => stream,
    };
    let chain = witness::plugins(nodes.first().ok_or(LabError::NotUp(name.clone()))?)?;
    let chain = chain.into_iter().map(|plugin| plugin.id).collect::<Vec<_>>();
    let seen = steps::collect(&stream, &witnesses);
    // Also when the request failed: where the steps end is where to look.
    say(&story::steps(paint, &stream, &seen, &witnesses, &chain.join(", ")))?;
    requested?;
    steps::check(&seen)?;
    say(&story::sessions(paint, &witnesses))?;
    let chosen = Cast::of(&seen).chosen;
    // The stream has to be over before its packets can be counted.
    let has_flow_log = chain.iter().any(|id| id == "flowlog");
    let line = has_flow_log.then(|| witness::await_flow_line(lab, chosen, &stream)).transpose()?;
    let count = |node: &NodeReport| Ok((node.node.clone(), witness::plugins(node)?));
    let chains = nodes.iter().map(count).collect::<Result<Vec<_>, DemoError>>()?;
    say(&story::plugins(paint, &chains))?;
    if let Some(line) = &line {
        say(&story::flow_line(paint, chosen, &line.text))?;
    }
    only_the_chosen_node(lab, chosen, &stream, &witnesses, &chains)?;
    if let Some(had) = line.map(|line| line.packets) {
        all_packets(chosen, had, &chains)?;
        let good =
            format!("All {had} packets of the stream, of both directions, were inspected on {chosen}, none elsewhere.");
        say(&(paint.good(&good) + "\n"))?;
    }
    Ok(())
}

/// Serves the page and fetches it.
fn request(lab: &Built, name: &LabName, server: IpAddr) -> Result<(), DemoError> {
    let served = page::text();
    let running = page::Server::start(name, lab.folder(), server, &served)?;
    let (arrived, client) = page::fetch(name, server)?;
    if arrived != served {
        return Err(DemoError::Page { arrived: arrived.len(), served: served.len() });
    }
    let (program, len) = (running.program, served.len());
    say(&format!("{client} in client fetched {len} bytes from {program} in server: the very bytes that were served\n"))
}

/// No other node may have a marker session of the stream, a line of its end, or a packet seen by the counting plugin.
fn only_the_chosen_node(
    lab: &Built,
    chosen: &str,
    stream: &Stream,
    witnesses: &[Witness],
    chains: &[(String, Vec<Plugin>)],
) -> Result<(), DemoError> {
    let others = witnesses.iter().zip(chains).filter(|(witness, _)| witness.node != chosen);
    for (witness, (node, chain)) in others {
        let told = witness::flow_line(&lab.flow_log(node), stream).is_some();
        if witness.marks(stream) || told || counted(chain) > Some(0) {
            return Err(DemoError::Inspected { chosen: chosen.to_owned(), other: node.clone() });
        }
    }
    Ok(())
}

fn all_packets(chosen: &str, had: u64, chains: &[(String, Vec<Plugin>)]) -> Result<(), DemoError> {
    let chain = chains.iter().find(|(node, _)| node == chosen);
    match chain.and_then(|(_, chain)| counted(chain)) {
        Some(inspected) if inspected != had => Err(DemoError::Packets { chosen: chosen.to_owned(), had, inspected }),
        Some(_) | None => Ok(()),
    }
}

/// The packets that `hello` counted, if it is in the chain.
fn counted(chain: &[Plugin]) -> Option<u64> {
    chain.iter().find(|plugin| plugin.id == "hello")?.counters.get("packets").copied()
}

/// Prints a part.
fn say(text: &str) -> Result<(), DemoError> {
    output::print(&format!("{text}\n")).map_err(DemoError::Output)
}
