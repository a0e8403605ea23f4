//! One call into the node: what every part of it needs.

use std::fmt;

use crate::inspector::Inspector;
use crate::outbox::Outbox;
use crate::time::Instant;

/// The time, the plugins, and the place for what is to be done. `H` is what the plugins' host keeps of each stream.
pub struct Turn<'a, H> {
    /// Now.
    pub now: Instant,
    /// The plugins.
    pub plugins: &'a mut dyn Inspector<Part = H>,
    /// What is to be done.
    pub out: &'a mut Outbox,
}

impl<'a, H> Turn<'a, H> {
    /// A call at `now`.
    pub fn new(now: Instant, plugins: &'a mut dyn Inspector<Part = H>, out: &'a mut Outbox) -> Self {
        (out.now, out.arriving) = (now, None);
        Self { now, plugins, out }
    }
}

/// Without the plugins, which need not be shown.
impl<H> fmt::Debug for Turn<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("now", &self.now).field("out", &self.out).finish_non_exhaustive()
    }
}
