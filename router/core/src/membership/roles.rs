//! What this node concludes from its view: whether it has started, and how it stands for each role.

use super::election::{Sight, Standing};
use super::member::{Member, MemberState};
use super::{Change, Membership, Preemption, RolesMode};
use crate::id::{Epoch, Interface, NodeId};
use crate::limits::STEADY_TIME;
use crate::mistake::or_mistake;
use crate::mutation::{Mutation, is_on};
use crate::time::Instant;

impl Membership {
    /// Draws all conclusions from the view. Sends and tells nothing.
    pub(super) fn judge(&mut self, now: Instant) {
        let waited = self.starting_until.is_some_and(|until| now >= until || self.has_heard_every_peer());
        if waited && !self.is_barred(now) {
            self.starting_until = None;
            self.admit();
        }
        self.update_own_view();
        Interface::BOTH.into_iter().for_each(|interface| self.listen(now, interface));
        for interface in Interface::BOTH {
            self.judge_role(now, interface);
            self.judge_standby(interface);
        }
        let roles = self.roles;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == self.settings.node) {
            own.epochs = roles;
        }
        self.candidates_changed |= self.recompute_candidates();
    }

    fn judge_role(&mut self, now: Instant, interface: Interface) {
        self.roles[interface] = match &self.settings.roles {
            RolesMode::Static(holders) => holders[interface].filter(|node| !self.is_stopping(*node)).and_then(|node| {
                let acts = |member: &&Member| member.lives() && (member.node != self.settings.node || self.admitted);
                let member = self.member(node).filter(acts)?;
                member.boot.map(|boot| Epoch { counter: 1, node, boot })
            }),
            RolesMode::Priority => {
                let followed = self.elections[interface].followed();
                self.judge_preemption(now, interface, followed);
                let sight = followed.map_or(Sight::Gone, |epoch| self.sight(now, interface, epoch));
                let standing = self.standing(now, interface, sight);
                self.elections[interface].judged(standing, sight);
                self.elections[interface].epoch()
            }
        };
    }

    /// The best after the holder stands by, whether or not it is in sync yet: that is how it comes into sync.
    fn judge_standby(&mut self, interface: Interface) {
        let may = |member: &&Member| {
            member.state == MemberState::Alive
                && member.interfaces[interface]
                && !self.is_unheard(member.node, interface)
                && !member.draining
                && self.holder(interface) != Some(member.node)
        };
        let best = self.members.iter().filter(may).max_by_key(|member| member.rank(interface));
        let standby = best.filter(|member| member.priorities.is_some()).map(|member| member.node);
        if std::mem::replace(&mut self.standbys[interface], standby) != standby {
            self.note(Change::StandbyChanged { interface });
        }
    }

    fn has_heard_every_peer(&self) -> bool {
        self.members.iter().all(|member| member.link_up && member.priorities.is_some())
    }

    /// What this node reports of itself beside its interfaces. It comes into sync once it has started and has the
    /// sessions that it needs, and stays so.
    fn update_own_view(&mut self) {
        let node = self.settings.node;
        let Some(place) = self.members.iter().position(|member| member.node == node) else { return };
        let links = self.members.get_mut(place).map(|own| std::mem::take(&mut own.links));
        let mut links = or_mistake(links, "a place that was found is there");
        links.clear();
        let linked = |member: &&Member| member.node != node && member.is_linked();
        links.extend(self.members.iter().filter(linked).map(|member| member.node));
        if let Some(own) = self.members.get_mut(place) {
            own.links = links;
            own.in_sync |= self.starting_until.is_none() && own.synced.first && own.synced.second;
        }
    }

    /// How this node stands for a role, if its holder is seen so.
    fn standing(&self, now: Instant, interface: Interface, sight: Sight) -> Standing {
        let Some(own) = self.member(self.settings.node) else { return Standing::Unfit };
        let holds = self.elections[interface].held().is_some();
        let unfit = if holds { !self.is_able(own, interface) } else { !self.is_fit(own, interface) };
        if self.starting_until.is_none()
            && (unfit || self.is_stopping(own.node) || self.is_on_smaller_side() || self.is_barred(now))
        {
            return Standing::Unfit;
        }
        let adverts = &self.adverts[interface];
        let quiet = adverts.quiet_until.is_some_and(|until| now < until);
        if self.starting_until.is_some() || quiet || self.rival(now, interface).is_some() {
            return Standing::Waiting;
        }
        let followed = self.elections[interface].followed().map(|epoch| epoch.node);
        let left = match sight {
            Sight::Gone | Sight::Silent => followed,
            Sight::Stays | Sight::Yields => None,
        };
        let precedes = |member: &Member| {
            member.is_expected()
                && Some(member.node) != left
                && self.is_fit(member, interface)
                && member.rank(interface) > own.rank(interface)
        };
        if self.members.iter().any(precedes) { Standing::Behind } else { Standing::Best }
    }

    /// True of this node once it was asked to stop.
    fn is_stopping(&self, node: NodeId) -> bool {
        self.stopping && node == self.settings.node
    }

    /// A draining holder goes on until its successor, whose sessions must be complete, has taken the role from it: so it
    /// is held at every moment. Of one beyond the mesh nobody knows whether it still drains, nor would it hear of the claim.
    fn is_handed_over(&self, holder: &Member, interface: Interface) -> bool {
        let own = self.member(self.settings.node);
        holder.is_joined()
            && holder.draining
            && self.standbys[interface] == Some(self.settings.node)
            && own.is_some_and(|own| own.in_sync && own.synced[interface])
    }

    /// May take the role. While nobody has ever held it, a member that is still starting is waited for: it will be in sync
    /// within its starting time, and the role does not change hands at once.
    fn is_fit(&self, member: &Member, interface: Interface) -> bool {
        let in_sync = member.in_sync || self.elections[interface].is_first();
        in_sync && !member.draining && self.is_able(member, interface)
    }

    /// May keep the role. A holder comes into sync for its epoch only after it took it.
    fn is_able(&self, member: &Member, interface: Interface) -> bool {
        member.interfaces[interface] && member.priorities.is_some() && !self.is_unheard(member.node, interface)
    }

    /// What is seen of the holder of an epoch. Its own word counts before anything else, on a living link, or proven on the
    /// interface; then proof of its death, which waits for one interval without an advert, so that a link that flaps changes no
    /// role; then its adverts and proof of its life, unless a member that obeys it still hears it: a node that alone is deaf takes
    /// no role from others.
    fn sight(&self, now: Instant, interface: Interface, epoch: Epoch) -> Sight {
        let adverts = &self.adverts[interface];
        let silent = self.is_holder_silent(now, interface);
        let Some(holder) = self.member(epoch.node) else {
            return if silent { Sight::Gone } else { Sight::Stays };
        };
        if self.has_resigned(epoch.node, interface) || holder.is_joined() && self.has_given_up(holder, interface, epoch)
        {
            return Sight::Gone;
        }
        let unproven = self.unproven_at(interface, adverts.interval());
        let idle = now >= adverts.heard + adverts.interval() || unproven.is_some_and(|at| now >= at);
        if holder.is_proven_dead && idle {
            return Sight::Gone;
        }
        if silent && !self.is_vouched_for(interface, epoch) {
            return match holder.state {
                MemberState::Alive if holder.is_joined() && holder.epochs[interface] != Some(epoch) => Sight::Gone,
                MemberState::Cut | MemberState::Dead => Sight::Gone,
                MemberState::Alive | MemberState::Suspect if self.hears_others(now, epoch.node, interface) => {
                    Sight::Silent
                }
                MemberState::Alive | MemberState::Suspect if self.is_handed_over(holder, interface) => Sight::Yields,
                MemberState::Alive | MemberState::Suspect => Sight::Stays,
            };
        }
        let yields = self.may_preempt(now, interface) || self.is_handed_over(holder, interface);
        if yields { Sight::Yields } else { Sight::Stays }
    }

    /// The holder itself says so: it has another boot, holds in this epoch no more, or cannot hold.
    fn has_given_up(&self, holder: &Member, interface: Interface, epoch: Epoch) -> bool {
        holder.boot != Some(epoch.boot)
            || self.named[interface] == Some(epoch) && holder.epochs[interface] != Some(epoch)
            || self.confirmed[interface] == Some(epoch) && !self.is_able(holder, interface)
    }

    /// A member that this node is linked with obeys the epoch and hears its holder's adverts.
    fn is_vouched_for(&self, interface: Interface, epoch: Epoch) -> bool {
        self.members.iter().any(|member| {
            member.node != self.settings.node
                && member.node != epoch.node
                && member.is_joined()
                && member.epochs[interface] == Some(epoch)
                && member.heard_on[interface].contains(&epoch.node)
        })
    }

    /// Notes since when this node might take the role from the holder it follows: its rank is higher, it is in sync, it is
    /// linked with the holder, which would not learn of it otherwise, and every member says that it hears it on that
    /// interface.
    fn judge_preemption(&mut self, now: Instant, interface: Interface, followed: Option<Epoch>) {
        let own = self.member(self.settings.node);
        let rank = |node| self.member(node).and_then(|member| member.rank(interface));
        let outranks =
            followed.is_some_and(|epoch| rank(epoch.node).is_some_and(|r| Some(r) < rank(self.settings.node)));
        let mut others = self.members.iter().filter(|member| member.node != self.settings.node && member.is_joined());
        let is_joined = |epoch: Epoch| self.member(epoch.node).is_some_and(Member::is_joined);
        let able = outranks
            && followed.is_some_and(is_joined)
            && own.is_some_and(|own| own.in_sync)
            && others.all(|member| member.heard_on[interface].contains(&self.settings.node));
        let since = self.adverts[interface].able_since.unwrap_or(now);
        self.adverts[interface].able_since = able.then_some(since);
    }

    fn may_preempt(&self, now: Instant, interface: Interface) -> bool {
        self.preempts_at(interface).is_some_and(|at| now >= at)
    }

    /// When this node preempts the holder it follows.
    pub(super) fn preempts_at(&self, interface: Interface) -> Option<Instant> {
        match self.settings.adverts.preemption {
            Preemption::Never => None,
            Preemption::After(delay) => {
                let is_lost = self.adverts[interface].is_lost && !is_on(Mutation::PreemptUnsteady);
                let delay = if is_lost { delay.max(STEADY_TIME) } else { delay };
                self.adverts[interface].able_since.map(|since| since + delay)
            }
        }
    }

    /// When something becomes due for a role. What was due at the last look has been looked at.
    pub(super) fn role_deadlines(&self, interface: Interface) -> impl Iterator<Item = Instant> + '_ {
        let adverts = &self.adverts[interface];
        let held = adverts.due_at().filter(|_| self.holds(interface));
        let followed = self.followed(interface).map(|_| adverts.heard);
        let silence = followed.map(|heard| heard + adverts.down_interval());
        let proof = followed.map(|heard| heard + adverts.interval());
        let probe = followed.map(|_| adverts.next_probe());
        let proven = [self.probed_until(interface), self.rival_until(interface)];
        let unproven = [adverts.interval(), adverts.down_interval()].map(|time| self.unproven_at(interface, time));
        let others = [silence, proof, probe, adverts.quiet_until, self.preempts_at(interface)];
        let others = others.into_iter().chain(proven).chain(unproven).flatten().filter(|at| *at > self.checked);
        held.into_iter().chain(self.lingers_until[interface]).chain(others)
    }
}
