//! Puts the source of the plugin SDK into the program, for `herald plugin new`: whatever is in its folder, so that nothing is
//! forgotten.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let sdk = root.join("plugin-api");
    let mut files = Vec::new();
    for folder in ["src", "include"] {
        collect(&sdk, &sdk.join(folder), &mut files)?;
    }
    files.extend(["LICENSE-APACHE", "LICENSE-MIT"].map(|name| (name.to_owned(), root.join(name))));
    files.sort();
    let entries = files.iter().map(|(name, path)| {
        println!("cargo::rerun-if-changed={}", path.display());
        format!("    ({name:?}, include_str!({:?})),\n", path.display().to_string())
    });
    let text = format!("&[\n{}]\n", entries.collect::<String>());
    println!("cargo::rerun-if-changed={}", sdk.join("src").display());
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("sdk.rs"), text)
}

/// The files of a folder and of those in it, with their paths from `root` on.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.display().to_string(), path));
        }
    }
    Ok(())
}
