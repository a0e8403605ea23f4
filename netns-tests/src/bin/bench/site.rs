//! A case that is built and answers: ready to be measured.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use crate::case::Case;
use crate::cpus::Cpus;
use crate::device::Device;
use crate::error::BenchError;
use crate::load::serve::Ready;
use crate::netns;
use crate::place::{Host, Place};
use crate::process::{OnInterrupt, Running, run, show};

/// The answering programs say within this time that they are ready.
const READY_TIME_MAX: Duration = Duration::from_secs(10);

/// What a load program may take beyond its measurement: waiting for the first answer, starting, printing.
const LOAD_SLACK: Duration = Duration::from_secs(20);

/// A built case. The answering programs end before the place does.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) case: Case,
    pub(crate) device: Device,
    counted: String,
    _serving: Running,
    place: Place,
}

impl Site {
    /// Builds a case and starts what answers in `server`.
    ///
    /// # Errors
    ///
    /// When that fails. Nothing is left behind then.
    pub(crate) fn build(case: Case, cpus: Cpus) -> Result<Self, BenchError> {
        let place = case.build()?;
        let mut settings = place.load(Host::Client, "settings")?;
        settings.args(CLIENT_SETTINGS);
        run(settings, READY_TIME_MAX, OnInterrupt::Stop)?;
        let mut serve = place.load(Host::Server, "serve")?;
        serve.args(["--cpu", &cpus.first.to_string()]).stdin(Stdio::piped());
        let shown = show(&serve);
        let mut serving = Running::start(serve)?;
        let said = serving.first_line(READY_TIME_MAX)?;
        let ready: Ready = parse(&shown, &said)?;
        Ok(Self { case, device: place.device(), counted: ready.interface, _serving: serving, place })
    }

    /// Runs a load program in `client` for about so long and returns what it printed.
    pub(crate) fn load<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        arguments: &[String],
        time: Duration,
    ) -> Result<T, BenchError> {
        let mut command = self.place.load(Host::Client, name)?;
        command.args(["--seconds", &time.as_secs_f64().to_string()]).args(arguments);
        if name == "frames" {
            command.args(["--next-hop", &self.place.next_hop().to_string(), "--counted", &self.counted]);
            command.stdin(Stdio::from(self.counters()?));
        }
        let shown = show(&command);
        let said = run(command, time + LOAD_SLACK, OnInterrupt::Stop)?;
        parse(&shown, &said)
    }

    /// Runs iperf3 in `client` for so many seconds and returns its report.
    pub(crate) fn iperf(&self, arguments: &[String], seconds: u32) -> Result<serde_json::Value, BenchError> {
        let mut command = self.place.command(Host::Client, "iperf3");
        command.args(["--time", &seconds.to_string(), "--json"]).args(arguments);
        let shown = show(&command);
        let said = run(command, Duration::from_secs(seconds.into()) + LOAD_SLACK, OnInterrupt::Stop)?;
        parse(&shown, &said)
    }

    /// The counters of `server`'s interfaces.
    fn counters(&self) -> Result<File, BenchError> {
        netns::counters_of(&self.place.netns(Host::Server)?)
    }
}

/// New connections come faster than the kernel's first choice of ports and of time in TIME-WAIT allows.
const CLIENT_SETTINGS: [&str; 3] =
    ["net/ipv4/ip_local_port_range=2000 65000", "net/ipv4/tcp_tw_reuse=1", "net/ipv4/tcp_max_tw_buckets=2000"];

fn parse<T: for<'a> Deserialize<'a>>(command: &str, said: &str) -> Result<T, BenchError> {
    serde_json::from_str(said)
        .map_err(|_| BenchError::Unintelligible { command: command.to_owned(), said: said.to_owned() })
}
