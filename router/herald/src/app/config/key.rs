//! What the entry of one key says, and what follows from all entries: the defaults, and what is allowed where.

use std::fmt;

use figment::value::Value;

use herald_core::id::PerInterface;

use super::options::Options;

/// One entry of the table in `options.rs`. Values are written as in TOML.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name in its table.
    pub(super) name: &'static str,
    /// What it means, line by line.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documentation"))]
    pub(super) text: &'static [&'static str],
    /// What it is when nobody sets it.
    pub(super) unset: Unset,
    /// The value that the documentation shows; the default unless the entry has an example.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documentation"))]
    pub(super) shown: PerInterface<&'static str>,
    /// What it may be.
    pub(super) allowed: Allowed,
    /// What lies below it.
    pub(super) below: Below,
    /// Whether nodes that meet compare it; `None` for tables, whose keys say it.
    pub(super) class: Option<Class>,
    /// What of its value is compared.
    pub(super) compared: Compared,
}

/// Whether a key has to be alike on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nodes that differ refuse each other: streams would be lost, or two nodes would act as one.
    MustBeEqual,
    /// Nodes that differ say so: something works worse than it should.
    ShouldBeEqual,
    /// It is each node's own.
    MayDiffer,
}

/// What of a key's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// All of it.
    Value,
    /// A list whose order means nothing.
    Set,
    /// Of addresses with prefix length, their networks.
    Networks,
    /// The names of its keys, and this node's own.
    Members,
    /// The key material that follows from it.
    Secret,
    /// Of plugins their names and configurations, but no paths, which are each node's own.
    Plugins,
}

