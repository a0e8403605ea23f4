//! `configs/every-option.toml` is what the entries say, and the entries are what a node does.

use super::super::key::{self, Allowed, Below, Class, Key, Located, Unset};
use super::*;

const HEAD: &str = r#"# Every option of a node: what it means, what is allowed and its default. The value here is the default unless the
# comment says "example". An option with "no default" must be set if its table is used.
#
# Nodes compare their configurations when they meet. They refuse each other if an option differs that must be equal on
# all nodes, and warn of one that should be; the others are each node's own.
#
# The same keys can be set by variables, HERALD_CONFIG__CLUSTER__ID for cluster.id, and by flags, --set cluster.id=lab.
# Flags win over variables, variables over this file.
#
# This file is made from router/herald/src/app/config/options.rs.
"#;

const LINE_CHARS_MAX: usize = 120;

/// Writes the keys of one table and the tables below it.
fn write(table: &str, keys: &'static [Key], text: &mut String) {
    for key in keys {
        let path = if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) };
        match key.below {
            Below::Table(keys) => {
                *text += &format!("\n{}[{path}]\n", comment(key.text));
                write(&path, keys, text);
            }
            Below::Tables { keys, .. } => {
                let facts = facts(&Located { path: path.clone(), key });
                *text += &format!("\n{}{facts}[[{path}]]\n", comment(key.text));
                write(&path, keys, text);
            }
            Below::Nothing | Below::Entries(_) => *text += &value(&Located { path, key }),
        }
    }
}

/// One key with its comment. Those of the second interface were explained at the first.
fn value(located: &Located) -> String {
    let Located { path, key } = located;
    if !path.starts_with("interfaces.second.") {
        return format!("\n{}{}{} = {}\n", comment(key.text), facts(located), key.name, key.shown.first);
    }
    let other = match key.unset {
        Unset::Default(value) if value.first != value.second => format!("# Default: {}.\n", value.second),
        Unset::Default(_) | Unset::Derived(_) | Unset::Refused => String::new(),
    };
    format!("{other}{} = {}\n", key.name, key.shown.second)
}

/// What is allowed, and what the key is when nobody sets it.
fn facts(located: &Located) -> String {
    let allowed = format!("# Allowed: {}.", located.key.allowed);
    let unset = match (located.key.unset, located.default()) {
        (Unset::Refused, _) => "No default.".to_owned(),
        (Unset::Derived(words), _) => format!("Default: {words}. (Example.)"),
        (Unset::Default(_), Some(default)) if default == located.key.shown.first => format!("Default: {default}."),
        (Unset::Default(_), default) => format!("Default: {}. (Example.)", default.unwrap_or_default()),
    };
    let class = match located.key.class {
        Some(Class::MustBeEqual) => Some("Must be equal on all nodes.".to_owned()),
        Some(Class::ShouldBeEqual) => Some("Should be equal on all nodes.".to_owned()),
        Some(Class::MayDiffer) | None => None,
    };
    let mut lines = vec![allowed];
    for part in [Some(unset), class].into_iter().flatten() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + part.len() <= LINE_CHARS_MAX => *line += &format!(" {part}"),
            Some(_) | None => lines.push(format!("# {part}")),
        }
    }
    lines.join("\n") + "\n"
}

fn comment(text: &[&str]) -> String {
    text.iter().map(|line| format!("#{line}\n")).collect()
}

