//! A stream, its end, and what a plugin expects beside it.

use std::ffi::c_void;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Interface, stream_effects};
use crate::Action;
use crate::abi::{self, HeraldEnd, HeraldExpected, HeraldStream, HeraldText};
use crate::note::size_u32;

/// A stream as it is known at its start and at its end.
#[derive(Clone, Copy, Debug)]
pub struct StreamInfo<'a>(&'a HeraldStream);

impl<'a> StreamInfo<'a> {
    /// # Safety
    /// `raw.chosen` is text that stays unchanged for `'a`.
    pub(crate) unsafe fn new(raw: &'a HeraldStream) -> Self {
        Self(raw)
    }

    /// Hooks that are about one stream know it as the first.
    fn at(&self) -> u32 {
        0
    }

    stream_effects!();

    /// The stream's mark.
    #[must_use]
    pub fn mark(&self) -> u32 {
        self.0.mark
    }

    /// Number of the stream in which a plugin has expected this one.
    #[must_use]
    pub fn related(&self) -> Option<u64> {
        (self.0.related != 0).then_some(self.0.related)
    }

    /// Now, as time since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn unix_now(&self) -> Duration {
        Duration::from_nanos(self.0.unix_now)
    }

    /// Number of the stream on this node, never reused in one run of the node.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// IP protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.0.protocol
    }

    /// The opener's address and port. Port 0 for protocols without ports; both ports are an ICMP echo's identifier.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(address(self.0.source), self.0.source_port)
    }

    /// The address and port that the opener spoke to.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(address(self.0.destination), self.0.destination_port)
    }

    /// The interface at which the stream opened.
    #[must_use]
    pub fn interface(&self) -> Interface {
        Interface::from_abi(self.0.interface)
    }

    /// The stream was taken up in its middle: its first packets were not seen, and the opener is a guess.
    #[must_use]
    pub fn midstream(&self) -> bool {
        self.0.midstream != 0
    }

    /// Id of the chosen node, which is this node.
    #[must_use]
    pub fn chosen(&self) -> &'a str {
        // SAFETY: promised to `new`.
        unsafe { text(self.0.chosen) }
    }

    /// Now, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now)
    }
}

/// A stream that a plugin expects because of what it has read in another. It is expected on this node alone.
/// Reserved: not yet built.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// IP protocol number.
    pub protocol: u8,
    /// The opener's address; `None`: any.
    pub source: Option<IpAddr>,
    /// Where it goes.
    pub destination: SocketAddr,
    /// The mark that it starts with.
    pub mark: u32,
    /// What becomes of it: with [`Action::Pass`] the plugins judge it, with [`Action::Accept`] they see none of it,
    /// [`Action::Drop`] and [`Action::Reject`] end it.
    pub action: Action,
    /// How long it is expected.
    pub time: Duration,
}

impl Expected {
    pub(crate) fn to_abi(self) -> HeraldExpected {
        HeraldExpected {
            size: size_u32::<HeraldExpected>(),
            mark: self.mark,
            time: u64::try_from(self.time.as_nanos()).unwrap_or(u64::MAX),
            source: self.source.map_or([0; 16], mapped),
            destination: mapped(self.destination.ip()),
            destination_port: self.destination.port(),
            protocol: self.protocol,
            action: self.action.to_abi(),
            reserved: 0,
        }
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// # Safety
/// The text is readable for `'a`.
unsafe fn text<'a>(text: HeraldText) -> &'a str {
    if text.len == 0 {
        return "";
    }
    // SAFETY: promised by the caller.
    std::str::from_utf8(unsafe { std::slice::from_raw_parts(text.bytes, text.len) }).unwrap_or_default()
}

fn address(mapped: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(mapped).to_canonical()
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Both FINs were acknowledged.
    Finished,
    /// A TCP reset.
    Reset,
    /// Nothing came for the state's time.
    TimedOut,
    /// A plugin dropped or rejected the stream.
    Verdict,
    /// Another node won the stream.
    Refused,
    /// A new connection took its key.
    Replaced,
    /// The node stops.
    Shutdown,
    /// Another node has taken it over from this one.
    HandedOver,
    /// It made room for others in a full table.
    Evicted,
    /// A reason that this version of the SDK does not know.
    Unknown,
}

impl EndReason {
    /// The name in logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::TimedOut => "timed-out",
            Self::Verdict => "verdict",
            Self::Refused => "refused",
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
            Self::HandedOver => "handed-over",
            Self::Evicted => "evicted",
            Self::Unknown => "unknown",
        }
    }
}

