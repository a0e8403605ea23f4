//! What the command line asks for.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::case::Case;
use crate::column::Column;

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each column is measured in each case [default: 3, with --quick 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    takes: Option<u32>,
    /// How long each measurement lasts [default: 2, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// A first look in less than two minutes
    #[arg(long)]
    quick: bool,
    /// Only this case, this column or both, such as one-node, /tcp1 or one-node/tcp1; can be repeated
    #[arg(long, value_name = "CASE/COLUMN")]
    only: Vec<Only>,
    /// How long to wait for a quiet machine, all waits together [default: 60, with --quick 20]
    #[arg(long, value_name = "SECONDS")]
    wait_quiet: Option<u32>,
    /// Where to write the figures [default: bench.json in the target folder]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    /// How often each column is measured in each case.
    pub(crate) fn takes(&self) -> u32 {
        self.takes.unwrap_or(if self.quick { 2 } else { 3 })
    }

    /// How long each measurement lasts.
    pub(crate) fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 2 })
    }

    /// How long to wait for a quiet machine, all waits together.
    pub(crate) fn wait_quiet(&self) -> Duration {
        Duration::from_secs(self.wait_quiet.unwrap_or(if self.quick { 20 } else { 60 }).into())
    }

    /// Whether this column of this case is wanted.
    pub(crate) fn wants(&self, case: Case, column: Column) -> bool {
        let fits = |only: &Only| only.case.is_none_or(|c| c == case) && only.column.is_none_or(|c| c == column);
        self.only.is_empty() || self.only.iter().any(fits)
    }

    /// Where to write the figures.
    pub(crate) fn json(&self) -> PathBuf {
        let in_target = || Some(std::env::current_exe().ok()?.ancestors().nth(2)?.join("bench.json"));
        self.json.clone().or_else(in_target).unwrap_or_else(|| "bench.json".into())
    }
}

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Only {
    case: Option<Case>,
    column: Option<Column>,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (case, column) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { case: part(case)?, column: part(column)? })
    }
}

/// A case or column by its name; none for an empty text.
fn part<T: ValueEnum>(name: &str) -> Result<Option<T>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let known = T::value_variants().iter().filter_map(|v| Some(v.to_possible_value()?.get_name().to_owned()));
    let known = known.collect::<Vec<_>>().join(", ");
    T::from_str(name, false).map(Some).map_err(|_| format!("{name} is none of {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_case_a_column_or_both() {
        let only = |text: &str| text.parse::<Only>();
        assert_eq!(only("one-node"), Ok(Only { case: Some(Case::OneNode), column: None }));
        assert_eq!(only("/tcp1"), Ok(Only { case: None, column: Some(Column::Tcp1) }));
        let both = Only { case: Some(Case::ThreeNodes), column: Some(Column::RoundTripFree) };
        assert_eq!(only("three-nodes/round-trip-free"), Ok(both));
        assert!(only("tcp1").is_err());
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for case in Case::ALL {
            assert_eq!(Case::from_str(case.name(), false), Ok(case));
        }
        for column in Column::ALL {
            assert_eq!(Column::from_str(column.name(), false), Ok(column));
        }
    }
}
