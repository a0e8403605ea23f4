//! What a chain makes of the words of its plugins, as the documents say it: plugin by plugin, packet by packet. It hears
//! what the plugins were asked and have said, and knows from that who had to be asked, and what becomes of each packet.

use std::collections::BTreeMap;
use std::slice::Iter;

use herald_core::inspector::{Action, Direction, PerDirection, Standing, Verdict};
use herald_core::limits::{PLUGIN_FAULT_TIME, PLUGIN_FAULTS_MAX};
use herald_core::time::Instant;
use herald_host::FaultPolicy;
use herald_plugin as said;
use herald_plugin::Scope;

use crate::plugins::{About, Call, SEATS, Word};
use crate::recorder::Judged;

/// One chain.
pub(crate) struct ChainModel {
    policy: FaultPolicy,
    faults: [Faults; SEATS],
    streams: BTreeMap<u64, Marks>,
}

/// The faults of a plugin since some moment.
#[derive(Clone, Copy, Default)]
struct Faults {
    count: u32,
    since: Instant,
    /// There were too many.
    open: bool,
    /// It is not called any more.
    suspended: bool,
}

/// What was said of a stream.
#[derive(Clone, Copy)]
struct Marks {
    /// Plugins that have a state.
    made: [bool; SEATS],
    /// Plugins that are asked, by direction.
    asks: [[bool; 2]; SEATS],
    ended: [Option<Verdict>; 2],
    /// What the chain itself has said of the rest of it.
    stands: PerDirection<Standing>,
}

/// What a word means.
#[derive(Clone, Copy)]
enum Heard {
    Pass(Scope),
    Accept(Scope),
    Bypass,
    End(Verdict, Scope),
    /// The plugin is skipped for the rest of the stream.
    Absent,
}

/// Where a packet is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Accepted,
    Ended(Verdict),
}

/// A packet on its way; what was said of its stream before it.
struct Walker {
    packet: Judged,
    marks: Marks,
    fate: Fate,
    /// The plugin that has talked nonsense of this stream was shown the rest of the batch in the same call.
    shown_to: Option<usize>,
}

type Calls<'a> = Iter<'a, Call>;

impl ChainModel {
    pub(crate) fn new(policy: FaultPolicy) -> Self {
        Self { policy, faults: Default::default(), streams: BTreeMap::new() }
    }

    /// A stream started: all are told, but behind one that accepted all of it nobody's word counts.
    pub(crate) fn started(
        &mut self,
        at: Instant,
        stream: u64,
        calls: &[Call],
    ) -> Result<PerDirection<Standing>, String> {
        let mut calls = calls.iter();
        let mut marks =
            Marks { made: [true; SEATS], asks: [[true; 2]; SEATS], ended: [None; 2], stands: PerDirection::default() };
        for seat in 0..SEATS {
            let about = About::Start { stream };
            let word = self.word(at, seat, about, &mut calls)?;
            marks.made[seat] = matches!(word, Some(Word::Said(_)));
            if marks.asks[seat][0] || !marks.made[seat] {
                let heard = match self.heard(word) {
                    Heard::End(verdict, _) => Heard::End(verdict, Scope::Stream),
                    heard => heard,
                };
                marks.heed(seat, heard, Direction::FromOpener);
            }
        }
        marks.stands = marks.standing();
        self.streams.insert(stream, marks);
        nothing_more(&mut calls)?;
        Ok(marks.stands)
    }

    /// A batch was judged.
    pub(crate) fn judged(&mut self, at: Instant, packets: &[Judged], calls: &[Call]) -> Result<(), String> {
        let mut calls = calls.iter();
        let mut walkers: Vec<Walker> = packets.iter().map(|packet| self.begin(packet)).collect();
        for seat in 0..SEATS {
            for place in 0..walkers.len() {
                let Walker { packet, marks, fate, shown_to } = walkers[place];
                let about = About::Packet { stream: packet.stream, bytes: packet.bytes, state_of: packet.stream };
                if fate == Fate::Open && marks.asks[seat][packet.direction as usize] {
                    let word = self.word(at, seat, about, &mut calls)?;
                    self.take_effect(seat, word, &mut walkers[place..]);
                } else if shown_to == Some(seat) && next_is(seat, about, &calls) {
                    calls.next();
                }
            }
            self.faults[seat].suspended = self.faults[seat].open;
        }
        nothing_more(&mut calls)?;
        if let Some(walker) = walkers.iter().find(|walker| walker.packet.verdict != walker.verdict()) {
            return Err(format!("the chain says {:?} of {:?}", walker.packet.verdict, walker.verdict()));
        }
        for packet in packets {
            if let Some(marks) = self.streams.get_mut(&packet.stream) {
                marks.stands = stronger(marks.stands, packet.standing);
            }
        }
        let differs = |marks: &&Marks| !alike(marks.stands, marks.standing());
        let wrong = packets.iter().filter_map(|packet| self.streams.get(&packet.stream)).find(differs);
        wrong.map_or(Ok(()), |marks| {
            Err(format!("the chain lets {:?} stand instead of {:?}", marks.stands, marks.standing()))
        })
    }

