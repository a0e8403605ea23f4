//! The bundled plugins, as files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the built plugins, that of the test's own build. Builds them, once in a process.
///
/// # Panics
/// When they cannot be built.
pub fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let exe = std::env::current_exe().unwrap();
        let folder = exe.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(folder.parent().unwrap());
        for plugin in ["hello", "acl", "flowlog", "faulty"] {
            cargo.args(["-p", &format!("herald-{plugin}")]);
        }
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "plugins are built");
        folder.to_owned()
    })
}
