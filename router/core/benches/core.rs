//! Ten million packets through the core: time and heap allocations per packet, and whether memory grows.
//!
//! `cargo bench -p herald-core --bench core [PACKETS]`
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use herald_core::id::Interface;
use herald_core::limits::BATCH_PACKETS_MAX;
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::packet::{Frame, OFFLOAD_HEADER_LEN};
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_testing::frames;
use herald_testing::layout;
use herald_testing::streams::Nothing;

const STREAMS: u16 = 1_000;

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
        let settings = layout::steady_settings(0, 1, ["a"; 2]);
        let started = std::time::Instant::now();
        let mut out = Outbox::default();
        let node = layout::linked(settings, &mut Turn::new(Instant::from_nanos(1_000_000_000), &mut Nothing, &mut out));
        let datagram = |port| frames::udp(layout::from_host(Interface::First), (port, 7), &[0x55; 18]);
        let templates = (1..=STREAMS).map(datagram).collect();
        let pool = (0..BATCH_PACKETS_MAX * 4).map(|_| Frame::with_full_buffer()).collect();
        let mut bench = Self { started, node, out, templates, pool };
        while !Interface::BOTH.iter().all(|&interface| bench.node.membership().holds(interface)) {
            let now = bench.now();
            bench.node.deadline_reached(&mut Turn::new(now, &mut Nothing, &mut bench.out));
        }
        bench.send(BATCH_PACKETS_MAX as u64);
        let now = bench.now();
        let reply = Frame::from_bytes(&layout::arp_reply(Interface::Second, 0));
        bench.node.frame_arrived(&mut Turn::new(now, &mut Nothing, &mut bench.out), Interface::Second, reply);
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
    assert!(heap < packets / 1000, "{heap} heap allocations in {packets} packets: some are made for a packet");
    assert!(grown < 1024, "memory grew by {grown} KiB in {packets} packets");
}
