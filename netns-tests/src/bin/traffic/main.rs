//! Real traffic for the hosts of a lab: servers, streams that are opened at once, and traffic that goes on until it is told
//! to stop.
//!
//! ```text
//! traffic echo PORT                                    TCP and UDP, IPv4 and IPv6; prints "ready"
//! traffic source PORT                                  TCP: sends known bytes, at a steady rate; prints "ready"
//! traffic tcp TARGET SOURCE_PORT COUNT BYTES SECONDS   COUNT connections at once, from successive source ports
//! traffic udp TARGET SOURCE_PORT COUNT BYTES SECONDS   COUNT requests at once, each repeated until it is answered
//! traffic ticks TARGET SOURCE_PORT COUNT MILLIS        COUNT flows of UDP requests, one every MILLIS each
//! traffic downloads TARGET SOURCE_PORT COUNT           COUNT connections to a source
//! traffic answer WORD...                               the other end of conversations: tcp/PORT/BYTES/BYTES or udp/PORT
//! traffic ask tcp|udp TARGET SOURCE_PORT REQUEST RESPONSE ENDING   one conversation
//! traffic short TARGET MILLIS                          every MILLIS a connection: one request, one answer
//! traffic alive TARGET SOURCE_PORT COUNT               COUNT connections, a byte there and back twice a second each
//! ```
//!
//! `tcp` and `udp` print one line for each stream, `PORT ok` or `PORT failed: WHY`. What comes back must be what was
//! sent. All connections are open before the first of them carries data.
//!
//! `answer` prints "ready" and goes on until SIGTERM; it and `ask` print one line for a conversation that is over, `PORT ok
//! HOW` or `PORT failed: WHY`. ENDING is close, reset, idle or slow.
//!
//! The last four print "ready" when all of their traffic flows, go on until SIGTERM, and then print one line of JSON that
//! says how it went.

mod alive;
mod downloads;
mod echo;
mod lasting;
mod short;
mod sockets;
mod stop;
mod streams;
mod talk;
mod ticks;

use std::env;
use std::process::ExitCode;

use sockets::{parse, wrong};

/// Bytes copied at once.
const BUFFER_LEN: usize = 16 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["echo", port] => parse(port).and_then(echo::echo).map(|()| ExitCode::SUCCESS),
        ["source", port] => parse(port).and_then(downloads::serve).map(|()| ExitCode::SUCCESS),
        ["answer", words @ ..] => talk::answer(words),
        ["ask", words @ ..] => talk::ask(words),
        ["tcp", order @ ..] => streams::tcp(order),
        ["udp", order @ ..] => streams::udp(order),
        ["ticks", order @ ..] => ticks::run(order),
        ["downloads", order @ ..] => downloads::run(order),
        ["short", order @ ..] => short::run(order),
        ["alive", order @ ..] => alive::run(order),
        _ => Err(wrong(
            "usage: traffic echo|source PORT | answer WORD... | ask ... | tcp|udp|ticks|downloads|short|alive TARGET ...",
        )),
    };
    done.unwrap_or_else(|error| {
        eprintln!("traffic: {error}");
        ExitCode::from(2)
    })
}
