//! Any history of a cluster: no epoch is used twice, and afterwards all agree.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::world::*;

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    Kill(usize),
    KillSilently(usize),
    Start(usize),
    Wire(usize, usize, Wire),
    Pause(usize, u64),
    Interface(usize, Interface, InterfaceState),
    Cable(usize, Interface, Cable),
}

fn any_op() -> impl Strategy<Value = Op> {
    let node = || 0_usize..5;
    let wire = prop_oneof![
        3 => Just(Wire::Whole),
        1 => Just(Wire::Cut),
        1 => Just(Wire::Stalled),
        1 => Just(Wire::OneWay),
    ];
    let interface = prop_oneof![Just(Interface::First), Just(Interface::Second)];
    let cable = prop_oneof![2 => Just(Cable::Whole), 1 => Just(Cable::Cut), 1 => Just(Cable::Deaf)];
    let state = prop_oneof![Just(InterfaceState::Up), Just(InterfaceState::Down)];
    prop_oneof![
        4 => (0_u64..700).prop_map(Op::Advance),
        1 => node().prop_map(Op::Kill),
        1 => node().prop_map(Op::KillSilently),
        2 => node().prop_map(Op::Start),
        4 => (node(), node(), wire).prop_map(|(one, other, wire)| Op::Wire(one, other, wire)),
        1 => (node(), 0_u64..1_500).prop_map(|(index, ms)| Op::Pause(index, ms)),
        1 => (node(), interface.clone(), cable).prop_map(|(index, interface, cable)| Op::Cable(index, interface, cable)),
        1 => (node(), interface, state).prop_map(|(index, interface, state)| Op::Interface(index, interface, state)),
    ]
}

impl World {
    fn apply(&mut self, op: &Op) {
        let here = |index: usize| index % self.count;
        match *op {
            Op::Advance(ms) => self.advance(Duration::from_millis(ms)),
            Op::Kill(index) => self.kill(here(index)),
            Op::KillSilently(index) => self.kill_silently(here(index)),
            Op::Start(index) if self.nodes.contains_key(&here(index)) => {}
            Op::Start(index) => self.start(here(index)),
            Op::Wire(one, other, wire) => self.set_wire(here(one), here(other), wire),
            Op::Pause(index, ms) => {
                let (index, until) = (here(index), self.now + Duration::from_millis(ms));
                if let Some(node) = self.nodes.get_mut(&index) {
                    node.paused_until = until;
                }
            }
            Op::Cable(index, interface, cable) => self.cables.extend([((here(index), interface), cable)]),
            Op::Interface(index, interface, state) => self.call(here(index), |membership, now, out| {
                membership.interface_changed(now, interface, state, out);
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No epoch is used twice (checked at every call), and afterwards all agree on the best and stay with it.
    #[test]
    fn any_history_uses_no_epoch_twice_and_converges(count in 1_usize..=5, ops in prop::collection::vec(any_op(), 0..40)) {
        let mut world = World::new(count);
        for op in &ops {
            world.apply(op);
        }
        world.heal();
        world.advance(CONVERGENCE_TIME);
        world.assert_converged();
        let settled = world.used.len();
        world.advance(Duration::from_secs(5));
        world.assert_converged();
        prop_assert_eq!(world.used.len(), settled);
    }
}
