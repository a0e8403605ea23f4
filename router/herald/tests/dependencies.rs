//! What the program is made of, as Cargo knows it: licences, sources, and crates that come in two versions.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The one registry, as `Cargo.lock` names it whatever mirror of it a machine uses.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What all crates of this workspace are offered under.
const OUR_LICENCE: &str = "MIT OR Apache-2.0";

/// Licences by their SPDX ids, with an exception where there is one: permissive ones, and those with a reason beside them.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    // Covers its own files alone: cbindgen, which only writes a header for a test.
    "MPL-2.0",
    "Unicode-3.0",
    // Asks for nothing: tun.
    "WTFPL",
];

/// Crates that come in several versions, as far as Cargo tells these apart, and why.
const DUPLICATES: &[(&str, &[&str], &str)] = &[
    ("bit-vec", &["0.9", "0.10"], "rcgen's yasna, proptest"),
    ("bitflags", &["1", "2"], "smoltcp has the first still"),
    ("embedded-io", &["0.4", "0.6"], "postcard takes both, for its users to choose"),
    ("getrandom", &["0.2", "0.3", "0.4"], "ring, stateright's rand, tempfile"),
    ("hashbrown", &["0.14", "0.17"], "dashmap has the older one"),
    ("nom", &["7", "8"], "rcgen's x509-parser, pcap-parser"),
    ("rand", &["0.9", "0.10"], "stateright, proptest"),
    ("rand_core", &["0.9", "0.10"], "follows rand"),
    ("rusticata-macros", &["4", "5"], "follows nom"),
    ("serde_spanned", &["0.6", "1"], "follows toml"),
    ("syn", &["2", "3"], "derive macros are on their way to the third"),
    ("toml", &["0.8", "0.9"], "figment has the older one"),
    ("toml_datetime", &["0.6", "0.7", "1"], "follows toml and toml_edit"),
    ("toml_edit", &["0.22", "0.23", "0.25"], "figment's toml, ours for lines of errors, a macro of smoltcp's logging"),
    ("winnow", &["0.7", "1"], "follows toml"),
];

/// A package that is built here, for the program or for its tests.
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// `None`: a folder of this machine.
    source: Option<String>,
    manifest: String,
}

fn root() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap().display().to_string()
}

fn cargo(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(words).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All packages but those for other machines, which nobody has fetched here.
fn packages() -> Vec<Package> {
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let words = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&cargo(&words)).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let package = |package: &Value| Package {
        name: text(&package["name"]).unwrap(),
        version: text(&package["version"]).unwrap(),
        licence: text(&package["license"]),
        source: text(&package["source"]),
        manifest: text(&package["manifest_path"]).unwrap(),
    };
    let packages: Vec<_> = metadata["packages"].as_array().unwrap().iter().map(package).collect();
    assert!(packages.len() > 100, "{} packages are too few to be all", packages.len());
    packages
}

fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

/// True if the expression can be met with listed licences alone. `A/B` is how `A OR B` was written once.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (allowed, rest) = any_of(&words);
    allowed && rest.is_empty()
}

/// Reads `x OR y`; what is left over comes back. `AND` binds closer (SPDX 2.3, annex D.4).
fn any_of<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    let (mut allowed, mut rest) = all_of(words);
    while let ["OR", more @ ..] = rest {
        let (other, left) = all_of(more);
        (allowed, rest) = (allowed || other, left);
    }
    (allowed, rest)
}

fn all_of<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    let (mut allowed, mut rest) = one(words);
    while let ["AND", more @ ..] = rest {
        let (other, left) = one(more);
        (allowed, rest) = (allowed && other, left);
    }
    (allowed, rest)
}

fn one<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => match any_of(inner) {
            (allowed, [")", rest @ ..]) => (allowed, rest),
            (_, rest) => (false, rest),
        },
        [id, "WITH", exception, rest @ ..] => (LICENCES.contains(&format!("{id} WITH {exception}").as_str()), rest),
        [id, rest @ ..] => (LICENCES.contains(id), rest),
        // Something is missing: what cannot be read is left over.
        [] => (false, &[""]),
    }
}

/// The part of a version that Cargo compares: two that differ in it stand beside each other.
fn compatibility(version: &str) -> String {
    let mut parts = version.split(['.', '-', '+']);
    let (major, minor, patch) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    match (major, minor) {
        ("0", "0") => format!("0.0.{patch}"),
        ("0", _) => format!("0.{minor}"),
        _ => major.to_owned(),
    }
}

#[test]
fn every_licence_is_one_of_the_list() {
    let mut wrong = Vec::new();
    for package in packages() {
        let licence = package.licence.as_deref().unwrap_or("none");
        let allowed = if package.source.is_none() { licence == OUR_LICENCE } else { is_allowed(licence) };
        if !allowed {
            wrong.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert_none("these licences are not in the list, or not the workspace's own", &wrong);
}

#[test]
fn every_source_is_crates_io_or_this_workspace() {
    let root = root();
    let mut wrong = Vec::new();
    for package in packages() {
        let known = match &package.source {
            Some(source) => source == CRATES_IO,
            None => package.manifest.starts_with(&root),
        };
        if !known {
            wrong.push(format!("{} {}: {}", package.name, package.version, package.source.unwrap_or(package.manifest)));
        }
    }
    // Those for other machines, too.
    let lock = std::fs::read_to_string(format!("{root}/Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        if package.get("source").is_some_and(|source| source.as_str() != Some(CRATES_IO)) {
            wrong.push(format!("Cargo.lock: {package}"));
        }
    }
    assert_none("these come from elsewhere", &wrong);
}

#[test]
fn a_crate_comes_in_two_versions_only_for_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(package.name).or_default().insert(compatibility(&package.version));
    }
    versions.retain(|_, versions| versions.len() > 1);
    let listed = |(name, versions, _): &(&str, &[&str], &str)| {
        ((*name).to_owned(), versions.iter().map(|version| (*version).to_owned()).collect())
    };
    let listed: BTreeMap<String, BTreeSet<String>> = DUPLICATES.iter().map(listed).collect();
    let tell = |(name, versions): (&String, &BTreeSet<String>)| {
        format!("{name} {}", versions.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    };
    let differs = |one: &BTreeMap<_, _>, other: &BTreeMap<_, _>| -> Vec<String> {
        one.iter().filter(|(name, versions)| other.get(*name) != Some(*versions)).map(tell).collect()
    };
    assert_none("these are not in the list", &differs(&versions, &listed));
    assert_none("these are in the list and not so any more", &differs(&listed, &versions));
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let allowed = [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 / MIT",
        "GPL-3.0-only OR MIT",
        "(MIT OR GPL-3.0-only) AND Unicode-3.0",
        "GPL-3.0-only AND MIT OR ISC",
        "Apache-2.0 WITH LLVM-exception AND (ISC)",
    ];
    assert!(allowed.iter().all(|expression| is_allowed(expression)));
    let refused = [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND (GPL-3.0-only OR SSPL-1.0)",
        "ISC OR",
        "(MIT",
        "MIT)",
        "MIT MIT",
        "MIT WITH LLVM-exception",
        "mit",
    ];
    assert!(!refused.iter().any(|expression| is_allowed(expression)));
    assert_eq!(["0.0.7", "0.25.18+spec-1.1.0", "2.1.0"].map(compatibility), ["0.0.7", "0.25", "2"]);
}
