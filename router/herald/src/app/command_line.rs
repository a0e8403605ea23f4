//! The command line: what can be typed, and which report or action it means.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use super::keys_command::KeysCommand;
use super::lab_command::LabCommand;
use super::plugin_command::PluginCommand;
use super::replay::ReplayArguments;
use super::reports::{REPORTS, Report};
use super::stream;

/// A clustered userspace router that inspects traffic.
#[derive(Debug, Parser)]
#[command(name = "herald", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(
    after_help = "Reports find their node by --control PATH or $HERALD_CONTROL; --json gives them a stable shape.\n\
    Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What herald can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one node in the foreground
    Run(RunArguments),
    /// Check a configuration, or show it with all defaults
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The reports of a node.
    #[command(flatten)]
    Report(ReportCommand),
    /// Show which node handles a stream, and where each redirector sends its packets
    ///
    /// Any node may be asked. The three answers are equal unless the stream is new, moves or has ended; "-" (null in
    /// JSON) means that nobody, or that redirector, knows the stream. `herald sessions` lists streams to ask about.
    // In the help it stands beside `sessions`.
    #[command(display_order = 5)]
    Who(WhoArguments),
    /// Show why the last frames were dropped here, or those of a stream on all nodes
    ///
    /// Every node remembers the last frames that ended there: 256 that plugins ended, and 16 of every other reason. A stream is
    /// named by its ends in either order, as for `herald who`; then all nodes are asked.
    #[command(display_order = 6)]
    Why(WhyArguments),
    /// Give up this node's roles and streams, and wait until it has none
    Drain(DrainArguments),
    /// Let this node take roles and streams again
    Undrain(ReportArguments),
    /// Show what happened here, as JSON lines
    Events(EventsArguments),
    /// Show what a configuration makes of the packets of a capture, offline
    ///
    /// One node that holds both redirectors takes every packet, in the time of the capture. A packet arrives at the interface
    /// that the capture names (`first` or `second`), or where the routes lead to its source. Plugins that write files write them
    /// here, too. The same capture and configuration always give the same result.
    Replay(ReplayArguments),
    /// Make and check plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Build, use, break and remove a cluster and two networks on this machine
    #[command(subcommand)]
    Lab(LabCommand),
    /// Make the keys by which the nodes of a cluster know each other
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show what this machine lacks for the lab, and how to mend it
    Doctor,
}

/// `herald run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Set an option over the file and the environment, such as timeouts.udp_s=30
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Log JSON lines instead of text
    #[arg(long)]
    pub log_json: bool,
}

/// `herald config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file
    Check(ConfigArguments),
    /// Print the merged configuration: defaults, file, environment, flags
    Show(ConfigArguments),
}

/// `herald config check` and `herald config show`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// The node's configuration
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Set an option over the file and the environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Where the node is.
#[derive(Debug, Args)]
pub struct NodeArguments {
    /// The node's control socket
    #[arg(long, value_name = "PATH", env = "HERALD_CONTROL")]
    pub control: PathBuf,
}

/// A report.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Which node.
    #[command(flatten)]
    pub node: NodeArguments,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A report that the whole cluster can give.
#[derive(Debug, Args)]
pub struct ClusterArguments {
    /// The report.
    #[command(flatten)]
    pub report: ReportArguments,
    /// Ask all nodes; who does not answer is named
    #[arg(long)]
    pub cluster: bool,
}

/// One of the reports of a node, each a command of its own.
#[derive(Debug)]
pub struct ReportCommand {
    /// Which one.
    pub report: &'static Report,
    /// Of which node, and how to print it.
    pub arguments: ClusterArguments,
}

impl Subcommand for ReportCommand {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let subcommand =
            |report: &Report| ClusterArguments::augment_args(clap::Command::new(report.name)).about(report.about);
        command.subcommands(REPORTS.iter().map(subcommand))
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        REPORTS.iter().any(|report| report.name == name)
    }
}