/// A stream's end: its totals and the reason.
#[derive(Clone, Copy, Debug)]
pub struct End<'a>(&'a HeraldEnd);

impl<'a> End<'a> {
    /// # Safety
    /// Texts and notes of `raw` stay readable for `'a`.
    pub(crate) unsafe fn new(raw: &'a HeraldEnd) -> Self {
        Self(raw)
    }

    /// The plugin that has ended the stream, and its reason.
    #[must_use]
    pub fn by(&self) -> Option<(&'a str, &'a str)> {
        // SAFETY: promised to `new`.
        let (by, why) = unsafe { (text(self.0.by), text(self.0.why)) };
        (!by.is_empty()).then_some((by, why))
    }

    /// Shows each note of the stream, in the order in which their names came.
    pub fn each_note(&self, mut show: impl FnMut(&str, &str)) {
        /// [loop]
        unsafe extern "C" fn one<F: FnMut(&str, &str)>(context: *mut c_void, name: HeraldText, value: HeraldText) {
            // SAFETY: the context is the function below, and nobody else has it; the host gives texts for this call.
            let (show, name, value) = unsafe { (&mut *context.cast::<F>(), text(name), text(value)) };
            // Nothing may unwind through the host.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| show(name, value)));
        }
        fn of<F: FnMut(&str, &str)>(_: &F) -> unsafe extern "C" fn(*mut c_void, HeraldText, HeraldText) {
            one::<F>
        }
        if let Some(each) = self.0.each_note {
            let note = of(&show);
            // SAFETY: the contract lets it be called inside `stream_ended`, which is where an `End` is.
            unsafe { each(self.0.notes, (&raw mut show).cast(), Some(note)) }
        }
    }

    /// Why the stream ended.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        match self.0.reason {
            abi::HERALD_END_FINISHED => EndReason::Finished,
            abi::HERALD_END_RESET => EndReason::Reset,
            abi::HERALD_END_TIMED_OUT => EndReason::TimedOut,
            abi::HERALD_END_VERDICT => EndReason::Verdict,
            abi::HERALD_END_REFUSED => EndReason::Refused,
            abi::HERALD_END_REPLACED => EndReason::Replaced,
            abi::HERALD_END_SHUTDOWN => EndReason::Shutdown,
            abi::HERALD_END_HANDED_OVER => EndReason::HandedOver,
            abi::HERALD_END_EVICTED => EndReason::Evicted,
            _ => EndReason::Unknown,
        }
    }

    /// Packets on the wire from the opener.
    #[must_use]
    pub fn packets_from_opener(&self) -> u64 {
        self.0.packets_from_opener
    }

    /// Ethernet bytes from the opener.
    #[must_use]
    pub fn bytes_from_opener(&self) -> u64 {
        self.0.bytes_from_opener
    }

    /// Packets on the wire to the opener.
    #[must_use]
    pub fn packets_to_opener(&self) -> u64 {
        self.0.packets_to_opener
    }

    /// Ethernet bytes to the opener.
    #[must_use]
    pub fn bytes_to_opener(&self) -> u64 {
        self.0.bytes_to_opener
    }

    /// When the stream started, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn started(&self) -> Duration {
        Duration::from_nanos(self.0.started)
    }

    /// When the stream's last packet came, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn last_packet(&self) -> Duration {
        Duration::from_nanos(self.0.last_packet)
    }
}
