//! The files of keys: what belongs together lies in one folder, and nothing there is ever overwritten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Authority, Keys, KeysError, SecretError, Validity, read_secret};
use herald_core::id::NodeId;

/// Permissions of private keys: for their owner only.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o700;

/// Why files of keys cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file is there already.
    #[error("{} is there already, and keys are never overwritten; choose another --folder, or remove it first", .0.display())]
    Exists(PathBuf),
    /// There is no authority.
    #[error("there is no authority in {}: {} is missing; make one with `herald keys init --cluster NAME --folder {}`", folder.display(), file.display(), folder.display())]
    NoAuthority {
        /// Where it was looked for.
        folder: PathBuf,
        /// Its missing file.
        file: PathBuf,
    },
    /// One of the authority's two files is missing.
    #[error("{} is missing: put it back, it belongs to {}; or choose another --folder", .0.display(), .1.display())]
    HalfAuthority(PathBuf, PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {verb} {}: {error}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The authority's key is everybody's.
    #[error("{0}")]
    Exposed(SecretError),
    /// The authority's files are no keys.
    #[error("{}: {error}; put back ca.pem and ca.key as `herald keys init` made them", folder.display())]
    Authority {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong.
        error: KeysError,
    },
    /// The keys themselves are wrong.
    #[error("{}: {error}", folder.display())]
    Keys {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong.
        error: KeysError,
    },
}

/// A folder with the keys of a cluster: `ca.pem` and `ca.key` of its authority, `node-NODE.pem` and `node-NODE.key` of its
/// nodes.
#[derive(Clone, Debug)]
pub struct KeysFolder(PathBuf);

impl KeysFolder {
    /// The folder at this path; it need not exist.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority_certificate(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The authority's private key.
    #[must_use]
    pub fn authority_key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    /// A node's certificate.
    #[must_use]
    pub fn certificate(&self, node: NodeId) -> PathBuf {
        self.0.join(format!("node-{node}.pem"))
    }

    /// A node's private key.
    #[must_use]
    pub fn key(&self, node: NodeId) -> PathBuf {
        self.0.join(format!("node-{node}.key"))
    }

    /// Makes an authority, and the folder if there is none; `now` is the time since 1970 (UTC).
    ///
    /// # Errors
    ///
    /// There is one already, or the files cannot be written.
    pub fn init(&self, cluster: &str, now: Duration) -> Result<(), FolderError> {
        let authority = Authority::new(cluster, now).map_err(|error| self.wrong(error))?;
        match DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.0) {
            Ok(()) => {}
            Err(error) => return Err(FolderError::File { verb: "make", path: self.0.clone(), error }),
        }
        write(&authority.to_pem(), &self.authority_certificate(), &self.authority_key())
    }

    /// Issues a node's certificate with a new key.
    ///
    /// # Errors
    ///
    /// There is no authority, the node has keys already, or the files cannot be read or written.
    pub fn issue(&self, node: NodeId, validity: Validity) -> Result<(), FolderError> {
        let unreadable = |path, error: io::Error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            if is_missing { self.missing(path) } else { FolderError::File { verb: "read", path, error } }
        };
        let read = |path: PathBuf| fs::read_to_string(&path).map_err(|error| unreadable(path, error));
        let certificate = read(self.authority_certificate())?;
        let key = match read_secret(&self.authority_key()) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(SecretError::Unreadable { error, .. }) => return Err(unreadable(self.authority_key(), error)),
            Err(exposed @ SecretError::Exposed { .. }) => return Err(FolderError::Exposed(exposed)),
        };
        let keys = Keys { certificate, key };
        let authority =
            Authority::from_pem(keys).map_err(|error| FolderError::Authority { folder: self.0.clone(), error })?;
        let keys = authority.issue(node, validity).map_err(|error| self.wrong(error))?;
        write(&keys, &self.certificate(node), &self.key(node))
    }

    /// A new authority can only be made where there is nothing of another.
    fn missing(&self, file: PathBuf) -> FolderError {
        match [self.authority_certificate(), self.authority_key()].into_iter().find(|other| other.exists()) {
            Some(other) => FolderError::HalfAuthority(file, other),
            None => FolderError::NoAuthority { folder: self.0.clone(), file },
        }
    }

    fn wrong(&self, error: KeysError) -> FolderError {
        FolderError::Keys { folder: self.0.clone(), error }
    }
}

