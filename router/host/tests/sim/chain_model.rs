//! What a chain makes of the words of its plugins, as the documents say it: plugin by plugin, packet by packet. It hears
//! what the plugins were asked and have said, and knows from that who had to be asked, and what becomes of each packet.

use std::collections::BTreeMap;
use std::slice::Iter;

use herald_core::flow::{FlowKey, SourceNetwork};
use herald_core::inspector::{Action, Direction, PerDirection, Standing, Verdict};
use herald_core::time::Instant;
use herald_host::FaultPolicy;
use herald_plugin as said;
use herald_plugin::Scope;

use crate::fault_model::{Asks, Faults};
use crate::plugins::{About, Call, SEATS, Word};
use crate::recorder::Judged;

/// One chain.
pub(crate) struct ChainModel {
    policy: FaultPolicy,
    faults: [Faults; SEATS],
    streams: BTreeMap<u64, Marks>,
}

/// What was said of a stream.
#[derive(Clone, Copy)]
struct Marks {
    /// Who opened it.
    source: SourceNetwork,
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
        (stream, opener): (u64, &FlowKey),
        calls: &[Call],
    ) -> Result<PerDirection<Standing>, String> {
        let mut calls = calls.iter();
        let source = SourceNetwork::of(opener.source().ip());
        let (made, asks, ended, stands) = ([true; SEATS], [[true; 2]; SEATS], [None; 2], PerDirection::default());
        let mut marks = Marks { source, made, asks, ended, stands };
        for seat in 0..SEATS {
            let about = About::Start { stream };
            let heard = if !self.faults[seat].asks_about_stream(at, source) {
                marks.made[seat] = false;
                self.by_policy(Scope::Stream)
            } else {
                let word = expected(seat, about, &mut calls)?.word;
                self.faults[seat].asked(at, 1);
                marks.made[seat] = word != Word::Panicked;
                if !marks.made[seat] {
                    self.faults[seat].failed(at, source);
                }
                self.heard(word)
            };
            if marks.asks[seat][0] || !marks.made[seat] {
                let heard = match heard {
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
            let mut from = 0;
            while let Some(next) = self.call(at, seat, (&mut walkers, from), &mut calls)? {
                from = next;
            }
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
            if let (Word::Panicked, Some(marks)) = (call.word, marks) {
                self.faults[seat].failed(at, marks.source);
            }
        }
        nothing_more(&mut calls)
    }

    /// The plugin in a seat is given all packets from a place on that are for it, at once. Returns from where on it is to be
    /// called again, if it is.
    fn call(
        &mut self,
        at: Instant,
        seat: usize,
        (walkers, from): (&mut [Walker], usize),
        calls: &mut Calls<'_>,
    ) -> Result<Option<usize>, String> {
        let is_for_it =
            |walker: &Walker| walker.fate == Fate::Open && walker.marks.asks[seat][walker.packet.direction as usize];
        let mut given: Vec<usize> = (from..walkers.len()).filter(|place| is_for_it(&walkers[*place])).collect();
        if given.is_empty() {
            return Ok(None);
        }
        let asks = self.faults[seat].asks(at);
        if asks == Asks::OneByOne {
            given.truncate(1);
        }
        let mut nonsense = Vec::new();
        for (count, &place) in (1..).zip(&given) {
            let Walker { packet, marks, shown_to, .. } = walkers[place];
            let about = About::Packet { stream: packet.stream, bytes: packet.bytes, state_of: packet.stream };
            if !is_for_it(&walkers[place]) {
                // It was shown all the same, if the plugin does not know itself what was said of the stream.
                if shown_to == Some(seat) && next_is(seat, about, calls) {
                    calls.next();
                }
                continue;
            }
            if asks == Asks::Nobody {
                self.take_effect(seat, None, &mut walkers[place..]);
                continue;
            }
            let word = expected(seat, about, calls)?.word;
            self.take_effect(seat, Some(word), &mut walkers[place..]);
            match word {
                Word::Said(_) => {}
                // That is seen behind the call.
                Word::Nonsense => nonsense.push(marks.source),
                Word::Panicked => {
                    self.faults[seat].asked(at, count);
                    nonsense.into_iter().for_each(|source| self.faults[seat].failed(at, source));
                    self.faults[seat].failed(at, marks.source);
                    return Ok(Some(place + 1));
                }
            }
        }
        if asks == Asks::Nobody {
            return Ok(None);
        }
        self.faults[seat].asked(at, given.len() as u64);
        nonsense.into_iter().for_each(|source| self.faults[seat].failed(at, source));
        self.faults[seat].judged(at);
        Ok((asks == Asks::OneByOne).then(|| given[0] + 1))
    }

    fn begin(&self, packet: &Judged) -> Walker {
        let Some(marks) = self.streams.get(&packet.stream).copied() else {
            // It waited for this batch, and its stream has ended meanwhile.
            let source = SourceNetwork::of(std::net::Ipv4Addr::UNSPECIFIED.into());
            let (made, asks, ended, stands) = ([false; SEATS], [[false; 2]; SEATS], [None; 2], PerDirection::default());
            let marks = Marks { source, made, asks, ended, stands };
            let gone = Verdict { action: Action::Drop, ..Verdict::default() };
            return Walker { packet: *packet, marks, fate: Fate::Ended(gone), shown_to: None };
        };
        let ended = marks.ended[packet.direction as usize];
        Walker { packet: *packet, marks, fate: ended.map_or(Fate::Open, Fate::Ended), shown_to: None }
    }

    fn heard(&self, word: Word) -> Heard {
        match word {
            Word::Said(verdict) => heard(verdict),
            Word::Panicked | Word::Nonsense => self.by_policy(Scope::Stream),
        }
    }

    fn by_policy(&self, scope: Scope) -> Heard {
        match self.policy {
            FaultPolicy::Open => Heard::Absent,
            FaultPolicy::Closed => {
                Heard::End(Verdict { action: Action::Drop, fault: true, ..Verdict::default() }, scope)
            }
        }
    }

    /// A word on the first of these packets changes that one, and what comes behind it in its stream. Without one the plugin is
    /// suspended, which ends packet by packet: the stream goes on at another node.
    fn take_effect(&mut self, seat: usize, word: Option<Word>, from_here: &mut [Walker]) {
        let Judged { stream, direction, .. } = from_here[0].packet;
        let heard = word.map_or(self.by_policy(Scope::Packet), |word| self.heard(word));
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
