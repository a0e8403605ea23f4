//! Sends UDP in Ethernet frames of 60 bytes as fast as none is lost.
//!
//! Frames leave through AF_PACKET in bursts, so that making them costs little. What has arrived is read from the
//! counters of the receiver's interface, which are this program's standard input.

use std::fs::{self, File};
use std::io::{self, stdin};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use clap::Args;
use etherparse::PacketBuilder;
use serde::{Deserialize, Serialize};

use super::interface::Interface;
use super::packet_socket::{Burst, PacketSocket, Receives};
use super::seconds;
use super::window::{LOST_TIME, Window};
use crate::address::{CLIENT, SINK};
use crate::clock::now;
use crate::cpus::pin_this_thread;
use crate::error::BenchError;

/// Frames in one system call.
const BURST_FRAMES: usize = 32;

/// Streams, told apart by their source ports.
const STREAMS: u16 = 16;

/// Source port of the first stream; the destination is the port for discarding (RFC 863).
const FIRST_PORT: u16 = 20_000;
const DISCARD_PORT: u16 = 9;

/// Makes a frame of 60 bytes, the smallest without its check sequence.
const PAYLOAD: [u8; 18] = [0; 18];

/// The first frame must arrive within this time.
const FIRST_TIME_MAX: Duration = Duration::from_secs(10);

/// Sending that is not counted: streams have to be known and CPUs awake.
const WARM_UP_TIME: Duration = Duration::from_millis(200);

/// How to send.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, value_parser = seconds)]
    seconds: Duration,
    /// Whom to send the frames to on their way to the sink
    #[arg(long)]
    next_hop: Ipv4Addr,
    /// The receiver's interface
    #[arg(long)]
    counted: String,
    /// Frames on their way at most; less than any queue on the way holds
    #[arg(long, default_value_t = 256)]
    window: u64,
    /// The CPU to run on
    #[arg(long)]
    cpu: Option<usize>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Frames that arrived in each second.
    pub(crate) per_second: f64,
    /// Frames that did not, in percent.
    pub(crate) lost_percent: f64,
}

/// Measures.
///
/// # Errors
///
/// When nothing arrives or frames cannot be sent.
pub(crate) fn run(arguments: &Arguments) -> Result<Counted, BenchError> {
    if let Some(cpu) = arguments.cpu {
        pin_this_thread(cpu)?;
    }
    let interface = Interface::with(CLIENT)?;
    let next_hop_mac = resolve(arguments.next_hop)?;
    let socket = PacketSocket::open(&interface, Receives::Nothing);
    let socket = socket.map_err(BenchError::system("cannot send frames"))?;
    socket.bypass_queue().map_err(BenchError::system("cannot send frames past the queue"))?;
    let counter = Counter::new(&arguments.counted)?;
    let mut sender = Sender { socket, counter, burst: burst(&interface, next_hop_mac)? };
    sender.wait_arrival()?;
    sender.send(WARM_UP_TIME, arguments.window)?;
    sender.send(arguments.seconds, arguments.window)
}

/// Sends until frames arrive.
struct Sender {
    socket: PacketSocket,
    counter: Counter,
    burst: Burst,
}

impl Sender {
    /// Sends a burst now and then until one has arrived: by then the way and the streams are known.
    fn wait_arrival(&mut self) -> Result<(), BenchError> {
        let before = self.counter.read()?;
        let deadline = now() + FIRST_TIME_MAX;
        while now() < deadline {
            let sent = self.send_burst()?;
            let next = now() + LOST_TIME;
            while now() < next {
                if self.counter.read()? >= before + sent {
                    return Ok(());
                }
                thread::yield_now();
            }
        }
        Err(BenchError::Silent(format!("{SINK}, small frames"), FIRST_TIME_MAX))
    }

    /// Sends for so long, then waits for what is still on its way.
    fn send(&mut self, time: Duration, frames_max: u64) -> Result<Counted, BenchError> {
        let before = self.counter.read()?;
        let start = now();
        let mut window = Window::new(frames_max, start);
        let burst_len = u64::try_from(self.burst.len()).unwrap_or(u64::MAX);
        loop {
            let at = now();
            let is_over = at - start >= time;
            if is_over && window.on_their_way() == 0 {
                let per_second = window.arrived() as f64 / (at - start).as_secs_f64();
                return Ok(Counted { per_second, lost_percent: window.lost_percent() });
            }
            window.arrivals_read(at, self.counter.read()?.saturating_sub(before));
            if !is_over && window.has_room(burst_len) {
                window.burst_sent(at, self.send_burst()?);
            } else {
                // A device on this CPU is to run.
                thread::yield_now();
            }
        }
    }

