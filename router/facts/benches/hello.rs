//! What a hello costs, whole and in small pieces, and what a parser at its end costs: time and heap allocations.
//!
//! `cargo bench -p herald-facts --bench hello [TIMES]`
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use herald_facts::{Direction, Stream};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

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
static HEAP: Counting = Counting;

/// The hello of a client of rustls.
fn hello() -> Vec<u8> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), "www.example.test".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

fn measure(what: &str, times: u32, mut run: impl FnMut()) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let started = std::time::Instant::now();
    for _ in 0..times {
        run();
    }
    let spent = started.elapsed().as_nanos() / u128::from(times);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    println!("{what:<40} {spent:>8} ns {:>8.2} allocations", allocations as f64 / f64::from(times));
}

fn main() {
    let times = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let hello = hello();
    measure(&format!("a hello of {} bytes", hello.len()), times, || {
        let mut stream = Stream::new();
        black_box(stream.feed(Direction::FromOpener, black_box(&hello)));
    });
    measure("the same in pieces of 7 bytes", times, || {
        let mut stream = Stream::new();
        for piece in hello.chunks(7) {
            black_box(stream.feed(Direction::FromOpener, black_box(piece)));
        }
    });
    let request = b"GET /index.html HTTP/1.1\r\nHost: www.example.test\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n";
    measure("a request", times, || {
        let mut stream = Stream::new();
        black_box(stream.feed(Direction::FromOpener, black_box(request)));
    });
    let mut done = Stream::new();
    done.feed(Direction::FromOpener, &hello);
    done.feed(Direction::FromOpener, &[23, 3, 3, 0, 1]);
    let data = [0; 1_400];
    measure("1,400 bytes after the end", times, || {
        black_box(done.feed(Direction::FromOpener, black_box(&data)));
    });
}
