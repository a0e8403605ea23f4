//! The keeper's part in faults: it joins ports with a bridge, with a relay or with nothing, and runs the relays.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::LabError;
use crate::child::Parent;
use crate::fault::{Faults, Lane, Place};
use crate::host::Namespaces;
use crate::netlink::{Link, Netlink};
use crate::network::{BRIDGE, take_into_service};
use crate::plan::{Network, Plan};
use crate::relay::{Answer, Course, FaultReport, Order, RelayReport, UPLINK, port, spur};
use crate::request::{read_line, write_line};

/// Time for a relay to answer. The keeper has nothing else to do meanwhile, but its commands wait.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// What the keeper has that is needed here.
pub(crate) struct Site<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) parent: &'a Parent,
}

/// Faults and relays.
#[derive(Debug, Default)]
pub(crate) struct Wiring {
    faults: Faults,
    relays: Vec<Relay>,
}

/// A relay's process. Whatever happens to the keeper, it ends when the socket does.
#[derive(Debug)]
struct Relay {
    socket: UnixStream,
    pid: Option<Pid>,
    report: RelayReport,
}

impl Wiring {
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Joins the ports of networks whose frames have tags with a relay, which takes them off for the hosts.
    pub(crate) fn begin(&mut self, site: &Site<'_>) -> Result<(), LabError> {
        let tagged = Network::ALL.into_iter().filter(|network| site.plan.vlan(*network).is_some());
        let faults = Faults::default();
        tagged.into_iter().try_for_each(|network| self.wire(site, network, &faults))
    }

    /// Makes these the faults. When that fails, those from before are made again.
    pub(crate) fn change(&mut self, site: &Site<'_>, faults: Faults) -> Result<(), LabError> {
        let is_dead = |network| self.relays.iter().any(|r| r.report.network == network && r.pid.is_none());
        let differs = |network: &Network| is_dead(*network) || !faults.on(*network).eq(self.faults.on(*network));
        let networks: Vec<Network> = Network::ALL.into_iter().filter(differs).collect();
        let wired = networks.iter().try_for_each(|network| self.wire(site, *network, &faults));
        if wired.is_ok() {
            self.faults = faults;
        } else {
            let before = self.faults.clone();
            for network in networks {
                // The first error is the one to tell.
                let _told = self.wire(site, network, &before);
            }
        }
        wired
    }

    /// Takes note that a process ended, and tells whether it was a relay.
    pub(crate) fn ended(&mut self, pid: Pid, how: &str) -> bool {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.pid == Some(pid)) else { return false };
        relay.pid = None;
        relay.report.pid = None;
        relay.report.ended = Some(how.to_owned());
        true
    }

    /// Each fault, with what its relay has counted.
    pub(crate) fn fault_reports(&self) -> Vec<FaultReport> {
        let mut reports = Vec::new();
        for network in Network::ALL {
            let relay = self.relays.iter().find(|r| r.report.network == network && r.pid.is_some());
            let counts = match relay.map(|relay| relay.ask(&Order::Count)) {
                Some(Ok(Answer::Counts(counts))) => counts,
                Some(Ok(Answer::Done | Answer::Failed(_)) | Err(_)) | None => Vec::new(),
            };
            let mut counts = counts.into_iter();
            for (lane, fault) in self.faults.on(network) {
                let counts = if self.is_relayed(lane) { counts.next() } else { None };
                reports.push(FaultReport { lane: lane.clone(), fault: fault.clone(), counts });
            }
        }
        reports
    }

    pub(crate) fn relay_reports(&self) -> Vec<RelayReport> {
        self.relays.iter().map(|relay| relay.report.clone()).collect()
    }

    fn is_relayed(&self, lane: &Lane) -> bool {
        is_relayed(&self.faults, lane)
    }

    /// Puts all ports of a network where they belong.
    fn wire(&mut self, site: &Site<'_>, network: Network, faults: &Faults) -> Result<(), LabError> {
        let vlan = site.plan.vlan(network);
        let place = |node: &String| match faults.place(network, node) {
            Place::Bridge if vlan.is_some() => Place::Relay,
            place @ (Place::Bridge | Place::Relay | Place::Nowhere) => place,
        };
        let relayed: Vec<String> = site.plan.nodes.iter().filter(|n| place(n) == Place::Relay).cloned().collect();
        let is_there = self.relays.iter().any(|relay| relay.report.network == network);
        let has_relay = !relayed.is_empty();
        if has_relay {
            let lanes = faults.on(network).filter(|(lane, _)| is_relayed(faults, lane)).cloned().collect();
            self.order(site, network, Course { nodes: relayed, lanes, vlan })?;
        }
        let mut netlink = site.namespaces.netlink(network.host_name())?;
        for node in &site.plan.nodes {
            let moved = join(&mut netlink, (node, network), place(node), site.plan.mtu(network));
            moved.map_err(LabError::system(format!("cannot move the port of {node} on {}", network.host_name())))?;
        }
        let uplinked = if has_relay { uplink(&mut netlink, site.plan.mtu(network)) } else { Ok(()) };
        uplinked.map_err(LabError::system(format!("cannot join the relay with {}", network.host_name())))?;
        if !has_relay && is_there {
            let (ended, others) = self.relays.drain(..).partition(|relay| relay.report.network == network);
            self.relays = others;
            Vec::into_iter(ended).for_each(Relay::end);
        }
        Ok(())
    }

    /// Tells the relay of a network its course; starts it if there is none.
    fn order(&mut self, site: &Site<'_>, network: Network, course: Course) -> Result<(), LabError> {
        self.relays.retain(|relay| relay.report.network != network || relay.pid.is_some());
        let found = self.relays.iter().position(|relay| relay.report.network == network);
        let place = match found {
            Some(place) => place,
            None => {
                self.relays.push(Relay::start(site, network)?);
                self.relays.len().saturating_sub(1)
            }
        };
        let failed = format!("the relay of {} does not answer", network.host_name());
        let Some(relay) = self.relays.get(place) else { return Err(LabError::Keeper(failed)) };
        match relay.ask(&Order::Take(course)).map_err(LabError::system(failed))? {
            Answer::Failed(why) => Err(LabError::Keeper(why)),
            Answer::Done | Answer::Counts(_) => Ok(()),
        }
    }
}

