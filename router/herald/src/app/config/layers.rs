//! The layers of a configuration, defaults < file < environment < flags, and where each value came from.

use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::error::{Error, Kind};
use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use toml_edit::{Array, ArrayOfTables, Document, Item, TableLike};

use super::error::{ConfigError, Place};
use super::key::{self, Located, allowed};
use super::options::Options;
use super::values::Secret;

/// Variables that set options start with this; `__` stands for the dot.
pub const VARIABLE_PREFIX: &str = "HERALD_CONFIG__";

/// Longest value that an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// The merged layers of one configuration, with the file's text to point into.
pub(super) struct Layers {
    figment: Figment,
    file: PathBuf,
    document: Document<String>,
    /// Of a draft of the lab: the keys that its flags set.
    lab_flags: Option<Vec<String>>,
}

/// A key that is wrong by itself or together with others.
#[derive(Debug)]
pub(super) struct Problem {
    /// Its parts joined by dots; entries of lists by number.
    pub(super) key: String,
    /// What is allowed, or what it contradicts.
    pub(super) why: String,
}

/// What a lab makes up for a node before anything is built.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// All of it, in TOML.
    pub text: &'a str,
    /// The file under it, of the lab's user.
    pub file: Option<&'a Path>,
    /// The keys that the user's flags laid over everything.
    pub flags: Vec<String>,
}

impl Layers {
    /// Reads the file and merges the layers.
    pub(super) fn read(file: &Path, sets: &[String]) -> Result<Self, ConfigError> {
        let document = read_document(file)?;
        let mut figment = merged(document.raw());
        for set in sets {
            figment = figment.merge(Flag::parse(set)?);
        }
        Ok(Self { figment, file: file.to_owned(), document, lab_flags: None })
    }

    /// Merges the layers of a node that a lab drafts. Places are those in what its user wrote.
    pub(super) fn of_draft(draft: &Draft<'_>) -> Result<Self, ConfigError> {
        let file = draft.file.unwrap_or_else(|| Path::new(""));
        let document = draft.file.map_or_else(|| parse(file, String::new()), read_document)?;
        let lab_flags = Some(draft.flags.clone());
        Ok(Self { figment: merged(draft.text), file: file.to_owned(), document, lab_flags })
    }

    /// The options, typed.
    pub(super) fn extract(&self) -> Result<Options, ConfigError> {
        self.figment.extract().map_err(|error| self.explain(error))
    }

    /// Finds the first number, or length of a list, outside the bounds of its key.
    pub(super) fn check_bounds(&self) -> Result<(), ConfigError> {
        for Located { path, key } in key::all() {
            if self.value(&path).is_some_and(|value| !key.allowed.admits(&value)) {
                return Err(self.accuse(Problem { key: path, why: format!("allowed is {}", key.allowed) }));
            }
        }
        Ok(())
    }

    /// The error for a problem that was found in the extracted options.
    pub(super) fn accuse(&self, problem: Problem) -> ConfigError {
        let Problem { key, why } = problem;
        match self.value(&key) {
            Some(value) => ConfigError::Value { place: self.place(&key, &value), value: shown(&key, &value), key, why },
            None => ConfigError::Missing { place: self.place_of_parent(&key), key, why },
        }
    }

    /// The first of figment's errors, in our words.
    fn explain(&self, error: Error) -> ConfigError {
        let Some(error) = error.into_iter().last() else {
            return ConfigError::Syntax { file: self.file.clone(), line: 1, message: "unreadable".to_owned() };
        };
        let path = error.path.join(".");
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match &error.kind {
            // An empty file lacks much; the first thing to say is who this is.
            kind @ Kind::MissingField(_) if self.value("node").is_none() => {
                self.accuse_by_entry("node".to_owned(), kind)
            }
            kind @ Kind::MissingField(name) => self.accuse_by_entry(below(name), kind),
            Kind::UnknownField(name, known) => {
                let key = if error.path.last() == Some(name) { path.clone() } else { below(name) };
                let value = self.value(&key);
                ConfigError::Unknown {
                    place: value.as_ref().map_or_else(|| self.place_in_file(&key), |v| self.place(&key, v)),
                    value: value.map_or_else(|| "?".to_owned(), |v| shown(&key, &v)),
                    key,
                    known: if known.is_empty() {
                        "none may be here".to_owned()
                    } else {
                        known.join(", ") + " may be here"
                    },
                }
            }
            kind @ (Kind::Message(_)
            | Kind::InvalidType(..)
            | Kind::InvalidValue(..)
            | Kind::InvalidLength(..)
            | Kind::UnknownVariant(..)
            | Kind::DuplicateField(_)
            | Kind::ISizeOutOfRange(_)
            | Kind::USizeOutOfRange(_)
            | Kind::Unsupported(_)
            | Kind::UnsupportedKey(..)) => self.accuse_by_entry(path.clone(), kind),
        }
    }

    fn accuse_by_entry(&self, key: String, kind: &Kind) -> ConfigError {
        let why = allowed(&key).map_or_else(|| kind.to_string(), |text| format!("allowed is {text}"));
        self.accuse(Problem { key, why })
    }

    /// The merged value of a key.
    fn value(&self, key: &str) -> Option<Value> {
        let mut parts = key.split('.');
        let mut value = self.figment.find_value(parts.next()?).ok()?;
        for part in parts {
            value = match value {
                Value::Dict(_, mut dict) => dict.remove(part)?,
                Value::Array(_, list) => list.into_iter().nth(part.parse().ok()?)?,
                Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {
                    return None;
                }
            };
        }
        Some(value)
    }

