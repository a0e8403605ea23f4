//! The TAP device through which an interface is reached: super-frames come and go whole, one system call each.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::libc::c_int;
use tun::AbstractDevice;

use super::interface_watch::InterfaceWatch;
use super::netns;
use super::tap_queue::TapQueue;
use herald_core::event::DropReason;
use herald_core::packet::{Frame, OFFLOAD_HEADER_LEN, Tag};

/// What the kernel may leave undone in frames it gives us, `linux/if_tun.h`: partial checksums, TCP segmentation for
/// both families and with ECN, UDP segmentation (since Linux 6.2). Tried from all to none.
const OFFLOADS: &[(&str, c_int)] = &[
    ("checksum, tso4, tso6, tso-ecn, uso4, uso6", CSUM | TSO4 | TSO6 | TSO_ECN | USO4 | USO6),
    ("checksum, tso4, tso6, tso-ecn", CSUM | TSO4 | TSO6 | TSO_ECN),
    ("checksum, tso4, tso6", CSUM | TSO4 | TSO6),
    ("checksum", CSUM),
    ("none", 0),
];
const CSUM: c_int = 0x01;
const TSO4: c_int = 0x02;
const TSO6: c_int = 0x04;
const TSO_ECN: c_int = 0x08;
const USO4: c_int = 0x20;
const USO6: c_int = 0x40;

mod ioctl {
    use super::c_int;

    nix::ioctl_write_ptr!(set_header_len, b'T', 216, c_int);
    // TUNSETOFFLOAD takes its argument by value although its number is that of a pointer.
    nix::ioctl_write_int_bad!(set_offloads, nix::request_code_write!(b'T', 208, size_of::<c_int>()));
}

/// An open TAP device. Dropping it detaches from the device; one that was made for it disappears.
#[derive(Debug)]
pub struct Tap {
    file: File,
    offloads: &'static str,
    queue: Arc<TapQueue>,
}

/// A TAP device that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("TAP {name}{}: {step}: {error}{}", place(netns.as_deref()), advice(error))]
pub struct TapError {
    /// The device.
    pub name: String,
    /// Its network namespace, if not the own one.
    pub netns: Option<PathBuf>,
    /// What failed.
    pub step: &'static str,
    /// What the kernel said.
    pub error: io::Error,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// The frame is filled.
    Frame,
    /// The frame is filled with the beginning of a longer one, or with less than an offload header; it is useless.
    Cut,
    /// Nothing to read.
    Empty,
    /// The device is gone; nothing will come any more.
    Gone,
}

impl Tap {
    /// Attaches to the TAP device `name` in the network namespace `netns` (default: the own one), makes it when there is
    /// none, brings it up, and starts to watch it. Its queue may become longer; addresses, MTU and MAC are left alone.
    ///
    /// # Errors
    /// What failed, for which device, and what to do about it.
    pub fn open(name: &str, netns: Option<&Path>) -> Result<(Self, InterfaceWatch), TapError> {
        let mut step = "cannot open it";
        let opened = netns::visit(netns, || {
            let mut device = attach(name)?;
            step = "cannot set its offloads";
            set_header_len(device.as_raw_fd())?;
            let offloads = set_offloads(device.as_raw_fd())?;
            device.set_nonblock()?;
            step = "cannot see its queue";
            let queue = Arc::new(TapQueue::open(name)?);
            step = "cannot watch it";
            let watch = InterfaceWatch::open(name)?;
            step = "cannot bring it up";
            device.enabled(true).map_err(io::Error::from)?;
            // SAFETY: the device gives its descriptor away, so this is its only owner.
            let file = File::from(unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) });
            Ok((Self { file, offloads, queue }, watch))
        });
        opened.map_err(|error| TapError { name: name.to_owned(), netns: netns.map(Path::to_owned), step, error })
    }

    /// The offloads that the kernel took, by name.
    #[must_use]
    pub fn offloads(&self) -> &'static str {
        self.offloads
    }

    /// Where frames wait in the kernel.
    #[must_use]
    pub fn queue(&self) -> &Arc<TapQueue> {
        &self.queue
    }

    /// Reads one frame. Never blocks.
    pub fn read(&self, frame: &mut Frame) -> Taken {
        let buffer_len = frame.buffer_mut().len();
        loop {
            return match (&self.file).read(frame.buffer_mut()) {
                Ok(wire_len) => {
                    frame.filled(wire_len);
                    // The kernel fills the buffer and says nothing when the frame was longer.
                    if wire_len > OFFLOAD_HEADER_LEN && wire_len < buffer_len { Taken::Frame } else { Taken::Cut }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Taken::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Taken::Gone,
            };
        }
    }

    /// Writes one frame with its offload header. Never blocks.
    ///
    /// # Errors
    /// Why the frame ends here.
    pub fn write(&self, frame: &Frame) -> Result<(), DropReason> {
        taken(frame.wire().len(), (&self.file).write(frame.wire()))
    }

    /// Writes one frame with its offload header and a VLAN tag. Never blocks.
    ///
    /// # Errors
    /// Why the frame ends here.
    pub fn write_tagged(&self, frame: &Frame, tag: Tag) -> Result<(), DropReason> {
        let (head, rest) = (frame.tagged_head(tag), frame.behind_tag());
        let parts = [IoSlice::new(&head), IoSlice::new(rest)];
        taken(head.len() + rest.len(), (&self.file).write_vectored(&parts))
    }
}

