//! Established connections that are idle but alive: a byte there and back now and then.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::mpsc::Sender;
use std::time::Duration;

use herald::io::clock;

use crate::lasting::{self, StreamReport};
use crate::sockets::{open, parse, told, wrong};
use crate::stop::Stop;
use crate::streams::Order;

/// Time for a byte to come back: enough for TCP to send it again many times.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Time between two bytes of a connection.
const INTERVAL: Duration = Duration::from_millis(500);

/// Keeps connections alive until it is told to stop.
pub(crate) fn run(words: &[&str]) -> io::Result<ExitCode> {
    let [target, source_port, count] = words else { return Err(wrong("three words are expected")) };
    let order = Order {
        target: parse(target)?,
        source_port: parse(source_port)?,
        count: parse(count)?,
        len: 0,
        time_max: ANSWER_TIME_MAX,
    };
    lasting::run("alive", order, keep_alive)
}

fn keep_alive(order: Order, stop: &Stop, tell: &Sender<()>, report: &mut StreamReport) -> io::Result<()> {
    let mut stream = open(order, report.port)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    exchange(&mut stream, report)?;
    let _main_has_gone = tell.send(());
    // So that they do not all send at the same moment.
    let number = report.port.saturating_sub(order.source_port);
    stop.wait(INTERVAL * u32::from(number) / u32::from(order.count.max(1)));
    loop {
        // Once more after the stop: so it is alive in the end.
        let was_told = stop.is_told();
        exchange(&mut stream, report)?;
        if was_told {
            return Ok(());
        }
        stop.wait(INTERVAL);
    }
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
    report.waited(begun);
    Ok(())
}
