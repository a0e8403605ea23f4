//! A plugin's file: where it lies, whether it may be trusted, and a sealed copy of it that nobody can change any more.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::HostError;
use herald_core::limits::{PLUGIN_FILE_LEN_MAX, PLUGIN_SEAL_TRIES_MAX};

/// The file of a plugin: a name with a slash is a path, another is looked up in `directory`.
///
/// # Errors
/// The name is none, or there is no such plugin.
pub(super) fn find(directory: &Path, name: &str) -> Result<PathBuf, HostError> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(allowed) {
        return Err(HostError::Name(name.to_owned()));
    }
    let path = directory.join(format!("{PREFIX}{}{SUFFIX}", name.replace('-', "_")));
    if path.symlink_metadata().is_ok() {
        return Ok(path);
    }
    let mut known: Vec<_> =
        directory.read_dir().into_iter().flatten().flatten().filter_map(|e| plugin_name(&e)).collect();
    known.sort_unstable();
    let known =
        if known.is_empty() { "there are no plugins".into() } else { format!("there are: {}", known.join(", ")) };
    Err(HostError::Unknown { name: name.to_owned(), path, known })
}

const PREFIX: &str = "libherald_";
const SUFFIX: &str = ".so";

fn plugin_name(entry: &std::fs::DirEntry) -> Option<String> {
    let file = entry.file_name();
    file.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX).map(str::to_owned)
}

/// Reads a plugin's file whole, if nobody but those who are trusted anyway can have written it.
///
/// # Errors
/// It cannot be opened, is a link, or others may change it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, HostError> {
    let open = |source| HostError::Open { path: path.to_owned(), source };
    // Without O_NONBLOCK a pipe of that name would keep the router waiting.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|error| {
        let link = error.raw_os_error() == Some(nix::libc::ELOOP);
        open(if link { io::Error::other("it is a symbolic link; give the path of the file itself") } else { error })
    })?;
    let metadata = file.metadata().map_err(open)?;
    distrust(&metadata).map_or(Ok(()), |found| Err(HostError::Untrusted { path: path.to_owned(), found }))?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(PLUGIN_FILE_LEN_MAX).read_to_end(&mut bytes).map_err(open)?;
    Ok(bytes)
}

/// What speaks against a file.
fn distrust(file: &Metadata) -> Option<String> {
    if !file.is_file() {
        return Some("it is no regular file".to_owned());
    }
    if file.len() > PLUGIN_FILE_LEN_MAX {
        return Some(format!("it has {} bytes, at most {PLUGIN_FILE_LEN_MAX} are read", file.len()));
    }
    let effective = nix::unistd::geteuid().as_raw();
    let executable = std::env::current_exe().and_then(|exe| exe.metadata()).map(|exe| exe.uid());
    if file.uid() != 0 && file.uid() != effective && !executable.is_ok_and(|owner| owner == file.uid()) {
        return Some(format!(
            "it belongs to user {}; root, user {effective} or the owner of the herald executable is expected",
            file.uid()
        ));
    }
    let mode = file.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| format!("its mode {mode:04o} lets others write to it; chmod go-w it"))
}

/// Copies the bytes into a sealed file in memory: what is loaded is what was checked, whatever happens to the path.
///
/// # Errors
/// The kernel gives no such file, or no memory for it.
pub(super) fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("herald-plugin", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    // The kernel looks whether anybody might still write to a page, and takes its own lists of fresh pages for that: it
    // waits for them, then gives up, although nobody else has this file.
    let mut sealed = Err(Errno::EBUSY);
    for _ in 0..PLUGIN_SEAL_TRIES_MAX {
        sealed = fcntl(&file, FcntlArg::F_ADD_SEALS(seals));
        if sealed != Err(Errno::EBUSY) {
            break;
        }
    }
    sealed?;
    Ok(file.into())
}
