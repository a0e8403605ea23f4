//! What this node concludes from its view: whether it has started, and how it stands for each role.

use super::election::{Sight, Standing};
use super::member::{Member, MemberState};
use super::{Change, Membership, RolesMode};
use crate::id::{Epoch, Interface};
use crate::time::Instant;

impl Membership {
    /// Draws all conclusions from the view. Sends and tells nothing.
    pub(super) fn judge(&mut self, now: Instant) {
        if self.starting_until.is_some_and(|until| now >= until || self.has_heard_every_peer()) {
            self.starting_until = None;
        }
        self.update_own_view();
        for interface in Interface::BOTH {
            self.judge_role(interface);
            self.judge_standby(interface);
        }
        let roles = self.roles;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == self.settings.node) {
            own.epochs = roles;
        }
        self.candidates_changed |= self.recompute_candidates();
    }

    fn judge_role(&mut self, interface: Interface) {
        self.roles[interface] = match &self.settings.roles {
            RolesMode::Static(holders) => holders[interface].and_then(|node| {
                let member = self.member(node).filter(|member| member.lives())?;
                member.boot.map(|boot| Epoch { counter: 1, node, boot })
            }),
            RolesMode::Priority => {
                let standing = self.standing(interface);
                let followed = self.elections[interface].followed();
                let sight = followed.map_or(Sight::Gone, |epoch| self.sight(interface, epoch));
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
        let mut links = self.members.get_mut(place).map(|own| std::mem::take(&mut own.links)).unwrap_or_default();
        links.clear();
        let linked = |member: &&Member| member.node != node && member.link_up && member.state == MemberState::Alive;
        links.extend(self.members.iter().filter(linked).map(|member| member.node));
        if let Some(own) = self.members.get_mut(place) {
            own.links = links;
            own.in_sync |= self.starting_until.is_none() && own.synced.first && own.synced.second;
        }
    }

    fn standing(&self, interface: Interface) -> Standing {
        let Some(own) = self.member(self.settings.node) else { return Standing::Unfit };
        if self.starting_until.is_some() {
            return Standing::Starting;
        }
        if !self.is_fit(own, interface) && !(own.draining && self.is_needed(own, interface)) {
            return Standing::Unfit;
        }
        let precedes = |member: &Member| {
            member.lives() && self.is_fit(member, interface) && member.rank(interface) > own.rank(interface)
        };
        if self.members.iter().any(precedes) { Standing::Behind } else { Standing::Best }
    }

    /// True while a draining holder has no successor whose sessions are complete.
    fn is_needed(&self, own: &Member, interface: Interface) -> bool {
        let successor = self.standbys[interface].and_then(|node| self.member(node));
        self.roles[interface].is_some_and(|epoch| epoch.node == own.node)
            && own.interfaces[interface]
            && !successor.is_some_and(|member| member.in_sync && member.synced[interface])
    }

    /// May hold the role. While nobody has ever held it, a member that is still starting is waited for: it will be in
    /// sync within its starting time, and the role does not change hands at once.
    fn is_fit(&self, member: &Member, interface: Interface) -> bool {
        let in_sync = member.in_sync || self.elections[interface].is_first();
        in_sync && !member.draining && member.interfaces[interface] && member.priorities.is_some()
    }

    /// What is seen of the holder of an epoch, by this node or through a member that has a link to it and obeys it: a
    /// node out of this node's own reach is not succeeded while others reach it, or both would take the role in turn.
    fn sight(&self, interface: Interface, epoch: Epoch) -> Sight {
        let holder = self.member(epoch.node);
        let lives = holder.is_some_and(Member::lives);
        let same_boot = holder.filter(|holder| holder.boot == Some(epoch.boot));
        if lives && same_boot.is_none() || !lives && !self.is_vouched_for(interface, epoch) {
            return Sight::Gone;
        }
        let Some((holder, rank)) = same_boot.and_then(|holder| Some((holder, holder.rank(interface)?))) else {
            return Sight::Stays;
        };
        let own_rank = self.member(self.settings.node).and_then(|own| own.rank(interface));
        if lives && self.confirmed[interface] == Some(epoch) && !self.is_fit(holder, interface) {
            Sight::Gone
        } else if own_rank > Some(rank) {
            Sight::Yields
        } else {
            Sight::Stays
        }
    }

    fn is_vouched_for(&self, interface: Interface, epoch: Epoch) -> bool {
        self.members.iter().any(|member| {
            member.node != self.settings.node
                && member.node != epoch.node
                && member.state == MemberState::Alive
                && member.links.contains(&epoch.node)
                && member.epochs[interface] == Some(epoch)
        })
    }
}
