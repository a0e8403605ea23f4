//! The state folder of a lab: where it is, who holds it, what is in it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::LabError;
use crate::name::LabName;
use herald_keys::KeysFolder;

/// How often a folder that vanishes under our hands is made anew.
const CLAIM_ATTEMPTS_MAX: u32 = 16;

/// The state folder of one lab.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    name: LabName,
    path: PathBuf,
}

/// The lock of a state folder. Whoever has a descriptor of the same open file holds it, and the last one's end frees it.
#[derive(Debug)]
pub(crate) struct Lock(pub(crate) File);

impl Folder {
    /// The folder of the lab of this name; it need not exist.
    pub(crate) fn of(name: &LabName) -> Self {
        Self { name: name.clone(), path: root().join(name.as_str()) }
    }

    /// The folder at this path, as [`Folder::path`] gave it to another process.
    pub(crate) fn at(path: &Path) -> Result<Self, LabError> {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
        let name = name.ok_or_else(|| LabError::Configuration(format!("{} is no lab's folder", path.display())))?;
        Ok(Self { name, path: path.to_owned() })
    }

    /// Makes the folder, or takes it over from a dead lab, and locks it. The folder is empty then.
    pub(crate) fn claim(name: &LabName) -> Result<(Self, Lock), LabError> {
        let folder = Self::of(name);
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            make_root()?;
            match DirBuilder::new().mode(0o700).create(&folder.path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                // The last lab went and took the root with it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(LabError::file("make", &folder.path)(e)),
            }
            if let Some(lock) = folder.lock()? {
                folder.empty()?;
                return Ok((folder, lock));
            }
            if folder.path.exists() {
                return Err(LabError::Busy(name.clone()));
            }
        }
        Err(LabError::Busy(name.clone()))
    }

    /// Locks the folder if it is there and no process holds it.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, LabError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LabError::file("open", &self.path)(e)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(LabError::file("lock", &self.path)(e)),
        }
        // Between open and lock another command may have removed this folder and a third one made a new one.
        let lock = Lock(file);
        Ok(self.is_locked_by(&lock).then_some(lock))
    }

    fn is_locked_by(&self, lock: &Lock) -> bool {
        let same = |there: fs::Metadata| lock.0.metadata().is_ok_and(|ours| ours.ino() == there.ino());
        fs::metadata(&self.path).is_ok_and(same)
    }

    /// Removes what is in the folder.
    fn empty(&self) -> Result<(), LabError> {
        let entries = fs::read_dir(&self.path).map_err(LabError::file("read", &self.path))?;
        for entry in entries {
            let entry = entry.map_err(LabError::file("read", &self.path))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.map_err(LabError::file("remove", &entry.path()))?;
        }
        Ok(())
    }

    /// Removes the folder, and the root above it when this was the last lab. The lock proves that it is still ours: if
    /// another holder of the same lock has removed it, a new lab may be there by now.
    pub(crate) fn remove(&self, lock: &Lock) -> Result<(), LabError> {
        if !self.is_locked_by(lock) {
            return Ok(());
        }
        match fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(LabError::file("remove", &self.path)(e)),
            Ok(()) | Err(_) => {}
        }
        if let Some(root) = self.path.parent() {
            // Not empty means that another lab is there.
            let _still_used = fs::remove_dir(root);
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> &LabName {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(crate) fn keeper_socket(&self) -> PathBuf {
        self.path.join("keeper.sock")
    }

    pub(crate) fn keeper_log(&self) -> PathBuf {
        self.path.join("keeper.log")
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    pub(crate) fn keys(&self) -> KeysFolder {
        KeysFolder::at(&self.path.join("keys"))
    }

    pub(crate) fn node(&self, node: &str) -> PathBuf {
        self.path.join(node)
    }

    pub(crate) fn node_configuration(&self, node: &str) -> PathBuf {
        self.node(node).join("config.toml")
    }

    pub(crate) fn node_control(&self, node: &str) -> PathBuf {
        self.node(node).join("control.sock")
    }

    pub(crate) fn node_log(&self, node: &str) -> PathBuf {
        self.node(node).join("log")
    }

    pub(crate) fn node_key_log(&self, node: &str) -> PathBuf {
        self.node(node).join("key-log")
    }

    pub(crate) fn node_flow_log(&self, node: &str) -> PathBuf {
        self.node(node).join("flows.json")
    }
}

/// The folder above the labs of this user.
fn root() -> PathBuf {
    let uid = outer_uid();
    if uid == 0 {
        return PathBuf::from("/run/herald");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if Path::new(&folder).is_dir() => Path::new(&folder).join("herald"),
        Some(_) | None => PathBuf::from(format!("/tmp/herald-{uid}")),
    }
}

/// The user outside of the lab: in a rootless lab its owner is uid 0, but the folder has not moved.
fn outer_uid() -> u32 {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let numbers: Vec<u32> = map.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    match *numbers.as_slice() {
        [inner, outer, 1] if inner == geteuid().as_raw() => outer,
        _ => geteuid().as_raw(),
    }
}

/// Makes the root, and trusts an existing one only if nobody else can write in it: `/tmp` is everybody's.
fn make_root() -> Result<(), LabError> {
    let root = root();
    match DirBuilder::new().mode(0o700).create(&root) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(LabError::file("make", &root)(e)),
    }
    let found = fs::symlink_metadata(&root).map_err(LabError::file("look at", &root))?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(LabError::Configuration(format!(
        "{} is no folder that only this user can write to; remove it or set XDG_RUNTIME_DIR to a folder of your own",
        root.display()
    )))
}
