//! Choosing the node of a new stream: keyed rendezvous hashing with weights, equal on every redirector.

use crate::flow::{FlowKey, HashKey};
use crate::id::{Interface, NodeId};

/// Whether nodes that hold a redirector are chosen like others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirectors {
    /// Only when there is no other node.
    LastResort,
    /// Like any other.
    Equal,
}

/// Whose key the choice hash has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keying {
    /// Both redirectors have the cluster's key, so they would choose alike.
    Shared,
    /// Each interface has its own, so that only an announcement leads a return packet home. For tests.
    PerInterface,
}

/// How nodes are chosen; equal on all members.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the cluster's secret.
    pub key: HashKey,
    /// Whether holders are chosen.
    pub redirectors: Redirectors,
    /// Whose key.
    pub keying: Keying,
}

/// A member that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The member.
    pub node: NodeId,
    /// Its weight; a node with twice the weight gets twice the streams.
    pub weight: u16,
    /// It holds a redirector.
    pub is_holder: bool,
    /// It has no room for new streams.
    pub is_full: bool,
}

impl Settings {
    /// The choice hash of a new stream whose first packet has this key.
    #[must_use]
    pub fn hash(&self, opener: &FlowKey) -> u64 {
        self.key_of(opener.interface()).hash(&opener.stream())
    }

    /// Identity of a stream: of both its keys, whichever end opened it.
    #[must_use]
    pub fn stream(&self, arrival: &FlowKey, return_key: &FlowKey) -> u64 {
        self.key.hash(arrival) ^ self.key.hash(return_key)
    }

    fn key_of(&self, interface: Interface) -> HashKey {
        match (self.keying, interface) {
            (Keying::Shared, _) => self.key,
            (Keying::PerInterface, Interface::First) => self.key.derive(1),
            (Keying::PerInterface, Interface::Second) => self.key.derive(2),
        }
    }

    /// The chosen node for a choice hash; `None` if nobody may be chosen. One that is full is chosen only where all are.
    #[must_use]
    pub fn choose(&self, choice: u64, candidates: &[Candidate]) -> Option<NodeId> {
        self.first(choice, candidates.iter())
    }

    /// The one that is chosen where `declined` and all before it in the order of choosing have no room for the stream; `None`
    /// behind the last.
    #[must_use]
    pub fn choose_after(&self, choice: u64, candidates: &[Candidate], declined: NodeId) -> Option<NodeId> {
        let place = candidates.iter().find(|c| c.node == declined).map(|c| self.place(choice, c));
        let behind = |c: &&Candidate| place.as_ref().is_none_or(|place| place.is_before(&self.place(choice, c)));
        self.first(choice, candidates.iter().filter(|c| c.node != declined).filter(behind))
    }

    fn first<'a>(&self, choice: u64, candidates: impl Iterator<Item = &'a Candidate>) -> Option<NodeId> {
        let mut first: Option<(bool, Place)> = None;
        for candidate in candidates.filter(|c| c.weight > 0) {
            let (is_full, place) = (candidate.is_full, self.place(choice, candidate));
            let comes_first = first.as_ref().is_none_or(|(other_is_full, other)| match (is_full, other_is_full) {
                (false, true) => true,
                (true, false) => false,
                (true, true) | (false, false) => place.is_before(other),
            });
            if comes_first {
                first = Some((is_full, place));
            }
        }
        first.map(|(_, place)| place.node)
    }

    /// The candidate's place in the order of choosing, however full it is.
    fn place(&self, choice: u64, candidate: &Candidate) -> Place {
        let is_last_resort = self.redirectors == Redirectors::LastResort && candidate.is_holder;
        Place { is_last_resort, score: self.score(choice, candidate), node: candidate.node }
    }

    /// Weighted rendezvous score: -weight / ln(u) for a uniform u in (0, 1); the highest wins, and when a candidate
    /// goes only its own streams find another.
    fn score(&self, choice: u64, candidate: &Candidate) -> f64 {
        const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
        let hash = self.key.hash(&(choice, candidate.node)) >> 11;
        let uniform = (hash as f64 + 0.5) * SCALE;
        -f64::from(candidate.weight) / uniform.ln()
    }
}

/// Where a candidate stands in the order of choosing for one choice hash.
struct Place {
    is_last_resort: bool,
    score: f64,
    node: NodeId,
}

