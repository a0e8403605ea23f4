//! A steady stream of short connections.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use herald::io::clock;
use serde::Serialize;

use crate::sockets::{parse, raise_file_limit, spawn, told, wrong};
use crate::stop::Stop;

/// Time for each step of a connection: a browser waits as long.
const STEP_TIME_MAX: Duration = Duration::from_secs(20);

/// Failures that are told by their text.
const FAILURES_TOLD_MAX: usize = 10;

/// How it went.
#[derive(Default, Serialize)]
struct Report {
    kind: &'static str,
    done: u64,
    failed: u64,
    /// The longest time from the first packet to the answer.
    slowest_ms: u64,
    failures: Vec<String>,
}

/// Opens connections until it is told to stop.
pub(crate) fn run(words: &[&str]) -> io::Result<ExitCode> {
    let [target, millis] = words else { return Err(wrong("two words are expected")) };
    let (target, interval) = (parse(target)?, Duration::from_millis(parse(millis)?));
    raise_file_limit()?;
    converse(target, 0)?;
    let stop = Stop::prepare()?;
    let (tell, hear) = mpsc::channel();
    let opener = spawn({
        let stop = stop.clone();
        move || open_steadily(target, interval, &stop, &tell)
    })?;
    stop.await_signal()?;
    opener.join().map_err(|_| io::Error::other("a thread panicked"))??;
    let mut report = Report { kind: "short", ..Report::default() };
    // Ends when the last connection has let its end of the channel go.
    for outcome in hear {
        match outcome {
            Ok(time) => {
                report.done += 1;
                report.slowest_ms =
                    report.slowest_ms.max(u64::try_from(Duration::as_millis(&time)).unwrap_or(u64::MAX));
            }
            Err(why) => {
                report.failed += 1;
                if report.failures.len() < FAILURES_TOLD_MAX {
                    report.failures.push(why);
                }
            }
        }
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(ExitCode::SUCCESS)
}

type Outcomes = mpsc::Sender<Result<Duration, String>>;

fn open_steadily(target: SocketAddr, interval: Duration, stop: &Stop, tell: &Outcomes) -> io::Result<()> {
    let mut next = clock::now();
    for number in 1_u64.. {
        if stop.is_told() {
            break;
        }
        let tell = tell.clone();
        spawn(move || {
            let _main_has_gone = tell.send(converse(target, number).map_err(|error| error.to_string()));
            Ok(())
        })?;
        next = next + interval;
        stop.wait(next.since(clock::now()));
    }
    Ok(())
}

/// One connection: connect, one request, one answer, close.
fn converse(target: SocketAddr, number: u64) -> io::Result<Duration> {
    let begun = clock::now();
    let step = |what: &'static str| move |error: io::Error| told(error, &format!("connection {number}: {what}"));
    let mut stream = TcpStream::connect_timeout(&target, STEP_TIME_MAX).map_err(step("connect"))?;
    stream.set_read_timeout(Some(STEP_TIME_MAX))?;
    stream.write_all(&number.to_be_bytes()).map_err(step("request"))?;
    let mut back = [0; 8];
    stream.read_exact(&mut back).map_err(step("answer"))?;
    if back == number.to_be_bytes() {
        Ok(clock::now().since(begun))
    } else {
        Err(io::Error::other(format!("connection {number}: another answer: {back:?}")))
    }
}
