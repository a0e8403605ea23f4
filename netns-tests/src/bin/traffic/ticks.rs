//! Ticks: UDP requests in a steady rhythm, whose answers show when nothing passed.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use herald::io::clock;
use herald_core::time::Instant;
use serde::Serialize;

use crate::sockets::{parse, spawn, wrong};
use crate::stop::Stop;

/// How long the last answers are waited for.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(2);

/// Time after which the first tick is sent again.
const FIRST_ANSWER_TIME: Duration = Duration::from_millis(200);

/// A flow is alive in the end if one of this many last ticks was answered.
const LAST_TICKS: u64 = 50;

/// The shortest time-out that a socket takes.
const READ_TIME_MIN: Duration = Duration::from_micros(100);

/// How it went.
#[derive(Serialize)]
struct Report {
    kind: &'static str,
    flows: Vec<FlowReport>,
}

/// How one flow went.
#[derive(Serialize)]
struct FlowReport {
    port: u16,
    sent: u64,
    lost: u64,
    /// Answers that came twice.
    repeated: u64,
    /// Answers that came after a later one.
    overtaken: u64,
    /// The longest time without an answer.
    gap_ms: u64,
    alive: bool,
}

struct Flow {
    socket: UdpSocket,
    port: u16,
    /// For each tick, whether it was answered.
    answered: Vec<bool>,
    repeated: u64,
    overtaken: u64,
    latest: Option<usize>,
    last_arrival: Instant,
    gap: Duration,
}

/// Ticks until it is told to stop.
pub(crate) fn run(words: &[&str]) -> io::Result<ExitCode> {
    let [target, source_port, count, millis] = words else { return Err(wrong("four words are expected")) };
    let (target, first, count): (SocketAddr, u16, u16) = (parse(target)?, parse(source_port)?, parse(count)?);
    let interval = Duration::from_millis(parse(millis)?);
    let stop = Stop::prepare()?;
    let (tell, hear) = mpsc::channel();
    let mut running = Vec::new();
    for number in 0..count {
        let mut flow = Flow::open(target, first.saturating_add(number))?;
        let (stop, tell) = (stop.clone(), tell.clone());
        running.push(spawn(move || flow.tick(interval, &stop, &tell))?);
    }
    for _ in 0..count {
        hear.recv().map_err(io::Error::other)?;
    }
    stop.await_signal()?;
    let join = |thread: std::thread::JoinHandle<io::Result<FlowReport>>| {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))?
    };
    let flows = running.into_iter().map(join).collect::<io::Result<_>>()?;
    println!("{}", serde_json::to_string(&Report { kind: "ticks", flows })?);
    Ok(ExitCode::SUCCESS)
}

impl Flow {
    fn open(target: SocketAddr, port: u16) -> io::Result<Self> {
        let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, port))?;
        socket.connect(target)?;
        let (answered, last_arrival) = (Vec::new(), clock::now());
        Ok(Self { socket, port, answered, repeated: 0, overtaken: 0, latest: None, last_arrival, gap: Duration::ZERO })
    }

    /// The rhythm begins with the first answer, which is told: before it, hosts are being found.
    fn tick(&mut self, interval: Duration, stop: &Stop, tell: &mpsc::Sender<()>) -> io::Result<FlowReport> {
        while self.latest.is_none() {
            self.answered.clear();
            self.send();
            self.receive_until(clock::now() + FIRST_ANSWER_TIME)?;
            if stop.is_told() {
                return Ok(self.report());
            }
        }
        let mut next = clock::now();
        (self.gap, self.last_arrival) = (Duration::ZERO, next);
        let _main_has_gone = tell.send(());
        while !stop.is_told() {
            self.send();
            next = next + interval;
            self.receive_until(next)?;
        }
        self.note_gap(clock::now());
        let end = clock::now() + LAST_ANSWERS_TIME_MAX;
        let gap = self.gap;
        while clock::now() < end && self.answered.contains(&false) {
            self.receive_until(clock::now() + interval)?;
        }
        self.gap = gap;
        Ok(self.report())
    }

    fn send(&mut self) {
        let number = self.answered.len() as u64;
        self.answered.push(false);
        // An ICMP error of an earlier one may be told here: that tick shows as lost.
        let _lost = self.socket.send(&number.to_be_bytes());
    }

    fn receive_until(&mut self, deadline: Instant) -> io::Result<()> {
        loop {
            let left = deadline.since(clock::now());
            if left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left.max(READ_TIME_MIN)))?;
            let mut number = [0; 8];
            match self.socket.recv(&mut number) {
                Ok(8) => self.arrived(usize::try_from(u64::from_be_bytes(number)).unwrap_or(usize::MAX)),
                Ok(_) => return Err(io::Error::other("an answer of another length")),
                // Nothing yet, or an ICMP error: that tick shows as lost.
                Err(_) => {}
            }
        }
    }

    fn arrived(&mut self, number: usize) {
        let Some(answered) = self.answered.get_mut(number) else { return };
        self.repeated += u64::from(*answered);
        *answered = true;
        self.overtaken += u64::from(self.latest.is_some_and(|latest| number < latest));
        self.latest = self.latest.max(Some(number));
        self.note_gap(clock::now());
    }

    fn note_gap(&mut self, now: Instant) {
        self.gap = self.gap.max(now.since(self.last_arrival));
        self.last_arrival = now;
    }

    fn report(&self) -> FlowReport {
        let lost = self.answered.iter().filter(|answered| !**answered).count() as u64;
        let last = self.answered.iter().rev().take(usize::try_from(LAST_TICKS).unwrap_or(usize::MAX));
        FlowReport {
            port: self.port,
            sent: self.answered.len() as u64,
            lost,
            repeated: self.repeated,
            overtaken: self.overtaken,
            gap_ms: u64::try_from(self.gap.as_millis()).unwrap_or(u64::MAX),
            alive: last.clone().any(|answered| *answered),
        }
    }
}
