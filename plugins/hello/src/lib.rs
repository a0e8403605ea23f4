//! The smallest useful plugin, and a tutorial: it counts the packets of each stream, says so in the log when the stream
//! ends, and never changes what happens to a packet.
//!
//! A plugin is four things:
//!
//! 1. a crate of type `cdylib` that depends on `herald-plugin` (see `Cargo.toml`),
//! 2. a manifest, `plugin.toml`, with its id, version and licence,
//! 3. a type with the trait [`Plugin`],
//! 4. one line that exports the type: [`export_plugin!`].
//!
//! Build it with `cargo build -p herald-hello`; the router finds `libherald_hello.so` beside its executable when the
//! configuration has `[[plugins]] name = "hello"`. Then `herald plugins --json` shows the two counters below.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use herald_plugin::prelude::*;

/// The plugin itself: one value serves all streams of its node. What it counts over all streams must be readable while
/// packets pass, so these are atomics.
#[derive(Default)]
struct Hello {
    streams: AtomicU64,
    packets: AtomicU64,
}

/// What the plugin remembers of one stream. The router keeps a value of this type inside its own record of the stream:
/// made with `Default` when the stream starts, handed back when it ends. No lock and no look-up are needed.
#[derive(Default)]
struct Counts {
    from_opener: u64,
    to_opener: u64,
}

impl Plugin for Hello {
    type Stream = Counts;

    /// Called when a stream starts, before its first packet. The verdict says what the plugin thinks of the whole
    /// stream already: `pass` means "no opinion, show me its packets". A plugin that has seen enough here says
    /// `Verdict::pass().for_stream()`, and its packets cost nothing.
    fn stream_started(&self, _: &mut Counts, stream: &StreamInfo<'_>) -> Verdict {
        self.streams.fetch_add(1, Relaxed);
        debug!("stream {} from {} to {} starts", stream.id(), stream.source(), stream.destination());
        Verdict::pass()
    }

    /// Called for each packet, in both directions. Other verdicts are `accept`, `bypass`, `drop("reason")` and
    /// `reject("reason")`, each for this packet, `.for_flow()` or `.for_stream()`.
    fn packet(&self, counts: &mut Counts, packet: &Packet<'_>) -> Verdict {
        // The kernel may hand over many packets as one large frame: `wire_packets` says how many.
        let packets = u64::from(packet.wire_packets());
        match packet.direction() {
            Direction::FromOpener => counts.from_opener += packets,
            Direction::ToOpener => counts.to_opener += packets,
        }
        self.packets.fetch_add(packets, Relaxed);
        Verdict::pass()
    }

    /// Called when a stream ends. The state comes back by value.
    fn stream_ended(&self, counts: Counts, stream: &StreamInfo<'_>, end: &End<'_>) {
        info!(
            "stream from {} to {} ended ({}): {} packets from its opener, {} to it",
            stream.source(),
            stream.destination(),
            end.reason().name(),
            counts.from_opener,
            counts.to_opener
        );
    }

    /// Called when somebody asks for the plugin's counters, from another thread.
    fn counters(&self, counters: &mut Counters<'_>) {
        counters.report("streams", self.streams.load(Relaxed));
        counters.report("packets", self.packets.load(Relaxed));
    }
}

export_plugin!(Hello, manifest = "plugin.toml");
