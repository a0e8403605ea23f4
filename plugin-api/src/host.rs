//! The host's table, as the SDK calls it.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use crate::abi::{
    self, HERALD_ABI_MAJOR, HERALD_ABI_MINOR, HERALD_INSTANCE, HeraldBytes, HeraldExpected, HeraldHost, HeraldSum,
    HeraldText, HeraldTextRoom,
};
use crate::note::size_u32;
use crate::{Action, Direction, Expected};

/// Unset in unit tests, where messages go nowhere and effects are refused.
static HOST: OnceLock<&'static HeraldHost> = OnceLock::new();

/// The host's table, if it has one that this SDK understands. False if it has none.
///
/// # Safety
/// The host's functions may be called as the contract says; the table lives as long as the process.
pub(crate) unsafe fn connect(host: &'static HeraldHost) -> bool {
    let speaks = host.abi_major > HERALD_ABI_MAJOR || host.abi_minor >= HERALD_ABI_MINOR;
    if !speaks || host.size < size_u32::<HeraldHost>() {
        return false;
    }
    HOST.get_or_init(|| host);
    true
}

pub(crate) fn table() -> Option<&'static HeraldHost> {
    HOST.get().copied()
}

/// Why the host did not do what a plugin wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// No hook of a stream runs on this thread in which this may be said; there is no host in unit tests. Of what is reserved:
    /// it is not yet built.
    NoCall,
    /// The contract does not allow it: bytes outside the packet, a packet of another stream.
    Wrong,
    /// A bound is reached; the same may succeed later.
    Full,
    /// The packet has no room for that, or may not change its length: TCP, super-frames, 64 KiB.
    NoRoom,
    /// The packet's checksum is wrong, or it is a fragment.
    Unsound,
    /// There is nothing of that name.
    Nothing,
}

impl Refused {
    /// What it means, in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCall => "no hook runs in which this may be said",
            Self::Wrong => "the contract does not allow that",
            Self::Full => "a bound is reached",
            Self::NoRoom => "the packet has no room or may not change its length",
            Self::Unsound => "the packet's checksum is wrong, or it is a fragment",
            Self::Nothing => "there is nothing of that name",
        }
    }

    fn from_abi(status: i32) -> Result<(), Self> {
        match status {
            abi::HERALD_OK => Ok(()),
            abi::HERALD_NO_CALL => Err(Self::NoCall),
            abi::HERALD_FULL => Err(Self::Full),
            abi::HERALD_NO_ROOM => Err(Self::NoRoom),
            abi::HERALD_UNSOUND => Err(Self::Unsound),
            abi::HERALD_NOTHING => Err(Self::Nothing),
            _ => Err(Self::Wrong),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refused {}

/// Calls a function of the table; without a host nothing can be done.
macro_rules! call {
    ($function:ident($($argument:expr),*)) => {
        match table().and_then(|host| host.$function) {
            // SAFETY: promised to `connect`; the arguments live for the call, and the host copies what it keeps.
            Some(function) => Refused::from_abi(unsafe { function($($argument),*) }),
            None => Err(Refused::NoCall),
        }
    };
}

pub(crate) fn replace(at: u32, from: usize, old_len: usize, bytes: &[u8]) -> Result<(), Refused> {
    let (from, old_len) = (u32::try_from(from), u32::try_from(old_len));
    let (Ok(from), Ok(old_len)) = (from, old_len) else { return Err(Refused::Wrong) };
    call!(replace(at, from, old_len, HeraldBytes::new(bytes)))
}

pub(crate) fn inject(at: u32, direction: Direction, packet: &[u8]) -> Result<(), Refused> {
    call!(inject(at, direction.to_abi(), HeraldBytes::new(packet)))
}

pub(crate) fn set_mark(at: u32, mark: u32) -> Result<(), Refused> {
    call!(mark(at, mark))
}

pub(crate) fn note(at: u32, name: &str, value: &str) -> Result<(), Refused> {
    call!(note(at, HeraldText::new(name), HeraldText::new(value)))
}

pub(crate) fn noted<'a>(at: u32, name: &str, room: &'a mut [u8]) -> Option<&'a str> {
    let mut text = HeraldTextRoom { bytes: room.as_mut_ptr(), capacity: room.len(), len: 0 };
    call!(noted(at, HeraldText::new(name), &raw mut text)).ok()?;
    std::str::from_utf8(room.get(..text.len)?).ok()
}

pub(crate) fn timer(at: u32, after: Duration, token: u64) -> Result<(), Refused> {
    call!(timer(at, nanos(after), token))
}

pub(crate) fn expect(at: u32, expected: &Expected) -> Result<(), Refused> {
    let raw: HeraldExpected = expected.to_abi();
    call!(expect(at, &raw const raw))
}

pub(crate) fn hold(at: u32, time: Duration, action: Action) -> Result<(), Refused> {
    call!(hold(at, nanos(time), action.to_abi()))
}

/// All packets of a stream that this plugin holds meet an action: pass, drop or reject. For every hook of the event loop.
/// Reserved: not yet built, and always [`Refused::NoCall`].
///
/// # Errors
/// It holds none, or no hook runs on this thread.
pub fn resolve(stream: u64, action: Action) -> Result<(), Refused> {
    call!(resolve(stream, action.to_abi()))
}

/// Calls [`Plugin::instance_timer`](crate::Plugin::instance_timer) once, after this time. For every hook of the event loop.
/// Reserved: not yet built, and always [`Refused::NoCall`].
///
/// # Errors
/// Too many timers wait, or no hook runs on this thread.
pub fn instance_timer(after: Duration, token: u64) -> Result<(), Refused> {
    timer(HERALD_INSTANCE, after, token)
}

/// What a counter of the whole cluster has under one key. Reserved: not yet built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// What this node has counted.
    pub own: u64,
    /// What all nodes have counted, this one's part being of this moment.
    pub all: u64,
    /// Nodes whose part is in it.
    pub nodes: u32,
    /// Age of the oldest part.
    pub age: Duration,
}

/// Adds to a counter of the whole cluster that `plugin.toml` declares, under a key of at most 32 bytes. For every hook of
/// the event loop. Reserved: not yet built, and always [`Refused::NoCall`].
///
/// # Errors
/// There is no such counter, or it has no place for the key.
pub fn count(counter: &str, key: &[u8], more: u64) -> Result<Sum, Refused> {
    let mut sum = HeraldSum { size: size_u32::<HeraldSum>(), ..HeraldSum::default() };
    call!(count(HeraldText::new(counter), HeraldBytes::new(key), more, &raw mut sum))?;
    Ok(Sum { own: sum.own, all: sum.sum, nodes: sum.nodes, age: Duration::from_nanos(sum.age) })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
