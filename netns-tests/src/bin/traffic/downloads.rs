//! Long downloads: a source that sends known bytes for ever, and connections that check every one of them.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::Sender;
use std::time::Duration;

use herald::io::clock;

use crate::BUFFER_LEN;
use crate::lasting::{self, StreamReport};
use crate::sockets::{listener, open, parse, raise_file_limit, spawn, told, wrong};
use crate::stop::Stop;
use crate::streams::Order;

/// Bytes after which the known bytes begin anew: a prime, so that no loss of whole packets fits in.
const PATTERN_LEN: usize = 65_521;

/// Time between two writes of the source: downloads are to last, not to fill the machine.
const PACE: Duration = Duration::from_millis(10);

/// Time without a byte after which a download is lost.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Serves until it is ended from outside.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    raise_file_limit()?;
    let listener = listener(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    println!("ready");
    for stream in listener.incoming() {
        let stream = stream?;
        spawn(move || send(stream))?;
    }
    Ok(())
}

fn send(mut stream: TcpStream) -> io::Result<()> {
    let (pattern, never) = (pattern(), Stop::default());
    for chunk in std::iter::repeat_with(|| pattern.chunks(2 * BUFFER_LEN)).flatten() {
        stream.write_all(chunk)?;
        never.wait(PACE);
    }
    Ok(())
}

/// Downloads until it is told to stop.
pub(crate) fn run(words: &[&str]) -> io::Result<ExitCode> {
    let [target, source_port, count] = words else { return Err(wrong("three words are expected")) };
    let order = Order {
        target: parse(target)?,
        source_port: parse(source_port)?,
        count: parse(count)?,
        len: 0,
        time_max: STALL_MAX,
    };
    lasting::run("downloads", order, download)
}

/// Tells when the first bytes have come. To be alive in the end, something has to come after the stop, too.
fn download(order: Order, stop: &Stop, tell: &Sender<()>, report: &mut StreamReport) -> io::Result<()> {
    let mut stream = open(order, report.port)?;
    stream.set_read_timeout(Some(STALL_MAX))?;
    let (pattern, mut buffer) = (pattern(), vec![0; BUFFER_LEN]);
    let mut last = clock::now();
    loop {
        let was_told = stop.is_told();
        let read = stream.read(&mut buffer).map_err(|error| told(error, "no byte came"));
        if report.bytes > 0 {
            report.waited(last);
        }
        last = clock::now();
        let len = read?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if report.bytes == 0 {
            let _main_has_gone = tell.send(());
        }
        check(&pattern, report.bytes, buffer.get(..len).unwrap_or_default())?;
        report.bytes += len as u64;
        if was_told {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

fn check(pattern: &[u8], from: u64, bytes: &[u8]) -> io::Result<()> {
    let start = usize::try_from(from % PATTERN_LEN as u64).unwrap_or_default();
    let expected = pattern.iter().cycle().skip(start);
    match bytes.iter().zip(expected).position(|(came, expected)| came != expected) {
        Some(place) => Err(io::Error::other(format!("byte {} is wrong", from + place as u64))),
        None => Ok(()),
    }
}

fn pattern() -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let numbers = std::iter::successors(Some(1_u32), next);
    numbers.map(|state| state.to_be_bytes()[0]).take(PATTERN_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        let pattern = pattern();
        let twice = pattern.repeat(2);
        assert!(check(&pattern, 0, &twice).is_ok() && check(&pattern, 65_520, &twice[65_520..]).is_ok());
        assert!(check(&pattern, 0, &twice[1460..]).is_err(), "a packet is missing");
        let mut wrong = twice.clone();
        wrong[70_000] ^= 1;
        assert_eq!(check(&pattern, 0, &wrong).unwrap_err().to_string(), "byte 70000 is wrong");
    }
}
