//! A plugin that fails when its configuration tells it to. The host must survive it; no configuration for real use names
//! it.
//!
//! ```toml
//! when = "packet"   # or "configure", "start", "end", "never"
//! payload = "boom"  # panics on packets whose payload begins so; empty: on every packet
//! ```

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

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Faulty {
    when: When,
    payload: String,
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
            fail("packet")
        }
        Verdict::pass()
    }

    fn stream_ended(&self, _: Box<u64>, _: &StreamInfo<'_>, _: &End<'_>) {
        if self.when == When::End {
            fail("stream_ended")
        }
    }
}

export_plugin!(Faulty, manifest = "plugin.toml");
