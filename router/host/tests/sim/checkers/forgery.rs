//! I12: a message changes state only if its sender may speak for what it is about, in its boot and in the current epoch.

use super::Checker;
use crate::member::NODES;
use crate::world::{Sight, World};

pub(super) struct Forgery;

impl Checker for Forgery {
    fn invariant(&self) -> &'static str {
        "I12"
    }

    fn see(&mut self, _: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Forged { place, message, changed: Some(changed) } => {
                Err(format!("{} was changed by a forged {message:?}:\n{changed}", NODES[*place]))
            }
            _ => Ok(()),
        }
    }
}
