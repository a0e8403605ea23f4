//! A server that echoes.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};

use crate::BUFFER_LEN;
use crate::sockets::{listener, raise_file_limit, spawn};

/// Serves both protocols until it is ended from outside.
pub(crate) fn echo(port: u16) -> io::Result<()> {
    raise_file_limit()?;
    let everybody = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let (listener, datagrams) = (listener(everybody)?, UdpSocket::bind(everybody)?);
    println!("ready");
    spawn(move || echo_datagrams(&datagrams))?;
    for stream in listener.incoming() {
        let stream = stream?;
        spawn(move || echo_stream(stream))?;
    }
    Ok(())
}

fn echo_stream(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER_LEN];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(buffer.get(..len).unwrap_or_default())?;
    }
}

fn echo_datagrams(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; BUFFER_LEN];
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(buffer.get(..len).unwrap_or_default(), from)?;
    }
}
