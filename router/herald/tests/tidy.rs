//! The house rules as tests: the direction of `use`, what the core must not touch, sizes, names, module documentation.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Layers of the crates with several, from top to bottom; between crates Cargo keeps the direction. A module uses modules of
/// lower layers; those of its own only where the layer allows it.
const LAYERS: &[(&str, &[Layer])] = &[
    ("herald", &[(&["main"], Siblings::Strangers), (&["app"], Siblings::Strangers), (&["io"], Siblings::Strangers)]),
    (
        "facts",
        &[
            (&["stream"], Siblings::Strangers),
            (&["detect", "quic"], Siblings::Strangers),
            (&["dns", "http", "ssh", "tls"], Siblings::Strangers),
            (&["fact", "limits", "name", "oddity", "progress", "reader"], Siblings::Known),
        ],
    ),
    (
        "core",
        &[
            (&["node"], Siblings::Strangers),
            (&["redirector", "chosen", "membership", "forward"], Siblings::Strangers),
            (&["session", "mesh", "fragments", "outbox", "turn"], Siblings::Known),
            (
                &["packet", "flow", "id", "time", "event", "limits", "inspector", "memory", "mutation", "mistake"],
                Siblings::Known,
            ),
        ],
    ),
    (
        "stream",
        &[
            (&["frame", "export"], Siblings::Strangers),
            (&["engine"], Siblings::Strangers),
            (&["opening"], Siblings::Strangers),
            (&["stream"], Siblings::Strangers),
            (&["half"], Siblings::Strangers),
            (&["kept"], Siblings::Strangers),
            (&["segment"], Siblings::Strangers),
            (&["judged", "settings", "limits", "side"], Siblings::Known),
        ],
    ),
];

/// Modules, and whether they may use each other.
type Layer = (&'static [&'static str], Siblings);

/// Whether modules of one layer may use each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Siblings {
    Known,
    Strangers,
}

/// What the core may depend on: nothing of it opens, waits or runs anything.
const CORE_DEPENDENCIES: &[&str] =
    &["etherparse", "hashbrown", "ipnet", "postcard", "serde", "siphasher", "slab", "thiserror"];

const NOT_IN_CORE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "thread::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "async",
    ".await",
    "tokio",
    "tracing",
    "mio::",
    "libc",
    "nix::",
    "println!",
    "RandomState",
    "HashMap::new",
    "HashSet::new",
];

const MODULE_NAMES_BANNED: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "core", "misc"];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// One source file, its tests cut off.
struct Source {
    path: PathBuf,
    /// Path for messages, from the workspace's root.
    name: String,
    /// The lines before the tests.
    lines: Vec<String>,
    is_test: bool,
}

impl Source {
    fn read(root: &Path, path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let stem = path.file_stem().unwrap().to_string_lossy();
        let is_test =
            name.contains("/tests/") || name.contains("/benches/") || stem == "tests" || stem.ends_with("_tests");
        let is_test = is_test || text.lines().any(|line| line == "#![cfg(test)]");
        let end = text
            .lines()
            .collect::<Vec<_>>()
            .windows(2)
            .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
        let lines = text.lines().take(end.unwrap_or(usize::MAX)).map(str::to_owned).collect();
        Self { path, name, lines, is_test }
    }

    /// The lines with their numbers, without comments and the contents of texts.
    fn code(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.lines.iter().enumerate().map(|(number, line)| (number + 1, code_of(line)))
    }

    /// The first part of its path below the sources of a crate of the router: its module.
    fn module(&self, package: &str) -> Option<String> {
        let below = self.path.strip_prefix(router().join(package).join("src")).ok()?;
        let first = below.components().next()?.as_os_str().to_string_lossy();
        Some(first.trim_end_matches(".rs").to_owned())
    }

    /// How many modules below the crate's root its module lies.
    fn depth(&self, package: &str) -> usize {
        let below = self.path.strip_prefix(router().join(package).join("src")).unwrap();
        let is_folder = below.ends_with("mod.rs") || below == Path::new("lib.rs") || below == Path::new("main.rs");
        below.components().count() - usize::from(is_folder)
    }
}

/// A line without its comment and without what stands between quotation marks.
fn code_of(line: &str) -> String {
    let (mut code, mut quoted, mut escaped, mut previous) = (String::new(), false, false, ' ');
    for c in line.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '/' && previous == '/' {
            code.pop();
            break;
        } else if c == '"' && previous != '\'' {
            quoted = true;
        } else {
            code.push(c);
        }
        previous = c;
    }
    code
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn router() -> PathBuf {
    root().join("router")
}

