//! The plugins of a simulated node: one type in every seat of the program's own chain. What an instance says follows from
//! the packet and its configuration, and it fails where the scenario wants it to. Each call is written down.

use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::resume_unwind;
use std::{ptr, slice};

use herald_plugin::abi::{HERALD_FAULT, HeraldBatch, HeraldPlugin};
use herald_plugin::{ConfigError, End, Packet, Plugin, StreamInfo, Verdict, thunk};

use crate::scenario::{Failing, Failure};
use crate::trace::Trace;
use herald_testing::chance::Chance;

/// Plugins of each node.
pub(crate) const SEATS: usize = 3;

/// What a plugin was asked about. With a packet or an end it is given the state that it made for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Start { stream: u64 },
    Packet { stream: u64, bytes: u64, state_of: u64 },
    End { stream: u64, state_of: u64 },
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Said(Verdict),
    Panicked,
    /// Something that the contract does not have.
    Nonsense,
}

/// One call of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The configuration that the instance was made with.
    pub(crate) configuration: u64,
    pub(crate) seat: usize,
    pub(crate) about: About,
    pub(crate) word: Word,
}

/// What the instances of the node that runs now have in common.
#[derive(Debug, Default)]
struct Stage {
    failing: Option<Failing>,
    calls: Vec<Call>,
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::default();
}

/// Runs a node's chain; returns what its plugins were asked meanwhile, in order.
pub(crate) fn on_stage<T>(failing: Option<Failing>, run: impl FnOnce() -> T) -> (T, Vec<Call>) {
    STAGE.set(Stage { failing, calls: Vec::new() });
    let result = run();
    (result, STAGE.take().calls)
}

/// The bytes of a frame as one number.
pub(crate) fn number_of(bytes: &[u8]) -> u64 {
    let mut trace = Trace::default();
    trace.note(bytes);
    trace.value()
}

/// A plugin that does as it is told.
#[derive(Debug, Default)]
pub(crate) struct Actor {
    seat: usize,
    configuration: u64,
    /// Percent of packets and streams of which it has an opinion.
    opinions: u64,
}

/// The text that configures the plugin in a seat.
pub(crate) fn configuration_text(seat: usize, configuration: u64, opinions: u64) -> String {
    format!("{seat} {configuration} {opinions}")
}

/// What it may say of any packet.
const GENTLE: [fn() -> Verdict; 6] = [
    || Verdict::pass().for_flow(),
    || Verdict::pass().for_stream(),
    Verdict::accept,
    || Verdict::accept().for_flow(),
    || Verdict::accept().for_stream(),
    Verdict::bypass,
];

/// What it may say of datagrams beside that: whoever sent one must live with its loss anyway.
const HARSH: [fn() -> Verdict; 4] = [
    || Verdict::drop("told-to"),
    || Verdict::reject("told-so"),
    || Verdict::drop("told-to").for_flow(),
    || Verdict::drop("told-to").for_stream(),
];

const TCP: u8 = 6;

impl Actor {
    /// Says what follows from `matter`, or fails, and writes it down.
    fn say(&self, about: About, matter: u64, protocol: u8) -> Verdict {
        let mut chance = Chance::new(matter ^ self.configuration, ["seat 0", "seat 1", "seat 2"][self.seat]);
        let opinion = if chance.happens(self.opinions) { Some(chance.word()) } else { None };
        let said = opinion.map_or(Verdict::pass(), |number| opinion_of(number, protocol));
        let fails = |f: &Failing| f.seat == self.seat && chance.happens(f.percent);
        let word = STAGE.with_borrow_mut(|stage| {
            let failure = stage.failing.filter(fails).map(|failing| failing.failure);
            let word = failure.and_then(|failure| failed(failure, about)).unwrap_or(Word::Said(said));
            stage.calls.push(Call { configuration: self.configuration, seat: self.seat, about, word });
            word
        });
        match word {
            Word::Said(said) => said,
            // A panic without the hook that would print it.
            Word::Panicked => resume_unwind(Box::new(())),
            Word::Nonsense => Verdict::drop(NONSENSE),
        }
    }
}

fn opinion_of(number: u64, protocol: u8) -> Verdict {
    let all: Vec<_> = GENTLE.iter().chain(HARSH.iter().filter(|_| protocol != TCP)).collect();
    all[usize::try_from(number % all.len() as u64).unwrap()]()
}

/// What comes of a call that this failure concerns.
fn failed(failure: Failure, about: About) -> Option<Word> {
    match (failure, about) {
        (Failure::Answer, About::Packet { .. }) => Some(Word::Nonsense),
        (Failure::Packet, About::Packet { .. })
        | (Failure::Start, About::Start { .. })
        | (Failure::End, About::End { .. }) => Some(Word::Panicked),
        (Failure::Answer | Failure::Packet | Failure::Start | Failure::End, _) => None,
    }
}

/// Stands for what the SDK cannot say.
static NONSENSE: &str = "nonsense";

/// The contract's table of the plugin.
pub(crate) fn table() -> HeraldPlugin {
    HeraldPlugin { packets: Some(packets), ..*thunk::table::<Actor>() }
}

/// The SDK's function, and behind its back a number in place of an action.
///
/// # Safety
/// As the contract says of `packets`.
unsafe extern "C" fn packets(instance: *mut c_void, batch: *mut HeraldBatch) -> i32 {
    let Some(packets) = thunk::table::<Actor>().packets else { return HERALD_FAULT };
    // SAFETY: promised by the caller.
    let status = unsafe { packets(instance, batch) };
    // SAFETY: promised by the caller: so many verdicts there are, and nobody else has the batch now.
    let verdicts = unsafe { slice::from_raw_parts_mut((*batch).verdicts, (*batch).count as usize) };
    for verdict in verdicts.iter_mut().filter(|verdict| ptr::eq(verdict.reason, NONSENSE.as_ptr())) {
        verdict.action = u8::MAX;
    }
    status
}

impl Plugin for Actor {
    type Stream = u64;

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        let numbers: Vec<u64> = config.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if let [seat, configuration, opinions] = numbers[..] {
            *self = Self { seat: usize::try_from(seat).unwrap(), configuration, opinions };
        }
        Ok(())
    }

    fn stream_started(&self, state: &mut u64, stream: &StreamInfo<'_>) -> Verdict {
        *state = stream.id();
        let ends = format!("{} {}", stream.source(), stream.destination());
        let about = About::Start { stream: stream.id() };
        self.say(about, number_of(ends.as_bytes()), stream.protocol())
    }

    fn packet(&self, state: &mut u64, packet: &Packet<'_>) -> Verdict {
        let bytes = number_of(packet.frame());
        let about = About::Packet { stream: packet.stream(), bytes, state_of: *state };
        self.say(about, bytes, packet.protocol())
    }

    fn stream_ended(&self, state: u64, stream: &StreamInfo<'_>, _: &End<'_>) {
        let about = About::End { stream: stream.id(), state_of: state };
        self.say(about, stream.id(), stream.protocol());
    }
}
