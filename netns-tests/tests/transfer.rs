//! Large transfers: super-frames cross nodes and redirecting whole, and no byte or checksum is wrong behind them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use herald_testing::chance::Chance;
use netns_tests::{CapturedFrame, Lab, Running, eventually};
use tempfile::NamedTempFile;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of a large transfer.
const LEN: u64 = 200_000_000;

/// Bytes of the largest frame that is no super-frame.
const FRAME_LEN: usize = 1514;

/// Gives one file to whoever asks, and tells who brings one the hash of what came. Arguments: the file.
const SERVER: &str = r#"
import hashlib, http.server, os, shutil, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(os.stat(sys.argv[1]).st_size))
        self.end_headers()
        with open(sys.argv[1], "rb") as file:
            shutil.copyfileobj(file, self.wfile, 1 << 20)

    def do_PUT(self):
        left, hash = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            some = self.rfile.read1(min(left, 1 << 20))
            if not some:
                return
            left -= len(some)
            hash.update(some)
        self.send_response(200)
        self.send_header("Content-Length", "64")
        self.end_headers()
        self.wfile.write(hash.hexdigest().encode())

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

server = Server(("::", 80), Handler)
print("ready", flush=True)
server.serve_forever()
"#;

/// A lab with an HTTP server in `server` that gives `file`.
fn serve(hint: &str, file: &NamedTempFile) -> (Lab, Running) {
    let lab = Lab::up(hint).start();
    let server = lab.spawn("server", &["python3", "-c", SERVER, &file.path().display().to_string()]);
    eventually(LIMIT, "the server listens", || server.stdout().contains("ready").then_some(()));
    (lab, server)
}

/// A file of bytes that repeat nowhere, so that no exchange of two pieces goes unseen.
fn file(len: u64) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let mut writer = std::io::BufWriter::with_capacity(1 << 20, File::create(file.path()).unwrap());
    let mut chance = Chance::of(0);
    for _ in 0..len / 8 {
        writer.write_all(&chance.word().to_ne_bytes()).unwrap();
    }
    writer.flush().unwrap();
    file
}

fn hash(lab: &Lab, file: &NamedTempFile) -> String {
    let said = lab.exec("client", &["sha256sum", &file.path().display().to_string()]).ok();
    said.split_whitespace().next().unwrap().to_owned()
}

fn download(lab: &Lab, server: &str) -> String {
    let line = format!("set -o pipefail; curl -sS --fail http://{server}/ | sha256sum");
    let said = lab.exec("client", &["bash", "-c", &line]).ok();
    said.split_whitespace().next().unwrap().to_owned()
}

fn upload(lab: &Lab, server: &str, file: &NamedTempFile) -> String {
    let path = file.path().display().to_string();
    lab.exec("client", &["curl", "-sS", "--fail", "-T", &path, &format!("http://{server}/")]).ok()
}

/// Every counter of wrong checksums that a host's kernel has.
fn checksum_errors(lab: &Lab, host: &str) -> BTreeMap<String, u64> {
    let said = lab.exec(host, &["cat", "/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6"]).ok();
    let mut found = BTreeMap::new();
    let mut names: Option<(&str, Vec<&str>)> = None;
    for line in said.lines() {
        let Some((group, rest)) = line.split_once(": ") else {
            let (name, value) = line.split_once(char::is_whitespace).unwrap();
            found.insert(name.to_owned(), value.trim().parse().unwrap());
            continue;
        };
        match names.take().filter(|(of, _)| *of == group) {
            None => names = Some((group, rest.split_whitespace().collect())),
            Some((_, names)) => {
                let values = rest.split_whitespace().map(|v| v.parse().unwrap_or_default());
                found.extend(names.iter().map(|name| format!("{group}.{name}")).zip(values));
            }
        }
    }
    found.retain(|name, _| name.contains("Csum"));
    for expected in ["Tcp.InCsumErrors", "Udp.InCsumErrors", "Icmp.InCsumErrors", "IpExt.InCsumErrors"] {
        assert!(found.contains_key(expected), "{host} has no counter {expected}: {found:?}");
    }
    found
}

