//! What keeps a node from starting: each is said in one line, and the exit code is 1.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use netns_tests::{Lab, binary};
use tempfile::TempDir;

/// A node that would start.
const GOOD: &str = r#"
node = "x"
log = "error"
control = "CONTROL"
[cluster]
id = "bad-input"
secret = "a text of at least sixteen characters"
[interfaces.first]
tap = "bad-first"
addresses = ["10.7.1.11/24"]
[interfaces.second]
tap = "bad-second"
addresses = ["10.7.2.11/24"]
"#;

struct Starts {
    lab: Lab,
    folder: TempDir,
}

impl Starts {
    fn new(hint: &str) -> Self {
        Self { lab: Lab::up(hint).nodes(1).start(), folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one line that `herald run` says of this configuration, without `herald: ` and the file's name.
    #[track_caller]
    fn refused(&self, configuration: &str) -> String {
        let (file, control) = (self.file("node.toml"), self.file("node.sock"));
        fs::write(&file, configuration.replace("CONTROL", &control.display().to_string())).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        self.refused_file(&file)
    }

    #[track_caller]
    fn refused_file(&self, file: &Path) -> String {
        let (binary, path) = (binary().display().to_string(), file.display().to_string());
        // A node that starts nevertheless is ended, and told by its exit code.
        let output = self.lab.exec("client", &["timeout", "30", &binary, "run", "--config", &path]);
        assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{}", output.stderr);
        let said = output.stderr.strip_prefix("herald: ").unwrap_or_else(|| panic!("{}", output.stderr));
        said.trim_end().replace(&path, "FILE")
    }

    /// Nothing of the refused nodes stays, and the lab's own node runs.
    fn assert_nothing_stays(&self) {
        let links = self.lab.exec("client", &["ip", "-brief", "link"]).ok();
        assert!(!links.contains("bad-"), "{links}");
        assert!(!self.file("node.sock").exists());
        assert_eq!(self.lab.status()["nodes"][0]["state"], "running");
        assert_eq!(self.lab.exec("client", &["ping", "-n", "-c", "1", "-W", "10", "10.2.0.100"]).code, 0);
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_file_line_key_and_value() {
    let starts = Starts::new("config");
    for (wrong, expected) in [
        (GOOD.replace("[cluster]", "hold_ms = 5\n[cluster]"), "FILE:5: hold_ms = 5: there is no such key"),
        (GOOD.replace("secret", "sekret"), "sekret = \"a text"),
        (GOOD.replace("[cluster]", "hold_ms_max = \"long\"\n[cluster]"), "FILE:5: hold_ms_max = \"long\":"),
        (GOOD.replace("\"10.7.1.11/24\"", "7"), "FILE:10: interfaces.first.addresses"),
        (GOOD.replace("[cluster]", "[cluster"), "FILE:5: not TOML:"),
        (GOOD.replace("bad-second", "bad-first"), "FILE:12: interfaces.second.tap = \"bad-first\":"),
        (GOOD.replace("node = \"x\"", ""), "node is missing"),
        (String::new(), "is missing"),
    ] {
        let said = starts.refused(&wrong);
        assert!(said.contains(expected), "{said}\n{wrong}");
    }
    let said = starts.refused_file(&starts.file("absent.toml"));
    assert!(said.starts_with("FILE: cannot be read: "), "{said}");
    starts.assert_nothing_stays();
}

/// The bytes of a plugin with another major version of the contract in its note (plugin-api, `HeraldNoteHeader`).
fn with_wrong_abi() -> Vec<u8> {
    let mut bytes = fs::read(binary().parent().unwrap().join("libherald_acl.so")).unwrap();
    // The note's owner, a magic number and a length, and behind them the versions, major and minor.
    let contract = [0_u32.to_ne_bytes(), 9_u32.to_ne_bytes()].concat();
    let versions: Vec<usize> = (0..bytes.len() - 24)
        .filter(|at| bytes[*at..].starts_with(b"Herald\0\0") && bytes[at + 16..at + 24] == contract)
        .collect();
    assert_eq!(versions.len(), 1, "one note with version 0.9");
    bytes[versions[0] + 16] = 99;
    bytes
}

#[test]
fn a_wrong_plugin_is_refused_with_what_was_expected_and_found() {
    let starts = Starts::new("plugin");
    let acl = fs::read(binary().parent().unwrap().join("libherald_acl.so")).unwrap();
    let files: [(&str, Vec<u8>); 4] = [
        ("text.so", b"#!/bin/sh\necho no plugin\n".to_vec()),
        ("cut.so", acl[..acl.len() / 2].to_vec()),
        ("empty.so", Vec::new()),
        ("abi.so", with_wrong_abi()),
    ];
    for (name, bytes) in &files {
        fs::write(starts.file(name), bytes).unwrap();
    }
    let path = |name: &str| starts.file(name).display().to_string();
    for (plugin, config, expected) in [
        ("no-such-plugin".to_owned(), "", "unknown plugin \"no-such-plugin\": there is no "),
        ("no such plugin".to_owned(), "", "plugins.0.name = \"no such plugin\": allowed is a name of "),
        (path("absent.so"), "", "absent.so: "),
        (path("text.so"), "", "an ELF file expected, a file that starts with \"#!/bin/s\" found; "),
        (path("empty.so"), "", "an ELF file expected, "),
        (path("cut.so"), "", "is no plugin for this router: "),
        (path("abi.so"), "", "0 expected, 99 found; "),
        ("/bin/true".to_owned(), "", "is no plugin for this router: "),
        ("acl".to_owned(), "config = { default = \"open\" }", "plugin acl refuses its configuration: default is "),
    ] {
        let said = starts.refused(&format!("{GOOD}[[plugins]]\nname = {plugin:?}\n{config}\n"));
        assert!(said.contains(expected), "{plugin}: {said}");
    }
    starts.assert_nothing_stays();
}
