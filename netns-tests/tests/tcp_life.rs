//! The life of TCP streams, with segments that scapy writes in the name of both ends: what no end believes changes nothing,
//! and what an end accepts begins a new stream.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};
use netns_tests::{CapturedFrame, Lab, Scapy, eventually, mute};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A family by its addresses.
#[derive(Clone, Copy)]
struct Ends {
    client: &'static str,
    server: &'static str,
    ip: &'static str,
}

const V4: Ends = Ends { client: "10.1.0.100", server: "10.2.0.100", ip: "IP" };
const V6: Ends = Ends { client: "fd00:1::100", server: "fd00:2::100", ip: "IPv6" };

impl Ends {
    /// A segment of the client, from this port; `tcp` says the rest of its header, `behind` what follows that.
    fn client_says(self, port: u16, tcp: &str, behind: &str) -> String {
        let Self { client, server, ip } = self;
        format!("{ip}(src='{client}', dst='{server}')/TCP(sport={port}, dport=80, {tcp}){behind}")
    }

    fn server_says(self, port: u16, tcp: &str, behind: &str) -> String {
        let Self { client, server, ip } = self;
        format!("{ip}(src='{server}', dst='{client}')/TCP(sport=80, dport={port}, {tcp}){behind}")
    }
}

/// A lab whose hosts cannot answer by themselves, as they know no way: only what the test writes passes.
struct Scripted {
    lab: Lab,
    client: Scapy,
    server: Scapy,
}

impl Scripted {
    fn start(lab: netns_tests::Builder) -> Self {
        let lab = lab.static_roles().start();
        mute(&lab, "client");
        mute(&lab, "server");
        let [client, server] = ["client", "server"].map(|host| Scapy::start(&lab, host));
        Self { lab, client, server }
    }

    fn client(&mut self, packets: &[String]) {
        self.client.send(packets);
    }

    fn server(&mut self, packets: &[String]) {
        self.server.send(packets);
    }

    /// The record of the stream with this port at its chosen node: state, generation, packets.
    fn stream(&self, port: u16) -> Option<(String, u64, u64)> {
        let rows = self.lab.json("c", &["sessions"]);
        let end = format!(":{port}");
        let is_meant = |row: &&Value| {
            let ends = [&row["source"], &row["destination"]].map(|end| end.as_str().unwrap().to_owned());
            row["kind"] == "marker" && ends.iter().any(|text| text.ends_with(&end))
        };
        let row = rows.as_array().unwrap().iter().find(is_meant)?.clone();
        Some((row["state"].as_str().unwrap().to_owned(), row["generation"].as_u64()?, row["packets"].as_u64()?))
    }

    /// Waits until the stream has had so many packets since its generation began, and says where it is then.
    #[track_caller]
    fn after(&self, port: u16, packets: u64) -> (String, u64) {
        eventually(LIMIT, "the stream has had its packets", || {
            let (state, generation, seen) = self.stream(port)?;
            (seen == packets).then_some((state, generation))
        })
    }

    #[track_caller]
    fn assert_after(&self, port: u16, packets: u64, state: &str, generation: u64) {
        assert_eq!(self.after(port, packets), (state.to_owned(), generation), "port {port} after {packets} packets");
    }

    /// A connection with four bytes from each end: the client's next number is 105, the server's 505. Six packets.
    #[track_caller]
    fn connect(&mut self, ends: Ends, port: u16) {
        self.client(&[ends.client_says(port, "flags='S', seq=100", "")]);
        self.assert_after(port, 1, "opening", 1);
        self.server(&[ends.server_says(port, "flags='SA', seq=500, ack=101", "")]);
        self.assert_after(port, 2, "opening", 1);
        let talk = ["flags='A', seq=101, ack=501", "flags='PA', seq=101, ack=501"];
        self.client(&[ends.client_says(port, talk[0], ""), ends.client_says(port, talk[1], "/b'ping'")]);
        self.assert_after(port, 4, "established", 1);
        self.server(&[ends.server_says(port, "flags='PA', seq=501, ack=105", "/b'pong'")]);
        self.assert_after(port, 5, "established", 1);
        self.client(&[ends.client_says(port, "flags='A', seq=105, ack=505", "")]);
        self.assert_after(port, 6, "established", 1);
    }
}

#[test]
fn resets_fins_and_syns_that_no_end_believes_change_nothing() {
    let mut world = Scripted::start(Lab::up("blind"));
    for (ends, port) in [(V4, 4100), (V6, 4101)] {
        world.connect(ends, port);
        let stray = [
            "flags='R', seq=104",
            "flags='R', seq=106",
            "flags='R', seq=1105",
            "flags='RA', seq=900105, ack=505",
            "flags='FA', seq=0x90000000, ack=505",
            "flags='FA', seq=105, ack=0x90000000",
            "flags='F', seq=105",
            "flags='S', seq=77777",
            "flags='A', seq=105, ack=505",
        ];
        world.client(&stray.map(|tcp| ends.client_says(port, tcp, "")));
        world.assert_after(port, 15, "established", 1);
        // The end answers the SYN by a challenge, as it has the connection; and a SYN-ACK that agrees with no SYN is nothing.
        let answers =
            ["flags='A', seq=505, ack=105", "flags='SA', seq=9000, ack=77777", "flags='SA', seq=9000, ack=77779"];
        world.server(&answers.map(|tcp| ends.server_says(port, tcp, "")));
        world.assert_after(port, 18, "established", 1);
        // A reset where the receiver expects it ends the stream, and then a SYN of whatever number begins the next.
        world.client(&[ends.client_says(port, "flags='R', seq=105", "")]);
        world.assert_after(port, 19, "closed", 1);
        world.client(&[ends.client_says(port, "flags='S', seq=100", "")]);
        world.assert_after(port, 1, "opening", 2);
    }
}

