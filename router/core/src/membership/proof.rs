//! Proof that a member lives on an interface: it answers challenges.
//!
//! ```text
//!   a                                                     b
//!   | -- challenge: nonce, tag under the key of a to b --> |  checks the tag
//!   | <-- answer: the nonce, whether it holds, tag --------|  under the key of b to a
//!   | checks that the nonce is open, and the tag
//! ```
//!
//! Nothing else on an interface counts as a sign of life: every host can write adverts, ARP and whatever a member's MAC is the
//! source of. A nonce is used once: it starts at a random number and is counted on, and the first good answer closes it, so an
//! answer that a host has recorded proves nothing. Challenges are proven, too, or a host would have a living member answer those
//! of tomorrow. The answer says whether its sender holds the redirector, which is all that adverts would say.
//!
//! A tag is SipHash-2-4 with 128 bits of output, under a key of 128 bits for each pair and direction, which follows from the
//! cluster's secret: made for short messages, in the core already, and cheap enough that a flood costs less than its reading.
//! What it is about is what is asked now; a tag that is broken tomorrow proves nothing of today. It covers what is said,
//! interface, the answering node's boot and the nonce.
//!
//! Before a tag is checked a member's MAC must be the source, an answer's nonce open, and the number of that member's probes on
//! that interface below a bound. So a flood with one member's MAC takes only that member's answers away, as it takes its frames.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::{Hash128, Hasher128, SipHasher24};

use super::{Member, Membership};
use crate::event::DropReason;
use crate::flow::HashKey;
use crate::id::{BootId, Interface, NodeId};
use crate::limits::{
    HEARTBEAT_INTERVAL, OPEN_CHALLENGES_MAX, PROBE_ANSWER_TIME_MAX, PROBE_RETRY_DELAY, PROBES_BURST_MAX,
    PROBES_PER_SECOND_MAX,
};
use crate::mutation::{Mutation, is_on};
use crate::outbox::{Leaving, Outbox};
use crate::packet::Frame;
use crate::packet::probe::{Probe, Word};
use crate::time::{Bucket, Instant};

/// How this node proves that it lives, and has others prove it.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSettings {
    /// From the cluster's secret, the same on all nodes.
    pub key: HashKey,
    /// The number of the first challenge: random, so that no boot repeats another's.
    pub first_nonce: u64,
}

/// Probes of one interface, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeCounts {
    /// Challenges that this node sent.
    pub sent: u64,
    /// Those that were answered.
    pub answered: u64,
}

/// A challenge that was not answered yet.
#[derive(Clone, Copy, Debug)]
struct Challenge {
    nonce: u64,
    sent: Instant,
}

/// What a member has proven on one interface.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    open: [Option<Challenge>; OPEN_CHALLENGES_MAX],
    /// When it was last challenged.
    challenged: Option<Instant>,
    /// What it answered last while it had no link, and when it was asked; `None` once it has reported over its link.
    said: Option<(Word, Instant)>,
    /// Probes from its MAC that may still be checked.
    bucket: Bucket,
}

impl Default for Proof {
    fn default() -> Self {
        let bucket = Bucket::new(Instant::default(), PROBES_PER_SECOND_MAX, PROBES_BURST_MAX);
        Self { open: [None; OPEN_CHALLENGES_MAX], challenged: None, said: None, bucket }
    }
}

impl Proof {
    /// A challenge is sent; it takes the place of the oldest one if there are too many.
    fn challenged(&mut self, now: Instant, nonce: u64) {
        self.challenged = Some(now);
        let sent = |place: &&mut Option<Challenge>| place.map_or(Instant::default(), |challenge| challenge.sent);
        if let Some(place) = self.open.iter_mut().min_by_key(sent) {
            *place = Some(Challenge { nonce, sent: now });
        }
    }

    /// The open challenge with this number.
    fn open(&self, now: Instant, nonce: u64) -> Option<Instant> {
        if is_on(Mutation::AcceptUsedNonce) {
            return Some(now);
        }
        let found = self.open.iter().flatten().find(|challenge| challenge.nonce == nonce)?;
        (now < found.sent + PROBE_ANSWER_TIME_MAX).then_some(found.sent)
    }

    /// The challenge with this number is answered.
    fn close(&mut self, nonce: u64) {
        for place in &mut self.open {
            *place = place.filter(|challenge| challenge.nonce != nonce);
        }
    }

    /// It says so, asked then.
    fn says_now(&mut self, word: Word, sent: Instant) {
        // Answers may overtake each other.
        if self.said.is_none_or(|(_, before)| before <= sent) {
            self.said = Some((word, sent));
        }
    }

    /// The last challenge is not answered yet, nor was a later one sent.
    fn is_awaited(&self) -> bool {
        self.open.iter().flatten().any(|challenge| Some(challenge.sent) == self.challenged)
    }