#[test]
fn every_option_is_documented_by_its_entry() {
    let mut generated = HEAD.to_owned();
    write("", Options::KEYS, &mut generated);
    assert_eq!(generated.lines().find(|line| line.len() > LINE_CHARS_MAX), None);
    let path = configs().join("every-option.toml");
    if std::env::var_os("HERALD_WRITE_OPTIONS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let present = fs::read_to_string(&path).unwrap();
    let differs = present.lines().zip(generated.lines()).find(|(present, generated)| present != generated);
    assert!(
        present == generated,
        "{} is not what options.rs says: {differs:?}; HERALD_WRITE_OPTIONS=1 cargo test -p herald --lib every_option \
         writes it anew",
        path.display()
    );
}

#[test]
fn every_option_says_what_it_means_and_what_is_allowed() {
    fn look(table: &str, keys: &[Key], bounds_allowed: &dyn Fn(&Key) -> bool) {
        for key in keys {
            let path = format!("{table}{}", key.name);
            let text = key.text.join("\n");
            assert!(text.trim().len() > 1 && text.ends_with('.'), "{path} needs a text that ends with a full stop");
            assert!(!key.allowed.to_string().is_empty(), "{path} needs what is allowed");
            assert!(bounds_allowed(key), "{path}: bounds inside lists of tables are not checked");
            match key.below {
                Below::Table(keys) => look(&format!("{path}."), keys, bounds_allowed),
                Below::Tables { keys, .. } => {
                    look(&format!("{path}.*."), keys, &|key| matches!(key.allowed, Allowed::Words(_)));
                }
                Below::Nothing | Below::Entries(_) => {}
            }
        }
    }
    look("", Options::KEYS, &|_| true);
}

#[test]
fn every_documented_default_is_the_real_one() {
    let real: toml::Table = load(GOOD, &[]).unwrap().to_toml().unwrap().parse().unwrap();
    let real = toml::Value::Table(real);
    let mut seen = 0;
    for located in key::all() {
        let Some(default) = located.default() else { continue };
        // The configuration of these tests sets them.
        if ["mesh.peers", "interfaces.first.virtual_addresses", "interfaces.second.virtual_addresses"]
            .contains(&located.path.as_str())
        {
            continue;
        }
        let documented: toml::Table = format!("value = {default}").parse().unwrap();
        let value = located.path.split('.').try_fold(&real, |table, part| table.get(part));
        assert_eq!(value, documented.get("value"), "{}", located.path);
        seen += 1;
    }
    assert!(seen >= 25, "only {seen} defaults");
}

#[test]
fn every_range_is_kept_and_told() {
    let mut seen = 0;
    for Located { path, key } in key::all() {
        let Allowed::Number { of, min, max } = key.allowed else { continue };
        for good in [min, max] {
            load(GOOD, &[&format!("{path}={good}")]).unwrap();
        }
        for bad in [min.checked_sub(1), max.checked_add(1)].into_iter().flatten() {
            let told = format!("{path} = {bad}: allowed is a number{of} from {min} to {max}");
            assert_eq!(refusal(GOOD, &[&format!("{path}={bad}")]), format!("flag --set {path}=...: {told}"));
            let in_file = refusal(&GOOD.replace("node =", &format!("{path} = {bad}\nnode =")), &[]);
            // The file has tables of these already: the line above them is no TOML.
            assert!(in_file.ends_with(&told) || path.starts_with("interfaces."), "{in_file}");
        }
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} ranges");
}

#[test]
fn every_list_is_as_long_as_its_entry_says() {
    let good = [
        ("addresses", "\"10.9.0.1/24\""),
        ("virtual_addresses", "\"10.9.0.1\""),
        ("routes", "{ to = \"192.0.2.0/24\", via = \"10.2.0.9\" }"),
        ("plugins", "{ name = \"acl\" }"),
    ];
    let mut seen = 0;
    for Located { path, key } in key::all() {
        let Allowed::List { max, .. } = key.allowed else { continue };
        let entry = good.iter().find(|(name, _)| *name == key.name).map(|(_, entry)| *entry).unwrap();
        let told = |count: usize| refusal(GOOD, &[&format!("{path}=[{}]", vec![entry; count].join(","))]);
        // Entries that are all alike are refused for that.
        assert!(!told(max).contains("allowed is a list"), "{}", told(max));
        assert!(told(max + 1).ends_with(&format!("allowed is {}", key.allowed)), "{}", told(max + 1));
        seen += 1;
    }
    assert_eq!(seen, 6);
}
