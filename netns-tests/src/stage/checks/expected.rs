//! What a scenario itself expects: who held the redirectors, and who owned its conversations.

use crate::scenario::{Expected, Place, ports};
use crate::stage::record::Record;

pub(super) fn broken(record: &Record) -> Vec<String> {
    record.expected.iter().filter_map(|expected| expected.differs(&found(record, expected))).collect()
}

fn found(record: &Record, expected: &Expected) -> Vec<Place> {
    match expected {
        Expected::Holders { interface, .. } => record.holders(*interface),
        Expected::Owners { key, .. } => {
            let (port, _) = ports(*key);
            let talk = record.talks.iter().find(|talk| talk.flow.source().port() == port);
            talk.map(|talk| record.owners(&talk.flow)).unwrap_or_default()
        }
    }
}