impl FromArgMatches for ReportCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, matches) = matches.subcommand().ok_or(clap::Error::new(ErrorKind::MissingSubcommand))?;
        let report = REPORTS.iter().find(|report| report.name == name);
        let report = report.ok_or(clap::Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self { report, arguments: ClusterArguments::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `herald who`.
#[derive(Debug, Args)]
pub struct WhoArguments {
    /// Protocol and both ends, in either order, as in: tcp 10.1.0.100:41234 10.2.0.100:80
    ///
    /// The protocol is tcp, udp, icmp, icmpv6 or a number. An end is `ADDRESS:PORT`, of IPv6 `[ADDRESS]:PORT`; an echo has its
    /// identifier as both ports, other protocols have 0.
    #[arg(value_name = "STREAM", required = true, num_args = 1..=3)]
    pub stream: Vec<String>,
    /// The report.
    #[command(flatten)]
    pub report: ReportArguments,
}

impl WhoArguments {
    /// The path of the report.
    ///
    /// # Errors
    /// When the words name no stream.
    pub fn path(&self) -> Result<String, stream::StreamError> {
        let text = self.stream.join(" ");
        stream::parse(&text)?;
        let words: Vec<_> = text.split_whitespace().collect();
        Ok(format!("/who/{}", words.join("/")))
    }
}

/// `herald why`.
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// Protocol and both ends of a stream, in either order, as in: tcp 10.1.0.100:41234 10.2.0.100:80
    #[arg(value_name = "STREAM", num_args = 0..=3)]
    pub stream: Vec<String>,
    /// How many of the last frames, of each node
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub last: u16,
    /// The report.
    #[command(flatten)]
    pub report: ClusterArguments,
}

impl WhyArguments {
    /// The path of the report.
    ///
    /// # Errors
    /// When the words name no stream.
    pub fn path(&self) -> Result<String, stream::StreamError> {
        let text = self.stream.join(" ");
        if !self.stream.is_empty() {
            stream::parse(&text)?;
        }
        let words = text.split_whitespace().map(|word| format!("/{word}"));
        Ok(format!("/why/{}{}", self.last, words.collect::<String>()))
    }
}

/// `herald drain`.
#[derive(Debug, Args)]
pub struct DrainArguments {
    /// Seconds to wait; what is left then goes on moving, and the exit code is 1
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u32,
    /// The node, and how to print what is left.
    #[command(flatten)]
    pub report: ReportArguments,
}

/// `herald events`.
#[derive(Debug, Args)]
pub struct EventsArguments {
    /// Only events with a number above this
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after: u64,
    /// The report; it is JSON in any case. With --cluster each line says who tells it, as `told_by`.
    #[command(flatten)]
    pub report: ClusterArguments,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_commands_are_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn help_is_a_table_of_contents() {
        let help = CommandLine::command().render_help().to_string();
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
        let expected = "run config status members roles sessions who drops why plugins neighbours routes drain undrain events \
            replay plugin lab keys doctor";
        assert_eq!(commands.join(" "), expected);
        assert!(help.contains("  routes      Show connected networks and static routes\n"), "{help}");
        assert!(help.lines().all(|line| line.len() <= 110), "{help}");
    }

    #[test]
    fn each_report_is_a_command_with_the_same_options() {
        for report in REPORTS.iter() {
            let line = format!("herald {} --json --cluster --control x", report.name);
            let Command::Report(command) = parse(&line).unwrap().command else { panic!("{line}") };
            assert_eq!(command.report.name, report.name);
            let ClusterArguments { report, cluster } = command.arguments;
            assert!(cluster && report.json && report.node.control.ends_with("x"), "{line}");
        }
    }

    #[test]
    fn a_stream_is_one_word_or_three() {
        for line in
            ["herald who --control x tcp 10.1.0.1:1 10.2.0.1:2", "herald who tcp 10.1.0.1:1 10.2.0.1:2 --control x"]
        {
            let Command::Who(who) = parse(line).unwrap().command else { panic!("{line}") };
            assert_eq!(who.path().unwrap(), "/who/tcp/10.1.0.1:1/10.2.0.1:2");
        }
        let quoted = ["herald", "who", "udp [fd00::1]:1 [fd00::2]:2", "--control", "x"];
        let Command::Who(who) = CommandLine::try_parse_from(quoted).unwrap().command else { panic!("who") };
        assert_eq!(who.path().unwrap(), "/who/udp/[fd00::1]:1/[fd00::2]:2");
    }

    #[test]
    fn why_takes_a_stream_or_none() {
        for (line, path) in [
            ("herald why --control x", "/why/20"),
            ("herald why --last 3 udp [fd00::1]:1 [fd00::2]:2 --control x", "/why/3/udp/[fd00::1]:1/[fd00::2]:2"),
        ] {
            let Command::Why(why) = parse(line).unwrap().command else { panic!("{line}") };
            assert_eq!(why.path().unwrap(), path);
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in
            ["herald fly", "herald run", "herald config", "herald roles --jsn --control x", "herald who --control x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
