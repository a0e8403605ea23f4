//! Sends every datagram back to where it came from.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use crate::cpus::pin_this_thread;
use crate::error::BenchError;

/// Listens and answers from now on, on one CPU or on any.
///
/// # Errors
///
/// When the port is taken.
pub(crate) fn start(port: u16, cpu: Option<usize>) -> Result<(), BenchError> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
    let socket = socket.map_err(BenchError::system(format!("cannot listen on UDP port {port}")))?;
    thread::spawn(move || {
        if let Some(Err(error)) = cpu.map(pin_this_thread) {
            eprintln!("{error}");
        }
        let mut datagram = [0; 2048];
        loop {
            // An error here is one of an earlier answer (ICMP); there is nothing to answer then.
            let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
            let _ = socket.send_to(datagram.get(..len).unwrap_or_default(), from);
        }
    });
    Ok(())
}
