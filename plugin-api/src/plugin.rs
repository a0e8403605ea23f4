//! The trait that makes a type a plugin.

use crate::abi::{HeraldCluster, HeraldCounterSink, HeraldText};
use crate::prepared::Prepared;
use crate::{ConfigError, End, Packet, StreamBytes, StreamInfo, Verdict};

/// An inspection plugin. One instance serves all streams of its node.
///
/// All hooks but `configure`, `counters`, `command` and `prepare` run on the event loop: they must not block, and should not
/// allocate. Those four run on another thread, perhaps while a hook runs; so what `&self` changes are atomics or locks held for an
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

    /// Judges bytes of a TCP stream, in order, before the segment that carries the last of them leaves. Reserved in the router: not
    /// yet built, and called by the testkit alone. It will be called if `plugin.toml` says `hooks = ["stream_bytes"]`; streams that no plugin's filter takes so are not put in order. A drop or a reject covers the
    /// whole stream. `pass` with a wider scope: no more bytes for me, of this direction or of the stream; that word of `packet`
    /// or `stream_started` is about packets alone. `bypass`: call me no more about this stream. `accept`: plugins behind me do
    /// not see these bytes. The default asks for no more of the stream.
    fn stream_bytes(&self, state: &mut Self::Stream, bytes: &StreamBytes<'_>) -> Verdict {
        let (_, _) = (state, bytes);
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

    /// The time of a stream's timer has come. The verdict counts for the stream from here on.
    /// Reserved: not yet built, and never called.
    fn timer(&self, state: &mut Self::Stream, stream: &StreamInfo<'_>, token: u64) -> Verdict {
        let (_, _, _) = (state, stream, token);
        Verdict::pass()
    }

    /// The time of a timer of the instance has come. Reserved: not yet built, and never called.
    fn instance_timer(&self, token: u64) {
        let _ = token;
    }

    /// Appends a stream's state to `bytes`, for [`stream_imported`](Self::stream_imported) of this build or another one.
    /// The default is for plugins that may begin such a stream anew. Reserved: not yet built, and never called.
    fn stream_exported(&self, state: &Self::Stream, stream: &StreamInfo<'_>, bytes: &mut Vec<u8>) {
        let (_, _, _) = (state, stream, bytes);
    }

    /// The state of a stream out of what was exported with this version (`state_version` of `plugin.toml`); `None` if it
    /// does not understand that. Reserved: not yet built, and never called.
    fn stream_imported(&self, stream: &StreamInfo<'_>, bytes: &[u8], version: u32) -> Option<Self::Stream> {
        let (_, _) = (stream, version);
        bytes.is_empty().then(Self::Stream::default)
    }

    /// Obeys `herald plugin command NAME WORDS...`, on another thread; what it returns is shown.
    /// Reserved: not yet built, and never called.
    ///
    /// # Errors
    /// What is wrong with the words, and which are known.
    fn command(&self, words: &str) -> Result<String, String> {
        let _ = words;
        Err("this plugin takes no commands".to_owned())
    }

    /// Prepares something large on another thread, such as a list out of a file: when the node starts, without words, and
    /// behind the word `reload` of a command. Between two batches [`adopt`](Self::adopt) gets it.
    /// Reserved: not yet built, and never called.
    ///
    /// # Errors
    /// Why it cannot; what is in use stays in use.
    fn prepare(&self, words: &str) -> Result<Option<Prepared>, ConfigError> {
        let _ = words;
        Ok(None)
    }

    /// Takes what was prepared in use, and returns what was in use before; that is freed on another thread.
    /// Reserved: not yet built, and never called.
    fn adopt(&self, prepared: Prepared) -> Option<Prepared> {
        Some(prepared)
    }

    /// The members that take streams have changed; called once before the first stream, too. Reserved: not yet
    /// built, and never called.
    fn cluster_changed(&self, cluster: &Cluster) {
        let _ = cluster;
    }
}

/// The members that take streams. Reserved: not yet built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Members that are given new streams now.
    pub members: u32,
    /// This node's share of new streams, in thousandths.
    pub share: u32,
    /// Counts the changes.
    pub version: u32,
}

impl Cluster {
    pub(crate) fn from_abi(raw: &HeraldCluster) -> Self {
        Self { members: raw.members, share: raw.share, version: raw.version }
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
