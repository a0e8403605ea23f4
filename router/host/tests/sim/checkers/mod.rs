//! The invariants of a cluster, each watched by a checker that knows everything: what every node thinks, what is on every
//! wire, and what has happened when.
//!
//! The nodes run the program's own chain of plugins. Of I15 there is as much to check as there is to a configuration: a
//! node has one for all of a boot, and its plugins have theirs for life.

mod acknowledgements;
mod agreement;
mod books;
mod bounds;
mod doors;
mod drained;
mod epochs;
mod expected;
mod expiry;
mod first_packet;
mod forgery;
mod generations;
mod guesses;
mod handshake;
mod joining;
mod lives;
mod loops;
mod one_configuration;
mod one_node;
mod passed;
mod passed_over;
mod payload;
mod plugin_faults;
mod remaining;
mod steady_epochs;
mod steering;
mod unknown_kinds;
mod unopened;
mod untouched;
mod vacancy;
mod views;

use crate::world::{Sight, Violation, World};

/// Watches one invariant.
pub(crate) trait Checker {
    /// The invariant's name in the design.
    fn invariant(&self) -> &'static str;

    /// Something happened; the error says how it broke the invariant.
    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String>;
}

/// All of them.
pub(crate) struct Checkers(Vec<Box<dyn Checker>>);

impl Default for Checkers {
    fn default() -> Self {
        Self(vec![
            Box::new(one_node::OneNode::default()),
            Box::new(passed::Passed::default()),
            Box::new(acknowledgements::Acknowledgements::default()),
            Box::new(first_packet::FirstPacket::default()),
            Box::new(unopened::Unopened::default()),
            Box::new(guesses::NoGuesses::default()),
            Box::new(loops::NoLoops::default()),
            Box::new(epochs::Epochs::default()),
            Box::new(steering::Steering),
            Box::new(generations::Generations::default()),
            Box::new(bounds::Bounds),
            Box::new(books::Books),
            Box::new(payload::Payload),
            Box::new(forgery::Forgery),
            Box::new(joining::Joining),
            Box::new(one_configuration::OneConfiguration),
            Box::new(plugin_faults::PluginFaults::default()),
            Box::new(unknown_kinds::UnknownKinds),
            Box::new(views::Views::default()),
            Box::new(passed_over::PassedOver::default()),
            Box::new(agreement::Agreement::default()),
            Box::new(vacancy::Vacancy::default()),
            Box::new(handshake::Handshake::default()),
            Box::new(expiry::Expiry::default()),
            Box::new(lives::Lives::default()),
            Box::new(untouched::Untouched::default()),
            Box::new(drained::Drained),
            Box::new(remaining::Remains::default()),
            Box::new(steady_epochs::SteadyEpochs),
            Box::new(expected::AsExpected::default()),
        ])
    }
}

impl Checkers {
    /// Nobody watches.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Nobody watches any other invariant.
    pub(crate) fn keep_only(&mut self, invariant: &str) {
        self.0.retain(|checker| checker.invariant() == invariant);
    }

    /// All of them see it; the first invariant that is broken.
    pub(crate) fn see(&mut self, world: &World, sight: &Sight<'_>) -> Option<Violation> {
        let broken = self.0.iter_mut().find_map(|checker| {
            let what = checker.see(world, sight).err()?;
            Some((checker.invariant(), what))
        });
        broken.map(|(invariant, what)| Violation { invariant, what, at: world.now })
    }
}