/// All Rust files of the workspace.
fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for folder in ["router", "plugin-api", "plugins", "netns-tests"] {
        rust_files(&root.join(folder), &mut found);
    }
    assert!(found.len() > 40, "the sources are elsewhere: {found:?}");
    found.into_iter().map(|path| Source::read(&root, path)).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

/// The top-level modules that code names behind the crate's root, each with its line, counted from one. From a module at
/// this depth below the root, so many `super::` lead there, too.
fn modules_used(code: &str, depth: usize) -> Vec<(usize, String)> {
    let up = "super::".repeat(depth);
    let roots = if depth == 0 { vec!["crate::"] } else { vec!["crate::", &up] };
    let mut modules = Vec::new();
    for root in roots {
        for (at, _) in code.match_indices(root) {
            // A path that begins elsewhere, or is longer.
            let inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if !code[..at].ends_with(inside) && !code[at + root.len()..].starts_with("super::") {
                modules.extend(names_behind(code, at + root.len()));
            }
        }
    }
    modules
}

/// The name that stands at a place in code, or the first name of each path in the braces there.
fn names_behind(code: &str, at: usize) -> Vec<(usize, String)> {
    let (mut names, mut level, mut expected) = (Vec::new(), 0, true);
    for (place, c) in code[at..].char_indices() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            ',' if level == 1 => expected = true,
            c if c.is_whitespace() => {}
            _ if expected && level <= 1 => {
                let word = code[at + place..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                names.push((code[..at + place].matches('\n').count() + 1, word));
                expected = false;
            }
            _ => {}
        }
        if level == 0 && !names.is_empty() || level < 0 {
            break;
        }
    }
    names.retain(|(_, name): &(usize, String)| !name.is_empty());
    names
}

/// The layer of a crate's module, counted from the top.
fn layer(package: &str, module: &str) -> Option<(usize, Siblings)> {
    let (_, layers) = LAYERS.iter().find(|(name, _)| *name == package)?;
    let place = layers.iter().position(|(modules, _)| modules.contains(&module))?;
    Some((place, layers[place].1))
}

fn may_use(package: &str, module: &str, used: &str) -> bool {
    match (layer(package, module), layer(package, used)) {
        (Some((from, siblings)), Some((to, _))) if from == to => module == used || siblings == Siblings::Known,
        (Some((from, _)), Some((to, _))) => from < to,
        (Some(_) | None, None) | (None, Some(_)) => true,
    }
}

#[test]
fn use_goes_downwards_only() {
    let mut wrong = Vec::new();
    let sources = sources();
    for (package, _) in LAYERS {
        for source in sources.iter().filter(|s| !s.is_test) {
            let Some(module) = source.module(package) else { continue };
            let code = source.code().map(|(_, line)| line + "\n").collect::<String>();
            for (number, used) in modules_used(&code, source.depth(package)) {
                if !may_use(package, &module, &used) {
                    wrong.push(format!("{}:{number}: {module} uses {used}", source.name));
                }
            }
        }
    }
    assert_none("these uses do not go downwards", &wrong);
}

#[test]
fn every_module_has_its_layer() {
    let mut wrong = Vec::new();
    for (package, _) in LAYERS {
        let text = fs::read_to_string(router().join(package).join("src/lib.rs")).unwrap();
        let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        wrong.extend(modules.filter(|m| layer(package, m).is_none()).map(str::to_owned));
    }
    assert_none("these modules are in no layer of tidy.rs", &wrong);
}

#[test]
fn the_core_depends_on_nothing_that_does_input_or_output() {
    let manifest = fs::read_to_string(router().join("core/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let dependencies: Vec<_> = manifest["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    assert_eq!(dependencies, CORE_DEPENDENCIES);
}

#[test]
fn the_core_has_no_clock_no_files_no_sockets_no_threads_and_no_log() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test) {
        if source.module("core").is_none() {
            continue;
        }
        for (number, code) in source.code() {
            for word in NOT_IN_CORE.iter().filter(|word| names(&code, word)) {
                wrong.push(format!("{}:{number}: {word}", source.name));
            }
        }
    }
    assert_none("the core must not touch these", &wrong);
}

/// True if the code has the word, not as a part of a longer one.
fn names(code: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let begins = !word.starts_with(inside) || !code[..at].ends_with(inside);
        let ends = !word.ends_with(inside) || !code[at + word.len()..].starts_with(inside);
        begins && ends
    })
}

