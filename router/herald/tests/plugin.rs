//! `herald plugin` as an author meets it: projects that build and test offline, and a check that passes the bundled plugins and
//! catches those that misbehave.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use herald_testing::plugins::built;
use serde_json::Value;

fn herald(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args(arguments).current_dir(folder).env_remove("HERALD_CONTROL").output().unwrap()
}

/// A copy of a bundled plugin in a folder; they are built here, as other tests build them, if they are not there yet.
fn bundled(place: &Path, name: &str) -> String {
    // Another test may build it anew meanwhile.
    let library = place.join(format!("{name}.so"));
    std::fs::copy(built().join(format!("libherald_{name}.so")), &library).unwrap();
    library.display().to_string()
}

/// The results that failed, with what was found.
fn failures(output: &Output) -> Vec<(String, String)> {
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tests = checked["tests"].as_array().unwrap();
    let failed = tests.iter().filter(|row| row["result"] == "failed");
    failed.map(|row| (row["test"].as_str().unwrap().to_owned(), row["found"].as_str().unwrap().to_owned())).collect()
}

fn check(folder: &Path, library: &str, config: &str) -> Output {
    std::fs::write(folder.join("config.toml"), config).unwrap();
    herald(folder, &["plugin", "check", library, "--config", "config.toml", "--json"])
}

#[test]
fn the_bundled_plugins_pass() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("flow.log").display().to_string();
    for (name, config) in [
        ("hello", String::new()),
        ("acl", "[[rules]]\naction = \"drop\"\nprotocol = \"udp\"".to_owned()),
        ("flowlog", format!("path = {log:?}")),
        ("faulty", String::new()),
    ] {
        let output = check(place.path(), &bundled(place.path(), name), &config);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said} {}", String::from_utf8_lossy(&output.stdout));
    }
    let table = herald(place.path(), &["plugin", "check", &bundled(place.path(), "hello")]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("plugin hello, version ") && table.contains("guard-pages   passed"), "{table}");
}

