//! What a fault costs real traffic: streams lost, gaps, failed connections.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Deserialize;

use crate::lab::Lab;
use crate::process::{Running, eventually};
use crate::streams::{NICE, program};

/// Time for all traffic to flow.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// Time for all traffic to end: a connection that hangs may take all of its time.
const END_TIME_MAX: Duration = Duration::from_secs(120);

/// The server's address and ports.
const SERVER: &str = "10.2.0.100";
const ECHO_PORT: &str = "7";
const SOURCE_PORT: &str = "19";

/// The first source port of each kind of traffic.
const TICKS_PORT: u16 = 20_000;
const DOWNLOADS_PORT: u16 = 21_000;
const ALIVE_PORT: u16 = 22_000;

/// Time between two ticks of a flow.
const TICK: &str = "10";

/// How much traffic, and how often a fault is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Faults, each in a lab of its own.
    pub takes: usize,
    /// Flows of UDP ticks.
    pub ticks: u16,
    /// Long downloads.
    pub downloads: u16,
    /// Established connections, mostly idle.
    pub alive: u16,
    /// Milliseconds between two short connections.
    pub short_ms: u16,
}

impl Size {
    /// What every change is tested with; with `HERALD_LONG` in the environment (`netns-tests/run --long`) the full size.
    #[must_use]
    pub fn asked_for() -> Self {
        if std::env::var_os("HERALD_LONG").is_some() {
            Self { takes: 20, ticks: 8, downloads: 6, alive: 400, short_ms: 10 }
        } else {
            Self { takes: 1, ticks: 6, downloads: 3, alive: 200, short_ms: 20 }
        }
    }
}

/// Traffic from `client` to `server` that flows until it is stopped: ticks, long downloads, short and idle connections.
#[derive(Debug)]
pub struct Load {
    _servers: [Running; 2],
    ticks: Running,
    downloads: Running,
    alive: Running,
    short: Running,
}

/// A stream that was there before the fault, as it was in the end.
#[derive(Clone, Debug)]
pub struct Stream {
    /// In the form in which `herald who` takes it.
    pub name: String,
    /// Why it was lost, if it was.
    pub lost: Option<String>,
    /// For ticks: how many had no answer.
    pub packets_lost: u64,
    /// The longest time without an arrival; of idle connections, for a byte to come back.
    pub gap: Duration,
}

/// What a fault cost.
#[derive(Clone, Debug)]
pub struct Outage {
    /// The flows of UDP ticks.
    pub ticks: Vec<Stream>,
    /// The long downloads.
    pub downloads: Vec<Stream>,
    /// The idle connections.
    pub alive: Vec<Stream>,
    /// Short connections that were well.
    pub short_done: u64,
    /// The longest time that one of them took.
    pub short_slowest: Duration,
    /// Short connections that failed.
    pub short_failed: u64,
    /// Why the first of these failed.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts all traffic; returns when all of it flows.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    #[must_use]
    #[track_caller]
    pub fn start(lab: &Lab, size: Size) -> Self {
        let servers = [["echo", ECHO_PORT], ["source", SOURCE_PORT]].map(|words| start(lab, "server", &words));
        let [echo, source] = [ECHO_PORT, SOURCE_PORT].map(|port| format!("{SERVER}:{port}"));
        let text = |number: u16| number.to_string();
        // The neighbours are known when the first kind of traffic flows; then the others may come all at once.
        let (port, count) = (text(TICKS_PORT), text(size.ticks));
        let ticks = start(lab, "client", &["ticks", &echo, &port, &count, TICK]);
        let (port, count) = (text(ALIVE_PORT), text(size.alive));
        let alive = start(lab, "client", &["alive", &echo, &port, &count]);
        let (port, count) = (text(DOWNLOADS_PORT), text(size.downloads));
        let downloads = start(lab, "client", &["downloads", &source, &port, &count]);
        let short = start(lab, "client", &["short", &echo, &text(size.short_ms)]);
        Self { _servers: servers, ticks, downloads, alive, short }
    }

    /// The idle connections, in the form in which `herald who` takes them.
    #[must_use]
    pub fn alive_names(size: Size) -> Vec<String> {
        (0..size.alive).map(|n| name("tcp", ALIVE_PORT.saturating_add(n), ECHO_PORT)).collect()
    }

    /// The flows of ticks, in the same form.
    #[must_use]
    pub fn tick_names(size: Size) -> Vec<String> {
        (0..size.ticks).map(|n| name("udp", TICKS_PORT.saturating_add(n), ECHO_PORT)).collect()
    }

    /// Stops all traffic; each stream has to work once more. Says how it went.
    ///
    /// # Panics
    ///
    /// When a program does not end.
    #[must_use]
    #[track_caller]
    pub fn stop(self) -> Outage {
        let Self { _servers, ticks, downloads, alive, short } = self;
        let mut programs = [ticks, downloads, alive, short];
        for program in &mut programs {
            program.signal(Signal::SIGTERM);
        }
        let [ticks, downloads, alive, short] = programs.map(|program| {
            let said = program.wait(END_TIME_MAX).ok();
            said.lines().last().unwrap_or_default().to_owned()
        });
        let short: ShortReport = parse(&short);
        Outage {
            ticks: parse::<TicksReport>(&ticks).flows.iter().map(TickReport::stream).collect(),
            downloads: parse::<StreamsReport>(&downloads).streams.iter().map(|s| s.stream(SOURCE_PORT)).collect(),
            alive: parse::<StreamsReport>(&alive).streams.iter().map(|s| s.stream(ECHO_PORT)).collect(),
            short_done: short.done,
            short_slowest: Duration::from_millis(short.slowest_ms),
            short_failed: short.failed,
            failures: short.failures,
        }
    }
}

