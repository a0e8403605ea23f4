//! `router/docs/facts.md` says what the code says.

use herald_facts::{FactName, Oddity};

const DOCUMENT: &str = include_str!("../../docs/facts.md");
const LIMITS: &str = include_str!("../src/limits.rs");

/// The cells of the rows of the table whose first column has this head.
fn rows(head: &str) -> Vec<Vec<&str>> {
    let lines = DOCUMENT.lines().skip_while(|line| !line.starts_with(&format!("| {head} |")));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn the_table_has_the_facts_of_the_code() {
    let written: Vec<_> = rows("fact").iter().map(|row| [row[0], row[1], row[5]]).collect();
    let known: Vec<_> =
        FactName::ALL.iter().map(|name| [name.as_str(), name.kind().as_str(), name.scope().as_str()]).collect();
    assert_eq!(written, known);
    for name in FactName::ALL {
        assert_eq!(DOCUMENT.matches(&format!("| `{}` |", name.as_str())).count(), 1);
    }
}

#[test]
fn the_table_has_the_oddities_of_the_code() {
    let written: Vec<_> = rows("oddity").iter().map(|row| row[0]).collect();
    assert_eq!(written, Oddity::ALL.iter().map(|oddity| oddity.as_str()).collect::<Vec<_>>());
    let mut names = written.clone();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), written.len());
}

#[test]
fn the_bounds_that_it_names_exist() {
    let named = DOCUMENT.split('`').skip(1).step_by(2).filter(|word| word.ends_with("_MAX"));
    let wrong: Vec<_> = named.filter(|name| !LIMITS.contains(&format!("pub const {name}: "))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
