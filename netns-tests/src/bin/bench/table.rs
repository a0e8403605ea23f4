//! The results as a table for people.

use comfy_table::{CellAlignment, Table, presets};

use crate::case::Case;
use crate::column::Figure;
use crate::results::{Results, Summary};

/// One row for each figure, one column for each case: the median and its ratio to the kernel router's, under it the
/// least and the greatest.
pub(crate) fn table(results: &Results) -> Table {
    let measured = |case: &Case| Figure::ALL.iter().any(|&f| results.summary(*case, f).is_some());
    let cases: Vec<Case> = Case::ALL.into_iter().filter(measured).collect();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(std::iter::once("").chain(cases.iter().map(|c| c.title())));
    for figure in Figure::ALL {
        let cells: Vec<String> = cases.iter().map(|&case| cell(results, case, figure)).collect();
        if cells.iter().any(|c| !c.is_empty()) {
            table.add_row(std::iter::once(figure.title().to_owned()).chain(cells));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cell(results: &Results, case: Case, figure: Figure) -> String {
    let Some(Summary { median, min, max }) = results.summary(case, figure) else { return String::new() };
    let ratio = results.ratio(case, figure).map(|r| format!("  x{r:.2}")).unwrap_or_default();
    format!("{}{ratio}\n[{} .. {}]", number(median), number(min), number(max))
}

/// Three digits, which is more than is known.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 0.25, 9.876, 24.61, 279.4, 20612.0].map(number);
        assert_eq!(shown, ["0", "0.25", "9.88", "24.6", "279", "20612"]);
    }

    #[test]
    fn only_measured_cases_and_figures_are_shown() {
        let mut results = Results::default();
        results.add(Case::KernelRouter, &vec![(Figure::Tcp1, 24.0)]);
        let shown = table(&results).to_string();
        assert!(shown.contains("kernel router") && shown.contains("x1.00"), "{shown}");
        assert!(!shown.contains("bridge") && !shown.contains("kpps"), "{shown}");
    }
}