    /// Where a key was set.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.value(key).map_or_else(|| self.place_in_file(key), |value| self.place(key, &value))
    }

    fn place(&self, key: &str, value: &Value) -> Place {
        let source = self.figment.get_metadata(value.tag());
        match source.map(|m| (m.name.as_ref(), m.source.as_ref())) {
            Some((_, Some(Source::Custom(flag)))) => Place::Flag(flag.clone()),
            Some((name, None)) if name.contains("environment") => {
                Place::Variable(format!("{VARIABLE_PREFIX}{}", key.to_uppercase().replace('.', "__")))
            }
            Some(_) | None => self.place_in_file(key),
        }
    }

    /// The line of the table that lacks the key, if the file has it. A list's entries are all of one source, with what
    /// they lack.
    fn place_of_parent(&self, key: &str) -> Place {
        let Some((table, _)) = key.rsplit_once('.') else { return Place::File(self.file.clone()) };
        let is_entry = table.rsplit('.').next().is_some_and(|part| part.parse::<usize>().is_ok());
        let entry = self.value(table).filter(|_| is_entry);
        entry.map_or_else(|| self.place_in_file(table), |value| self.place(table, &value))
    }

    /// The line of the key, if the file has it; of a draft the flag that set it, if one did.
    fn place_in_file(&self, key: &str) -> Place {
        let flags = self.lab_flags.iter().flatten();
        if let Some(flag) = flags.rev().find(|flag| is_within(key, flag) || is_within(flag, key)) {
            return Place::Flag(flag.clone());
        }
        match (self.span(key), &self.lab_flags) {
            (Some(span), _) => Place::Line(self.file.clone(), line_of(self.document.raw(), &span)),
            (None, Some(_)) => Place::Lab,
            (None, None) => Place::File(self.file.clone()),
        }
    }

    fn span(&self, key: &str) -> Option<Range<usize>> {
        let mut span = None;
        let mut node = Node::of_item(self.document.as_item());
        for part in key.split('.') {
            let (next, at) = node.descend(part)?;
            span = at.or(span);
            node = next;
        }
        span
    }
}

/// True for a key itself and for what lies below it.
fn is_within(key: &str, upper: &str) -> bool {
    key.strip_prefix(upper).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn read_document(file: &Path) -> Result<Document<String>, ConfigError> {
    let text =
        std::fs::read_to_string(file).map_err(|error| ConfigError::Unreadable { file: file.to_owned(), error })?;
    parse(file, text)
}

fn parse(file: &Path, text: String) -> Result<Document<String>, ConfigError> {
    Document::parse(text.clone()).map_err(|error| ConfigError::Syntax {
        file: file.to_owned(),
        line: line_of(&text, &error.span().unwrap_or_default()),
        message: error.message().trim().replace('\n', "; "),
    })
}

/// Defaults < a text in TOML < variables.
fn merged(text: &str) -> Figment {
    let defaults = Figment::from(Toml::string(&key::defaults()));
    defaults.merge(Toml::string(text)).merge(Env::prefixed(VARIABLE_PREFIX).split("__"))
}

/// A place in the file's tree.
#[derive(Clone, Copy)]
enum Node<'a> {
    Table(&'a dyn TableLike),
    Tables(&'a ArrayOfTables),
    List(&'a Array),
    Leaf,
}

impl<'a> Node<'a> {
    fn of_item(item: &'a Item) -> Self {
        match item {
            Item::Table(table) => Self::Table(table),
            Item::ArrayOfTables(tables) => Self::Tables(tables),
            Item::Value(value) => Self::of_value(value),
            Item::None => Self::Leaf,
        }
    }

    fn of_value(value: &'a toml_edit::Value) -> Self {
        if let Some(table) = value.as_inline_table() {
            return Self::Table(table);
        }
        value.as_array().map_or(Self::Leaf, Self::List)
    }

    /// One step down: a table's key or a list's entry, with its place in the text.
    fn descend(self, part: &str) -> Option<(Self, Option<Range<usize>>)> {
        match self {
            Self::Table(table) => {
                let (key, item) = table.get_key_value(part)?;
                Some((Self::of_item(item), key.span().or_else(|| item.span())))
            }
            Self::Tables(tables) => {
                let table = tables.get(part.parse().ok()?)?;
                Some((Self::Table(table), table.span()))
            }
            Self::List(list) => {
                let value = list.get(part.parse().ok()?)?;
                Some((Self::of_value(value), value.span()))
            }
            Self::Leaf => None,
        }
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|&b| b == b'\n').count() + 1
}

fn shown(key: &str, value: &Value) -> String {
    if key == "cluster.secret" {
        return Secret::HIDDEN.to_owned();
    }
    let text = serde_json::to_string(value).unwrap_or_default();
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARS_MAX).chain("...".chars()).collect()
}

/// One `--set KEY=VALUE`. The value is read as TOML if it can be, else as text, like a variable's.
struct Flag {
    key: String,
    value: Value,
}

impl Flag {
    fn parse(set: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Flag(set.to_owned());
        let (key, value) = set.split_once('=').ok_or_else(error)?;
        let key = key.trim();
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(error());
        }
        let value = value.parse().map_err(|_| error())?;
        Ok(Self { key: key.to_owned(), value })
    }
}

impl Provider for Flag {
    fn metadata(&self) -> Metadata {
        Metadata::named("flag").source(Source::Custom(self.key.clone()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}