#[test]
fn every_fault_is_caught_by_the_test_that_is_for_it() {
    let place = tempfile::tempdir().unwrap();
    let library = bundled(place.path(), "faulty");
    for (fault, test, words) in [
        ("panic", "faults", "it fails at a packet"),
        ("read-behind", "guard-pages", "SIGSEGV"),
        ("read-before", "guard-pages", "SIGSEGV"),
        ("write-packet", "packet-bytes", "it changes a packet"),
        ("write-behind-state", "state-size", "it writes beside its state of 8 bytes"),
        ("leak", "leaks", "bytes of every stream that has ended"),
        ("waver", "determinism", "the next time"),
        ("exit", "verdicts", "exit code 7"),
        ("abort", "huge", "SIGABRT"),
    ] {
        let output = check(place.path(), &library, &format!("when = \"packet\"\nfault = \"{fault}\""));
        assert_eq!(output.status.code(), Some(1), "{fault}");
        let failed = failures(&output);
        let found = failed.iter().find(|(name, _)| name == test);
        assert!(found.is_some_and(|(_, found)| found.contains(words)), "{fault}: {failed:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("tests failed") && said.lines().count() == 1, "{said}");
    }
    // At the start and the end of a stream, too.
    for when in ["start", "end"] {
        let failed = failures(&check(place.path(), &library, &format!("when = \"{when}\"")));
        assert!(failed.iter().any(|(test, found)| test == "faults" && found.contains(when)), "{when}: {failed:?}");
    }
}

#[test]
fn a_plugin_that_hangs_is_stopped() {
    let place = tempfile::tempdir().unwrap();
    let output = check(
        place.path(),
        &bundled(place.path(), "faulty"),
        "when = \"packet\"\npayload = \"SSH-\"\nfault = \"hang\"",
    );
    let failed = failures(&output);
    assert!(
        failed.iter().any(|(test, found)| test == "verdicts" && found.contains("does not return within")),
        "{failed:?}"
    );
    assert!(!failed.iter().any(|(test, _)| test == "truncated"), "no such packet came there: {failed:?}");
}

#[test]
fn what_is_no_plugin_is_refused_with_a_reason() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("text.so"), "#!/bin/sh\n").unwrap();
    let library = bundled(place.path(), "hello");
    let bytes = std::fs::read(&library).unwrap();
    std::fs::write(place.path().join("half.so"), &bytes[..bytes.len() / 2]).unwrap();
    std::os::unix::fs::symlink(&library, place.path().join("link.so")).unwrap();
    for (file, reason) in [
        ("text.so", "an ELF file expected"),
        ("half.so", "is no plugin for this router"),
        ("link.so", "it is a symbolic link"),
        ("none.so", "cannot open plugin none.so"),
        (env!("CARGO_BIN_EXE_herald"), "is no plugin for this router"),
    ] {
        let output = herald(place.path(), &["plugin", "check", file]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{file}: {said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{file}: {said}");
    }
    let failed = failures(&check(place.path(), &library, "colour = 1"));
    let is_refused = |(_, found): &(String, String)| found.contains("refuses its configuration");
    assert!(!failed.is_empty() && failed.iter().all(is_refused), "a wrong configuration: {failed:?}");
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    for variable in ["CARGO_TARGET_DIR", "RUSTFLAGS", "MAKEFLAGS"] {
        command.env_remove(variable);
    }
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

fn made(place: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let output = herald(place, &[&["plugin", "new", name], arguments].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("Next:") && said.contains("herald plugin check"), "{said}");
    place.join(name)
}

#[test]
fn a_new_rust_project_builds_tests_and_passes_the_check_offline() {
    let place = tempfile::tempdir().unwrap();
    let folder = made(place.path(), "dns-guard", &[]);
    let tested = run(&folder, env!("CARGO"), &["test", "--offline"]);
    assert!(tested.contains("3 passed") && !tested.contains("warning"), "{tested}");
    run(&folder, env!("CARGO"), &["build", "--offline"]);
    let library = folder.join("target/debug/libherald_dns_guard.so").display().to_string();
    let output = check(place.path(), &library, "word = \"GET\"");
    assert!(output.status.success(), "{:?}", failures(&output));
}

#[test]
fn a_new_c_project_builds_tests_and_passes_the_check() {
    let place = tempfile::tempdir().unwrap();
    let folder = made(place.path(), "guard", &["--lang", "c"]);
    assert!(run(&folder, "make", &["test", "CFLAGS=-O1 -Wall -Wextra -Werror"]).ends_with("ok\n"));
    run(&folder, "make", &["CFLAGS=-O2 -Wall -Wextra -Werror"]);
    let library = folder.join("libherald_guard.so").display().to_string();
    let output = check(place.path(), &library, "");
    assert!(output.status.success(), "{:?}", failures(&output));
    // It says what the contract does not have.
    let source = std::fs::read_to_string(folder.join("plugin.c")).unwrap();
    std::fs::write(
        folder.join("plugin.c"),
        source.replace("verdict->scope = HERALD_SCOPE_STREAM;", "verdict->action = 99;"),
    )
    .unwrap();
    run(&folder, "make", &[]);
    let failed = failures(&check(place.path(), &library, ""));
    assert!(failed.iter().any(|(test, found)| test == "verdicts" && found.contains("action 99")), "{failed:?}");
}

#[test]
fn a_name_that_is_none_or_taken_makes_nothing() {
    let place = tempfile::tempdir().unwrap();
    for (name, code, reason) in [
        ("Guard", 2, "\"Guard\" is no plugin id"),
        ("../guard", 2, "is no plugin id"),
        ("9guard", 2, "is no plugin id"),
        ("a-name-of-more-than-thirty-two-bytes", 2, "is no plugin id"),
    ] {
        let output = herald(place.path(), &["plugin", "new", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{name}: {said}");
    }
    std::fs::create_dir(place.path().join("taken")).unwrap();
    let output = herald(place.path(), &["plugin", "new", "taken"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("taken exists already and is left as it is"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}
