//! Ten million packets through the core: time and heap allocations per packet, and whether memory grows.
//!
//! `cargo bench -p herald-core --bench core [PACKETS]`
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark")]

mod nodes;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use etherparse::PacketBuilder;
use herald_core::id::Interface;
use herald_core::limits::BATCH_PACKETS_MAX;
use herald_core::membership::InterfaceState;
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::packet::{Frame, OFFLOAD_HEADER_LEN};
use herald_core::time::Instant;
use herald_core::turn::Turn;
use nodes::{Nothing, settings};

const STREAMS: u16 = 1_000;
const GATEWAY: [u8; 6] = [0, 0, 0x5e, 0, 1, 1];
const HOST: [u8; 6] = [2, 0, 0, 0, 2, 0x99];

/// Counts the heap's calls.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the system allocator's.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The server says where it is, as an answer to what the node asks.
fn arp_reply() -> Frame {
    let mut bytes = vec![2, 0, 0, 0, 2, 1];
    bytes.extend_from_slice(&HOST);
    bytes.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    bytes.extend_from_slice(&HOST);
    bytes.extend_from_slice(&[10, 2, 0, 100, 2, 0, 0, 0, 2, 1, 10, 2, 0, 11]);
    Frame::from_bytes(&bytes)
}

fn datagram(port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 1, 0x99], GATEWAY)
        .ipv4([10, 1, 0, 100], [10, 2, 0, 100], 64)
        .udp(port, 7)
        .write(&mut bytes, &[0x55; 18])
        .unwrap();
    bytes
}

fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

/// The node under test, its frames, and a clock.
struct Bench {
    started: std::time::Instant,
    node: Node<()>,
    out: Outbox,
    templates: Vec<Vec<u8>>,
    pool: Vec<Frame>,
}

impl Bench {
    fn new() -> Self {
        let node = Node::new(Instant::from_nanos(0), settings(&["a"], 1, ["a"; 2])).unwrap();
        let mut bench = Self {
            started: std::time::Instant::now(),
            node,
            out: Outbox::default(),
            templates: (1..=STREAMS).map(datagram).collect(),
            pool: (0..BATCH_PACKETS_MAX * 4).map(|_| Frame::with_full_buffer()).collect(),
        };
        for interface in Interface::BOTH {
            bench.node.interface_changed(
                &mut Turn::new(bench.now(), &mut Nothing, &mut bench.out),
                interface,
                InterfaceState::Up,
            );
        }
        while !Interface::BOTH.iter().all(|&interface| bench.node.membership().holds(interface)) {
            let now = bench.now();
            bench.node.deadline_reached(&mut Turn::new(now, &mut Nothing, &mut bench.out));
        }
        bench.send(BATCH_PACKETS_MAX as u64);
        let now = bench.now();
        bench.node.frame_arrived(&mut Turn::new(now, &mut Nothing, &mut bench.out), Interface::Second, arp_reply());
        bench
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(1_000_000_000 + u64::try_from(self.started.elapsed().as_nanos()).unwrap())
    }

    /// Sends packets of all streams in turn through the node, in full batches.
    fn send(&mut self, packets: u64) {
        for batch in 0..packets / BATCH_PACKETS_MAX as u64 {
            let now = self.now();
            for place in 0..BATCH_PACKETS_MAX as u64 {
                let number = (batch * BATCH_PACKETS_MAX as u64 + place) % u64::from(STREAMS);
                let template = &self.templates[usize::try_from(number).unwrap()];
                let mut frame = self.pool.pop().unwrap_or_else(Frame::with_full_buffer);
                frame.buffer_mut()[..OFFLOAD_HEADER_LEN].fill(0);
                frame.buffer_mut()[OFFLOAD_HEADER_LEN..][..template.len()].copy_from_slice(template);
                frame.filled(OFFLOAD_HEADER_LEN + template.len());
                self.node.frame_arrived(&mut Turn::new(now, &mut Nothing, &mut self.out), Interface::First, frame);
            }
            self.node.batch_ended(&mut Turn::new(now, &mut Nothing, &mut self.out));
            if self.node.next_deadline().is_some_and(|at| at <= now) {
                self.node.deadline_reached(&mut Turn::new(now, &mut Nothing, &mut self.out));
            }
            self.out.events.clear();
            self.out.send.clear();
            let ended = self.out.transmit.drain(..).map(|(_, frame, _)| frame).chain(self.out.spent.drain(..));
            self.pool.extend(ended.filter(Frame::has_full_buffer));
        }
    }
}

fn main() {
    let packets: u64 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(10_000_000);
    let mut bench = Bench::new();
    bench.send(packets / 100);
    let (memory, heap, forwarded) = (resident_kib(), ALLOCATIONS.load(Ordering::Relaxed), bench.out.ledger.forwarded);
    let clock = bench.started.elapsed();
    bench.send(packets);
    let nanos = (bench.started.elapsed() - clock).as_nanos();
    let forwarded = bench.out.ledger.forwarded - forwarded;
    let heap = ALLOCATIONS.load(Ordering::Relaxed) - heap;
    let grown = resident_kib().saturating_sub(memory);
    println!("packets forwarded        {forwarded}");
    println!("nanoseconds per packet   {}", nanos / u128::from(forwarded.max(1)));
    println!("heap allocations         {heap}");
    println!("growth of memory         {grown} KiB");
    let sent = packets / BATCH_PACKETS_MAX as u64 * BATCH_PACKETS_MAX as u64;
    assert_eq!(forwarded, sent, "every packet is forwarded");
    assert!(grown < 1024, "memory grew by {grown} KiB in {packets} packets");
}
