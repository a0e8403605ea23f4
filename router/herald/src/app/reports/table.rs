//! Answers as text for people, made from the same JSON that `--json` prints. A text names the fields of the type that the
//! JSON is written from, so a field that is not there does not compile.

use comfy_table::{Table, presets};
use serde_json::Value;

use herald_core::id::Interface;

/// An answer that can be shown to people.
pub trait Text {
    /// The text of such an answer's JSON. A value that is missing there, by a node of another version, is a dash.
    fn text(json: &Value) -> String;

    /// The same as rows, if it has them: those of several nodes make one table.
    fn lines(json: &Value) -> Option<Lines> {
        let _ = json;
        None
    }
}

/// A table before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// What the columns are.
    pub headings: Vec<String>,
    /// The rows, each with a text for each column.
    pub lines: Vec<Vec<String>>,
}

/// A row of a table; made by [`columns!`].
pub trait Columns {
    /// The JSON keys of what the table shows, in its order. The headings say the same.
    const COLUMNS: &'static [&'static str];
}

impl<R: Columns> Text for Vec<R> {
    fn text(json: &Value) -> String {
        let Lines { headings, lines } = rows(json, R::COLUMNS);
        table(headings, lines)
    }

    fn lines(json: &Value) -> Option<Lines> {
        Some(rows(json, R::COLUMNS))
    }
}

fn rows(json: &Value, columns: &[&'static str]) -> Lines {
    let rows = json.as_array().into_iter().flatten();
    Lines {
        headings: columns.iter().map(|key| heading(key)).collect(),
        lines: rows.map(|row| cells(row, columns).collect()).collect(),
    }
}

/// The JSON key of a field. There is none of a field that the type does not have.
macro_rules! key {
    ($row:ty, $field:ident) => {{
        let _: fn(&$row) = |row| _ = &row.$field;
        stringify!($field)
    }};
}
pub(super) use key;

/// Says which fields of a row the table shows.
macro_rules! columns {
    ($row:ident { $($field:ident),+ }) => {
        impl $crate::app::reports::table::Columns for $row {
            const COLUMNS: &'static [&'static str] = &[$($crate::app::reports::table::key!($row, $field)),+];
        }
    };
}
pub(super) use columns;

/// A line for each interface: what these columns say of each object's value for it.
pub(super) fn per_interface(parts: &[(&Value, &[&'static str])]) -> String {
    let columns = parts.iter().flat_map(|(_, columns)| columns.iter());
    let headings = std::iter::once(&"interface").chain(columns).map(|key| heading(key));
    let lines = Interface::BOTH.into_iter().map(|interface| {
        let name = interface.as_str();
        let values = parts.iter().flat_map(|(object, columns)| cells(at(object, name), columns));
        std::iter::once(name.to_owned()).chain(values).collect()
    });
    table(headings, lines)
}

/// An object of numbers on one line.
pub(super) fn listed(object: &Value) -> String {
    let parts: Vec<_> = object.as_object().into_iter().flatten().map(|(k, v)| format!("{k} {}", cell(v))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// A plain table.
#[must_use]
pub fn table<H: Into<String>>(
    headings: impl IntoIterator<Item = H>,
    lines: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let headings: Vec<String> = headings.into_iter().map(Into::into).collect();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings).add_rows(lines);
    table.trim_fmt() + "\n"
}

/// A value of an object; null if there is none.
pub(super) fn at<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

/// One value as people read it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn cells(row: &Value, columns: &[&'static str]) -> impl Iterator<Item = String> {
    columns.iter().map(|key| cell(at(row, key)))
}

fn heading(key: &str) -> String {
    key.to_uppercase().replace('_', " ")
}
