//! Answers of the whole cluster as text: one table with a node column where a report has rows, else one text for each node. Who
//! did not answer is named below, with the reason.

use serde_json::Value;

use super::table::{Lines, at, cell, table};

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// As text.
    pub text: fn(&Value) -> String,
    /// As rows, if it has them.
    pub lines: fn(&Value) -> Option<Lines>,
}

/// The text of an object with an answer for each node.
#[must_use]
pub fn cluster_text(json: &Value, shown: Shown) -> String {
    let answers: Vec<_> = json.as_object().into_iter().flatten().collect();
    let mut text = rows(&answers, shown.lines).unwrap_or_else(|| texts(&answers, shown.text));
    for (node, answer) in &answers {
        match (answer.get("error"), answer.get("left_out")) {
            (Some(error), _) => text += &format!("no answer of {node}: {}\n", cell(error)),
            (None, Some(left_out)) => text += &format!("{} more of {node}: ask it alone\n", cell(left_out)),
            (None, None) => {}
        }
    }
    text
}

fn rows(answers: &[(&String, &Value)], lines: fn(&Value) -> Option<Lines>) -> Option<String> {
    let (mut headings, mut all) = (None, Vec::new());
    for (node, answer) in answers {
        let Some(report) = answer.get("report") else { continue };
        let Lines { headings: own, lines } = lines(report)?;
        headings = headings.or(Some(own));
        all.extend(lines.into_iter().map(|line| [vec![(*node).clone()], line].concat()));
    }
    Some(table(std::iter::once("NODE".to_owned()).chain(headings?), all))
}

fn texts(answers: &[(&String, &Value)], text: fn(&Value) -> String) -> String {
    let reports = answers.iter().filter_map(|(node, answer)| Some((node, answer, answer.get("report")?)));
    let shown = reports
        .map(|(node, answer, report)| format!("--- {node}, {} ms ago\n{}", cell(at(answer, "age_ms")), text(report)));
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::reports::REPORTS;

    fn shown(name: &str) -> Shown {
        REPORTS.iter().find(|report| report.name == name).unwrap().shown
    }

    #[test]
    fn rows_of_all_nodes_make_one_table_and_the_absent_are_named() {
        let json = json!({
            "a": {"age_ms": 0, "report": {"no-route": 2}},
            "b": {"error": "it is dead: not asked"},
            "c": {"age_ms": 3, "report": {"martian": 1, "no-route": 7}, "left_out": 5},
        });
        let expected = "NODE  REASON    COUNT\na     no-route  2\nc     martian   1\nc     no-route  7\n\
            no answer of b: it is dead: not asked\n5 more of c: ask it alone\n";
        assert_eq!(squeezed(&cluster_text(&json, shown("drops"))), squeezed(expected));
    }

    #[test]
    fn what_has_no_rows_is_shown_node_by_node() {
        let roles = json!({"first": {"holder": "a", "epoch": 3}, "second": null});
        let json = json!({"a": {"age_ms": 0, "report": roles}, "c": {"age_ms": 3, "report": roles}});
        let text = cluster_text(&json, shown("roles"));
        assert!(text.starts_with("--- a, 0 ms ago\n") && text.contains("\n--- c, 3 ms ago\n"), "{text}");
    }

    /// Without the width of columns.
    fn squeezed(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}
