//! `herald plugin new`: a project outside this tree that builds and tests at once, offline, from what is in the program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

/// The SDK's files, by their paths in its folder: what `build.rs` found.
static SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// Bytes of a plugin's name: it is a file's name and a column in reports.
const NAME_LEN_MAX: usize = 32;

/// `herald plugin new`.
#[derive(Debug, Args)]
pub struct NewArguments {
    /// The plugin's id, and the folder that is made: a-z, then a-z, 0-9, '_' and '-'
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The language
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
}

/// A language for plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, with the SDK beside it
    Rust,
    /// C, with the header
    C,
}

/// A project that was not made.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name is no id.
    #[error("{0:?} is no plugin id: a-z, then a-z, 0-9, '_' and '-', at most {NAME_LEN_MAX} bytes; such as dns-guard")]
    Name(String),
    /// There is something of that name.
    #[error("{} exists already and is left as it is: choose another name, or another folder to work in", .0.display())]
    Exists(PathBuf),
    /// The system refuses.
    #[error("{}: {error}", path.display())]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("templates/rust/Cargo.toml.txt")),
    ("README.md", include_str!("templates/rust/README.md.txt")),
    ("plugin.toml", include_str!("templates/plugin.toml.txt")),
    ("src/lib.rs", include_str!("templates/rust/lib.rs.txt")),
    (".gitignore", "target\n"),
    ("herald-plugin/Cargo.toml", include_str!("templates/rust/sdk.toml.txt")),
];

const C: &[(&str, &str)] = &[
    ("Makefile", include_str!("templates/c/Makefile.txt")),
    ("README.md", include_str!("templates/c/README.md.txt")),
    ("plugin.toml", include_str!("templates/plugin.toml.txt")),
    ("plugin.c", include_str!("templates/c/plugin.c.txt")),
    ("test.c", include_str!("templates/c/test.c.txt")),
    ("exports.map", include_str!("templates/c/exports.map.txt")),
    (".gitignore", "*.so\nplugin_test\nplugin_toml.h\n"),
];

/// The header in the SDK's folder.
const HEADER: &str = "include/herald_plugin.h";

/// Makes the project in the present folder. What to do next, as text.
///
/// # Errors
/// The name is none, or the folder exists, or cannot be written.
pub(super) fn run(arguments: &NewArguments) -> Result<String, NewError> {
    let name = arguments.name.as_str();
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_allowed) || name.len() > NAME_LEN_MAX
    {
        return Err(NewError::Name(name.to_owned()));
    }
    let folder = PathBuf::from(name);
    fs::create_dir(&folder).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            NewError::Exists(folder.clone())
        } else {
            NewError::System { path: folder.clone(), error }
        }
    })?;
    let place = fs::canonicalize(&folder).map_err(|error| NewError::System { path: folder.clone(), error })?;
    let library = name.replace('-', "_");
    let fill = |text: &str| {
        let words = [
            ("DESCRIPTION", "Drops UDP datagrams that begin with a word, and counts them."),
            ("VERSION", env!("CARGO_PKG_VERSION")),
            ("FOLDER", &place.display().to_string()),
            ("libherald_LIB", &format!("libherald_{library}")),
            ("NAME", name),
        ];
        words.iter().fold(text.to_owned(), |text, (word, with)| text.replace(word, with))
    };
    match arguments.lang {
        Language::Rust => {
            RUST.iter().try_for_each(|(path, text)| write(&folder.join(path), &fill(text)))?;
            SDK.iter().try_for_each(|(path, text)| write(&folder.join("herald-plugin").join(path), text))?;
            let built = format!("{}/target/release/libherald_{library}.so", place.display());
            let steps = ["cargo test --offline", "cargo build --offline --release"];
            Ok(next(name, &steps, &built))
        }
        Language::C => {
            // The header's lines, whatever they say, are left as they are; the manifest's text is the project's.
            let is_source = |path: &str| path.ends_with(".c");
            let filled = |path: &str, text: &str| if is_source(path) { text.to_owned() } else { fill(text) };
            C.iter().try_for_each(|(path, text)| write(&folder.join(path), &filled(path, text)))?;
            let header = SDK.iter().find(|(path, _)| *path == HEADER).map_or("", |(_, text)| text);
            write(&folder.join("herald_plugin.h"), header)?;
            Ok(next(name, &["make test", "make"], &format!("{}/libherald_{library}.so", place.display())))
        }
    }
}

fn next(name: &str, steps: &[&str], built: &str) -> String {
    let steps: String = steps.iter().map(|step| format!("  {step}\n")).collect();
    format!(
        "{name}: a plugin that builds and tests offline. Next:\n  cd {name}\n{steps}  herald plugin check {built}\n  \
         herald lab up --set 'plugins=[{{name=\"{built}\"}}]'\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let system = |error| NewError::System { path: path.to_owned(), error };
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(system)?;
    fs::write(path, text).map_err(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_sdk_is_in_the_program() {
        let names: Vec<_> = SDK.iter().map(|(name, _)| *name).collect();
        for name in ["LICENSE-MIT", HEADER, "src/abi.rs", "src/lib.rs", "src/testkit/mod.rs", "src/thunk.rs"] {
            assert!(names.contains(&name), "{name} of {names:?}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugin-api");
        for (name, text) in SDK.iter().filter(|(name, _)| !name.starts_with("LICENSE")) {
            assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), *text, "{name}");
        }
    }
}
