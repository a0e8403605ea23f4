//! What a run has seen. A run that missed one of the things a cluster is about does not count.

use std::collections::BTreeMap;

use herald_core::event::{EndReason, Event};
use herald_core::mesh::Message;
use herald_core::outbox::{Leaving, Outbox};
use herald_core::time::Instant;
use herald_plugin::Verdict;

use crate::host::{Progress, Talk};
use crate::plugins::Word;
use crate::recorder::Note;
use crate::world::{FAULTS_FROM_MS, Sight, at_ms};

/// How often something was seen, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage(pub(crate) BTreeMap<&'static str, u64>);

/// A run counts only with all of these.
pub(crate) const REQUIRED: &[&str] = &["redirect", "miss", "hold", "epoch change", "expiry"];

impl Coverage {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    /// True with everything that a run is about.
    pub(crate) fn counts(&self) -> bool {
        REQUIRED.iter().all(|what| self.0.contains_key(what))
    }

    pub(crate) fn see(&mut self, now: Instant, sight: &Sight<'_>) {
        let what = match sight {
            Sight::Left { leaving: Leaving::Redirected, .. } => "redirect",
            Sight::Noted { note: Note::Judged { calls, .. } | Note::Started { calls, .. }, .. } => {
                return calls.iter().for_each(|call| self.count_word(call.word));
            }
            Sight::Noted { note: Note::Ended { reason: EndReason::Evicted, .. }, .. } => "evicted",
            Sight::Noted { note: Note::Ended { reason: EndReason::TimedOut | EndReason::Verdict, .. }, .. } => "expiry",
            Sight::Told { event, .. } => match event {
                Event::Acknowledged { .. } => "hold",
                Event::Refused { .. } => "refuse",
                Event::HoldTimedOut { .. } => "hold time-out",
                // The first ones are no change.
                Event::HolderChanged { .. } if now < at_ms(FAULTS_FROM_MS) => return,
                Event::HolderChanged { .. } => "epoch change",
                Event::Breaker { open: true, .. } => "breaker opened",
                Event::AcknowledgesLate { late: true, .. } => "acknowledges late",
                Event::InterfaceUnheard { .. } => "interface unheard",
                Event::AdvertsUnheard { .. } => "adverts unheard",
                Event::MemberCut { .. } => "member cut",
                Event::MemberDied { .. } => "member died",
                Event::LinkLost { .. } => "link lost",
                Event::TakenOver { .. } => "taken over",
                Event::TakenBack { .. } => "taken back",
                Event::Mended { .. } => "mended",
                Event::InSync { .. } => "in sync",
                Event::InterestEnded { .. } => "interest ended",
                Event::PluginSuspended { .. } => "plugin suspended",
                Event::PluginResumed { .. } => "plugin resumed",
                Event::SourceLimited { .. } => "source over its limit",
                Event::NodeSuspended { .. } => "node suspended",
                Event::AllSuspended { .. } => "all suspended",
                Event::Step { .. }
                | Event::StreamEnded { .. }
                | Event::LinkUp { .. }
                | Event::Breaker { .. }
                | Event::AcknowledgesLate { .. }
                | Event::KeptApart { .. }
                | Event::ConfigurationDiffers { .. }
                | Event::ForeignRouter { .. }
                | Event::AddressConflict { .. }
                | Event::NeighbourConflict { .. }
                | Event::Full { .. }
                | Event::ShortOfMemory { .. }
                | Event::MakingRoom { .. } => return,
            },
            Sight::Sent { message: Message::Query(_), .. } => "miss",
            Sight::Sent { message: Message::Redirect(_), .. } => "redirect",
            Sight::Sent { message, .. } => message.name(),
            Sight::Forged { .. } => "forged message",
            Sight::Acted(action) => {
                let name = crate::swarm::class_name(action);
                return self.add(name, 1);
            }
            _ => return,
        };
        self.add(what, 1);
    }

    fn count_word(&mut self, word: Word) {
        match word {
            Word::Said(said) if said == Verdict::pass() => {}
            Word::Said(_) => self.add("plugin's opinion", 1),
            Word::Panicked => self.add("plugin's panic", 1),
            Word::Nonsense => self.add("plugin's nonsense", 1),
        }
    }

    /// A node's drops and books, when its process ends.
    pub(crate) fn close_books(&mut self, out: &Outbox) {
        for (reason, count) in out.drops() {
            self.add(reason.name(), count);
        }
        if out.ledger.unacknowledged > 0 {
            self.add("left unacknowledged", out.ledger.unacknowledged);
        }
        if out.ledger.messages_stale > 0 {
            self.add("message stale", out.ledger.messages_stale);
        }
        if out.ledger.messages_unauthorised > 0 {
            self.add("message unauthorised", out.ledger.messages_unauthorised);
        }
    }

    pub(crate) fn talk_ended(&mut self, talk: &Talk) {
        self.add(
            match talk.progress {
                Progress::Done => "conversation done",
                Progress::Failed => "conversation failed",
                Progress::Speaking | Progress::Forgotten => "conversation cut off",
            },
            1,
        );
    }
}
