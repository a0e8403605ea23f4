//! `herald lab cut`, `impair`, `fill` and `heal`.

use clap::{Args, ValueEnum};

use super::Which;
use herald_lab::{Delay, Ends, Fault, Impairment, LabError, Network, Share, Store, Ways};

/// Arguments of `herald lab cut`.
#[derive(Debug, Args)]
pub struct CutArguments {
    #[command(flatten)]
    lab: Which,
    #[command(flatten)]
    ends: EndsArguments,
    #[command(flatten)]
    way: WayArguments,
    /// Only frames to a group address, broadcasts included; others pass
    #[arg(long)]
    multicast: bool,
    /// Only Ethernet frames of more bytes (a packet has 14 in front); smaller ones pass
    #[arg(long, value_name = "BYTES", conflicts_with = "multicast", value_parser = clap::value_parser!(u16).range(1..))]
    larger_than: Option<u16>,
}

/// Arguments of `herald lab impair`.
#[derive(Debug, Args)]
pub struct ImpairArguments {
    #[command(flatten)]
    lab: Which,
    #[command(flatten)]
    ends: EndsArguments,
    #[command(flatten)]
    way: WayArguments,
    /// How late every frame comes, such as 50ms
    #[arg(long, value_name = "TIME", default_value_t)]
    delay: Delay,
    /// How many frames are lost, such as 1%
    #[arg(long, value_name = "SHARE", default_value_t)]
    loss: Share,
    /// How many frames come twice
    #[arg(long, value_name = "SHARE", default_value_t)]
    duplicate: Share,
    /// How many frames wait until the next one has passed
    #[arg(long, value_name = "SHARE", default_value_t)]
    reorder: Share,
    /// The same seed makes the same decisions for the same sequence of frames
    #[arg(long, value_name = "N", default_value_t)]
    seed: u64,
}

/// Arguments of `herald lab fill`.
#[derive(Debug, Args)]
pub struct FillArguments {
    #[command(flatten)]
    lab: Which,
    /// The node
    node: String,
    /// No file of it can grow; that stays so when it is started anew
    #[arg(long)]
    disk: bool,
    /// It can open no more files and connections than it has open now
    #[arg(long)]
    descriptors: bool,
}

/// Arguments of `herald lab heal`.
#[derive(Debug, Args)]
pub struct HealArguments {
    #[command(flatten)]
    lab: Which,
    /// Mend what names this node; without it, everything
    node: Option<String>,
    /// Mend what is between the two
    #[arg(requires = "node")]
    other: Option<String>,
    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Debug, Args)]
struct EndsArguments {
    /// The node
    node: String,
    /// The other node; without it, everybody on the network
    other: Option<String>,
    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Debug, Args)]
struct NetworkArguments {
    /// On the network of this interface
    #[arg(long, value_name = "first|second")]
    interface: Option<InterfaceArgument>,
    /// On the mesh; so it is between two nodes, too, where no network is named
    #[arg(long, conflicts_with = "interface")]
    mesh: bool,
}

#[derive(Debug, Args)]
struct WayArguments {
    /// Only what the first-named node sends (out), or what it is sent (in)
    #[arg(long, value_name = "out|in", num_args = 0..=1, default_missing_value = "out", require_equals = true)]
    one_way: Option<WayArgument>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InterfaceArgument {
    First,
    Second,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WayArgument {
    Out,
    In,
}

impl NetworkArguments {
    fn network(&self) -> Option<Network> {
        match self.interface {
            Some(InterfaceArgument::First) => Some(Network::First),
            Some(InterfaceArgument::Second) => Some(Network::Second),
            None => self.mesh.then_some(Network::Mesh),
        }
    }
}

impl EndsArguments {
    fn ends(self) -> Ends {
        Ends { node: self.node, other: self.other, network: self.network.network() }
    }
}

impl WayArguments {
    fn ways(&self) -> Ways {
        match self.one_way {
            None => Ways::Both,
            Some(WayArgument::Out) => Ways::Out,
            Some(WayArgument::In) => Ways::In,
        }
    }
}

pub(super) fn cut(arguments: CutArguments) -> Result<(), LabError> {
    let CutArguments { lab, ends, way, multicast, larger_than } = arguments;
    let fault = match larger_than {
        Some(than) => Fault::CutLarger { than },
        None if multicast => Fault::CutMulticast,
        None => Fault::Cut,
    };
    herald_lab::break_lanes(&lab.name()?, &ends.ends(), way.ways(), fault)
}

pub(super) fn impair(arguments: ImpairArguments) -> Result<(), LabError> {
    let ImpairArguments { lab, ends, way, delay, loss, duplicate, reorder, seed } = arguments;
    let fault = Fault::Impaired(Impairment { delay, loss, duplicate, reorder, seed });
    herald_lab::break_lanes(&lab.name()?, &ends.ends(), way.ways(), fault)
}

pub(super) fn fill(arguments: FillArguments) -> Result<(), LabError> {
    let FillArguments { lab, node, disk, descriptors } = arguments;
    let asked = [(disk, Store::Disk), (descriptors, Store::Descriptors)];
    let stores: Vec<Store> = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, store)| store).collect();
    herald_lab::fill(&lab.name()?, &node, &stores)
}

pub(super) fn heal(arguments: HealArguments) -> Result<(), LabError> {
    let network = arguments.network.network();
    let ends = match (arguments.node, network) {
        (Some(node), network) => Some(Ends { node, other: arguments.other, network }),
        (None, None) => None,
        (None, Some(network)) => {
            return Err(LabError::Usage(format!(
                "what on the {network} network? name a node; `herald lab heal` alone mends everything"
            )));
        }
    };
    herald_lab::heal(&arguments.lab.name()?, ends)
}