#[test]
fn a_port_is_used_again_where_an_end_accepts_it() {
    let mut world = Scripted::start(Lab::up("reuse"));
    for (ends, port) in [(V4, 4200), (V6, 4210)] {
        // The last acknowledgement is lost: the server waits for it, the client's host is through with the port.
        world.connect(ends, port);
        world.client(&[ends.client_says(port, "flags='FA', seq=105, ack=505", "")]);
        world.assert_after(port, 7, "closing", 1);
        world.server(&[ends.server_says(port, "flags='FA', seq=505, ack=106", "")]);
        world.assert_after(port, 8, "closing", 1);
        world.client(&[ends.client_says(port, "flags='S', seq=5000", "")]);
        world.assert_after(port, 9, "closing", 1);
        world.server(&[ends.server_says(port, "flags='SA', seq=9000, ack=5001", "")]);
        world.assert_after(port, 1, "opening", 2);
        world.client(&[ends.client_says(port, "flags='A', seq=5001, ack=9001", "")]);
        world.assert_after(port, 2, "established", 2);
        // The client's host lost its power: the server challenges the SYN, and gets the reset that it believes.
        let port = port + 1;
        world.connect(ends, port);
        world.client(&[ends.client_says(port, "flags='S', seq=5000", "")]);
        world.assert_after(port, 7, "established", 1);
        world.server(&[ends.server_says(port, "flags='A', seq=505, ack=105", "")]);
        world.assert_after(port, 8, "established", 1);
        world.client(&[ends.client_says(port, "flags='R', seq=105", "")]);
        world.assert_after(port, 9, "closed", 1);
        world.client(&[ends.client_says(port, "flags='S', seq=5000", "")]);
        world.assert_after(port, 1, "opening", 2);
        world.server(&[ends.server_says(port, "flags='SA', seq=9000, ack=5001", "")]);
        world.assert_after(port, 2, "opening", 2);
        world.client(&[ends.client_says(port, "flags='A', seq=5001, ack=9001", "")]);
        world.assert_after(port, 3, "established", 2);
    }
}

#[test]
fn a_wrong_checksum_is_dropped_and_counted_and_changes_nothing() {
    let mut world = Scripted::start(Lab::up("checksum"));
    let dropped = |lab: &Lab| lab.json("c", &["drops"])["transport-checksum"].as_u64().unwrap_or_default();
    let mut wrong = 0;
    for (ends, port) in [(V4, 4300), (V6, 4301)] {
        world.connect(ends, port);
        let Ends { client, server, ip } = ends;
        let udp = |checksum: &str| {
            format!("{ip}(src='{client}', dst='{server}')/UDP(sport={port}, dport=9, {checksum})/b'x'")
        };
        world.client(&[
            ends.client_says(port, "flags='R', seq=105, chksum=0x1234", ""),
            ends.client_says(port, "flags='S', seq=5000, chksum=0x1234", ""),
            udp("chksum=0x1234"),
        ]);
        wrong += 3;
        eventually(LIMIT, "what is wrong is counted", || (dropped(&world.lab) == wrong).then_some(()));
        world.assert_after(port, 6, "established", 1);
        // Without a checksum there is none that is wrong.
        world.client(&[udp("chksum=0"), udp("")]);
        eventually(LIMIT, "datagrams have a stream", || {
            let status = world.lab.json("c", &["status"]);
            (status["sessions"]["marker"].as_u64() == Some(2 * (u64::from(port) - 4299))).then_some(())
        });
        assert_eq!(dropped(&world.lab), wrong);
    }
}

fn is_reset(frame: &CapturedFrame, from_port: u16) -> Option<u32> {
    match SlicedPacket::from_ethernet(&frame.bytes).ok()?.transport? {
        TransportSlice::Tcp(tcp) if tcp.rst() && tcp.source_port() == from_port => Some(tcp.sequence_number()),
        TransportSlice::Tcp(_)
        | TransportSlice::Udp(_)
        | TransportSlice::Icmpv4(_)
        | TransportSlice::Icmpv6(_)
        | TransportSlice::Igmp(_) => None,
    }
}

#[test]
fn who_speaks_in_a_stream_that_timed_out_is_reset_if_configured() {
    let configured = Lab::up("midstream").set("midstream", "reset").set("timeouts.tcp_established_s", 4);
    let mut world = Scripted::start(configured);
    let streams = [(V4, 4400), (V6, 4401)];
    for (ends, port) in streams {
        world.connect(ends, port);
    }
    eventually(LIMIT, "nobody knows the streams", || {
        let known = |node| world.lab.json(node, &["sessions"]).as_array().unwrap().len();
        (known("a") + known("b") + known("c") == 0).then_some(())
    });
    for (ends, port) in streams {
        let mut seen = world.lab.capture_at("client", "eth0");
        world.client(&[
            ends.client_says(port, "flags='R', seq=105", ""),
            ends.client_says(port, "flags='A', seq=105, ack=505, chksum=0x1234", ""),
            ends.client_says(port, "flags='PA', seq=105, ack=505", "/b'late'"),
        ]);
        eventually(LIMIT, "the client is reset", || {
            let resets: Vec<u32> = seen.frames().iter().filter_map(|frame| is_reset(frame, 80)).collect();
            assert!(resets.len() < 2, "{resets:?}");
            (resets == [505]).then_some(())
        });
        let mut seen = world.lab.capture_at("server", "eth0");
        world.server(&[ends.server_says(port, "flags='PA', seq=505, ack=105", "/b'late'")]);
        eventually(LIMIT, "the server is reset", || {
            seen.frames().iter().any(|frame| is_reset(frame, port) == Some(105)).then_some(())
        });
    }
    world.lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}
