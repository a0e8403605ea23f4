//! `herald keys`: the cluster's authority and its nodes' certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::io::clock;
use herald_core::id::NodeId;
use herald_core::limits::CLUSTER_NAME_LEN_MAX;
use herald_keys::{FolderError, KeysFolder, Validity};

/// Makes the keys by which the nodes of a cluster know each other.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the authority of a cluster
    Init(InitArguments),
    /// Issue a node's certificate
    Issue(IssueArguments),
}

/// `herald keys init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The name of the cluster
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub cluster: String,
    /// Where the keys are
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub folder: PathBuf,
}

/// `herald keys issue`.
#[derive(Debug, Args)]
pub struct IssueArguments {
    /// The id of the node
    #[arg(value_name = "NODE")]
    pub node: NodeId,
    /// Where the keys are
    #[arg(long, value_name = "DIR", default_value = "keys")]
    pub folder: PathBuf,
    /// Days for which the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// Makes keys; gives what is to be printed.
///
/// # Errors
///
/// What stands in the way, and what to do.
pub fn run(command: &KeysCommand) -> Result<String, FolderError> {
    match command {
        KeysCommand::Init(arguments) => {
            let folder = KeysFolder::at(&arguments.folder);
            folder.init(&arguments.cluster, clock::wall())?;
            let (certificate, key) = (folder.authority_certificate(), folder.authority_key());
            Ok(format!(
                "{}: every node gets a copy\n{}: keep it secret, no node needs it\n",
                certificate.display(),
                key.display()
            ))
        }
        KeysCommand::Issue(arguments) => {
            let folder = KeysFolder::at(&arguments.folder);
            folder.issue(arguments.node, Validity::days(clock::wall(), arguments.days))?;
            Ok(format!(
                "[mesh]\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
                folder.authority_certificate().display(),
                folder.certificate(arguments.node).display(),
                folder.key(arguments.node).display()
            ))
        }
    }
}

/// What the configuration allows, too.
fn cluster_name(text: &str) -> Result<String, String> {
    let good = (1..=CLUSTER_NAME_LEN_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| format!("1 to {CLUSTER_NAME_LEN_MAX} printable bytes are allowed"))
}
