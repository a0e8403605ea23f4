//! A plugin that fails when its configuration tells it to. The host must survive it; no configuration for real use names
//! it.
//!
//! ```toml
//! when = "packet"   # or "configure", "start", "end", "never"
//! payload = "boom"  # panics on packets whose payload begins so; empty: on every packet
//! fault = "panic"   # what it does instead of a panic at such a packet: see `Fault`
//! ```

use std::hash::{BuildHasher, Hasher, RandomState};

use herald_plugin::prelude::*;
use serde::Deserialize;

/// Where it fails.
#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum When {
    #[default]
    Never,
    Configure,
    Start,
    Packet,
    End,
}

/// What it does wrong at a packet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    #[default]
    Panic,
    /// Reads a byte behind the packet.
    ReadBehind,
    /// Reads a byte before the packet.
    ReadBefore,
    /// Changes a byte of the packet without saying so.
    WritePacket,
    /// Writes a byte behind its state of the stream.
    WriteBehindState,
    /// Keeps some memory of every packet.
    Leak,
    /// Says now this and now that.
    Waver,
    /// Does not come back.
    Hang,
    /// Ends the process.
    Exit,
    /// Ends it by an abort.
    Abort,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Faulty {
    when: When,
    payload: String,
    fault: Fault,
}

#[expect(clippy::panic, reason = "that is what this plugin is for")]
fn fail(place: &str) -> ! {
    panic!("told to fail in {place}")
}

impl Plugin for Faulty {
    /// Has a destructor, so that a state that is lost or unmade twice shows.
    type Stream = Box<u64>;

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        *self = toml::from_str(config).map_err(|error| ConfigError::new(error.message()))?;
        if self.when == When::Configure { fail("configure") } else { Ok(()) }
    }

    fn stream_started(&self, _: &mut Box<u64>, _: &StreamInfo<'_>) -> Verdict {
        if self.when == When::Start { fail("stream_started") } else { Verdict::pass() }
    }

    fn packet(&self, seen: &mut Box<u64>, packet: &Packet<'_>) -> Verdict {
        **seen += 1;
        if self.when == When::Packet && packet.payload().starts_with(self.payload.as_bytes()) {
            return self.misbehave(seen, packet);
        }
        Verdict::pass()
    }

    fn stream_ended(&self, _: Box<u64>, _: &StreamInfo<'_>, _: &End<'_>) {
        if self.when == When::End {
            fail("stream_ended")
        }
    }
}

impl Faulty {
    fn misbehave(&self, state: &mut Box<u64>, packet: &Packet<'_>) -> Verdict {
        let frame = packet.frame();
        let beside = match self.fault {
            Fault::ReadBehind => frame.as_ptr().wrapping_add(frame.len()),
            Fault::ReadBefore => frame.as_ptr().wrapping_sub(1),
            Fault::WritePacket => frame.as_ptr().wrapping_add(frame.len() - 1),
            Fault::WriteBehindState => std::ptr::from_mut(state).wrapping_add(1).cast(),
            Fault::Panic => fail("packet"),
            Fault::Leak => {
                std::mem::forget(vec![1_u8; 64]);
                return Verdict::pass();
            }
            Fault::Waver if RandomState::new().build_hasher().finish().is_multiple_of(3) => {
                return Verdict::drop("wavers");
            }
            Fault::Waver => return Verdict::pass(),
            Fault::Hang => loop {
                std::hint::spin_loop();
            },
            Fault::Exit => std::process::exit(7),
            Fault::Abort => std::process::abort(),
        };
        // SAFETY: none. It is what this plugin is for.
        unsafe {
            let byte = std::hint::black_box(beside.read_volatile());
            if matches!(self.fault, Fault::WritePacket | Fault::WriteBehindState) {
                beside.cast_mut().write_volatile(!byte);
            }
        }
        Verdict::pass()
    }
}

export_plugin!(Faulty, manifest = "plugin.toml");
