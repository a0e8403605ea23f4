//! The commands that documents, comments and scripts name: packages, tests and benchmarks that exist.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// A package of the workspace, with the names of what may be run of it.
struct Package {
    name: String,
    tests: Vec<String>,
    benches: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// What Cargo makes of a folder of tests: a program of each file, and of each folder with a `main.rs`.
fn programs(folder: &Path) -> Vec<String> {
    let is_program = |path: &&PathBuf| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    entries(folder).iter().filter(is_program).map(name).collect()
}

fn packages() -> Vec<Package> {
    let read = |file: PathBuf| fs::read_to_string(file).unwrap().parse::<toml::Table>().unwrap();
    let workspace = read(root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let folders = members.flat_map(|member| match member.strip_suffix("/*") {
        Some(parent) => entries(&root().join(parent)),
        None => vec![root().join(member)],
    });
    let folders = folders.filter(|folder| folder.join("Cargo.toml").exists());
    let package = |folder: PathBuf| Package {
        name: read(folder.join("Cargo.toml"))["package"]["name"].as_str().unwrap().to_owned(),
        tests: programs(&folder.join("tests")),
        benches: programs(&folder.join("benches")),
    };
    folders.map(package).collect()
}

/// Documents, sources and scripts, but not what is generated.
fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "corpus" && !name.starts_with('.') {
                texts(&path, found);
            }
        } else if path.extension().map_or(name == "run", |extension| extension == "rs" || extension == "md") {
            found.push(path);
        }
    }
}

/// The packages, tests and benchmarks behind `cargo` in a line that are not known.
fn unknown(line: &str, known: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, _) in line.match_indices("cargo ") {
        let command = line[at..].split(['`', ';', '"']).next().unwrap();
        let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "--").collect();
        // Placeholders are written large, and a variable of the shell begins with a dollar.
        let is_name = |word: &str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let behind = |flag: &'static str| {
            words.windows(2).filter(move |pair| pair[0] == flag && is_name(pair[1])).map(|pair| pair[1])
        };
        let asked: Vec<&str> = behind("-p").collect();
        let among = || known.iter().filter(|package| asked.is_empty() || asked.contains(&package.name.as_str()));
        let has = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        let packages = asked.iter().filter(|name| !known.iter().any(|package| package.name == **name));
        let tests = behind("--test").filter(|test| !among().any(|package| has(&package.tests, test)));
        let benches = behind("--bench").filter(|bench| !among().any(|package| has(&package.benches, bench)));
        wrong.extend(packages.map(|name| format!("-p {name}")));
        wrong.extend(tests.map(|name| format!("--test {name}")).chain(benches.map(|name| format!("--bench {name}"))));
    }
    wrong
}

#[test]
fn commands_name_what_there_is() {
    let (known, mut files, mut wrong, mut commands) = (packages(), Vec::new(), Vec::new(), 0);
    texts(&root(), &mut files);
    // This file has wrong commands, as examples.
    for file in files.iter().filter(|file| file.file_name().unwrap() != "commands.rs") {
        let name = file.strip_prefix(root()).unwrap().display();
        let text = fs::read_to_string(file).unwrap();
        for (number, line) in text.lines().enumerate() {
            commands += line.matches("cargo test -p").count() + line.matches("cargo bench -p").count();
            let unknown = unknown(line, &known).into_iter();
            wrong.extend(unknown.map(|target| format!("{name}:{}: {target}", number + 1)));
        }
    }
    assert!(commands > 20, "only {commands} commands are found");
    assert!(wrong.is_empty(), "these packages, tests or benchmarks do not exist:\n  {}", wrong.join("\n  "));
}

#[test]
fn unknown_names_are_seen() {
    let known = packages();
    let right = [
        "cargo test -p herald-host --test sim --release -- --test other",
        "see `cargo bench -p herald-core --bench core`; cargo test --workspace --test tidy",
        "cargo test -p netns-tests --test bad_input $NAME --test NAME",
    ];
    assert!(right.iter().all(|line| unknown(line, &known).is_empty()));
    assert_eq!(unknown("cargo test -p herald --test sim", &known), ["--test sim"]);
    assert_eq!(unknown("`cargo test --test nothing`", &known), ["--test nothing"]);
    assert_eq!(unknown("cargo bench -p herald-hots --bench core", &known), ["-p herald-hots", "--bench core"]);
}
