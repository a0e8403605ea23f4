//! L5: a drain loses nothing: while nodes are only drained and taken back, no frame ends anywhere but at its host.

use herald_core::event::DropReason;

use super::Checker;
use crate::member::NODES;
use crate::scenario::{Action, Impairment};
use crate::world::{Sight, World};

pub(super) struct Drained;

impl Checker for Drained {
    fn invariant(&self) -> &'static str {
        "L5"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let (Sight::Sampled, true) = (sight, world.scenario.steps.iter().all(|step| is_gentle(&step.action))) else {
            return Ok(());
        };
        for (name, member) in NODES.iter().zip(&world.members) {
            let is_loss = |reason| is_loss(reason) && !is_of_a_small_hold(world, reason);
            if let Some((reason, _)) = member.out.drops().find(|(reason, _)| is_loss(*reason)) {
                return Err(format!("{name} dropped a frame ({}), and nodes were only drained", reason.name()));
            }
        }
        Ok(())
    }
}

fn is_gentle(action: &Action) -> bool {
    match action {
        Action::Start(_) | Action::Open(_) | Action::Drain(_) | Action::Undrain(_) | Action::Heal => true,
        Action::Impair { impairment: Impairment { loss, .. }, .. } => *loss == 0,
        _ => false,
    }
}

/// What a host sends at once behind a SYN that was answered: the ACK and a request of some segments.
const FIRST_FRAMES_MAX: u64 = 8;

/// Where a hold takes fewer frames than that, a stream whose key is used again loses the others: the configuration's bound,
/// whoever drains.
fn is_of_a_small_hold(world: &World, reason: DropReason) -> bool {
    reason == DropReason::HoldFull && world.scenario.choices.hold_frames < FIRST_FRAMES_MAX
}

/// False for adverts and challenges, which end where they are read, and for what a switch floods to everybody, also to who
/// starts.
fn is_loss(reason: DropReason) -> bool {
    !matches!(
        reason,
        DropReason::VrrpContradicts
            | DropReason::VrrpStranger
            | DropReason::VrrpUnproven
            | DropReason::ProbeStranger
            | DropReason::ProbeStale
            | DropReason::ProbeUnproven
            | DropReason::OtherMac
            | DropReason::NotAdmitted
    )
}
