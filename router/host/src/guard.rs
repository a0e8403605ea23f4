//! One plugin's seat in the chain: calls it, reads what it says, and holds its faults against it.

use std::ffi::c_void;
use std::sync::Arc;

use herald_plugin::abi::{
    HERALD_ACTION_ACCEPT, HERALD_ACTION_BYPASS, HERALD_ACTION_DROP, HERALD_ACTION_PASS, HERALD_ACTION_REJECT,
    HERALD_SCOPE_FLOW, HERALD_SCOPE_PACKET, HERALD_SCOPE_STREAM, HeraldEnd, HeraldPacket, HeraldStream,
    HeraldStreamBytes, HeraldVerdict,
};

use super::book::Book;
use herald_plugin::Scope;

use super::block::{Blocks, Home};
use super::breaker::{Admits, Breaker, State};
use super::library::{self, Plugin};
use super::manifest::FaultPolicy;
use super::sources::{Charged, Sources};
use super::word::{Fault, IN_END, IN_START, Onward, Said, Word, covered};
use herald_core::event::{Event, PluginFault};
use herald_core::flow::{FlowKey, SourceNetwork};
use herald_core::inspector::{Action, Cause, Direction, Standing, Verdict};
use herald_core::limits::{LIMITED_SOURCES_TOLD, PLUGIN_EVENTS_MAX};
use herald_core::mutation::{Mutation, is_on};
use herald_core::time::{Bucket, Instant};

/// One plugin in the chain.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) plugin: Arc<Plugin>,
    pub(super) book: Arc<Book>,
    /// Its place in the chain, and its bit in masks.
    pub(super) number: usize,
    policy: FaultPolicy,
    /// Where its state lies in a stream's state, in bytes.
    state_at: usize,
    breaker: Breaker,
    sources: Sources,
    /// For events. A library stays loaded as long as the process, and so does its name.
    name: &'static str,
    /// What nobody has been told yet, and how many sources may be told of.
    untold: Vec<Event>,
    telling: Bucket,
}

/// The reasons of packets that a plugin's fault policy ends.
const FAULT: &str = "plugin-fault";
const SUSPENDED: &str = "plugin-suspended";
const LIMITED: &str = "source-limit";

impl Seat {
    pub(super) fn new(number: usize, plugin: Plugin, policy: FaultPolicy, state_at: usize) -> Self {
        let (book, breaker, sources, untold) = Default::default();
        let name = plugin.manifest.text.id.clone().leak();
        let telling = Bucket::new(Instant::default(), 1, LIMITED_SOURCES_TOLD);
        let plugin = Arc::new(plugin);
        Self { plugin, book, number, policy, state_at, breaker, sources, name, untold, telling }
    }

    /// This seat's bit in masks.
    pub(super) fn bit(&self) -> u32 {
        1 << self.number
    }

    /// This seat's place in a stream's block. The layout of the chain's blocks has room for it.
    pub(super) fn state(&self, blocks: &Blocks, home: Home) -> *mut c_void {
        blocks.place(home, self.state_at)
    }

    /// The plugin is told of a stream that was opened so, and asked about it.
    pub(super) fn takes(&self, opener: &FlowKey) -> bool {
        let filter = &self.plugin.manifest.text.filter;
        filter.is_empty() || filter.iter().any(|filter| filter.takes(opener))
    }

    /// How many packets it may be given in one call.
    pub(super) fn admits(&self) -> Admits {
        self.breaker.admits()
    }

    /// Why it is not told of a stream that this source opens, if it is not.
    pub(super) fn refuses(&mut self, now: Instant, source: SourceNetwork) -> Option<Said> {
        if self.sources.is_over(now, source) {
            return Some(Said::Limited);
        }
        (!self.breaker.admits_stream(now)).then_some(Said::Suspended(Scope::Stream))
    }

    /// It is not called for now, and what it would be asked about ends.
    pub(super) fn ends_streams(&self) -> bool {
        matches!(self.breaker.state(), State::Open { .. }) && self.policy == FaultPolicy::Closed
    }

    /// A suspended plugin may be tried when its time is over.
    pub(super) fn time_passed(&mut self, now: Instant) {
        if let State::Open { .. } = self.breaker.state() {
            self.breaker.time_passed(now);
            self.book.stands(self.breaker.state());
        }
    }