impl Outage {
    /// All streams that were there before the fault.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.ticks.iter().chain(&self.downloads).chain(&self.alive)
    }

    /// Those that were lost.
    #[must_use]
    pub fn lost(&self) -> Vec<&Stream> {
        self.streams().filter(|stream| stream.lost.is_some()).collect()
    }

    /// The longest time without a UDP packet.
    #[must_use]
    pub fn udp_gap(&self) -> Duration {
        self.ticks.iter().map(|stream| stream.gap).max().unwrap_or_default()
    }

    /// The longest time in which a download stood still.
    #[must_use]
    pub fn tcp_gap(&self) -> Duration {
        self.downloads.iter().map(|stream| stream.gap).max().unwrap_or_default()
    }

    /// Ticks without an answer.
    #[must_use]
    pub fn packets_lost(&self) -> u64 {
        self.ticks.iter().map(|stream| stream.packets_lost).sum()
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, streams) = (self.lost(), self.streams().count());
        write!(f, "{} of {streams} streams lost, ", lost.len())?;
        write!(f, "UDP gap {:?} ({} ticks lost), ", self.udp_gap(), self.packets_lost())?;
        write!(f, "TCP gap {:?}, {} of ", self.tcp_gap(), self.short_failed)?;
        write!(
            f,
            "{} short connections failed, slowest {:?}",
            self.short_done + self.short_failed,
            self.short_slowest
        )?;
        for stream in lost.iter().take(3) {
            write!(f, "\n    {}: {}", stream.name, stream.lost.as_deref().unwrap_or_default())?;
        }
        self.failures.iter().take(3).try_for_each(|why| write!(f, "\n    {why}"))
    }
}

/// Prints each take, and median and worst of all: the machine decides them, so they are asserted nowhere.
pub fn print_takes<'a>(title: &str, takes: impl Iterator<Item = &'a Outage>) {
    let takes: Vec<&Outage> = takes.collect();
    for (take, number) in takes.iter().zip(1_usize..) {
        println!("  take {number}: {take}");
    }
    let of = |what: fn(&Outage) -> Duration| {
        let mut all: Vec<Duration> = takes.iter().map(|take| what(take)).collect();
        all.sort_unstable();
        let median = all.get(all.len() / 2).copied().unwrap_or_default();
        format!("median {median:?}, worst {:?}", all.last().copied().unwrap_or_default())
    };
    println!(
        "{title}: {} takes; UDP gap {}; TCP gap {}; slowest short connection {}",
        takes.len(),
        of(Outage::udp_gap),
        of(Outage::tcp_gap),
        of(|outage| outage.short_slowest),
    );
}

#[derive(Deserialize)]
struct TicksReport {
    flows: Vec<TickReport>,
}

#[derive(Deserialize)]
struct TickReport {
    port: u16,
    lost: u64,
    gap_ms: u64,
    alive: bool,
}

#[derive(Deserialize)]
struct StreamsReport {
    streams: Vec<StreamReport>,
}

#[derive(Deserialize)]
struct StreamReport {
    port: u16,
    gap_ms: u64,
    lost: Option<String>,
}

#[derive(Deserialize)]
struct ShortReport {
    done: u64,
    failed: u64,
    slowest_ms: u64,
    failures: Vec<String>,
}

impl TickReport {
    fn stream(&self) -> Stream {
        Stream {
            name: name("udp", self.port, ECHO_PORT),
            lost: (!self.alive).then(|| "no answer in the end".to_owned()),
            packets_lost: self.lost,
            gap: Duration::from_millis(self.gap_ms),
        }
    }
}

impl StreamReport {
    fn stream(&self, to: &str) -> Stream {
        Stream {
            name: name("tcp", self.port, to),
            lost: self.lost.clone(),
            packets_lost: 0,
            gap: Duration::from_millis(self.gap_ms),
        }
    }
}

fn name(protocol: &str, port: u16, to: &str) -> String {
    format!("{protocol} 10.1.0.100:{port} {SERVER}:{to}")
}

#[track_caller]
fn parse<T: for<'a> Deserialize<'a>>(line: &str) -> T {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("this is no report: {e}\n{line}"))
}

/// Starts a program of `traffic` and waits until it is ready.
#[track_caller]
fn start(lab: &Lab, host: &str, words: &[&str]) -> Running {
    let program = program().display().to_string();
    let line: Vec<&str> = ["nice", "-n", NICE, &program].into_iter().chain(words.iter().copied()).collect();
    let mut running = lab.spawn(host, &line);
    eventually(START_TIME_MAX, &format!("traffic {} flows", words.join(" ")), || {
        assert!(running.ended().is_none(), "{}", running.stderr());
        running.stdout().contains("ready").then_some(())
    });
    running
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let ticks: TicksReport = parse(
            r#"{"kind":"ticks","flows":[{"port":9,"sent":5,"lost":2,"repeated":0,"overtaken":0,"gap_ms":30,"alive":false}]}"#,
        );
        let stream = ticks.flows[0].stream();
        assert_eq!((stream.name.as_str(), stream.packets_lost), ("udp 10.1.0.100:9 10.2.0.100:7", 2));
        assert!(stream.lost.is_some() && stream.gap == Duration::from_millis(30));
        for line in [
            r#"{"kind":"alive","streams":[{"port":1,"bytes":3,"gap_ms":4,"lost":null}]}"#,
            r#"{"kind":"downloads","streams":[{"port":1,"bytes":3,"gap_ms":4,"lost":"reset"}]}"#,
        ] {
            assert_eq!(parse::<StreamsReport>(line).streams[0].gap_ms, 4);
        }
    }
}
