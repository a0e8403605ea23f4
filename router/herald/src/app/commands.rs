//! What each command does.

use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::command_line::{
    ClusterArguments, Command, ConfigArguments, ConfigCommand, EventsArguments, NodeArguments, ReportArguments,
    ReportCommand, RunArguments, WhyArguments,
};
use super::config::{Config, ConfigError, Place};
use super::control::client::{self, ClientError};
use super::lab_command::LabCommandError;
use super::logging::{self, Format};
use super::plugin_command::{self, NewError, PluginError};
use super::replay::{self, ReplayError};
use super::reports::{Shown, Text, Who, cluster_text, why_lines, why_text};
use super::run::{self, RunError};
use super::stream::StreamError;
use super::{doctor, drain, keys_command, lab_command, output};
use crate::io::descriptors;
use herald_core::session::Plan;
use herald_keys::{FolderError, SecretError, read_secret};
use herald_lab::LabError;

/// A command that failed, or was used wrongly.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The words name no stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration cannot be written as TOML.
    #[error("the configuration cannot be shown: {0}")]
    Show(#[from] toml::ser::Error),
    /// The node gave no report.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node's report is no JSON.
    #[error("the node's report cannot be read: {0}; are node and command of one version?")]
    Report(#[from] serde_json::Error),
    /// The caller's descriptors cannot be closed.
    #[error("cannot close the descriptors of who started this: {0}")]
    Descriptors(io::Error),
    /// The log cannot be started.
    #[error("cannot start the log: {0}")]
    Log(io::Error),
    /// The node could not start or has failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The lab could not do it.
    #[error(transparent)]
    Lab(#[from] LabCommandError),
    /// Keys could not be made.
    #[error(transparent)]
    Keys(#[from] FolderError),
    /// A plugin was not made or not accepted.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A capture could not be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The checks of this machine could not be run.
    #[error(transparent)]
    Doctor(#[from] LabError),
    /// The node still has something to give away.
    #[error("the node was not drained within {seconds} s: {roles} roles and {streams} streams are left; it goes on")]
    NotDrained {
        /// How long it was waited for.
        seconds: u32,
        /// Redirectors that it still holds.
        roles: usize,
        /// Streams that it still has.
        streams: usize,
    },
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl CommandError {
    /// The exit code: 2 for wrong usage, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Stream(_)
            | Self::Config(ConfigError::Flag(_))
            | Self::Replay(ReplayError::Config(ConfigError::Flag(_)))
            | Self::Plugin(PluginError::New(NewError::Name(_)))
            | Self::Lab(LabCommandError::Lab(LabError::Usage(_))) => 2,
            Self::Config(_)
            | Self::Show(_)
            | Self::Client(_)
            | Self::Report(_)
            | Self::Descriptors(_)
            | Self::Log(_)
            | Self::Run(_)
            | Self::Lab(_)
            | Self::Keys(_)
            | Self::Plugin(_)
            | Self::Replay(_)
            | Self::Doctor(_)
            | Self::NotDrained { .. }
            | Self::Output(_) => 1,
        }
    }
}

/// Does what the command says and prints its result.
///
/// # Errors
/// What failed, where, and what to do.
pub fn execute(command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Lab(command) => return Ok(lab_command::run(command)?),
        Command::Doctor => return doctor::run(),
        Command::Keys(command) => print(&keys_command::run(&command)?),
        Command::Run(arguments) => run_node(&arguments),
        Command::Config(ConfigCommand::Check(arguments)) => check(&arguments),
        Command::Config(ConfigCommand::Show(arguments)) => show_config(&arguments),
        Command::Report(ReportCommand { report, arguments: ClusterArguments { report: arguments, cluster: true } }) => {
            show(&arguments, &format!("/cluster{}", report.path()), |json| cluster_text(json, report.shown))
        }
        Command::Report(ReportCommand {
            report,
            arguments: ClusterArguments { report: arguments, cluster: false },
        }) => show(&arguments, &report.path(), report.shown.text),
        Command::Why(arguments) => why(&arguments),
        Command::Who(arguments) => show(&arguments.report, &arguments.path()?, Who::text),
        Command::Plugin(command) => Ok(plugin_command::run(&command)?),
        Command::Replay(arguments) => Ok(replay::run(&arguments)?),
        Command::Drain(arguments) => drain::drain(&arguments),
        Command::Undrain(arguments) => drain::undrain(&arguments),
        Command::Events(arguments) => events(&arguments),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn run_node(arguments: &RunArguments) -> Result<(), CommandError> {
    descriptors::close_inherited().map_err(CommandError::Descriptors)?;
    let config = Config::load(&arguments.config, &arguments.set)?;
    let format = if arguments.log_json { Format::Json } else { Format::Human };
    config.refuse_placeholder()?;
    let log = logging::start(&config.options.log, format).map_err(CommandError::Log)?;
    // Only a warning: a configuration is copied and edited in many ways, and the folder around it may be closed.
    if let Place::Line(file, _) | Place::File(file) = &config.secret_place
        && let Err(exposed @ SecretError::Exposed { .. }) = read_secret(file)
    {
        tracing::warn!("cluster.secret: {exposed}");
    }
    Ok(run::run(&config, &log)?)
}

fn check(arguments: &ConfigArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.file, &arguments.set)?;
    config.refuse_placeholder()?;
    let peers: Vec<_> = config.options.mesh.peers.keys().map(|p| p.as_str()).collect();
    let peers = if peers.is_empty() { "without peers".to_owned() } else { format!("with peers {}", peers.join(", ")) };
    let (node, cluster) = (config.options.node, &config.options.cluster.id);
    let good = format!("{}: good: node {node} of cluster {cluster} {peers}\n", arguments.file.display());
    print(&(good + &cost(&run::plan(&config, 0))))
}

/// What the bounds can cost, in words. What plugins keep of a stream is known when they are loaded.
fn cost(plan: &Plan) -> String {
    let bounds = plan.bounds();
    let [markers, redirector, frames] = plan.cost(&bounds).map(|bytes| bytes >> 20);
    format!(
        "memory, at most: {} marker sessions ({markers} MiB and the plugins' states), {} redirector sessions \
         ({redirector} MiB), {} frames ({frames} MiB); memory_max is {} MiB\n",
        bounds.markers,
        bounds.redirector,
        bounds.frames,
        plan.memory >> 20
    )
}

fn show_config(arguments: &ConfigArguments) -> Result<(), CommandError> {
    print(&Config::load(&arguments.file, &arguments.set)?.to_toml()?)
}

fn events(arguments: &EventsArguments) -> Result<(), CommandError> {
    let ClusterArguments { report, cluster } = &arguments.report;
    let path = format!("/events?after={}", arguments.after);
    if !cluster {
        return print(&fetch(&report.node, &path)?);
    }
    let answers: Value = serde_json::from_str(&fetch(&report.node, &format!("/cluster{path}"))?)?;
    let mut lines = String::new();
    for (node, answer) in answers.as_object().into_iter().flatten() {
        for event in answer.get("report").and_then(Value::as_array).into_iter().flatten() {
            // `node` is another party of an event already.
            lines += &format!("{{\"told_by\":\"{node}\",{}\n", event.to_string().trim_start_matches('{'));
        }
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            lines += &format!("{}\n", json!({ "told_by": node, "error": error }));
        }
    }
    print(&lines)
}

/// The last dropped frames: of one node, or of the whole cluster, which is where one looks for those of a stream.
fn why(arguments: &WhyArguments) -> Result<(), CommandError> {
    let ClusterArguments { report, cluster } = &arguments.report;
    let path = arguments.path()?;
    if *cluster || !arguments.stream.is_empty() {
        let shown = Shown { text: why_text, lines: |json| Some(why_lines(json)) };
        return show(report, &format!("/cluster{path}"), |json| cluster_text(json, shown));
    }
    show(report, &path, why_text)
}

fn show(arguments: &ReportArguments, path: &str, text: impl Fn(&Value) -> String) -> Result<(), CommandError> {
    let json = fetch(&arguments.node, path)?;
    if arguments.json {
        return print(&(json + "\n"));
    }
    print(&text(&serde_json::from_str(&json)?))
}

fn fetch(node: &NodeArguments, path: &str) -> Result<String, CommandError> {
    Ok(client::report(&node.control, path)?)
}

/// Prints a command's result.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    output::print(text).map_err(CommandError::Output)
}
