use std::time::Duration;

use mio::{Events, Poll};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::io::Usable;
use herald_core::packet::Offload;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on a thread with a network namespace of its own, which ends with the thread. Without the right to make one
/// the test cannot be run and says so.
fn in_own_netns(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => test(),
        Err(errno) => eprintln!("skipped: a network namespace cannot be made here: {errno}"),
    });
    thread.join().unwrap();
}

/// Waits until `done` says so, asked once and then after each event of the sources.
fn wait_for(tap: &mut Tap, watch: &mut InterfaceWatch, mut done: impl FnMut(&Tap, &InterfaceWatch) -> bool) {
    let mut poll = Poll::new().unwrap();
    poll.registry().register(tap, Token(0), Interest::READABLE).unwrap();
    poll.registry().register(watch, Token(1), Interest::READABLE).unwrap();
    let mut events = Events::with_capacity(8);
    while !done(tap, watch) {
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "nothing happened for {PATIENCE:?}");
    }
    poll.registry().deregister(tap).unwrap();
    poll.registry().deregister(watch).unwrap();
}

fn set_down(name: &str) {
    let mut link = LinkMessage::default();
    link.header.index = nix::net::if_::if_nametoindex(name).unwrap();
    link.header.change_mask = LinkFlags::Up;
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
    socket.send_to(&bytes, &netlink_sys::SocketAddr::new(0, 0), 0).unwrap();
}

fn received_packets(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn arp_request() -> Frame {
    let mut bytes = [0_u8; 60];
    bytes[..6].fill(0xff);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    bytes[12..20].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4]);
    bytes[21] = 1;
    Frame::from_bytes(&bytes)
}

#[test]
fn frames_come_and_go_and_a_device_that_goes_down_is_noticed() {
    in_own_netns(|| {
        let (mut tap, mut watch) = Tap::open("t0", None).unwrap();
        assert!(tap.offloads().starts_with("checksum"), "{}", tap.offloads());
        wait_for(&mut tap, &mut watch, |_, watch| watch.read() == Some(Usable::Yes));

        // The kernel itself speaks up on a new device: multicast listener reports, neighbour discovery.
        let mut frame = Frame::with_full_buffer();
        wait_for(&mut tap, &mut watch, |tap, _| tap.read(&mut frame) == Taken::Frame);
        assert!(frame.bytes().len() >= 14 && frame.bytes()[0] & 1 == 1, "{frame:?}");

        let before = received_packets("t0");
        tap.write(&arp_request()).unwrap();
        assert_eq!(received_packets("t0"), before + 1);

        set_down("t0");
        wait_for(&mut tap, &mut watch, |_, watch| watch.read() == Some(Usable::No));
        assert_eq!(tap.write(&arp_request()), Err(DropReason::TapError));
    });
}

#[test]
fn a_false_offload_header_ends_its_frame_only() {
    in_own_netns(|| {
        let (tap, _watch) = Tap::open("t0", None).unwrap();
        let mut frame = arp_request();
        frame.buffer_mut()[..OFFLOAD_HEADER_LEN].copy_from_slice(&[0, 99, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_ne!(frame.offload(), Offload::default());
        assert_eq!(tap.write(&frame), Err(DropReason::TapError));
        assert_eq!(tap.write(&arp_request()), Ok(()));
    });
}

#[test]
fn a_device_in_use_is_refused_with_advice() {
    in_own_netns(|| {
        let _first = Tap::open("t0", None).unwrap();
        let error = Tap::open("t0", None).unwrap_err().to_string();
        assert!(error.starts_with("TAP t0: cannot open it: "), "{error}");
        assert!(error.ends_with("another process has it: stop that one or use another device"), "{error}");
    });
}

#[test]
fn a_namespace_that_does_not_exist_is_named() {
    let error = Tap::open("t0", Some(Path::new("/nonexistent/netns"))).unwrap_err().to_string();
    let expected = "TAP t0 in /nonexistent/netns: cannot open it: network namespace /nonexistent/netns: No such file";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_tap_opens_in_another_namespace_and_the_thread_comes_back() {
    in_own_netns(|| {
        let away = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), away.as_raw_fd());
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let (mut tap, mut watch) = Tap::open("t0", Some(Path::new(&path))).unwrap();
        assert!(nix::net::if_::if_nametoindex("t0").is_err(), "this thread is at home");
        wait_for(&mut tap, &mut watch, |_, watch| watch.read() == Some(Usable::Yes));
    });
}
