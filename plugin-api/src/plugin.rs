//! The trait that makes a type a plugin.

use crate::abi::{HeraldCounterSink, HeraldText};
use crate::{ConfigError, End, Packet, StreamInfo, Verdict};

/// An inspection plugin. One instance serves all streams of its node.
///
/// All hooks but `configure` and `counters` run on the event loop: they must not block, and should not allocate.
/// `counters` runs on another thread, perhaps while a hook runs; so what `&self` changes are atomics or locks held for an
/// instant. What belongs to a stream is kept in its [`Plugin::Stream`], which needs neither.
///
/// A panic is caught: the packet meets the plugin's fault policy, this plugin sees no more of that stream, and the other
/// streams and plugins go on.
pub trait Plugin: Default + Send + Sync + 'static {
    /// What the plugin remembers of each stream. It is kept inside the router's own record of the stream, at most 4 KiB
    /// with an alignment of at most 64 bytes.
    type Stream: Default + 'static;

    /// Takes the configuration, a text in TOML; called once, before all others.
    ///
    /// # Errors
    /// Which key is wrong, what was found and what is allowed. The default refuses every configuration.
    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        if config.trim().is_empty() { Ok(()) } else { Err(ConfigError::new("this plugin takes no configuration")) }
    }

    /// A stream started; `state` is new. `Verdict::pass()` means: ask me about its packets; `.for_stream()` added to it:
    /// do not. A verdict that ends packets covers the whole stream.
    fn stream_started(&self, state: &mut Self::Stream, stream: &StreamInfo<'_>) -> Verdict {
        let (_, _) = (state, stream);
        Verdict::pass()
    }

    /// Judges one packet. The default asks to see no more of the stream.
    fn packet(&self, state: &mut Self::Stream, packet: &Packet<'_>) -> Verdict {
        let (_, _) = (state, packet);
        Verdict::pass().for_stream()
    }

    /// A stream ended.
    fn stream_ended(&self, state: Self::Stream, stream: &StreamInfo<'_>, end: &End<'_>) {
        let (_, _, _) = (state, stream, end);
    }

    /// Reports the plugin's own counters.
    fn counters(&self, counters: &mut Counters<'_>) {
        let _ = counters;
    }
}

/// Where a plugin reports its counters.
#[derive(Debug)]
pub struct Counters<'a>(&'a HeraldCounterSink);

impl<'a> Counters<'a> {
    /// # Safety
    /// The sink's function may be called with its context for `'a`.
    pub(crate) unsafe fn new(sink: &'a HeraldCounterSink) -> Self {
        Self(sink)
    }

    /// Reports one counter by its name.
    pub fn report(&mut self, name: &str, value: u64) {
        if let Some(report) = self.0.report {
            // SAFETY: promised to `new`; the host copies the name.
            unsafe { report(self.0.context, HeraldText::new(name), value) }
        }
    }
}