impl Source for Tap {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.file.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.file.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.file.as_raw_fd()).deregister(registry)
    }
}

/// A TAP takes a frame whole or not at all.
fn taken(len: usize, written: io::Result<usize>) -> Result<(), DropReason> {
    match written {
        Ok(written) if written < len => Err(DropReason::TapError),
        Ok(_) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

/// Full queues and short memory pass; everything else (EINVAL: a false offload header, EIO: the device is down) is the
/// frame's or the device's fault.
fn reason(error: &io::Error) -> DropReason {
    let passing = [Errno::EAGAIN, Errno::ENOBUFS, Errno::ENOMEM, Errno::EINTR];
    let errno = error.raw_os_error().map(Errno::from_raw);
    if errno.is_some_and(|errno| passing.contains(&errno)) { DropReason::TapFull } else { DropReason::TapError }
}

fn attach(name: &str) -> io::Result<tun::Device> {
    let mut configuration = tun::Configuration::default();
    configuration.tun_name(name).layer(tun::Layer::L2).platform_config(|linux| {
        linux.vnet_hdr(true);
        // It would set the device's address and MTU; a node leaves both alone.
        linux.ensure_root_privileges(false);
    });
    tun::create(&configuration).map_err(io::Error::from)
}

fn set_header_len(tap: RawFd) -> io::Result<()> {
    let len = c_int::try_from(OFFLOAD_HEADER_LEN).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open, and the kernel only reads the integer during the call.
    unsafe { ioctl::set_header_len(tap, &raw const len) }?;
    Ok(())
}

/// Asks for every offload the kernel takes; a kernel refuses a set with one it does not know.
fn set_offloads(tap: RawFd) -> io::Result<&'static str> {
    let mut refusal = Errno::EINVAL;
    for (names, flags) in OFFLOADS {
        // SAFETY: the descriptor is open, and the argument is a plain integer.
        match unsafe { ioctl::set_offloads(tap, *flags) } {
            Ok(_) => return Ok(names),
            Err(errno) => refusal = errno,
        }
    }
    Err(refusal.into())
}

fn place(netns: Option<&Path>) -> String {
    netns.map_or_else(String::new, |path| format!(" in {}", path.display()))
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => "; run as root or inside a user namespace that owns the network namespace",
        Some(Errno::EACCES) => "; root must let others use it once: chmod 0666 /dev/net/tun",
        Some(Errno::EBUSY) => "; another process has it: stop that one or use another device",
        Some(Errno::EINVAL) => "; a device of that name exists, but it is no TAP with an offload header (vnet_hdr)",
        Some(Errno::ENOENT | Errno::ENODEV) => "; is the tun module loaded (modprobe tun)?",
        Some(_) | None => "",
    }
}

#[cfg(test)]
mod tests;
