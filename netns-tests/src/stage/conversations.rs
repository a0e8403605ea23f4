//! The conversations of a scenario, between real programs in the lab's hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use herald_core::flow::FlowKey;
use herald_core::id::{Interface, PerInterface};

use crate::lab::Lab;
use crate::process::{Running, eventually};
use crate::scenario::{Action, Ending, Open, Scenario, ports};
use crate::streams::{NICE, host, program};

/// Time for the servers to start.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Time for all conversations to end: one that was lost waits for some seconds.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// Servers that run, and openers that have been started.
pub(super) struct Conversations {
    servers: PerInterface<Running>,
    openers: Vec<(Open, Running)>,
}

/// How a conversation went.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    /// The opener's flow as it arrived.
    pub(super) flow: FlowKey,
    /// Why it was not well at one end; nothing if it was well at both.
    pub(super) failed: Option<String>,
    /// Of UDP: datagrams that were answered, of how many.
    pub(super) answered: Option<(u64, u64)>,
}

/// A host's address.
fn address(interface: Interface, open: &Open) -> IpAddr {
    let network: u8 = match interface {
        Interface::First => 1,
        Interface::Second => 2,
    };
    if open.is_ipv6() {
        Ipv6Addr::new(0xfd00, network.into(), 0, 0, 0, 0, 0, 0x100).into()
    } else {
        Ipv4Addr::new(10, network, 0, 100).into()
    }
}

/// The opener's flow as it arrives at the cluster.
pub(super) fn flow(open: &Open) -> FlowKey {
    let (source, destination) = open.flow_ports();
    let [from, to] = [open.from, open.from.other()].map(|interface| address(interface, open));
    FlowKey::new(open.from, open.protocol_number(), (from, source), (to, destination))
}

impl Conversations {
    /// Starts the other ends of all conversations.
    #[track_caller]
    pub(super) fn prepare(lab: &Lab, scenario: &Scenario) -> Self {
        let servers = PerInterface::from_fn(|interface| {
            let opens = scenario.steps.iter().filter_map(|step| {
                let Action::Open(open) = &step.action else { return None };
                (open.from != interface).then_some(open)
            });
            let words: Vec<String> = opens.map(word).collect();
            let program = program().display().to_string();
            let line = ["nice", "-n", NICE, &program, "answer"].into_iter().chain(words.iter().map(String::as_str));
            lab.spawn(host(interface), &line.collect::<Vec<_>>())
        });
        let mut all = Self { servers, openers: Vec::new() };
        for interface in Interface::BOTH {
            let server = &mut all.servers[interface];
            eventually(START_TIME_MAX, "the host answers", || {
                assert!(server.ended().is_none(), "{}", server.stderr());
                server.stdout().contains("ready").then_some(())
            });
        }
        all
    }

    /// Opens one.
    #[track_caller]
    pub(super) fn open(&mut self, lab: &Lab, open: &Open) {
        let (source, destination) = ports(open.key);
        let target = SocketAddr::new(address(open.from.other(), open), destination).to_string();
        let numbers = [source.to_string(), open.request.to_string(), open.response.to_string()];
        let [source, request, response] = numbers.each_ref().map(String::as_str);
        let program = program().display().to_string();
        let protocol = if open.is_tcp() { "tcp" } else { "udp" };
        let words = [protocol, &target, source, request, response, ending(open.ending)];
        let line: Vec<&str> = ["nice", "-n", NICE, &program, "ask"].into_iter().chain(words).collect();
        self.openers.push((*open, lab.spawn(host(open.from), &line)));
    }

    /// Waits until all have ended, or have nothing more to say.
    #[track_caller]
    pub(super) fn await_end(self) -> Vec<Talk> {
        let servers = self.servers;
        let ended = |(open, opener): &(Open, Running)| {
            let said = eventually(END_TIME_MAX, "the conversation is over", || {
                opener
                    .stdout()
                    .lines()
                    .find(|line| line.contains(" ok ") || line.contains(" failed"))
                    .map(str::to_owned)
            });
            talk(open, &said, &servers[open.from.other()])
        };
        self.openers.iter().map(ended).collect()
    }
}

/// How the server knows a conversation.
fn word(open: &Open) -> String {
    let (_, port) = ports(open.key);
    if open.is_tcp() { format!("tcp/{port}/{}/{}", open.request, open.response) } else { format!("udp/{port}") }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Close => "close",
        Ending::Reset => "reset",
        Ending::Idle => "idle",
        Ending::Slow => "slow",
    }
}

#[track_caller]
fn talk(open: &Open, said: &str, server: &Running) -> Talk {
    let (source, port) = ports(open.key);
    let how = said.strip_prefix(&format!("{source} ok "));
    let numbers = how.and_then(|how| how.split_once(" of "));
    let answered = numbers.and_then(|(heard, all)| Some((heard.parse().ok()?, all.parse().ok()?)));
    let mut failed = how.is_none().then(|| said.to_owned());
    let told = || server.stdout().lines().find(|line| line.starts_with(&format!("{port} "))).map(str::to_owned);
    // The server of a connection that the opener saw end well says so soon; one of UDP only says what is wrong.
    let told = if failed.is_none() && open.is_tcp() && open.ending != Ending::Idle {
        Some(eventually(END_TIME_MAX, "the other end has ended", told))
    } else {
        told()
    };
    if let Some(wrong) = told.filter(|line| line.contains(" failed")) {
        failed.get_or_insert(wrong);
    }
    Talk { flow: flow(open), failed, answered }
}
