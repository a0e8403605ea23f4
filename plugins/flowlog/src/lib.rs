//! `flowlog`: one line of JSON for each ended stream, in the form of Suricata's EVE flow records, appended to a file.
//!
//! ```toml
//! path = "/var/log/herald/flows.json"  # required; the folder must exist
//! queue_lines = 16384                  # lines that may wait for the disk; what is more is lost and counted
//! packets = false                      # for tests: a line for each packet, in a second file
//! ```
//!
//! ```json
//! {"timestamp":"2026-01-02T03:04:05.000678+0000","flow_id":7,"event_type":"flow","src_ip":"10.1.0.100","src_port":41234,
//!  "dest_ip":"10.2.0.100","dest_port":80,"proto":"TCP","flow":{"pkts_toserver":5,"pkts_toclient":4,
//!  "bytes_toserver":420,"bytes_toclient":3200,"start":"...","end":"...","age":0,"reason":"finished"},
//!  "herald":{"chosen":"c","interface":"first","duration_us":1234,"midstream":false}}
//! ```
//!
//! (In the file that is one line.) "Server" is who the opener spoke to. `age` is in seconds; bytes are Ethernet bytes,
//! packets are packets on the wire. The event loop only puts a record into a queue; a thread of the plugin's own writes it
//! within some milliseconds. If the file is moved or removed, as log rotation does, it is made anew. The plugin passes every
//! packet and, if it fails, packets pass without it.
//!
//! With `packets = true` each packet has a line in the file `PATH.packets` before it passes: time in nanoseconds since 1970,
//! stream, interface, and its first bytes from the IP header on. The event loop waits for each of these lines, so this is
//! nothing for a network that is in use.
//!
//! ```json
//! {"event_type":"packet","at_ns":1767323045000678000,"flow_id":7,"interface":"first","wire_packets":1,"len":60,"head":"45..."}
//! ```

mod line;
mod packets;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use herald_plugin::prelude::*;
use serde::Deserialize;

use line::Record;
use packets::PacketLog;
use writer::Writer;

/// The plugin: a queue to its thread.
#[derive(Default)]
struct Flowlog {
    queue: Option<SyncSender<Record>>,
    writer: Option<JoinHandle<()>>,
    packets: Option<PacketLog>,
    counts: Arc<Counts>,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Counts {
    lines: AtomicU64,
    lost: AtomicU64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    path: std::path::PathBuf,
    #[serde(default = "default_queue_lines")]
    queue_lines: usize,
    #[serde(default)]
    packets: bool,
}

/// A fifth of a second of streams at 80,000 a second, in about 2 MiB.
fn default_queue_lines() -> usize {
    16_384
}

/// About 150 MiB.
const QUEUE_LINES_MAX: usize = 1_000_000;

/// Looks whether all is written, while the router ends: for two seconds.
const END_LOOKS_MAX: u32 = 200;

/// Time between two of them.
const END_LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Plugin for Flowlog {
    type Stream = ();

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        let Config { path, queue_lines, packets } =
            toml::from_str(config).map_err(|error| ConfigError::new(error.message()))?;
        if !(1..=QUEUE_LINES_MAX).contains(&queue_lines) {
            let text = format!("queue_lines is {queue_lines}; allowed is a number from 1 to {QUEUE_LINES_MAX}");
            return Err(ConfigError::new(text));
        }
        let writer = Writer::open(&path, Arc::clone(&self.counts))
            .map_err(|error| ConfigError::new(format!("path is {path:?}: {error}")))?;
        if packets {
            let mut path = path.into_os_string();
            path.push(".packets");
            let log = PacketLog::open(path.as_ref());
            self.packets = Some(log.map_err(|error| ConfigError::new(format!("packets: {path:?}: {error}")))?);
        }
        let (queue, records) = mpsc::sync_channel(queue_lines);
        let thread = thread::Builder::new().name("flowlog".to_owned()).spawn(move || writer.run(&records));
        self.writer = Some(thread.map_err(|error| ConfigError::new(format!("cannot start a thread: {error}")))?);
        self.queue = Some(queue);
        Ok(())
    }

    fn stream_started(&self, (): &mut (), _: &StreamInfo<'_>) -> Verdict {
        if self.packets.is_some() { Verdict::pass() } else { Verdict::pass().for_stream() }
    }

    fn packet(&self, (): &mut (), packet: &Packet<'_>) -> Verdict {
        if self.packets.as_ref().is_some_and(|log| log.write(packet).is_err()) {
            self.counts.lost.fetch_add(1, Relaxed);
        }
        Verdict::pass()
    }

    fn stream_ended(&self, (): (), stream: &StreamInfo<'_>, end: &End<'_>) {
        let record = Record::of(stream, end, herald_plugin::unix_nanos());
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(record).is_err()) {
            self.counts.lost.fetch_add(1, Relaxed);
        }
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        counters.report("lines", self.counts.lines.load(Relaxed));
        counters.report("lost", self.counts.lost.load(Relaxed));
    }
}

impl Drop for Flowlog {
    /// Waits until all that is in the queue is written, but not for ever: the file may be on a disk that does not answer.
    fn drop(&mut self) {
        self.queue = None;
        let Some(writer) = self.writer.take() else { return };
        for _ in 0..END_LOOKS_MAX {
            if !writer.is_finished() {
                thread::park_timeout(END_LOOK_INTERVAL);
                continue;
            }
            if writer.join().is_err() {
                error!("the writing thread failed");
            }
            return;
        }
        error!("the last lines could not be written in time");
    }
}

export_plugin!(Flowlog, manifest = "plugin.toml");
