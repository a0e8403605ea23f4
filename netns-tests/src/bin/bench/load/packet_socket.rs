//! Raw Ethernet frames through AF_PACKET (packet(7)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{MsgFlags, bind, recv, send};

use super::interface::Interface;

/// What a packet socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receives {
    /// ARP, to whomever it is addressed.
    Arp,
    /// Nothing: it only sends.
    Nothing,
}

/// A socket for frames of one interface.
#[derive(Debug)]
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a socket on an interface.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    pub(crate) fn open(interface: &Interface, receives: Receives) -> io::Result<Self> {
        const ETH_P_ARP: u16 = 0x0806;
        let protocol = match receives {
            Receives::Arp => ETH_P_ARP,
            Receives::Nothing => 0,
        };
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: `socket` takes no pointers; nix has no name for ARP's protocol number.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(protocol.to_be())) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        // Protocol 0 in the address, as `link` has it, leaves the socket's protocol as it is.
        bind(socket.0.as_raw_fd(), &interface.link)?;
        Ok(socket)
    }

    /// From now on frames go to the driver at once, past the queueing discipline (PACKET_QDISC_BYPASS).
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    pub(crate) fn bypass_queue(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        let len = libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?;
        // SAFETY: `on` lives across the call and `len` is its size.
        let set = unsafe {
            let value = (&raw const on).cast();
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, value, len)
        };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for a frame.
    ///
    /// # Errors
    ///
    /// When the interface is gone.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0.as_raw_fd(), buffer, MsgFlags::empty())?)
    }

    /// Sends one frame.
    ///
    /// # Errors
    ///
    /// When the interface does not take it.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// Sends a burst in one system call. Returns how many frames the interface took, at least one.
    ///
    /// # Errors
    ///
    /// When it takes none.
    pub(crate) fn send_burst(&self, burst: &mut Burst) -> io::Result<usize> {
        let count = libc::c_uint::try_from(burst.headers.len()).map_err(io::Error::other)?;
        // SAFETY: each header points to one element of `burst.slices`, each of which points to one of `burst.frames`;
        // all three are on the heap, belong to `burst` and are never changed after `Burst::new`.
        let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), burst.headers.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Frames that are sent together, as the kernel wants them. Made once, sent often.
pub(crate) struct Burst {
    headers: Box<[libc::mmsghdr]>,
    _slices: Box<[libc::iovec]>,
    _frames: Box<[Box<[u8]>]>,
}

impl Burst {
    pub(crate) fn new(frames: Vec<Vec<u8>>) -> Self {
        let mut frames: Box<[Box<[u8]>]> = frames.into_iter().map(Vec::into_boxed_slice).collect();
        let to_slice = |f: &mut Box<[u8]>| libc::iovec { iov_base: f.as_mut_ptr().cast(), iov_len: f.len() };
        let mut slices: Box<[libc::iovec]> = frames.iter_mut().map(to_slice).collect();
        let headers = slices.iter_mut().map(|slice| {
            // SAFETY: all zero is a valid message header: no name, no slices, no control data.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        Self { headers: headers.collect(), _slices: slices, _frames: frames }
    }

    /// Number of frames.
    pub(crate) fn len(&self) -> usize {
        self.headers.len()
    }
}