impl Place {
    fn is_before(&self, other: &Self) -> bool {
        let resort = self.is_last_resort.cmp(&other.is_last_resort);
        resort.then(other.score.total_cmp(&self.score)).then(self.node.cmp(&other.node)).is_lt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(redirectors: Redirectors, keying: Keying) -> Settings {
        Settings { key: HashKey([7; 16]), redirectors, keying }
    }

    fn candidate(node: &str, weight: u16, is_holder: bool) -> Candidate {
        Candidate { node: node.parse().unwrap(), weight, is_holder, is_full: false }
    }

    #[test]
    fn holders_are_the_last_resort() {
        let settings = settings(Redirectors::LastResort, Keying::Shared);
        let all = [candidate("a", 100, true), candidate("b", 100, true), candidate("c", 100, false)];
        for choice in 0..100 {
            assert_eq!(settings.choose(choice, &all), Some(all[2].node));
            assert!(settings.choose(choice, &all[..2]).is_some());
        }
        assert_eq!(settings.choose(1, &[]), None);
        assert_eq!(settings.choose(1, &[candidate("a", 0, false)]), None);
    }

    #[test]
    fn who_has_no_room_is_passed_over_and_then_the_next_one_is_asked() {
        let settings = settings(Redirectors::LastResort, Keying::Shared);
        let all = [candidate("a", 100, true), candidate("b", 100, true), candidate("c", 100, false)];
        let [a, b, c] = all.map(|c| c.node);
        for choice in 0..100 {
            let second = settings.choose_after(choice, &all, c).unwrap();
            let third = settings.choose_after(choice, &all, second).unwrap();
            assert!([[a, b], [b, a]].contains(&[second, third]));
            assert_eq!(settings.choose_after(choice, &all, third), None, "and nobody is asked twice");
            let full = |nodes: &[NodeId]| all.map(|c| Candidate { is_full: nodes.contains(&c.node), ..c });
            assert_eq!(settings.choose(choice, &full(&[c])), Some(second));
            assert_eq!(settings.choose(choice, &full(&[c, second])), Some(third));
            assert_eq!(settings.choose(choice, &full(&[a, b, c])), Some(c));
            assert_eq!(settings.choose_after(choice, &full(&[c]), c), Some(second), "it said so before it was told");
            assert_eq!(settings.choose_after(choice, &full(&[second]), c), Some(third));
            assert_eq!(settings.choose_after(choice, &all[..2], c), settings.choose(choice, &all[..2]), "c has left");
        }
    }

    #[test]
    fn weights_share_out_the_streams() {
        let settings = settings(Redirectors::Equal, Keying::Shared);
        let all = [candidate("a", 100, false), candidate("b", 300, false)];
        let to_b = (0..10_000).filter(|&choice| settings.choose(choice, &all) == Some(all[1].node)).count();
        assert!((7_000..8_000).contains(&to_b), "three in four expected, {to_b} of 10000 seen");
    }

    proptest! {
        #[test]
        fn a_candidate_that_goes_moves_only_its_own_streams(choice: u64, gone in 0usize..4) {
            let settings = settings(Redirectors::Equal, Keying::Shared);
            let all = ["a", "b", "c", "d"].map(|n| candidate(n, 100, false));
            let rest: Vec<_> = all.iter().copied().filter(|c| c.node != all[gone].node).collect();
            let before = settings.choose(choice, &all);
            if before != Some(all[gone].node) {
                prop_assert_eq!(settings.choose(choice, &rest), before);
            }
        }

        #[test]
        fn both_redirectors_choose_alike_unless_each_has_its_key(
            a: u32, b: u32, ports: (u16, u16), protocol in prop_oneof![Just(1), Just(6), Just(17), Just(58), any::<u8>()],
        ) {
            let address = |bits: u32| std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
            let key = FlowKey::new(Interface::First, protocol, (address(a), ports.0), (address(b), ports.1));
            let back = key.reversed(Interface::Second);
            let shared = settings(Redirectors::Equal, Keying::Shared);
            let own = settings(Redirectors::Equal, Keying::PerInterface);
            prop_assert_eq!(shared.hash(&key), shared.hash(&back));
            prop_assert_ne!(own.hash(&key), own.hash(&back));
        }
    }
}