#[test]
fn files_are_short() {
    let long = |source: &&Source| !source.is_test && source.lines.len() >= FILE_LINES_MAX;
    let sources = sources();
    let wrong: Vec<_> = sources.iter().filter(long).map(|s| format!("{}: {} lines", s.name, s.lines.len())).collect();
    assert_none("files stay under 400 lines without their tests", &wrong);
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines: Vec<_> = source.lines.iter().map(String::as_str).collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
            // Formatted code closes a function at the indentation where it opened.
            let indent: String = line.chars().take_while(|c| *c == ' ').collect();
            let end = lines[number..].iter().position(|l| *l == format!("{indent}}}"));
            let declared = line.ends_with(';') || line.ends_with('}');
            let end = end.filter(|_| !declared);
            let len = end.map_or(1, |end| end.saturating_sub(1));
            if len > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{}: {len} lines", source.name, number + 1));
            }
        }
    }
    assert_none("the body of a function has at most 70 lines", &wrong);
}

fn starts_function(line: &str) -> bool {
    let words = ["pub", "pub(super)", "pub(crate)", "const", "unsafe", "async", "extern", "\"C\""];
    line.split_whitespace().find(|word| !words.contains(word)) == Some("fn")
}

#[test]
fn every_module_says_what_it_is() {
    let undocumented = |source: &&Source| {
        let first = source.lines.iter().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
        !source.is_test && !first.is_some_and(|line| line.starts_with("//! ") && line.len() > 12)
    };
    let sources = sources();
    let wrong: Vec<_> = sources.iter().filter(undocumented).map(|s| s.name.clone()).collect();
    assert_none("these files have no module documentation", &wrong);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    let sources = sources();
    let named = |source: &&Source| {
        let path = Path::new(&source.name);
        let is_crate = |part: &str| part == "core" && path.starts_with("router/core");
        if source.is_test {
            return false;
        }
        let parts = path.components().map(|c| c.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned());
        parts.into_iter().any(|part| MODULE_NAMES_BANNED.contains(&part.as_str()) && !is_crate(&part))
    };
    let wrong: Vec<_> = sources.iter().filter(named).map(|s| s.name.clone()).collect();
    assert_none("these names say nothing", &wrong);
}

/// What stands between backticks in a text, outside of blocks of code.
fn code_spans(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn paths_in_documents_exist() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for entry in fs::read_dir(router().join("docs")).unwrap() {
        let document = entry.unwrap().path();
        let text = fs::read_to_string(&document).unwrap();
        let is_path = |span: &&str| span.contains('/') && !span.contains(char::is_whitespace);
        for path in code_spans(&text).into_iter().filter(is_path) {
            seen += 1;
            if !root().join(path).exists() {
                wrong.push(format!("{}: {path}", document.file_name().unwrap().display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} paths were found");
    assert_none("these paths in documents lead nowhere", &wrong);
}

#[test]
fn nothing_is_left_to_be_done() {
    // Put together, so that this file is not its own finding.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {}", source.name, number + 1, line.trim()));
            }
        }
    }
    assert_none("these are not finished", &wrong);
}

#[test]
fn the_rules_see_what_they_should() {
    let used = |code: &str, depth| modules_used(code, depth).into_iter().map(|(line, name)| format!("{line} {name}"));
    let used = |code: &str, depth| used(code, depth).collect::<Vec<_>>();
    assert_eq!(used("use crate::node::Node; // crate::io", 1), ["1 node", "1 io"]);
    assert_eq!(used(&code_of("use crate::node::Node; // crate::io"), 1), ["1 node"]);
    assert_eq!(used("use crate::{lab, app::config};\nlet x = 1;", 1), ["1 lab", "1 app"]);
    let nested =
        "use crate::{\n    app::{\n        config::{a, b},\n        run,\n    },\n    io,\n};\nf(crate::lab::x)";
    assert_eq!(used(nested, 1), ["2 app", "6 io", "8 lab"]);
    assert_eq!(used("use super::super::{a::b, c};\nsuper::d();", 2), ["1 a", "1 c"]);
    assert_eq!(used("use super::super::a;\nsuper::b();\nuse super::{c, d};", 1), ["2 b", "3 c", "3 d"]);
    assert_eq!(used("$crate::a!(); mycrate::b; x::super::c;", 1), ["1 a"]);
    let in_core = |module, used| may_use("core", module, used);
    assert!(in_core("node", "session") && in_core("outbox", "mesh") && may_use("herald", "app", "io"));
    assert!(!in_core("chosen", "redirector") && !in_core("flow", "outbox") && !may_use("herald", "io", "app"));
    assert_eq!(code_of(r#"let a = "x // y"; // z"#), "let a = ; ");
    assert!(
        names("std::thread::spawn", "std::thread")
            && !names("my_async_thing", "async")
            && !names("x.awaited", ".await")
    );
    assert!(starts_function("    pub(super) fn x() {") && !starts_function("    let fn_name = 1;"));
}
