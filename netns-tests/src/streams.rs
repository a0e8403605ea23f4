//! Real streams between the two hosts of a lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use herald_core::flow::FlowKey;
use herald_core::id::Interface;

use crate::lab::Lab;
use crate::process::{Running, eventually};

/// Where the hosts echo.
const PORT: u16 = 7;

/// The hosts stand for other machines: thousands of their threads must not take the processors from a node, which has
/// one thread, until its peers count it as dead.
pub(crate) const NICE: &str = "19";

/// Time for a program to start.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Connections: opened, used, closed by both ends.
    Tcp,
    /// One request and its answer.
    Udp,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Streams that one host opens at once.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// Their protocol.
    pub protocol: Protocol,
    /// Their family.
    pub family: Family,
    /// Where they open: at the first interface from `client` to `server`, at the second the other way.
    pub opened_at: Interface,
    /// The source port of the first; the others have those that follow.
    pub source_port: u16,
    /// How many.
    pub count: u16,
    /// Bytes that each carries in each direction.
    pub len: usize,
    /// Time for each step of a stream, in whole seconds.
    pub time_max: Duration,
}

impl Streams {
    /// The flows of the openers, as they arrive.
    pub fn openers(&self) -> impl Iterator<Item = FlowKey> + use<> {
        let protocol = match self.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        };
        let (opened_at, from, to) =
            (self.opened_at, self.address(self.opened_at), self.address(self.opened_at.other()));
        let ports = (0..self.count).map({
            let first = self.source_port;
            move |n| first.saturating_add(n)
        });
        ports.map(move |port| FlowKey::new(opened_at, protocol, (from, port), (to, PORT)))
    }

    fn address(&self, of: Interface) -> IpAddr {
        let network = match of {
            Interface::First => 1,
            Interface::Second => 2,
        };
        match self.family {
            Family::V4 => Ipv4Addr::new(10, network, 0, 100).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, network.into(), 0, 0, 0, 0, 0, 0x100).into(),
        }
    }

    /// Opens the streams; they are over when the program ends. It prints `PORT ok` or `PORT failed: WHY` for each, and
    /// its exit code is 0 if all were well.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[must_use]
    #[track_caller]
    pub fn open(&self, lab: &Lab) -> Running {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let target = SocketAddr::new(self.address(self.opened_at.other()), PORT).to_string();
        let numbers = [u64::from(self.source_port), u64::from(self.count)].map(|n| n.to_string());
        let (len, seconds) = (self.len.to_string(), self.time_max.as_secs().to_string());
        let program = program().display().to_string();
        let [port, count] = &numbers;
        lab.spawn(host(self.opened_at), &["nice", "-n", NICE, &program, protocol, &target, port, count, &len, &seconds])
    }
}

/// The host at an interface.
pub(crate) fn host(interface: Interface) -> &'static str {
    match interface {
        Interface::First => "client",
        Interface::Second => "server",
    }
}

/// The program `traffic`, which is built with the tests.
#[track_caller]
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    // target/release/deps/TEST and target/release/traffic
    let path = test.ancestors().nth(2).unwrap_or(Path::new("")).join("traffic");
    assert!(path.exists(), "there is no {}: build first, with `cargo build -p netns-tests`", path.display());
    path
}

/// Lets both hosts echo what they get, until this is dropped.
///
/// # Panics
///
/// When that does not start.
#[must_use]
#[track_caller]
pub fn echo(lab: &Lab) -> [Running; 2] {
    let program = program().display().to_string();
    Interface::BOTH.map(|interface| {
        let mut echo = lab.spawn(host(interface), &["nice", "-n", NICE, program.as_str(), "echo", &PORT.to_string()]);
        eventually(START_TIME_MAX, "the host echoes", || {
            assert!(echo.ended().is_none(), "{}", echo.stderr());
            echo.stdout().contains("ready").then_some(())
        });
        echo
    })
}
