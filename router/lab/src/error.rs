//! What can go wrong with a lab, said in one line: what, where, what to do.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::name::LabName;
use herald_keys::FolderError;

/// Why a lab command failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The name belongs to a lab that is up.
    #[error(
        "the name {0} is taken: a lab of that name is up; remove it with `herald lab down --name {0}` or choose another \
         with --name"
    )]
    Taken(LabName),
    /// Another command works on a lab of this name.
    #[error(
        "the lab {0} is being built or removed by another command; wait for it, or end it with `herald lab down --name {0}`"
    )]
    Busy(LabName),
    /// No lab of this name is up.
    #[error("no lab {0} is up; build one with `herald lab up --name {0}`")]
    NotUp(LabName),
    /// The lab's folder is there, its keeper is not.
    #[error("the lab {0} is dead, only its files are left; clear them with `herald lab down --name {0}`")]
    Remains(LabName),
    /// There is no such host.
    #[error("the lab {name} has no host {host:?}; it has {known}")]
    NoHost {
        /// The lab.
        name: LabName,
        /// What was asked for.
        host: String,
        /// What there is, as a list.
        known: String,
    },
    /// There is no such node.
    #[error("the lab {name} has no node {node:?}; it has {known}")]
    NoNode {
        /// The lab.
        name: LabName,
        /// What was asked for.
        node: String,
        /// What there is, as a list.
        known: String,
    },
    /// A system call failed; the text says which, where and, where we know it, what helps.
    #[error("{doing}: {source}{}", help(.mend))]
    System {
        /// What was being done and to what.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
        /// What to do about it; empty when we do not know.
        mend: &'static str,
    },
    /// The nodes' keys cannot be made.
    #[error(transparent)]
    Keys(#[from] FolderError),
    /// A configuration that the lab cannot use.
    #[error("{0}")]
    Configuration(String),
    /// What was asked for makes no sense: wrong usage.
    #[error("{0}")]
    Usage(String),
    /// A node did not do what it should; the text holds its last words.
    #[error("{0}")]
    Node(String),
    /// The command of `exec` could not be run.
    #[error("cannot run {program:?}: {source}")]
    Command {
        /// Its program.
        program: OsString,
        /// Why.
        source: io::Error,
    },
    /// The keeper said why it could not do what it was asked for.
    #[error("{0}")]
    Keeper(String),
}

fn help(mend: &str) -> String {
    if mend.is_empty() { String::new() } else { format!("; {mend}") }
}

impl LabError {
    /// A failed system call, for `map_err`.
    pub(crate) fn system<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        Self::system_mended(doing, "")
    }

    /// A failed system call of which we know what helps.
    pub(crate) fn system_mended<E: Into<io::Error>>(
        doing: impl Into<String>,
        mend: &'static str,
    ) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source: source.into(), mend }
    }

    /// A failed system call on a file.
    pub(crate) fn file<E: Into<io::Error>>(verb: &str, path: &Path) -> impl FnOnce(E) -> Self {
        Self::system(format!("cannot {verb} {}", path.display()))
    }
}