    /// What it says over its link counts from now on.
    pub(super) fn reported(&mut self) {
        self.said = None;
    }

    /// It said so when it was last asked, and that was not before this instant.
    pub(super) fn says(&self, word: Word, from: Instant) -> bool {
        self.said.is_some_and(|(said, sent)| said == word && sent >= from)
    }
}

impl Membership {
    /// A challenge or an answer arrived. Its frame ends here.
    pub fn probe_arrived(&mut self, now: Instant, interface: Interface, frame: Frame, out: &mut Outbox) {
        match self.judge_probe(now, interface, &frame, out) {
            Ok(()) => out.consume(frame),
            Err(reason) => out.drop(frame, reason),
        }
    }

    fn judge_probe(
        &mut self,
        now: Instant,
        interface: Interface,
        frame: &Frame,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let (to, from, probe) = Probe::parse(frame)?;
        if to != self.settings.macs[interface] {
            return Err(DropReason::OtherMac);
        }
        let node = self.member_by_mac(interface, from);
        let member = node.and_then(|node| self.peer_mut(node)).ok_or(DropReason::ProbeStranger)?;
        let boot = member.boot.ok_or(DropReason::ProbeStranger)?;
        let (node, proof) = (member.node, &mut member.proofs[interface]);
        match probe.word {
            Word::Challenge => {
                proof.bucket.take(now).ok_or(DropReason::ProbeRate)?;
                let own = (self.settings.node, self.settings.boot);
                self.check(interface, (node, own.0), own.1, &probe)?;
                self.answer(interface, node, probe.nonce, out);
            }
            Word::Holds | Word::HoldsNot => {
                let sent = proof.open(now, probe.nonce).ok_or(DropReason::ProbeStale)?;
                proof.bucket.take(now).ok_or(DropReason::ProbeRate)?;
                self.check(interface, (node, self.settings.node), boot, &probe)?;
                self.answered(now, interface, node, (&probe, sent), out);
            }
        }
        Ok(())
    }

    /// The member lives on this interface: it has answered.
    fn answered(
        &mut self,
        now: Instant,
        interface: Interface,
        node: NodeId,
        (probe, sent): (&Probe, Instant),
        out: &mut Outbox,
    ) {
        self.probe_counts[interface].answered += 1;
        let Some(member) = self.peer_mut(node) else { return };
        let (was_seen, is_joined) = (member.is_seen(now, interface), member.is_joined());
        member.seen[interface] = Some(now);
        let proof = &mut member.proofs[interface];
        let before = proof.said.map(|(word, _)| word);
        proof.close(probe.nonce);
        if !is_joined {
            proof.says_now(probe.word, sent);
        }
        if !was_seen || before != proof.said.map(|(word, _)| word) {
            self.settle(now, out);
        }
    }

    fn check(
        &self,
        interface: Interface,
        ends: (NodeId, NodeId),
        boot: BootId,
        probe: &Probe,
    ) -> Result<(), DropReason> {
        // Compared in constant time.
        let tag = self.tag(interface, ends, boot, (probe.word, probe.nonce));
        let is_good = tag == Hash128::from(u128::from_be_bytes(probe.tag));
        let is_good = is_good || is_on(Mutation::BelieveUnproven) && probe.word != Word::Challenge;
        is_good.then_some(()).ok_or(DropReason::ProbeUnproven)
    }

    fn answer(&mut self, interface: Interface, to: NodeId, nonce: u64, out: &mut Outbox) {
        let word = if self.holds(interface) { Word::Holds } else { Word::HoldsNot };
        self.transmit_probe(interface, to, self.settings.boot, (word, nonce), out);
    }

    /// Challenges every member that was ever met, on every interface that works.
    pub(super) fn probe(&mut self, now: Instant, out: &mut Outbox) {
        self.probe_those(now, |_| true, out);
        self.probed_again_at = now + PROBE_RETRY_DELAY;
    }

    /// Challenges those again that have not answered yet.
    pub(super) fn probe_again(&mut self, now: Instant, out: &mut Outbox) {
        if now >= self.probed_again_at {
            self.probed_again_at = Instant::NEVER;
            self.probe_those(now, Proof::is_awaited, out);
        }
    }

    fn probe_those(&mut self, now: Instant, which: impl Fn(&Proof) -> bool, out: &mut Outbox) {
        for interface in Interface::BOTH {
            for place in 0..self.members.len() {
                let asked = self.members.get(place).filter(|member| which(&member.proofs[interface]));
                if let Some(node) = asked.map(|member| member.node) {
                    self.challenge(now, interface, node, out);
                }
            }
        }
    }

