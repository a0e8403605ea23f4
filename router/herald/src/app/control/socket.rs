//! The control socket's file: only its owner may use it, a stale one is replaced, and it is removed at the end.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

/// A listening control socket. Dropping it removes its file, unless the file is another's by now.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

/// A control socket that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A living process listens there.
    #[error("control socket {}: another node listens there; stop it or set another control path", .0.display())]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("control socket {}: a file that is no socket has that name; remove it or set another control path", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses.
    #[error("control socket {}: {error}; the folder must exist and be writable", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl ControlSocket {
    /// Listens at `path` with mode 0600. To be called before threads start: the file mode mask is the process's.
    ///
    /// # Errors
    /// When the place is taken or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let system = |error| SocketError::System { path: path.to_owned(), error };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(system)?;
        }
        clear(path)?;
        let previous = umask(Mode::S_IRWXG | Mode::S_IRWXO | Mode::S_IXUSR);
        let bound = UnixListener::bind(path);
        umask(previous);
        let listener = bound.map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let identity = identity(path).map_err(system)?;
        Ok(Self { listener, path: path.to_owned(), identity })
    }

    /// The listener, non-blocking.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Nothing can be done about a socket that stays: the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes room: removes the socket of a process that has ended, and nothing else.
fn clear(path: &Path) -> Result<(), SocketError> {
    let system = |error| SocketError::System { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(system),
        Err(error) => Err(system(error)),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
