//! The TAPs that a lab makes for its nodes.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use tun::{Configuration, Layer};

use crate::LabError;

const DEVICE: &str = "/dev/net/tun";

/// Makes a TAP in the current network namespace that stays when nobody has it open: a node that dies leaves a link
/// without carrier behind, as if its cable had been pulled.
pub(crate) fn add_tap(name: &str) -> Result<(), LabError> {
    open_device()?;
    let mut configuration = Configuration::default();
    configuration.tun_name(name).layer(Layer::L2).platform_config(|linux| {
        // Here this word means "set address and state through ioctls": netlink does that.
        linux.vnet_hdr(true).ensure_root_privileges(false);
    });
    let failed = |e: tun::Error| LabError::system(format!("cannot make the TAP {name}"))(io::Error::other(e));
    tun::create(&configuration).map_err(failed)?.persist().map_err(failed)
}

/// Finds out whether this user may open the TAP driver.
pub(crate) fn open_device() -> Result<(), LabError> {
    match OpenOptions::new().read(true).write(true).open(Path::new(DEVICE)) {
        Ok(_) => Ok(()),
        Err(e) => Err(LabError::system_mended(format!("cannot open {DEVICE}"), mend(e.kind()))(e)),
    }
}

fn mend(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::PermissionDenied {
        "as root, once: `chmod 0666 /dev/net/tun` (`herald doctor` tells what else is missing)"
    } else {
        "as root, once: `modprobe tun`, and in a container pass the device in (`herald doctor` tells what else is missing)"
    }
}
