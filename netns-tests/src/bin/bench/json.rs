//! The results as JSON for programs.

use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::column::Figure;
use crate::options::Options;
use crate::results::Results;

/// `{"kernel", "takes", "seconds", "began_busy", "failures": [..], "cases": {CASE: {FIGURE: {"median", "min", "max", "takes":
/// [..], "ratio_to_kernel_router"}}}}`. `began_busy` counts measurements
/// that began although the machine was busy. Units are in the names of the figures; a ratio is `null` where there is none.
pub(crate) fn json(options: &Options, began_busy: usize, results: &Results) -> Value {
    let cases = Case::ALL.into_iter().map(|case| (case.name().to_owned(), of_case(results, case)));
    json!({
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim_end(),
        "takes": options.takes(),
        "seconds": options.seconds(),
        "began_busy": began_busy,
        "failures": results.failures,
        "cases": cases.filter(|(_, figures)| figures != &json!({})).collect::<Map<_, _>>(),
    })
}

fn of_case(results: &Results, case: Case) -> Value {
    let figure = |figure: Figure| {
        let summary = results.summary(case, figure)?;
        let value = json!({
            "median": summary.median,
            "min": summary.min,
            "max": summary.max,
            "takes": results.takes(case, figure),
            "ratio_to_kernel_router": results.ratio(case, figure),
        });
        Some((figure.name().to_owned(), value))
    };
    Value::Object(Figure::ALL.into_iter().filter_map(figure).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_takes_and_ratio() {
        let mut results = Results::default();
        results.add(Case::KernelRouter, &vec![(Figure::Connections, 20_000.0)]);
        results.add(Case::OneNode, &vec![(Figure::Connections, 10_000.0)]);
        let cases = [Case::KernelRouter, Case::OneNode].map(|case| of_case(&results, case));
        assert_eq!(cases[1]["connections_per_s"]["ratio_to_kernel_router"], json!(0.5));
        assert_eq!(cases[0]["connections_per_s"]["takes"], json!([20_000.0]));
        assert_eq!(of_case(&results, Case::Bridge), json!({}));
    }
}
