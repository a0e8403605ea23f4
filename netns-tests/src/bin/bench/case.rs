//! What is measured: five ways from one host to the other.

use clap::ValueEnum;

use crate::error::BenchError;
use crate::herald_lab::{HeraldLab, Nodes, Plugins};
use crate::namespaces::Namespaces;
use crate::place::Place;

/// One way from `client` to `server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Case {
    /// Both hosts on one bridge: the ceiling of the load.
    Bridge,
    /// The kernel routes between two bridges: what the ratios refer to.
    KernelRouter,
    /// One Herald node without plugins.
    OneNode,
    /// One Herald node with `acl` and `flowlog`.
    OneNodePlugins,
    /// Three Herald nodes: a redirector on each side and the chosen node.
    ThreeNodes,
}

impl Case {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 5] =
        [Self::Bridge, Self::KernelRouter, Self::OneNode, Self::OneNodePlugins, Self::ThreeNodes];

    /// Its name on the command line and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::KernelRouter => "kernel-router",
            Self::OneNode => "one-node",
            Self::OneNodePlugins => "one-node-plugins",
            Self::ThreeNodes => "three-nodes",
        }
    }

    /// Its name in the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::KernelRouter => "kernel router",
            Self::OneNode => "one node",
            Self::OneNodePlugins => "one node, plugins",
            Self::ThreeNodes => "three nodes",
        }
    }

    /// Builds its hosts and what lies between them.
    ///
    /// # Errors
    ///
    /// When that fails. Nothing is left behind then.
    pub(crate) fn build(self) -> Result<Place, BenchError> {
        match self {
            Self::Bridge => Namespaces::with_bridge(self.name()).map(Place::Namespaces),
            Self::KernelRouter => Namespaces::with_router(self.name()).map(Place::Namespaces),
            Self::OneNode => HeraldLab::up(self.name(), Nodes::One, Plugins::None).map(Place::Lab),
            Self::OneNodePlugins => HeraldLab::up(self.name(), Nodes::One, Plugins::Default).map(Place::Lab),
            Self::ThreeNodes => HeraldLab::up(self.name(), Nodes::Three, Plugins::None).map(Place::Lab),
        }
    }
}
