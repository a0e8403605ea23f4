//! Connections that last until the program is told to stop, and a report on each.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};

use herald::io::clock;
use herald_core::time::Instant;
use serde::Serialize;

use crate::sockets::{raise_file_limit, spawn};
use crate::stop::Stop;
use crate::streams::Order;

/// How it went.
#[derive(Serialize)]
struct Report {
    kind: &'static str,
    streams: Vec<StreamReport>,
}

/// How one connection went.
#[derive(Serialize)]
pub(crate) struct StreamReport {
    pub(crate) port: u16,
    /// Bytes that came.
    pub(crate) bytes: u64,
    /// The longest time in which a byte was waited for.
    gap_ms: u64,
    /// Why it was lost; nothing if it still worked in the end.
    lost: Option<String>,
}

impl StreamReport {
    /// A byte was waited for since then.
    pub(crate) fn waited(&mut self, since: Instant) {
        let gap = u64::try_from(clock::now().since(since).as_millis()).unwrap_or(u64::MAX);
        self.gap_ms = self.gap_ms.max(gap);
    }
}

/// What one connection does until it is told to stop. It says once when its first bytes have come.
type Work = fn(Order, &Stop, &Sender<()>, &mut StreamReport) -> io::Result<()>;

/// Begins the ordered connections, each in a thread of its own, and reports on them when it is told to stop.
pub(crate) fn run(kind: &'static str, order: Order, work: Work) -> io::Result<ExitCode> {
    raise_file_limit()?;
    let stop = Stop::prepare()?;
    let (tell, hear) = mpsc::channel();
    let mut running = Vec::new();
    for number in 0..order.count {
        let (stop, tell, port) = (stop.clone(), tell.clone(), order.source_port.saturating_add(number));
        running.push(spawn(move || {
            let mut report = StreamReport { port, bytes: 0, gap_ms: 0, lost: None };
            let ended = work(order, &stop, &tell, &mut report);
            if ended.is_err() {
                // Nobody waits for it any more; the report says why.
                let _main_has_gone = tell.send(());
            }
            report.lost = ended.err().map(|error| error.to_string());
            Ok(report)
        })?);
    }
    for _ in 0..order.count {
        hear.recv().map_err(io::Error::other)?;
    }
    stop.await_signal()?;
    let mut streams = Vec::new();
    for thread in running {
        streams.push(thread.join().map_err(|_| io::Error::other("a thread panicked"))??);
    }
    println!("{}", serde_json::to_string(&Report { kind, streams })?);
    Ok(ExitCode::SUCCESS)
}