impl Relay {
    fn start(site: &Site<'_>, network: Network) -> Result<Self, LabError> {
        let failed = || LabError::system(format!("cannot start the relay of {}", network.host_name()));
        let (socket, theirs) = UnixStream::pair().map_err(failed())?;
        socket.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(failed())?;
        socket.set_write_timeout(Some(ANSWER_TIME_MAX)).map_err(failed())?;
        site.namespaces.enter(network.host_name())?;
        let mut command = Command::new(&site.parent.program);
        command.args(["lab", "relay"]).stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let child = site.parent.spawn(&mut command)?;
        let report = RelayReport { network, pid: site.parent.outer_pid(child.id()), ended: None };
        Ok(Self { socket, pid: i32::try_from(child.id()).ok().map(Pid::from_raw), report })
    }

    /// Ends the process and waits until its TAPs are gone with it: the next relay needs their names.
    fn end(self) {
        if let Some(pid) = self.pid {
            let _gone_already = kill(pid, Signal::SIGKILL);
            let _reaped = waitpid(pid, None);
        }
    }

    fn ask(&self, order: &Order) -> io::Result<Answer> {
        write_line(&self.socket, order)?;
        read_line(&self.socket)
    }
}

/// Whether the frames of a lane pass the relay: one of the ports that it names does.
fn is_relayed(faults: &Faults, lane: &Lane) -> bool {
    let ends = lane.from.iter().chain(&lane.to);
    ends.into_iter().any(|node| faults.place(lane.network, node) == Place::Relay)
}

/// Joins a node's port with what it belongs to. Moving it from one bridge to another is one step of the kernel.
fn join(netlink: &mut Netlink, of: (&str, Network), place: Place, mtu: Option<u16>) -> io::Result<()> {
    let (node, network) = of;
    let (link, spur) = (Link::named(&Plan::port(node, network))?, spur(node));
    match place {
        Place::Bridge => netlink.attach(link, Link::named(BRIDGE)?)?,
        Place::Nowhere => netlink.detach(link)?,
        Place::Relay => {
            if Link::named(&spur).is_err() {
                let bridge = netlink.add_bridge(&spur)?;
                take_into_service(netlink, bridge, mtu)?;
            }
            let (bridge, relay) = (Link::named(&spur)?, Link::named(&port(node))?);
            take_into_service(netlink, relay, mtu)?;
            netlink.attach(relay, bridge)?;
            return netlink.attach(link, bridge);
        }
    }
    match Link::named(&spur) {
        Ok(bridge) => netlink.remove(bridge),
        Err(_) => Ok(()),
    }
}

/// Joins the relay with the network's bridge, anew each time: so the bridge forgets who was behind it.
fn uplink(netlink: &mut Netlink, mtu: Option<u16>) -> io::Result<()> {
    let link = Link::named(UPLINK)?;
    take_into_service(netlink, link, mtu)?;
    netlink.detach(link)?;
    netlink.attach(link, Link::named(BRIDGE)?)
}
