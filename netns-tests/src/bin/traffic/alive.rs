//! Established connections that are idle but alive: a byte there and back now and then.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use herald::io::clock;
use serde::Serialize;

use crate::sockets::{open, parse, raise_file_limit, spawn, told, wrong};
use crate::stop::Stop;
use crate::streams::Order;

/// Time for a byte to come back: enough for TCP to send it again many times.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// How it went.
#[derive(Serialize)]
struct Report {
    kind: &'static str,
    streams: Vec<StreamReport>,
}

/// How one connection went.
#[derive(Serialize)]
struct StreamReport {
    port: u16,
    /// Bytes that came back.
    bytes: u64,
    /// The longest time for a byte to come back.
    slowest_ms: u64,
    /// Why it was lost; nothing if it still worked in the end.
    lost: Option<String>,
}

/// Keeps connections alive until it is told to stop.
pub(crate) fn run(words: &[&str]) -> io::Result<ExitCode> {
    let [target, source_port, count, millis] = words else { return Err(wrong("four words are expected")) };
    let interval = Duration::from_millis(parse(millis)?);
    let order = Order {
        target: parse(target)?,
        source_port: parse(source_port)?,
        count: parse(count)?,
        len: 0,
        time_max: ANSWER_TIME_MAX,
    };
    raise_file_limit()?;
    let stop = Stop::prepare()?;
    let (tell, hear) = mpsc::channel();
    let mut running = Vec::new();
    for number in 0..order.count {
        let (stop, tell, port) = (stop.clone(), tell.clone(), order.source_port.saturating_add(number));
        // So that they do not all send at the same moment.
        let phase = interval * u32::from(number) / u32::from(order.count.max(1));
        let times = (phase, interval);
        running.push(spawn(move || Ok(keep_alive(order, port, times, &stop, &tell)))?);
    }
    for _ in 0..order.count {
        hear.recv().map_err(io::Error::other)?;
    }
    stop.await_signal()?;
    let mut streams = Vec::new();
    for thread in running {
        streams.push(thread.join().map_err(|_| io::Error::other("a thread panicked"))??);
    }
    println!("{}", serde_json::to_string(&Report { kind: "alive", streams })?);
    Ok(ExitCode::SUCCESS)
}

fn keep_alive(
    order: Order,
    port: u16,
    times: (Duration, Duration),
    stop: &Stop,
    tell: &mpsc::Sender<()>,
) -> StreamReport {
    let mut report = StreamReport { port, bytes: 0, slowest_ms: 0, lost: None };
    let mut work = || -> io::Result<()> {
        let mut stream = open(order, port)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        exchange(&mut stream, &mut report)?;
        let _main_has_gone = tell.send(());
        stop.wait(times.0);
        loop {
            // Once more after the stop: so it is alive in the end.
            let was_told = stop.is_told();
            exchange(&mut stream, &mut report)?;
            if was_told {
                return Ok(());
            }
            stop.wait(times.1);
        }
    };
    let ended = work();
    if ended.is_err() {
        // Nobody waits for it any more; the report says why.
        let _main_has_gone = tell.send(());
    }
    report.lost = ended.err().map(|error| error.to_string());
    report
}

/// One byte there and back.
fn exchange(stream: &mut TcpStream, report: &mut StreamReport) -> io::Result<()> {
    let (begun, byte) = (clock::now(), report.bytes.to_be_bytes().last().copied().unwrap_or_default());
    stream.write_all(&[byte])?;
    let mut back = [0];
    stream.read_exact(&mut back).map_err(|error| told(error, "the byte did not come back"))?;
    if back != [byte] {
        return Err(io::Error::other(format!("byte {} came back as another", report.bytes)));
    }
    report.bytes += 1;
    let time = u64::try_from(clock::now().since(begun).as_millis()).unwrap_or(u64::MAX);
    report.slowest_ms = report.slowest_ms.max(time);
    Ok(())
}
