//! Conversations as scenarios have them: the opener asks, the other end answers, and both know every byte.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use herald::io::clock;
use herald_core::time::Instant;
use nix::sys::socket::{setsockopt, sockopt};

use crate::sockets::{listener, open, parse, spawn, told, wrong};
use crate::stop::Stop;
use crate::streams::{Order, content, same};

/// Time for each step of a conversation: enough for TCP to send again many times.
const STEP_TIME_MAX: Duration = Duration::from_secs(20);

/// A slow request comes in so many parts, one after each pause.
const SLOW_PARTS: usize = 30;
const SLOW_PAUSE: Duration = Duration::from_millis(100);

/// Time between two datagrams, and for the last answers.
const DATAGRAM_INTERVAL: Duration = Duration::from_millis(40);
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(1);

/// Bytes of a datagram: its number, and what belongs to its port.
const DATAGRAM_LEN: usize = 64;

/// Answers until SIGTERM; each word is `tcp/PORT/REQUEST/RESPONSE` or `udp/PORT`, and heard once.
pub(crate) fn answer(words: &[&str]) -> io::Result<ExitCode> {
    let stop = Stop::prepare()?;
    for word in words {
        match word.split('/').collect::<Vec<_>>().as_slice() {
            ["tcp", port, request, response] => {
                let (port, request, response) = (parse(port)?, parse(request)?, parse(response)?);
                let listener = listener(any(port))?;
                spawn(move || {
                    let (stream, from) = listener.accept()?;
                    report(port, answer_stream(stream, from.port(), port, [request, response]));
                    Ok(())
                })?;
            }
            ["udp", port] => {
                let port = parse(port)?;
                let socket = UdpSocket::bind(any(port))?;
                spawn(move || {
                    report(port, answer_datagrams(&socket, port));
                    Ok(())
                })?;
            }
            _ => return Err(wrong(word)),
        }
    }
    stop.await_signal()?;
    Ok(ExitCode::SUCCESS)
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// One line for each conversation that is over.
fn report(port: u16, result: io::Result<String>) {
    match result {
        Ok(how) => println!("{port} ok {how}"),
        Err(error) => println!("{port} failed: {error}"),
    }
}

fn answer_stream(mut stream: TcpStream, from: u16, port: u16, [request, response]: [usize; 2]) -> io::Result<String> {
    stream.set_read_timeout(Some(STEP_TIME_MAX))?;
    let mut heard = vec![0; request];
    stream.read_exact(&mut heard).map_err(|error| told(error, "the request"))?;
    same(&content(from, request), &heard)?;
    stream.write_all(&content(port, response))?;
    match stream.read(&mut [0]) {
        Ok(0) => Ok("closed".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok("reset".to_owned()),
        Ok(_) => Err(io::Error::other("more came than was to be said")),
        Err(error) => Err(told(error, "the end")),
    }
}

fn answer_datagrams(socket: &UdpSocket, port: u16) -> io::Result<String> {
    let mut heard = [0; DATAGRAM_LEN];
    loop {
        let (len, from) = socket.recv_from(&mut heard)?;
        let number = number_of(&heard);
        same(&datagram(from.port(), number), heard.get(..len).unwrap_or_default())?;
        socket.send_to(&datagram(port, number), from)?;
    }
}

fn datagram(port: u16, number: u32) -> Vec<u8> {
    [number.to_be_bytes().as_slice(), &content(port, DATAGRAM_LEN - 4)].concat()
}

fn number_of(datagram: &[u8]) -> u32 {
    datagram.first_chunk().copied().map_or(u32::MAX, u32::from_be_bytes)
}

/// Opens one conversation, has it, and reports it.
pub(crate) fn ask(words: &[&str]) -> io::Result<ExitCode> {
    let [protocol, target, source_port, request, response, ending] = words else {
        return Err(wrong("six words are expected"));
    };
    let source_port = parse(source_port)?;
    let order = Order { target: parse(target)?, source_port, count: 1, len: parse(request)?, time_max: STEP_TIME_MAX };
    match *protocol {
        "tcp" => ask_stream(order, parse(response)?, ending)?,
        "udp" => report(source_port, ask_datagrams(order)),
        _ => return Err(wrong(protocol)),
    }
    Ok(ExitCode::SUCCESS)
}

fn ask_stream(order: Order, response: usize, ending: &str) -> io::Result<()> {
    let stop = Stop::prepare()?;
    let mut opened = None;
    let mut talk = || -> io::Result<String> {
        let stream = opened.insert(open(order, order.source_port)?);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(order.time_max))?;
        say(stream, &content(order.source_port, order.len), if ending == "slow" { SLOW_PARTS } else { 1 }, &stop)?;
        let mut heard = vec![0; response];
        stream.read_exact(&mut heard).map_err(|error| told(error, "the response"))?;
        same(&content(order.target.port(), response), &heard)?;
        end(stream, ending)?;
        Ok(ending.to_owned())
    };
    report(order.source_port, talk());
    if ending == "idle" {
        stop.await_signal()?;
    }
    Ok(())
}

fn say(stream: &mut TcpStream, request: &[u8], parts: usize, stop: &Stop) -> io::Result<()> {
    for (number, part) in request.chunks(request.len().div_ceil(parts).max(1)).enumerate() {
        if number > 0 {
            stop.wait(SLOW_PAUSE);
        }
        stream.write_all(part)?;
    }
    Ok(())
}

fn end(stream: &mut TcpStream, ending: &str) -> io::Result<()> {
    match ending {
        "close" | "slow" => {
            stream.shutdown(std::net::Shutdown::Write)?;
            let len = stream.read(&mut [0]).map_err(|error| told(error, "the end"))?;
            if len == 0 { Ok(()) } else { Err(io::Error::other("more came than was to be said")) }
        }
        // With no time to linger, the kernel resets the connection as it is closed.
        "reset" => Ok(setsockopt(stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?),
        "idle" => Ok(()),
        _ => Err(wrong(ending)),
    }
}

fn ask_datagrams(order: Order) -> io::Result<String> {
    let socket = UdpSocket::bind(SocketAddr::new(order.any(), order.source_port))?;
    socket.connect(order.target)?;
    let mut heard = vec![false; order.len];
    let mut next = clock::now();
    for number in 0..u32::try_from(order.len).unwrap_or(u32::MAX) {
        // An ICMP error of an earlier one may be told here: that datagram shows as lost.
        let _lost = socket.send(&datagram(order.source_port, number));
        next = next + DATAGRAM_INTERVAL;
        hear(&socket, order, &mut heard, next)?;
    }
    let end = clock::now() + LAST_ANSWERS_TIME_MAX;
    while heard.contains(&false) && clock::now() < end {
        hear(&socket, order, &mut heard, clock::now() + DATAGRAM_INTERVAL)?;
    }
    Ok(format!("{} of {}", heard.iter().filter(|heard| **heard).count(), heard.len()))
}

/// Hears answers until this moment.
fn hear(socket: &UdpSocket, order: Order, heard: &mut [bool], until: Instant) -> io::Result<()> {
    loop {
        let left = until.since(clock::now());
        if left.is_zero() {
            return Ok(());
        }
        socket.set_read_timeout(Some(left.max(Duration::from_micros(100))))?;
        let mut answer = [0; DATAGRAM_LEN];
        // Nothing yet, or an ICMP error: that datagram shows as lost.
        let Ok(len) = socket.recv(&mut answer) else { continue };
        let number = number_of(&answer);
        same(&datagram(order.target.port(), number), answer.get(..len).unwrap_or_default())?;
        let place = usize::try_from(number).ok().and_then(|number| heard.get_mut(number));
        // A network may double a datagram: whether the cluster did is seen on the wire.
        *place.ok_or_else(|| io::Error::other("an answer to nothing"))? = true;
    }
}
