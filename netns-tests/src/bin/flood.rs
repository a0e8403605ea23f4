//! Opens very many UDP streams through a lab: one datagram for each, from source ports times destination ports.
//!
//! ```text
//! flood TARGET COUNT PER_SECOND     prints "sent COUNT"
//! ```

use std::env;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Destination ports of one source port.
const PORTS: u16 = 2_000;

/// The first of them.
const FIRST_PORT: u16 = 20_000;

/// Datagrams between two looks at the clock.
const BURST: u32 = 32;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [target, count, per_second] = arguments.as_slice() else { return usage() };
    let (Ok(target), Ok(count), Ok(per_second)) = (target.parse(), count.parse(), per_second.parse()) else {
        return usage();
    };
    match flood(target, count, per_second) {
        Ok(()) => {
            println!("sent {count}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: flood TARGET COUNT PER_SECOND");
    ExitCode::from(2)
}

#[expect(clippy::disallowed_methods, reason = "a load program has a clock and paces itself")]
fn flood(target: IpAddr, count: u32, per_second: u32) -> io::Result<()> {
    let began = Instant::now();
    let mut sent = 0;
    for source in 0.. {
        // Always the same source ports, so that a second flood meets the same streams.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, FIRST_PORT + source))?;
        for port in 0..PORTS {
            if sent == count {
                return Ok(());
            }
            match socket.send_to(b"stream", (target, FIRST_PORT + port)) {
                Ok(_) => {}
                // An ICMP error about an earlier datagram: nobody listens there, which is as it should be.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
            sent += 1;
            if sent % BURST == 0 {
                let due = Duration::from_secs_f64(f64::from(sent) / f64::from(per_second.max(1)));
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
    }
    Ok(())
}