    /// When those are challenged again that have not answered yet.
    pub(super) fn retry_deadline(&self) -> Option<Instant> {
        let is_awaited = |interface| self.members.iter().any(|member| member.proofs[interface].is_awaited());
        Interface::BOTH.into_iter().any(is_awaited).then_some(self.probed_again_at)
    }

    /// Challenges a member, if it was ever met and this node's interface works.
    pub(super) fn challenge(&mut self, now: Instant, interface: Interface, node: NodeId, out: &mut Outbox) {
        let works = self.member(self.settings.node).is_some_and(|own| own.interfaces[interface]);
        let nonce = self.next_nonce;
        let Some(member) = self.peer_mut(node).filter(|_| works) else { return };
        let Some(boot) = member.boot else { return };
        member.proofs[interface].challenged(now, nonce);
        self.next_nonce = nonce.wrapping_add(1);
        self.probe_counts[interface].sent += 1;
        self.transmit_probe(interface, node, boot, (Word::Challenge, nonce), out);
    }

    fn transmit_probe(
        &self,
        interface: Interface,
        to: NodeId,
        boot: BootId,
        (word, nonce): (Word, u64),
        out: &mut Outbox,
    ) {
        let Some(mac) = self.mac(to, interface) else { return };
        let tag = self.tag(interface, (self.settings.node, to), boot, (word, nonce));
        let tag = u128::from(tag).to_be_bytes();
        let frame = Probe { word, nonce, tag }.frame(mac, self.settings.macs[interface]);
        out.transmit(interface, frame, Leaving::Generated);
    }

    /// The tag of what one member says to another about the boot of the one that answers.
    fn tag(
        &self,
        interface: Interface,
        (from, to): (NodeId, NodeId),
        boot: BootId,
        (word, nonce): (Word, u64),
    ) -> Hash128 {
        let mut pair = SipHasher24::new_with_key(&self.settings.probes.key.0);
        for node in [from, to] {
            let name = node.as_str().as_bytes();
            pair.write(&u64::try_from(name.len()).unwrap_or_default().to_be_bytes());
            pair.write(name);
        }
        let mut tag = SipHasher24::new_with_key(&u128::from(pair.finish128()).to_be_bytes());
        tag.write(&[word.number(), interface as u8]);
        tag.write(&boot.0.to_be_bytes());
        tag.write(&nonce.to_be_bytes());
        tag.finish128()
    }

    /// Challenges and answers of one interface.
    #[must_use]
    pub fn probe_counts(&self, interface: Interface) -> ProbeCounts {
        self.probe_counts[interface]
    }

    /// True if the member has answered a challenge on the interface within the detection time: it lives, and frames go there and
    /// come back.
    #[must_use]
    pub fn is_proven(&self, now: Instant, node: NodeId, interface: Interface) -> bool {
        self.member(node).is_some_and(|member| member.is_seen(now, interface))
    }

    /// When the holder that this node follows has answered no challenge for so long that it counts as silent, whatever adverts
    /// say: a challenge comes each heartbeat interval, so it may have been silent for one more.
    pub(super) fn unproven_at(&self, interface: Interface, silence: Duration) -> Option<Instant> {
        let epoch = self.followed(interface)?;
        let seen = self.member(epoch.node).and_then(|holder| holder.seen[interface]);
        let from = seen.map_or(self.adverts[interface].since, |seen| seen.max(self.adverts[interface].since));
        Some(from + HEARTBEAT_INTERVAL + silence)
    }

    /// The holder that this node follows and has no link to has said, asked after it took the role, that it does not hold it any
    /// more.
    pub(super) fn has_resigned(&self, node: NodeId, interface: Interface) -> bool {
        let since = self.adverts[interface].since;
        self.member(node)
            .is_some_and(|holder| !holder.is_joined() && holder.proofs[interface].says(Word::HoldsNot, since))
    }

    /// A member beyond the mesh's reach, until its first report, that is not followed and proves that it holds the redirector.
    pub(super) fn rival(&self, now: Instant, interface: Interface) -> Option<NodeId> {
        self.rivals(interface).find(|(_, until)| now < *until).map(|(node, _)| node)
    }

    /// When the last rival counts as gone.
    pub(super) fn rival_until(&self, interface: Interface) -> Option<Instant> {
        self.rivals(interface).map(|(_, until)| until).max()
    }

    fn rivals(&self, interface: Interface) -> impl Iterator<Item = (NodeId, Instant)> + '_ {
        let followed = self.followed(interface).map(|epoch| epoch.node);
        let time = self.adverts[interface].down_interval() + HEARTBEAT_INTERVAL;
        let holds = move |member: &&Member| member.proofs[interface].says(Word::Holds, Instant::default());
        let others = self.members.iter().filter(move |member| Some(member.node) != followed).filter(holds);
        others.filter_map(move |member| Some((member.node, member.seen[interface]? + time)))
    }
}
