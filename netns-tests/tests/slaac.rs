//! A real host that configures itself by the cluster's router advertisements.

use std::time::Duration;

use netns_tests::{Builder, Lab, eventually};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The gateway that hosts learn of: the cluster's link-local address.
const GATEWAY: &str = "via fe80::200:5eff:fe00:201";

fn with_adverts(hint: &str) -> Builder {
    Lab::up(hint).guest().set("interfaces.first.router_advertisements", "true")
}

/// Takes everything of IPv6 from the host `guest`, which then asks for a router.
fn forget_everything(lab: &Lab) {
    let line = "cd /proc/sys/net/ipv6/conf/eth0 && ip link set eth0 down && echo 1 >accept_ra && echo 1 >autoconf && \
        ip link set eth0 up && ip -6 route flush default";
    let _ = lab.exec("guest", &["sh", "-c", line]).ok();
}

fn default_route(lab: &Lab) -> String {
    lab.exec("guest", &["ip", "-6", "route", "show", "default"]).ok()
}

#[track_caller]
fn await_gateway(lab: &Lab) {
    eventually(LIMIT, "the host has an address and a gateway", || {
        let addresses = lab.exec("guest", &["ip", "-6", "address", "show", "dev", "eth0", "dynamic"]).ok();
        let is_there = addresses.contains("fd00:1::") && !addresses.contains("tentative");
        (is_there && default_route(lab).contains(GATEWAY)).then_some(())
    });
}

#[test]
fn a_host_makes_its_address_of_the_advertisements_and_keeps_its_gateway() {
    let lab = with_adverts("slaac").start();
    forget_everything(&lab);
    await_gateway(&lab);
    let ping = || lab.exec("guest", &["ping", "-c", "1", "-W", "5", "fd00:2::100"]).code;
    assert_eq!(ping(), 0, "through the cluster");
    let mtu = lab.exec("guest", &["cat", "/proc/sys/net/ipv6/conf/eth0/mtu"]).ok();
    assert_eq!(mtu.trim(), "1500");
    lab.kill("a", "TERM");
    eventually(LIMIT, "another node has the role", || {
        let roles = lab.json("b", &["roles"]).to_string();
        (!roles.contains("\"holder\":\"a\"")).then_some(())
    });
    assert!(default_route(&lab).contains(GATEWAY), "the cluster goes on as the same gateway");
    assert_eq!(ping(), 0, "through those that are left");
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn the_last_node_that_stops_withdraws_the_gateway() {
    let lab = with_adverts("slaac-end").nodes(1).start();
    forget_everything(&lab);
    await_gateway(&lab);
    lab.kill("a", "TERM");
    eventually(LIMIT, "the host has no gateway any more", || default_route(&lab).is_empty().then_some(()));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn nothing_is_advertised_by_default() {
    let lab = Lab::up("slaac-off").guest().start();
    let capture = lab.capture("first");
    forget_everything(&lab);
    let mut capture = capture;
    eventually(LIMIT, "the host has asked three times", || {
        let of_type = |kind: u8| move |frame: &&netns_tests::CapturedFrame| is_of_type(&frame.bytes, kind);
        let frames = capture.frames();
        assert_eq!(frames.iter().filter(of_type(134)).count(), 0, "an advertisement");
        (frames.iter().filter(of_type(133)).count() >= 3).then_some(())
    });
}

fn is_of_type(bytes: &[u8], kind: u8) -> bool {
    bytes.get(12..14) == Some(&[0x86, 0xdd]) && bytes.get(20) == Some(&58) && bytes.get(54) == Some(&kind)
}
