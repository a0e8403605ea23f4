//! Reports as text for people, made from the same JSON that `--json` prints.

use comfy_table::{Table, presets};
use serde_json::Value;

/// A column: its heading and the key of its values.
type Column = (&'static str, &'static str);

/// Columns of `herald members`.
pub const MEMBERS: &[Column] =
    &[("NODE", "node"), ("STATE", "state"), ("LINK", "link"), ("IN SYNC", "in_sync"), ("WEIGHT", "weight")];

/// Columns of `herald sessions`.
pub const SESSIONS: &[Column] = &[
    ("KIND", "kind"),
    ("INTERFACE", "interface"),
    ("PROTOCOL", "protocol"),
    ("SOURCE", "source"),
    ("DESTINATION", "destination"),
    ("CHOSEN", "chosen"),
    ("GENERATION", "generation"),
    ("STATE", "state"),
    ("INTEREST", "interest"),
    ("AGE MS", "age_ms"),
    ("IDLE MS", "idle_ms"),
    ("PACKETS", "packets"),
    ("BYTES", "bytes"),
];

/// Columns of `herald plugins`.
pub const PLUGINS: &[Column] = &[
    ("ID", "id"),
    ("VERSION", "version"),
    ("GENERATION", "generation"),
    ("PACKETS", "packets"),
    ("DROPS", "drops"),
    ("FAULTS", "faults"),
    ("P50 NS", "p50_ns"),
    ("P99 NS", "p99_ns"),
    ("STATE", "state"),
];

/// Columns of `herald neighbours`.
pub const NEIGHBOURS: &[Column] =
    &[("INTERFACE", "interface"), ("ADDRESS", "address"), ("MAC", "mac"), ("STATE", "state"), ("FRAMES", "frames")];

/// Columns of `herald routes`.
pub const ROUTES: &[Column] = &[("TO", "to"), ("INTERFACE", "interface"), ("VIA", "via")];

/// A list of rows as a table.
#[must_use]
pub fn rows(report: &Value, columns: &[Column]) -> String {
    let lines = report.as_array().into_iter().flatten();
    table(
        columns.iter().map(|(heading, _)| *heading),
        lines.map(|row| columns.iter().map(|(_, key)| cell(at(row, key))).collect()),
    )
}

/// Counts by name, `herald drops`.
#[must_use]
pub fn counts(report: &Value, what: &'static str) -> String {
    let lines = report.as_object().into_iter().flatten();
    table([what, "COUNT"].into_iter(), lines.map(|(name, count)| vec![name.clone(), cell(count)]))
}

/// `herald roles`.
#[must_use]
pub fn roles(report: &Value) -> String {
    let lines = ["first", "second"].into_iter().map(|interface| {
        let role = at(report, interface);
        vec![interface.to_owned(), cell(at(role, "holder")), cell(at(role, "epoch"))]
    });
    table(["INTERFACE", "HOLDER", "EPOCH"].into_iter(), lines)
}

/// `herald who`.
#[must_use]
pub fn who(report: &Value) -> String {
    let lines = [("chosen node", "chosen"), ("first redirector says", "first"), ("second redirector says", "second")];
    lines.map(|(what, key)| format!("{what}: {}\n", cell(at(report, key)))).concat()
}

/// `herald status`.
#[must_use]
pub fn status(report: &Value) -> String {
    let seconds = at(report, "uptime_ms").as_u64().unwrap_or_default() / 1000;
    let text = |key: &str| cell(at(report, key));
    let head = format!(
        "node {} of cluster {}, up {seconds} s, version {}, process {}\n",
        text("node"),
        text("cluster"),
        text("version"),
        text("pid")
    );
    let interfaces = table(
        ["INTERFACE", "TAP", "STATE", "MAC", "HOLDER", "EPOCH"].into_iter(),
        ["first", "second"].into_iter().map(|name| {
            let (interface, role) = (at(at(report, "interfaces"), name), at(at(report, "roles"), name));
            let cells = [
                at(interface, "tap"),
                at(interface, "state"),
                at(interface, "mac"),
                at(role, "holder"),
                at(role, "epoch"),
            ];
            std::iter::once(name.to_owned()).chain(cells.map(cell)).collect()
        }),
    );
    let members = rows(at(report, "members"), MEMBERS);
    let sessions = format!("sessions: {}\n", listed(at(report, "sessions")));
    let frames = format!("frames: {}\n", listed(at(report, "frames")));
    let drops = format!("drops: {}\n", listed(at(report, "drops")));
    let refused = format!("refused connections: {}\n", listed(at(report, "refusals")));
    let messages = format!("refused messages: {}\n", listed(at(report, "messages")));
    [head, interfaces, members, sessions + &frames + &drops + &refused + &messages].join("\n")
}

/// An object of numbers on one line.
fn listed(object: &Value) -> String {
    let parts: Vec<_> = object.as_object().into_iter().flatten().map(|(k, v)| format!("{k} {}", cell(v))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn table(headings: impl Iterator<Item = &'static str>, lines: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings).add_rows(lines);
    table.trim_fmt() + "\n"
}

/// A value of an object; null if there is none.
fn at<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_a_plain_table() {
        let report = json!([
            {"node": "a", "state": "alive", "link": "up", "in_sync": true, "weight": 100},
            {"node": "b", "state": "dead", "link": "down", "in_sync": false, "weight": 100},
        ]);
        let lines: Vec<Vec<String>> = rows(&report, MEMBERS)
            .lines()
            .map(|l| l.split("  ").map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect())
            .collect();
        assert_eq!(
            lines,
            [
                ["NODE", "STATE", "LINK", "IN SYNC", "WEIGHT"],
                ["a", "alive", "up", "yes", "100"],
                ["b", "dead", "down", "no", "100"]
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let text = roles(&json!({"first": {"holder": "a", "epoch": 3}, "second": null}));
        assert!(text.lines().any(|l| l.split_whitespace().eq(["second", "-", "-"])), "{text}");
        assert!(who(&json!({"chosen": "c", "first": "c", "second": null})).ends_with("second redirector says: -\n"));
    }

    #[test]
    fn an_empty_report_is_no_error() {
        assert!(rows(&json!([]), SESSIONS).starts_with("KIND") || rows(&json!([]), SESSIONS).contains("KIND"));
        assert!(counts(&json!({}), "REASON").contains("REASON"));
        assert!(status(&json!({})).contains("sessions: none"));
    }

    #[test]
    fn a_status_shows_who_and_what_was_refused() {
        let report = json!({"refusals": {"not-tls": 3}, "messages": {"stale": 1, "unauthorised": 2}});
        assert!(status(&report).ends_with("connections: not-tls 3\nrefused messages: stale 1, unauthorised 2\n"));
    }
}
