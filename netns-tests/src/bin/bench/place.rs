//! A pair of hosts with something between them, whatever it was built with.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::address;
use crate::device::Device;
use crate::error::BenchError;
use crate::herald_lab::HeraldLab;
use crate::namespaces::Namespaces;

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In the first network; opens everything.
    Client,
    /// In the second network.
    Server,
}

impl Host {
    /// Its name in the lab.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Where a case is measured. Dropping it removes it.
#[derive(Debug)]
pub(crate) enum Place {
    /// Namespaces of our own.
    Namespaces(Namespaces),
    /// A lab of Herald.
    Lab(HeraldLab),
}

impl Place {
    /// A command in a host, yet to be started.
    pub(crate) fn command(&self, host: Host, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self {
            Self::Namespaces(namespaces) => namespaces.enter(host.name()),
            Self::Lab(lab) => lab.enter(host.name()),
        };
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// A load program of this executable in a host, yet to be started.
    pub(crate) fn load(&self, host: Host, name: &str) -> Result<Command, BenchError> {
        let own = std::env::current_exe().map_err(BenchError::system("cannot find this program"))?;
        let mut command = self.command(host, own);
        command.args(["load", name]);
        Ok(command)
    }

    /// The file of a host's network namespace.
    pub(crate) fn netns(&self, host: Host) -> Result<PathBuf, BenchError> {
        match self {
            Self::Namespaces(namespaces) => Ok(namespaces.netns(host.name())),
            Self::Lab(lab) => lab.netns(host.name()),
        }
    }

    /// Whom the client's frames go to on their way to the sink.
    pub(crate) fn next_hop(&self) -> Ipv4Addr {
        match self {
            Self::Namespaces(namespaces) => namespaces.next_hop(),
            Self::Lab(_) => address::FIRST_GATEWAY,
        }
    }

    /// The processes that carry the traffic.
    pub(crate) fn device(&self) -> Device {
        match self {
            Self::Namespaces(_) => Device::default(),
            Self::Lab(lab) => lab.device(),
        }
    }
}