    /// A stream ended: those that have a state are told.
    pub(crate) fn ended(&mut self, at: Instant, stream: u64, calls: &[Call]) -> Result<(), String> {
        let mut calls = calls.iter();
        let marks = self.streams.remove(&stream);
        for seat in (0..SEATS).filter(|seat| marks.is_some_and(|marks| marks.made[*seat])) {
            let call = expected(seat, About::End { stream, state_of: stream }, &mut calls)?;
            if call.word == Word::Panicked {
                self.faults[seat].add(at);
                self.faults[seat].suspended = self.faults[seat].open;
            }
        }
        nothing_more(&mut calls)
    }

    fn begin(&self, packet: &Judged) -> Walker {
        let Some(marks) = self.streams.get(&packet.stream).copied() else {
            // It waited for this batch, and its stream has ended meanwhile.
            let marks = Marks {
                made: [false; SEATS],
                asks: [[false; 2]; SEATS],
                ended: [None; 2],
                stands: PerDirection::default(),
            };
            let gone = Verdict { action: Action::Drop, ..Verdict::default() };
            return Walker { packet: *packet, marks, fate: Fate::Ended(gone), shown_to: None };
        };
        let ended = marks.ended[packet.direction as usize];
        Walker { packet: *packet, marks, fate: ended.map_or(Fate::Open, Fate::Ended), shown_to: None }
    }

    /// What the plugin in a seat says; nothing if it is suspended.
    fn word(&mut self, at: Instant, seat: usize, about: About, calls: &mut Calls<'_>) -> Result<Option<Word>, String> {
        if self.faults[seat].suspended {
            return Ok(None);
        }
        let word = expected(seat, about, calls)?.word;
        match word {
            Word::Said(_) => {}
            Word::Panicked => {
                self.faults[seat].add(at);
                self.faults[seat].suspended = self.faults[seat].open;
            }
            // That is seen behind the call, so the rest of the batch is shown first.
            Word::Nonsense => self.faults[seat].add(at),
        }
        Ok(Some(word))
    }

    fn heard(&self, word: Option<Word>) -> Heard {
        match (word, self.policy) {
            (Some(Word::Said(verdict)), _) => heard(verdict),
            (Some(Word::Panicked | Word::Nonsense) | None, FaultPolicy::Open) => Heard::Absent,
            (word @ (Some(Word::Panicked | Word::Nonsense) | None), FaultPolicy::Closed) => {
                // Who is suspended ends packet by packet: the stream goes on at another node.
                let scope = if word.is_some() { Scope::Stream } else { Scope::Packet };
                Heard::End(Verdict { action: Action::Drop, fault: true, ..Verdict::default() }, scope)
            }
        }
    }

    /// A word on the first of these packets changes that one, and what comes behind it in its stream.
    fn take_effect(&mut self, seat: usize, word: Option<Word>, from_here: &mut [Walker]) {
        let (Judged { stream, direction, .. }, heard) = (from_here[0].packet, self.heard(word));
        from_here[0].fate = match heard {
            Heard::Pass(_) | Heard::Absent => Fate::Open,
            Heard::Accept(_) | Heard::Bypass => Fate::Accepted,
            Heard::End(verdict, _) => Fate::Ended(verdict),
        };
        for later in from_here[1..].iter_mut().filter(|later| later.packet.stream == stream) {
            later.marks.heed(seat, heard, direction);
            if word == Some(Word::Nonsense) {
                later.shown_to = Some(seat);
            }
            if let Heard::End(verdict, scope) = heard
                && covered(scope, direction).contains(&later.packet.direction)
                && !matches!(later.fate, Fate::Ended(_))
            {
                later.fate = Fate::Ended(verdict);
            }
        }
        if let Some(marks) = self.streams.get_mut(&stream) {
            marks.made[seat] &= matches!(word, Some(Word::Said(_)) | None);
            marks.heed(seat, heard, direction);
        }
    }
}

