//! VLAN tags that hosts write: the kernel here has no VLAN devices, so a packet socket does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::time::Duration;

use netns_tests::Lab;

const LIMIT: Duration = Duration::from_secs(60);
const NODES: [&str; 3] = ["a", "b", "c"];

/// Pings the server in frames with a tag, and prints whether the answer came. Arguments: the gateway's MAC, the tag (hex),
/// seconds to wait.
const TAGGED: &str = r#"
import os, socket, struct, sys
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
gateway, tags = bytes.fromhex(sys.argv[1].replace(":", "")), bytes.fromhex(sys.argv[2])
own = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
number = os.getpid() & 0xffff
echo = struct.pack("!BBHHH", 8, 0, 0, number, 1) + b"tagged!!"
echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(echo), 0, 0, 64, 1, 0, socket.inet_aton("10.1.0.100"), socket.inet_aton("10.2.0.100"))
ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
hears = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
hears.settimeout(float(sys.argv[3]))
says = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
says.bind(("eth0", 0))
says.send(gateway + own + tags + b"\x08\x00" + ip + echo)
try:
    while True:
        answer = hears.recv(2000)
        if answer[20] == 0 and answer[24:26] == struct.pack("!H", number):
            print("answered")
            break
except OSError:
    print("silent")
"#;

/// What a ping is to bring.
enum Answer {
    Comes,
    /// For half a second; the ping before it was answered at once.
    Stays,
}

#[track_caller]
fn assert_pinged(lab: &Lab, tags: &str, expected: Answer) {
    let _warm = lab.exec("client", &["ping", "-c", "1", "-W", "5", "10.2.0.100"]).ok();
    let said = lab.exec("client", &["ip", "neigh", "show", "10.1.0.1"]).ok();
    let words: Vec<&str> = said.split_whitespace().collect();
    let mac = words[words.iter().position(|word| *word == "lladdr").unwrap() + 1];
    let (said, seconds) = match expected {
        Answer::Comes => ("answered", "5"),
        Answer::Stays => ("silent", "0.5"),
    };
    assert_eq!(lab.exec("client", &["python3", "-c", TAGGED, mac, tags, seconds]).ok().trim(), said);
}

#[test]
fn a_priority_tag_is_as_good_as_none_and_survives_the_redirect() {
    for redirect in ["ethernet", "mesh"] {
        let lab = Lab::up("prio").static_roles().set("redirect", redirect).start();
        let mut capture = lab.capture("first");
        assert_pinged(&lab, "8100a000", Answer::Comes);
        let tagged: Vec<_> = capture.frames().into_iter().filter(|f| f.bytes[12..16] == [0x81, 0, 0xa0, 0]).collect();
        // From the client; and from the holder to the chosen node, as it came.
        assert_eq!(tagged.len(), if redirect == "ethernet" { 2 } else { 1 }, "{redirect}");
        // Another VLAN stays out, and so does a second tag.
        assert_pinged(&lab, "81000014", Answer::Stays);
        assert_pinged(&lab, "8100000081000000", Answer::Stays);
        let dropped: u64 = NODES.iter().filter_map(|node| lab.json(node, &["drops"])["vlan-tagged"].as_u64()).sum();
        assert!(dropped >= 2, "{dropped}");
        lab.assert_books_balance(LIMIT, &NODES);
    }
}

#[test]
fn a_tagged_network_lets_no_other_tag_in() {
    let lab = Lab::up("trunk").static_roles().set("interfaces.first.vlan", 10).start();
    // The relay tags what hosts say with VLAN 10; a tag of their own is a second one.
    assert_pinged(&lab, "", Answer::Comes);
    assert_pinged(&lab, "81000014", Answer::Stays);
    lab.links("impair", &["a", "--interface", "first", "--delay", "5ms"]);
    assert_pinged(&lab, "", Answer::Comes);
    lab.links("heal", &[]);
    assert_pinged(&lab, "", Answer::Comes);
    lab.assert_books_balance(LIMIT, &NODES);
}