fn assert_no_checksum_errors(lab: &Lab) {
    for host in ["client", "server"] {
        let wrong: BTreeMap<_, _> = checksum_errors(lab, host).into_iter().filter(|(_, count)| *count > 0).collect();
        assert!(wrong.is_empty(), "{host} received wrong checksums: {wrong:?}");
    }
}

/// The frames that `work` made `node` count under `name`.
fn counted<T>(lab: &Lab, node: &str, name: &str, work: impl FnOnce() -> T) -> (T, u64) {
    let before = lab.books(node).count(name);
    let result = work();
    (result, lab.books(node).count(name) - before)
}

/// Each way once, 200 MB: equal bytes, no wrong checksum, and so few frames that they were larger than the MTU.
fn assert_transfers_are_whole(hint: &str, server: &str) {
    let file = file(LEN);
    let (lab, _server) = serve(hint, &file);
    let expected = hash(&lab, &file);
    let frames_max = LEN / FRAME_LEN as u64;

    let (found, redirected) = counted(&lab, "b", "redirected", || download(&lab, server));
    assert_eq!(found, expected, "the download");
    assert!(redirected < frames_max, "{redirected} frames were redirected for the download");

    let (found, redirected) = counted(&lab, "a", "redirected", || upload(&lab, server, &file));
    assert_eq!(found, expected, "the upload");
    assert!(redirected < frames_max, "{redirected} frames were redirected for the upload");

    assert_no_checksum_errors(&lab);
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
fn a_large_download_and_upload_arrive_whole_over_ipv4() {
    assert_transfers_are_whole("transfer4", "10.2.0.100");
}

#[test]
fn a_large_download_and_upload_arrive_whole_over_ipv6() {
    assert_transfers_are_whole("transfer6", "[fd00:2::100]");
}

/// A host's own MAC: NAME STATE MAC FLAGS. (/sys shows the devices of another namespace.)
fn mac_of_host(lab: &Lab, host: &str) -> String {
    let said = lab.exec(host, &["ip", "-brief", "link", "show", "eth0"]).ok();
    said.split_whitespace().nth(2).unwrap().to_owned()
}

/// A node's own MAC on an interface.
fn mac(lab: &Lab, node: &str, interface: &str) -> String {
    let status = lab.json(node, &["status"]);
    status["interfaces"][interface]["mac"].as_str().unwrap().to_owned()
}

/// A MAC of a captured frame: 0 is the destination's, 1 the source's.
fn text(frame: &CapturedFrame, which: usize) -> String {
    let mut text = String::new();
    for byte in &frame.bytes[which * 6..][..6] {
        write!(text, "{}{byte:02x}", if text.is_empty() { "" } else { ":" }).unwrap();
    }
    text
}

#[test]
fn super_frames_are_redirected_and_forwarded_whole() {
    for server in ["10.2.0.100", "[fd00:2::100]"] {
        let file = file(LEN / 50);
        let (lab, _server) = serve("super", &file);
        let expected = hash(&lab, &file);
        let (mut first, mut second) = (lab.capture("first"), lab.capture("second"));
        assert_eq!(upload(&lab, server, &file), expected);
        assert_eq!(download(&lab, server), expected);
        let super_frames = |frames: &[CapturedFrame], from: &str, to: &str| {
            frames.iter().filter(|f| f.len > FRAME_LEN && text(f, 1) == from && text(f, 0) == to).count()
        };
        let (at_first, at_second) = (first.frames(), second.frames());
        for (frames, from, to, what) in [
            (&at_first, mac(&lab, "a", "first"), mac(&lab, "c", "first"), "redirected from the first interface"),
            (&at_second, mac(&lab, "c", "second"), mac_of_host(&lab, "server"), "forwarded to the second interface"),
            (&at_second, mac(&lab, "b", "second"), mac(&lab, "c", "second"), "redirected from the second interface"),
            (&at_first, mac(&lab, "c", "first"), mac_of_host(&lab, "client"), "forwarded to the first interface"),
        ] {
            assert!(super_frames(frames, &from, &to) > 10, "no super-frames were {what} ({server})");
        }
        assert_no_checksum_errors(&lab);
    }
}