    /// This seat and one of its reasons, for reports: the seat's number from 1 on in the high byte.
    fn cause(&self, reason: u8) -> Cause {
        let seat = u8::try_from(self.number + 1).unwrap_or_default();
        Cause(u16::from_be_bytes([seat, reason]))
    }

    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// What happened to it that nobody has been told yet.
    pub(super) fn take_events(&mut self) -> std::vec::Drain<'_, Event> {
        self.untold.drain(..)
    }

    /// With this mutation the plugin is made anew in the midst of its streams, as a careless reload would do it.
    pub(super) fn mix_configurations(&mut self) {
        if is_on(Mutation::MixConfigurations)
            && let Ok(plugin) = self.plugin.remade("")
        {
            self.plugin = Arc::new(plugin);
        }
    }

    /// Tells the plugin of a new stream.
    ///
    /// # Safety
    /// `state` is this seat's place in the state of that stream, and holds nothing yet.
    pub(super) unsafe fn stream_started(
        &mut self,
        now: Instant,
        (stream, source): (&HeraldStream, SourceNetwork),
        state: *mut c_void,
    ) -> Said {
        // SAFETY: promised by the caller; the chain runs on the loop's thread.
        let said = unsafe { self.plugin.stream_started(stream, state) };
        self.breaker.asked(now, 1);
        let said = said.map_or(Said::Failed, |verdict| self.said(&verdict));
        if said == Said::Failed {
            self.failed(now, Fault { stream: stream.id, source, cause: IN_START });
        }
        said
    }

    /// Tells the plugin of a stream's end.
    ///
    /// # Safety
    /// `state` is this seat's place in the state of that stream, and the plugin has made it.
    pub(super) unsafe fn stream_ended(
        &mut self,
        now: Instant,
        (stream, source): (&HeraldStream, SourceNetwork),
        end: &HeraldEnd,
        state: *mut c_void,
    ) {
        // SAFETY: promised by the caller; the chain runs on the loop's thread.
        if unsafe { self.plugin.stream_ended(stream, end, state) }.is_err() {
            self.failed(now, Fault { stream: stream.id, source, cause: IN_END });
        }
    }

    /// TCP streams are put in order for the plugin.
    pub(super) fn wants_bytes(&self) -> bool {
        self.plugin.manifest.text.wants_bytes()
    }

    /// Shows the plugin bytes in order; `fault` is what it is charged with if it fails.
    ///
    /// # Safety
    /// The state is this seat's place in the state of the bytes' stream, and the plugin has made it.
    pub(super) unsafe fn stream_bytes(
        &mut self,
        (now, fault): (Instant, Fault),
        bytes: &mut HeraldStreamBytes,
    ) -> Said {
        self.book.showed(bytes.fresh.len as u64);
        self.breaker.asked(now, 1);
        // SAFETY: promised by the caller; the chain runs on the loop's thread.
        let said = unsafe { self.plugin.stream_bytes(bytes) };
        let said = said.map_or(Said::Failed, |verdict| self.said(&verdict));
        if said == Said::Failed {
            self.failed(now, fault);
        } else {
            self.judged(now);
        }
        said
    }

    /// Asks the plugin about packets. Returns how many have a verdict; behind them it failed, if they are not all.
    ///
    /// # Safety
    /// Each packet's state is this seat's place in the state of its stream, and the plugin has made it.
    pub(super) unsafe fn ask(
        &mut self,
        (now, unix_now): (Instant, u64),
        packets: &[HeraldPacket],
        verdicts: &mut [HeraldVerdict],
    ) -> usize {
        // SAFETY: promised by the caller; the chain runs on the loop's thread.
        let judged = unsafe { self.plugin.packets((now, unix_now), packets, verdicts) };
        let asked = packets.len().min(judged + 1) as u64;
        self.book.asked(asked);
        self.breaker.asked(now, asked);
        judged
    }

    /// What a verdict says; a number that the contract does not have counts as a failure.
    pub(super) fn said(&self, verdict: &HeraldVerdict) -> Said {
        let scope = match verdict.scope {
            HERALD_SCOPE_PACKET => Scope::Packet,
            HERALD_SCOPE_FLOW => Scope::Flow,
            HERALD_SCOPE_STREAM => Scope::Stream,
            _ => return Said::Failed,
        };
        // SAFETY: the verdict is this plugin's.
        let reason = || self.book.reason(unsafe { library::reason(verdict) });
        match verdict.action {
            HERALD_ACTION_PASS => Said::Pass(scope),
            HERALD_ACTION_ACCEPT => Said::Accept(scope),
            HERALD_ACTION_BYPASS => Said::Bypass,
            HERALD_ACTION_DROP => Said::End { action: Action::Drop, scope, reason: reason() },
            HERALD_ACTION_REJECT => Said::End { action: Action::Reject, scope, reason: reason() },
            _ => Said::Failed,
        }
    }

    /// What this seat's word about a packet of this direction means for its stream.
    pub(super) fn settle(&self, said: Said, direction: Direction, word: &mut Word) -> Onward {
        let (both, own_and_later) = (covered(Scope::Stream, direction), !0 << self.number);
        let absent = if is_on(Mutation::FaultSilencesOthers) { own_and_later } else { self.bit() };
        let policy = if is_on(Mutation::ForgiveFaults) { FaultPolicy::Open } else { self.policy };
        let (verdict, scope, reason) = match (said, policy) {
            (Said::Pass(scope), _) => {
                covered(scope, direction).iter().for_each(|&d| word.skip[d] |= self.bit());
                return Onward::Next;
            }
            (Said::Accept(scope), _) => {
                word.spare(covered(scope, direction), own_and_later);
                return Onward::Out;
            }
            (Said::Bypass, _) => {
                word.spare(both, self.bit());
                return Onward::Out;
            }
            (Said::Failed | Said::Suspended(_) | Said::Limited, FaultPolicy::Open) => {
                word.spare(both, absent);
                return Onward::Next;
            }
            (Said::Failed, FaultPolicy::Closed) => self.faulted(Scope::Stream, FAULT),
            (Said::Limited, FaultPolicy::Closed) => self.faulted(Scope::Stream, LIMITED),
            (Said::Suspended(scope), FaultPolicy::Closed) => self.faulted(scope, SUSPENDED),
            (Said::End { action, scope, reason }, _) => (Verdict { action, ..Verdict::default() }, scope, reason),
        };
        let verdict = Verdict { cause: self.cause(reason), ..verdict };
        covered(scope, direction).iter().for_each(|&d| word.standing[d] = Standing::Ended(verdict));
        (word.reason, word.seat) = (reason, self.number);
        Onward::Ended(verdict)
    }

    /// What a closed fault policy says.
    fn faulted(&self, scope: Scope, reason: &'static str) -> (Verdict, Scope, u8) {
        (Verdict { action: Action::Drop, fault: true, ..Verdict::default() }, scope, self.book.reason(reason))
    }

    /// Holds a fault against the plugin, and against the source of the stream that it failed at.
    pub(super) fn failed(&mut self, now: Instant, Fault { stream, source, cause }: Fault) {
        let (plugin, policy) = (self.name, self.policy);
        let fault = PluginFault { plugin, cause, source };
        self.book.failed(fault);
        tracing::warn!(target: "herald::host", plugin, stream, cause, "plugin failed");
        let charged = self.sources.charge(now, source);
        if charged == Charged::Last && self.telling.take(now).is_some() {
            self.tell(Event::SourceLimited { fault });
            tracing::warn!(
                target: "herald::host", plugin, %source, cause, ?policy,
                "plugin failed too often at streams of one source: its fault policy speaks for what that opens"
            );
        }
        self.book.forgot_sources(self.sources.forgotten());
        let is_suspended = match charged {
            Charged::Within | Charged::Last => self.breaker.failed(now, self.sources.recent(now)),
            Charged::Over => self.breaker.failed_again(now),
        };
        if is_suspended {
            self.book.stands(self.breaker.state());
            self.tell(Event::PluginSuspended { fault });
            let tried_in = self.breaker.open_for();
            tracing::error!(
                target: "herald::host", plugin, %source, cause, ?policy, ?tried_in,
                "plugin failed too often and is suspended"
            );
        }
    }

    /// Whoever drives the chain asks for it after each batch; a replay never does.
    fn tell(&mut self, event: Event) {
        if self.untold.len() < PLUGIN_EVENTS_MAX {
            self.untold.push(event);
        }
    }

    /// The plugin has judged a packet and said nothing wrong: if it was tried, it is called as ever.
    pub(super) fn judged(&mut self, now: Instant) {
        if self.breaker.judged(now) {
            let plugin = self.name;
            self.sources.begin_anew();
            self.book.stands(self.breaker.state());
            self.tell(Event::PluginResumed { plugin });
            tracing::info!(target: "herald::host", plugin, "plugin judges again");
        }
    }
}
