//! The table of redirector sessions: what else is kept of a session follows each change of it.

use super::Redirector;
use crate::flow::FlowKey;
use crate::id::Slot;
use crate::session::RedirectorSession;
use crate::time::Instant;

impl Redirector {
    /// Sets the session of a key.
    pub(super) fn put(&mut self, key: FlowKey, session: RedirectorSession) {
        let interface = key.interface();
        let slot = match self.table.slot(&key) {
            Some(slot) => {
                if let Some((_, old)) = self.table.at_mut(slot) {
                    let old = std::mem::replace(old, session);
                    self.copies.toggle(interface, &old);
                }
                slot
            }
            None => {
                let Some(slot) = self.table.insert(key, session) else { return };
                self.sessions[interface] += 1;
                slot
            }
        };
        self.copies.toggle(interface, &session);
        self.arrange(slot);
    }

    /// The session in a slot has changed: when it ends.
    pub(super) fn arrange(&mut self, slot: Slot) {
        let Some((_, session)) = self.table.at(slot) else { return };
        if session.expires == Instant::NEVER {
            self.deadlines.forget(slot);
        } else {
            self.deadlines.set(slot, session.expires);
        }
    }

    /// Ends the session in a slot.
    pub(super) fn end(&mut self, slot: Slot) {
        let Some((key, session)) = self.table.remove(slot) else { return };
        self.copies.toggle(key.interface(), &session);
        self.sessions[key.interface()] -= 1;
        self.translated.remove(&key);
        self.deadlines.forget(slot);
    }

    /// Ends all sessions but those that `stays` names.
    pub(super) fn retain(&mut self, stays: impl Fn(&FlowKey, &RedirectorSession) -> bool) {
        let mut next = self.table.next_from(Slot::FIRST);
        while let Some(slot) = next {
            next = self.table.next_from(slot.next());
            if self.table.at(slot).is_some_and(|(key, session)| !stays(key, session)) {
                self.end(slot);
            }
        }
    }
}