impl Marks {
    /// What stands for the rest of the stream.
    fn standing(&self) -> PerDirection<Standing> {
        let of = |direction: Direction| match self.ended[direction as usize] {
            Some(verdict) => Standing::Ended(verdict),
            None if self.asks.iter().any(|asks| asks[direction as usize]) => Standing::Inspected,
            None => Standing::Uninspected,
        };
        PerDirection { from_opener: of(Direction::FromOpener), to_opener: of(Direction::ToOpener) }
    }

    fn heed(&mut self, seat: usize, heard: Heard, direction: Direction) {
        let (seats, scope) = match heard {
            Heard::Pass(scope) => (seat..seat + 1, scope),
            Heard::Accept(scope) => (seat..SEATS, scope),
            Heard::Bypass | Heard::Absent => (seat..seat + 1, Scope::Stream),
            Heard::End(verdict, scope) => {
                for direction in covered(scope, direction) {
                    let stands = &mut self.ended[*direction as usize];
                    if stands.is_none_or(|before| verdict.action > before.action) {
                        *stands = Some(verdict);
                    }
                }
                return;
            }
        };
        for direction in covered(scope, direction) {
            self.asks[seats.clone()].iter_mut().for_each(|asks| asks[*direction as usize] = false);
        }
    }
}

impl Walker {
    fn verdict(&self) -> Verdict {
        match self.fate {
            Fate::Open | Fate::Accepted => Verdict::default(),
            Fate::Ended(verdict) => verdict,
        }
    }
}

impl Faults {
    fn add(&mut self, at: Instant) {
        if self.count == 0 || at.since(self.since) > PLUGIN_FAULT_TIME {
            (self.count, self.since) = (0, at);
        }
        self.count += 1;
        self.open |= self.count >= PLUGIN_FAULTS_MAX;
    }
}

fn heard(verdict: said::Verdict) -> Heard {
    let scope = verdict.scope();
    let end = |action| Heard::End(Verdict { action, ..Verdict::default() }, scope);
    match verdict.action() {
        said::Action::Pass => Heard::Pass(scope),
        said::Action::Accept => Heard::Accept(scope),
        said::Action::Bypass => Heard::Bypass,
        said::Action::Hold => unreachable!("the actors hold nothing"),
        said::Action::Drop => end(Action::Drop),
        said::Action::Reject => end(Action::Reject),
    }
}

/// The directions that a word covers beside its packet.
fn covered(scope: Scope, direction: Direction) -> &'static [Direction] {
    match (scope, direction) {
        (Scope::Packet, _) => &[],
        (Scope::Flow, Direction::FromOpener) => &[Direction::FromOpener],
        (Scope::Flow, Direction::ToOpener) => &[Direction::ToOpener],
        (Scope::Stream, _) => &[Direction::FromOpener, Direction::ToOpener],
    }
}

fn stronger(one: PerDirection<Standing>, other: PerDirection<Standing>) -> PerDirection<Standing> {
    let mut stronger = one;
    for direction in Direction::BOTH {
        stronger[direction].strengthen(other[direction]);
    }
    stronger
}

/// Of two packets of one batch, one may be ended by a plugin's word and one by another plugin's fault: either may stand, as
/// both end the stream in the same way.
fn alike(one: PerDirection<Standing>, other: PerDirection<Standing>) -> bool {
    Direction::BOTH.into_iter().all(|direction| match (one[direction], other[direction]) {
        (Standing::Ended(one), Standing::Ended(other)) => one.action == other.action,
        (one, other) => one == other,
    })
}

fn expected<'a>(seat: usize, about: About, calls: &mut Calls<'a>) -> Result<&'a Call, String> {
    match calls.next() {
        Some(call) if (call.seat, call.about) == (seat, about) => Ok(call),
        other => Err(format!("plugin {seat} had to be asked about {about:?}, and then came {other:?}")),
    }
}

fn next_is(seat: usize, about: About, calls: &Calls<'_>) -> bool {
    calls.as_slice().first().is_some_and(|call| (call.seat, call.about) == (seat, about))
}

fn nothing_more(calls: &mut Calls<'_>) -> Result<(), String> {
    calls.next().map_or(Ok(()), |call| Err(format!("nobody had to be asked, and there was {call:?}")))
}