/// Writes both files, or none.
fn write(keys: &Keys, certificate: &Path, key: &Path) -> Result<(), FolderError> {
    write_new(key, KEY_MODE, &keys.key)?;
    write_new(certificate, CERTIFICATE_MODE, &keys.certificate).inspect_err(|_| {
        // A key without its certificate is of no use, and stands in the way of the next attempt.
        fs::remove_file(key).ok();
    })
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), FolderError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let path = path.to_owned();
        if error.kind() == io::ErrorKind::AlreadyExists {
            FolderError::Exists(path)
        } else {
            FolderError::File { verb: "write", path, error }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn keys_are_for_their_owner_and_never_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeysFolder::at(&place.path().join("new/keys"));
        let node = "ca".parse().unwrap();
        let issue = || folder.issue(node, Validity::days(NOW, 30));
        let missing = issue().unwrap_err().to_string();
        assert!(missing.contains("herald keys init") && !missing.contains('\n'), "{missing}");
        folder.init("lab", NOW).unwrap();
        issue().unwrap();
        let files = [
            (folder.authority_key(), KEY_MODE),
            (folder.authority_certificate(), CERTIFICATE_MODE),
            (folder.key(node), KEY_MODE),
            (folder.certificate(node), CERTIFICATE_MODE),
        ];
        let texts: Vec<_> = files.iter().map(|(path, _)| fs::read_to_string(path).unwrap()).collect();
        for (path, mode) in &files {
            // The process's mask may take rights of others away, never give some.
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777 & !mode, 0, "{}", path.display());
        }
        for again in [folder.init("lab", NOW), issue()] {
            let refused = again.unwrap_err();
            assert!(matches!(refused, FolderError::Exists(_)), "{refused}");
        }
        // Half of a pair is enough, and the other half is not made.
        fs::remove_file(folder.key(node)).unwrap();
        assert!(matches!(issue().unwrap_err(), FolderError::Exists(path) if path == folder.certificate(node)));
        assert!(!folder.key(node).exists());
        for ((path, _), text) in files.iter().zip(&texts).filter(|((path, _), _)| *path != folder.key(node)) {
            assert_eq!(fs::read_to_string(path).unwrap(), *text);
        }
        fs::set_permissions(folder.authority_key(), Permissions::from_mode(0o644)).unwrap();
        let exposed = folder.issue("b".parse().unwrap(), Validity::days(NOW, 30)).unwrap_err().to_string();
        let advice = format!("chmod 600 {}", folder.authority_key().display());
        assert!(exposed.ends_with(&advice) && !folder.key("b".parse().unwrap()).exists(), "{exposed}");
        // Without one half of the authority no new one can be made there, so that is not the advice.
        fs::remove_file(folder.authority_key()).unwrap();
        let half = issue().unwrap_err().to_string();
        assert!(half.contains("ca.key is missing: put it back") && half.contains("ca.pem"), "{half}");
    }
    #[test]
    fn an_authority_with_the_key_of_another_issues_nothing() {
        let place = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| KeysFolder::at(&place.path().join(name)));
        let node = "a".parse().unwrap();
        [&one, &other].into_iter().for_each(|folder| folder.init("lab", NOW).unwrap());
        fs::write(one.authority_key(), fs::read(other.authority_key()).unwrap()).unwrap();
        let refused = one.issue(node, Validity::days(NOW, 30)).unwrap_err().to_string();
        assert!(refused.contains("is not the one of its certificate; put back ca.pem and ca.key"), "{refused}");
        assert!(!one.key(node).exists() && !one.certificate(node).exists());
        fs::write(one.authority_key(), "no key").unwrap();
        let refused = one.issue(node, Validity::days(NOW, 30)).unwrap_err().to_string();
        assert!(refused.contains("cannot be read") && refused.contains("put back ca.pem and ca.key"), "{refused}");
        other.issue(node, Validity::days(NOW, 30)).unwrap();
    }
}