    fn send_burst(&mut self) -> Result<u64, BenchError> {
        let sent = self.socket.send_burst(&mut self.burst).map_err(BenchError::system("cannot send a burst"))?;
        Ok(u64::try_from(sent).unwrap_or(u64::MAX))
    }
}

/// The frames of one burst: each stream in turn.
fn burst(interface: &Interface, next_hop: [u8; 6]) -> Result<Burst, BenchError> {
    let frame = |stream: u16| -> io::Result<Vec<u8>> {
        let builder = PacketBuilder::ethernet2(interface.mac, next_hop)
            .ipv4(CLIENT.octets(), SINK.octets(), 64)
            .udp(FIRST_PORT + stream, DISCARD_PORT);
        let mut frame = Vec::with_capacity(builder.size(PAYLOAD.len()));
        builder.write(&mut frame, &PAYLOAD).map_err(io::Error::other)?;
        Ok(frame)
    };
    let frames = (0..STREAMS).cycle().take(BURST_FRAMES).map(frame).collect::<io::Result<_>>();
    frames.map(Burst::new).map_err(BenchError::system("cannot build the frames"))
}

/// The MAC of the next hop, which the kernel finds out when it sends a datagram on the same way.
fn resolve(next_hop: Ipv4Addr) -> Result<[u8; 6], BenchError> {
    let failed = || BenchError::system(format!("cannot send to {SINK}"));
    let prod = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed())?;
    prod.set_read_timeout(Some(LOST_TIME)).map_err(failed())?;
    let deadline = now() + FIRST_TIME_MAX;
    while now() < deadline {
        let _ = prod.send_to(&PAYLOAD, (SINK, DISCARD_PORT));
        let neighbours =
            fs::read_to_string("/proc/net/arp").map_err(BenchError::system("cannot see the neighbours"))?;
        if let Some(mac) = neighbour(&neighbours, next_hop) {
            return Ok(mac);
        }
        // Nothing answers from the sink: this waits.
        let _ = prod.recv(&mut [0]);
    }
    Err(BenchError::Silent(format!("{next_hop}, ARP"), FIRST_TIME_MAX))
}

/// Finds a known neighbour in `/proc/net/arp`: address, type, flags, MAC, mask, device. A flag of 2 says that the MAC
/// is known.
fn neighbour(table: &str, address: Ipv4Addr) -> Option<[u8; 6]> {
    let line = table.lines().find(|line| line.split_ascii_whitespace().next() == Some(&address.to_string()))?;
    let mut words = line.split_ascii_whitespace().skip(2);
    let flags = u8::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    let bytes: Vec<u8> = words.next()?.split(':').map_while(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    if flags & 2 == 0 { None } else { bytes.try_into().ok() }
}

/// The number of frames that an interface has received.
struct Counter {
    file: File,
    interface: String,
    text: Vec<u8>,
}

impl Counter {
    /// Takes the counters from the standard input.
    fn new(interface: &str) -> Result<Self, BenchError> {
        let file = stdin().as_fd().try_clone_to_owned().map_err(BenchError::system("cannot keep the counters"))?;
        Ok(Self { file: file.into(), interface: format!("{interface}:"), text: vec![0; 16384] })
    }

    fn read(&mut self) -> Result<u64, BenchError> {
        let failed = BenchError::system("cannot read the counters from the standard input");
        let len = self.file.read_at(&mut self.text, 0).map_err(failed)?;
        let table = self.text.get(..len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default();
        received(table, &self.interface)
            .ok_or_else(|| BenchError::Missing(format!("the counters have no interface {}", self.interface)))
    }
}

/// Finds the frames received in `/proc/net/dev`: after the name there are bytes and frames.
fn received(table: &str, name: &str) -> Option<u64> {
    let counters = table.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
    counters.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_is_the_one_of_the_interface() {
        let table =
            "Inter-|   Receive\n face |bytes    packets errs\n    lo: 9 1 0\n  eth01: 8 2 0\n  eth0: 7000 3 0 0\n";
        assert_eq!(received(table, "eth0:"), Some(3));
        assert_eq!(received(table, "eth1:"), None);
    }

    #[test]
    fn neighbour_counts_when_its_mac_is_known() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.1.0.1         0x1         0x2         02:00:00:00:01:0a     *        eth0\n\
                     10.1.0.2         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 1, 0, 1)), Some([2, 0, 0, 0, 1, 10]));
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 1, 0, 2)), None);
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 1, 0, 3)), None);
    }
}
