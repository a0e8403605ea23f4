//! One plugin's seat in the chain: calls it, reads what it says, and holds its faults against it.

use std::ffi::c_void;
use std::sync::Arc;

use herald_plugin::abi::{
    HERALD_ACTION_ACCEPT, HERALD_ACTION_BYPASS, HERALD_ACTION_DROP, HERALD_ACTION_PASS, HERALD_ACTION_REJECT,
    HERALD_SCOPE_FLOW, HERALD_SCOPE_PACKET, HERALD_SCOPE_STREAM, HeraldEnd, HeraldPacket, HeraldStream, HeraldVerdict,
};

use super::book::Book;
use herald_plugin::Scope;

use super::block::{Blocks, Home};
use super::library::{self, Plugin};
use super::manifest::FaultPolicy;
use herald_core::flow::FlowKey;
use herald_core::inspector::{Action, Cause, Direction, PerDirection, Standing, Verdict};
use herald_core::limits::{PLUGIN_FAULT_TIME, PLUGIN_FAULTS_MAX};
use herald_core::mutation::{Mutation, is_on};
use herald_core::time::Instant;

/// What a plugin says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// No opinion; with a wider scope: and ask me no more.
    Pass(Scope),
    /// Later plugins are not asked.
    Accept(Scope),
    /// Later plugins are not asked about this packet, this one is not asked about the stream any more.
    Bypass,
    /// The packet ends.
    End {
        /// Silently or not.
        action: Action,
        /// What it covers.
        scope: Scope,
        /// The reason's place in the plugin's book.
        reason: u8,
    },
    /// The plugin failed.
    Failed,
    /// The plugin failed too often before and was not asked.
    Suspended,
}

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
    /// For events. A library stays loaded as long as the process, and so does its name.
    name: &'static str,
    /// It was suspended, and nobody has been told yet.
    untold: bool,
}

/// Where a packet goes behind a plugin.
pub(super) enum Onward {
    /// To the next plugin.
    Next,
    /// Out of the chain, passed.
    Out,
    /// It ended.
    Ended(Verdict),
}

/// What a plugin's word means for the rest of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Plugins that are not asked any more.
    pub(super) skip: PerDirection<u32>,
    /// What ends.
    pub(super) standing: PerDirection<Standing>,
    /// Why: the reason's place in the plugin's book.
    pub(super) reason: u8,
    /// The seat whose book that is.
    pub(super) seat: usize,
}

/// Counts faults; open when there were too many of them in a short time. It stays open.
///
/// ```text
/// closed --PLUGIN_FAULTS_MAX faults within PLUGIN_FAULT_TIME--> open
/// ```
#[derive(Debug, Default)]
struct Breaker {
    faults: u32,
    since: Instant,
    open: bool,
}

const FAULT: &str = "plugin-fault";