/// What a key is when nobody sets it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unset {
    /// It must be set, always or where the text says so.
    Refused,
    /// This value; for keys of `[interfaces.*]` it may depend on the interface.
    Default(PerInterface<&'static str>),
    /// It follows from other things, in these words.
    Derived(#[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documentation"))] &'static str),
}

/// What a key may be. Displayed as it stands in errors and in the documentation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Allowed {
    /// In words: the key's type or `check.rs` refuses the rest.
    Words(&'static str),
    /// A whole number from `min` to `max`, both included. `of` is empty or the unit, such as " of seconds".
    Number { of: &'static str, min: usize, max: usize },
    /// A list of `min` to `max` entries, both included; `of` says of what.
    List { of: &'static str, min: usize, max: usize },
    /// A table of these keys.
    Table(&'static [Key]),
}

/// What lies below a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Below {
    /// Nothing, or what is not ours to check.
    Nothing,
    /// The keys of a table.
    Table(&'static [Key]),
    /// Entries of a list or a table, each of which may be this.
    Entries(&'static str),
    /// A list of tables, each of which may be `entry` and has `keys`.
    Tables { entry: &'static str, keys: &'static [Key] },
}

/// A key that must be set; only its table or its text can say when not.
pub(super) const fn required() -> Key {
    Key {
        name: "",
        text: &[],
        unset: Unset::Refused,
        shown: PerInterface { first: "", second: "" },
        allowed: Allowed::Words(""),
        below: Below::Nothing,
        class: None,
        compared: Compared::Value,
    }
}

/// A key with a default.
pub(super) const fn default(value: &'static str) -> Key {
    default_by_interface(value, value)
}

/// A key of `[interfaces.*]` with one default for each interface.
pub(super) const fn default_by_interface(first: &'static str, second: &'static str) -> Key {
    let value = PerInterface { first, second };
    Key { unset: Unset::Default(value), shown: value, ..required() }
}

/// A key whose default follows from other things, in these words. Its type is an `Option`.
pub(super) const fn derived(words: &'static str) -> Key {
    Key { unset: Unset::Derived(words), ..required() }
}

/// A table of its own: `KEYS` of its struct.
pub(super) const fn table(keys: &'static [Key]) -> Key {
    Key { allowed: Allowed::Table(keys), below: Below::Table(keys), ..required() }
}

/// A list of tables, by default empty: `KEYS` of their struct, and what each may be. The documentation shows one.
pub(super) const fn tables(keys: &'static [Key], entry: &'static str) -> Key {
    Key { below: Below::Tables { entry, keys }, ..default("[]").example("") }
}

impl Key {
    /// The documentation shows this instead of the default.
    pub(super) const fn example(self, value: &'static str) -> Self {
        self.examples(value, value)
    }

    /// The documentation shows these for the first and the second interface.
    pub(super) const fn examples(self, first: &'static str, second: &'static str) -> Self {
        Self { shown: PerInterface { first, second }, ..self }
    }

    /// What it may be, in words.
    pub(super) const fn allowed(self, words: &'static str) -> Self {
        Self { allowed: Allowed::Words(words), ..self }
    }

    /// It is a number from `min` to `max`.
    pub(super) const fn range(self, min: usize, max: usize) -> Self {
        Self { allowed: Allowed::Number { of: "", min, max }, ..self }
    }

    /// It is a number of seconds from `min` to `max`.
    pub(super) const fn seconds(self, min: usize, max: usize) -> Self {
        Self { allowed: Allowed::Number { of: " of seconds", min, max }, ..self }
    }

    /// It is a list of `min` to `max` entries; `of` says of what.
    pub(super) const fn list(self, min: usize, max: usize, of: &'static str) -> Self {
        Self { allowed: Allowed::List { of, min, max }, ..self }
    }

    /// Nodes that differ in it refuse each other.
    pub(super) const fn must_be_equal(self) -> Self {
        Self { class: Some(Class::MustBeEqual), ..self }
    }

    /// Nodes that differ in it say so.
    pub(super) const fn should_be_equal(self) -> Self {
        Self { class: Some(Class::ShouldBeEqual), ..self }
    }

    /// It is each node's own.
    pub(super) const fn may_differ(self) -> Self {
        Self { class: Some(Class::MayDiffer), ..self }
    }

    /// What of it is compared, if not all.
    pub(super) const fn compared(self, compared: Compared) -> Self {
        Self { compared, ..self }
    }

    /// What each of its entries may be, in words.
    pub(super) const fn entries(self, words: &'static str) -> Self {
        Self { below: Below::Entries(words), ..self }
    }

    /// For `options!`: name and text.
    pub(super) const fn named(self, name: &'static str, text: &'static [&'static str]) -> Self {
        Self { name, text, ..self }
    }
}

impl Allowed {
    /// Whether a value of the key's type is inside the bounds.
    pub(super) fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Words(_) | Self::Table(_) => true,
            Self::Number { min, max, .. } => {
                let number = value.to_num().and_then(|number| number.to_u128_lossy());
                number.and_then(|number| usize::try_from(number).ok()).is_some_and(|n| (*min..=*max).contains(&n))
            }
            Self::List { min, max, .. } => value.as_array().is_some_and(|list| (*min..=*max).contains(&list.len())),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Number { of, min, max } => write!(f, "a number{of} from {min} to {max}"),
            Self::List { of, min: 0, max } => write!(f, "a list of at most {max} {of}"),
            Self::List { of, min, max } => write!(f, "a list of {min} to {max} {of}"),
            Self::Table(keys) => f.write_str(&table_of(keys)),
        }
    }
}

/// Names the keys that a table must have, or those that it may have if it must have none.
fn table_of(keys: &[Key]) -> String {
    let all: Vec<_> = keys.iter().map(|key| key.name).collect();
    let must: Vec<_> = keys.iter().filter(|key| matches!(key.unset, Unset::Refused)).map(|key| key.name).collect();
    let (how, names) = match must.len() {
        0 => ("of", all),
        count if count == all.len() => ("with", all),
        _ => ("with at least", must),
    };
    let names = match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        Some(_) | None => names.concat(),
    };
    format!("a table {how} {names}")
}

/// Declares the tables of a configuration. Each entry is `/// text`, `name: type = what is said of it`, and becomes a
/// field of the struct that serde reads and a [`Key`] in `KEYS` of that struct.
macro_rules! options {
    ($(
        $(#[doc = $about:literal])*
        struct $table:ident {
            $( $(#[doc = $text:literal])* $(#[serde $serde:tt])? $name:ident: $type:ty = $key:expr; )*
        }
    )*) => { $(
        $(#[doc = $about])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $table {
            $( $(#[doc = $text])* $(#[serde $serde])? pub $name: $type, )*
        }

        impl $table {
            /// What is said of each key, in their order.
            pub(super) const KEYS: &'static [Key] = &[ $( $key.named(stringify!($name), &[$($text),*]) ),* ];
        }
    )* };
}
pub(super) use options;

/// True if each of these keys, and of those in tables below, is in a class. What lies in lists of tables belongs to the list.
pub(super) const fn have_classes(mut keys: &[Key]) -> bool {
    while let Some((key, rest)) = keys.split_first() {
        let has = match key.below {
            Below::Table(below) => key.class.is_none() && have_classes(below),
            Below::Nothing | Below::Entries(_) | Below::Tables { .. } => key.class.is_some(),
        };
        if !has {
            return false;
        }
        keys = rest;
    }
    true
}

/// A key with its place in the file. Those in lists of tables have none.
pub(super) struct Located {
    /// Its parts joined by dots.
    pub(super) path: String,
    /// What is said of it.
    pub(super) key: &'static Key,
}

impl Located {
    /// Its default as TOML.
    pub(super) fn default(&self) -> Option<&'static str> {
        match self.key.unset {
            Unset::Default(value) if self.path.starts_with("interfaces.second.") => Some(value.second),
            Unset::Default(value) => Some(value.first),
            Unset::Refused | Unset::Derived(_) => None,
        }
    }
}

/// All keys outside lists of tables, tables themselves left out.
pub(super) fn all() -> Vec<Located> {
    let mut found = Vec::new();
    collect("", Options::KEYS, &mut found);
    found
}

fn collect(table: &str, keys: &'static [Key], found: &mut Vec<Located>) {
    for key in keys {
        let path = format!("{table}{}", key.name);
        match key.below {
            Below::Table(keys) => collect(&format!("{path}."), keys, found),
            Below::Nothing | Below::Entries(_) | Below::Tables { .. } => found.push(Located { path, key }),
        }
    }
}

/// The lowest layer: every default, as TOML.
pub(super) fn defaults() -> String {
    let line = |key: &Located| key.default().map(|value| format!("{} = {value}\n", key.path));
    all().iter().filter_map(line).collect()
}

/// What the key (its parts joined by dots, entries of lists by number) may be; `None` for keys that do not exist.
pub(super) fn allowed(path: &str) -> Option<String> {
    allowed_in(Options::KEYS, path)
}

fn allowed_in(keys: &[Key], path: &str) -> Option<String> {
    let (name, below) = path.split_once('.').map_or((path, None), |(name, below)| (name, Some(below)));
    let key = keys.iter().find(|key| key.name == name)?;
    let Some(below) = below else { return Some(key.allowed.to_string()) };
    match (key.below, below.split_once('.')) {
        (Below::Table(keys), _) => allowed_in(keys, below),
        (Below::Entries(entry) | Below::Tables { entry, .. }, None) => Some(entry.to_owned()),
        (Below::Tables { keys, .. }, Some((_, below))) => allowed_in(keys, below),
        (Below::Nothing, _) | (Below::Entries(_), Some(_)) => None,
    }
}
