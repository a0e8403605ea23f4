//! A TAP's queue in the kernel: frames wait in it until the node reads them, and those that find it full are lost. Only the
//! kernel sees those, and counts them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// Frames that may wait. The kernel's own 1,000 lose more than half of the first packets of 5,000 connections at once while a
/// node does not get the processor, and each costs its host a second; at 1 Gbit/s this many full frames are 50 ms, and of the
/// largest frames they are 256 MiB.
const QUEUE_FRAMES: u32 = 4_096;

/// Field of a device's line in `/proc/net/dev` with the frames that were dropped on their way into it (proc(5)).
const DROPPED_FIELD: usize = 11;

/// Bytes of `/proc/net/dev` read at once.
const READ_LEN: usize = 4_096;

/// The queue of one TAP.
#[derive(Debug)]
pub struct TapQueue {
    /// `/proc/net/dev` of the device's network namespace, whoever reads it. Unlike rtnetlink it waits for no lock.
    devices: File,
    name: String,
    len: u32,
    /// Lost before this node had the device.
    before: u64,
    lost: AtomicU64,
}

impl TapQueue {
    /// The queue of the device `name` of the current network namespace, which is made longer if it is short and the kernel
    /// lets us.
    ///
    /// # Errors
    /// When there is no such device, or the kernel does not tell of it.
    pub fn open(name: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(name)?;
        let mut len = present_len(index)?;
        if len < QUEUE_FRAMES && set_len(index, QUEUE_FRAMES).is_ok() {
            len = QUEUE_FRAMES;
        }
        let devices = File::open("/proc/thread-self/net/dev")?;
        let mut queue = Self { devices, name: name.to_owned(), len, before: 0, lost: AtomicU64::new(0) };
        queue.before = queue.dropped().ok_or(io::ErrorKind::NotFound)?;
        Ok(queue)
    }

    /// Frames that may wait in it.
    #[must_use]
    pub fn len_max(&self) -> u32 {
        self.len
    }

    /// Frames lost so far, as the last look saw it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Looks how many frames are lost so far. Not for the event loop: the kernel adds up the counters of all processors, and
    /// of all devices of the namespace.
    pub fn look(&self) -> u64 {
        // A device that is gone loses no more.
        if let Some(dropped) = self.dropped() {
            self.lost.store(dropped.saturating_sub(self.before), Ordering::Relaxed);
        }
        self.lost()
    }

    fn dropped(&self) -> Option<u64> {
        let (mut text, mut buffer) = (Vec::new(), [0; READ_LEN]);
        loop {
            let place = u64::try_from(text.len()).ok()?;
            match self.devices.read_at(&mut buffer, place).ok()? {
                0 => break,
                len => text.extend_from_slice(buffer.get(..len)?),
            }
        }
        let text = String::from_utf8(text).ok()?;
        let counts = text.lines().find_map(|line| line.trim_start().strip_prefix(&self.name)?.strip_prefix(':'))?;
        counts.split_whitespace().nth(DROPPED_FIELD)?.parse().ok()
    }
}

fn present_len(index: u32) -> io::Result<u32> {
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) =
        ask(RouteNetlinkMessage::GetLink(message(index)), NLM_F_REQUEST)?
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let len = link
        .attributes
        .iter()
        .find_map(|attribute| if let LinkAttribute::TxQueueLen(len) = attribute { Some(*len) } else { None });
    len.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn set_len(index: u32, frames: u32) -> io::Result<()> {
    let mut link = message(index);
    link.attributes = vec![LinkAttribute::TxQueueLen(frames)];
    ask(RouteNetlinkMessage::SetLink(link), NLM_F_REQUEST | NLM_F_ACK).map(drop)
}

fn message(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// One request in the current network namespace, and its answer.
fn ask(request: RouteNetlinkMessage, flags: u16) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (bytes, _kernel) = socket.recv_from_full()?;
    let answer = NetlinkMessage::deserialize(&bytes).map_err(io::Error::other)?.payload;
    if let NetlinkPayload::Error(refused) = &answer
        && refused.code.is_some()
    {
        return Err(refused.to_io());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Tap;
    use nix::sched::{CloneFlags, unshare};

    #[test]
    fn a_short_queue_is_made_longer_and_a_long_one_is_left_alone() {
        // The thread's namespace, and the device in it, end with the thread.
        let thread = std::thread::spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => {
                let (tap, _watch) = Tap::open("t0", None).unwrap();
                assert_eq!((tap.queue().len_max(), tap.queue().look()), (QUEUE_FRAMES, 0));
                let index = nix::net::if_::if_nametoindex("t0").unwrap();
                set_len(index, 2 * QUEUE_FRAMES).unwrap();
                assert_eq!(TapQueue::open("t0").unwrap().len_max(), 2 * QUEUE_FRAMES);
                assert!(TapQueue::open("t").is_err() && present_len(index + 1).is_err());
            }
            Err(errno) => eprintln!("skipped: a network namespace cannot be made here: {errno}"),
        });
        thread.join().unwrap();
    }
}