impl Seat {
    pub(super) fn new(number: usize, plugin: Plugin, policy: FaultPolicy, state_at: usize) -> Self {
        let (book, breaker, name) = (Arc::default(), Breaker::default(), plugin.manifest.text.id.clone().leak());
        Self { plugin: Arc::new(plugin), book, number, policy, state_at, breaker, name, untold: false }
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

    /// The plugin failed too often and is not called any more.
    pub(super) fn is_suspended(&self) -> bool {
        self.breaker.open && !is_on(Mutation::NeverSuspend)
    }

    /// It is not called any more, and what it would be asked about ends.
    pub(super) fn ends_streams(&self) -> bool {
        self.is_suspended() && self.policy == FaultPolicy::Closed
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

    /// Its name, once after it was suspended.
    pub(super) fn take_suspended(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.untold).then_some(self.name)
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
    pub(super) unsafe fn stream_started(&mut self, now: Instant, stream: &HeraldStream, state: *mut c_void) -> Said {
        // SAFETY: promised by the caller; the chain runs on the loop's thread.
        let said = unsafe { self.plugin.stream_started(stream, state) };
        let said = said.map_or(Said::Failed, |verdict| self.said(&verdict));
        if said == Said::Failed {
            self.failed(now, stream.id);
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
        stream: &HeraldStream,
        end: &HeraldEnd,
        state: *mut c_void,
    ) {
        // SAFETY: promised by the caller; the chain runs on the loop's thread.
        if unsafe { self.plugin.stream_ended(stream, end, state) }.is_err() {
            self.failed(now, stream.id);
        }
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
        if let Some(failed) = packets.get(judged) {
            self.failed(now, failed.stream);
        }
        self.book.asked(packets.len().min(judged + 1) as u64);
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
                covered(scope, direction).iter().for_each(|&d| word.skip[d] |= own_and_later);
                return Onward::Out;
            }
            (Said::Bypass, _) => {
                both.iter().for_each(|&d| word.skip[d] |= self.bit());
                return Onward::Out;
            }
            (Said::Failed | Said::Suspended, FaultPolicy::Open) => {
                both.iter().for_each(|&d| word.skip[d] |= absent);
                return Onward::Next;
            }
            (Said::Failed | Said::Suspended, FaultPolicy::Closed) => {
                let verdict = Verdict { action: Action::Drop, fault: true, ..Verdict::default() };
                // A stream on which the plugin did not fail itself is given to another node, and goes on there.
                let scope = if said == Said::Failed { Scope::Stream } else { Scope::Packet };
                (verdict, scope, self.book.reason(FAULT))
            }
            (Said::End { action, scope, reason }, _) => (Verdict { action, ..Verdict::default() }, scope, reason),
        };
        let verdict = Verdict { cause: self.cause(reason), ..verdict };
        covered(scope, direction).iter().for_each(|&d| word.standing[d] = Standing::Ended(verdict));
        (word.reason, word.seat) = (reason, self.number);
        Onward::Ended(verdict)
    }

    /// Books a fault of the plugin.
    pub(super) fn failed(&mut self, now: Instant, stream: u64) {
        let plugin = self.plugin.manifest.text.id.as_str();
        self.book.failed();
        tracing::warn!(target: "herald::host", plugin, stream, "plugin failed");
        if self.breaker.failed(now) {
            self.book.suspend();
            self.untold = true;
            tracing::error!(target: "herald::host", plugin, policy = ?self.policy, "plugin failed too often and is suspended");
        }
    }
}

impl Said {
    /// The same, said when the stream started: what ends packets covers them all. A plugin that is suspended by then has no
    /// state of the stream, as if it had failed.
    pub(super) fn at_start(self) -> Self {
        match self {
            Self::End { action, reason, .. } => Self::End { action, scope: Scope::Stream, reason },
            Self::Suspended => Self::Failed,
            Self::Pass(_) | Self::Accept(_) | Self::Bypass | Self::Failed => self,
        }
    }
}

/// The directions that a scope covers beyond the packet itself.
fn covered(scope: Scope, direction: Direction) -> &'static [Direction] {
    match (scope, direction) {
        (Scope::Packet, _) => &[],
        (Scope::Flow, Direction::FromOpener) => &[Direction::FromOpener],
        (Scope::Flow, Direction::ToOpener) => &[Direction::ToOpener],
        (Scope::Stream, _) => &[Direction::FromOpener, Direction::ToOpener],
    }
}

impl Breaker {
    /// Returns true when it opens.
    fn failed(&mut self, now: Instant) -> bool {
        if now.since(self.since) > PLUGIN_FAULT_TIME {
            self.faults = 0;
        }
        if self.faults == 0 {
            self.since = now;
        }
        self.faults += 1;
        self.faults >= PLUGIN_FAULTS_MAX && !std::mem::replace(&mut self.open, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_breaker_opens_once_by_faults_close_together() {
        let mut breaker = Breaker::default();
        let mut now = Instant::from_nanos(1);
        for _ in 0..3 * PLUGIN_FAULTS_MAX {
            now = now + PLUGIN_FAULT_TIME / 2;
            assert!(!breaker.failed(now), "far apart");
        }
        now = now + PLUGIN_FAULT_TIME * 2;
        for _ in 1..PLUGIN_FAULTS_MAX {
            now = now + Duration::from_millis(1);
            assert!(!breaker.failed(now));
        }
        assert!(breaker.failed(now) && breaker.open);
        assert!(!breaker.failed(now) && breaker.open);
    }
}
