//! I9: every frame that arrived at a node is accounted for, once.

use crate::stage::part::name;
use crate::stage::record::Record;

pub(super) fn broken(record: &Record) -> Vec<String> {
    let wrong = record.books.iter().filter(|(_, books)| books.arrived() != books.accounted());
    wrong.map(|(node, books)| format!("the books of {} do not balance: {books:?}", name(*node))).collect()
}
