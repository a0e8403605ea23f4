//! Captures at the bridges, by tcpdump.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::NamedTempFile;

use crate::lab::Lab;
use crate::process::{Running, eventually};

/// Time for tcpdump to start, to catch up or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// Bytes kept of each frame: all headers, and the beginning of the payload.
pub(crate) const FRAME_LEN_KEPT: usize = 512;

/// Bytes kept of each frame of the mesh: whole super-frames, as redirected frames make them.
const MESH_FRAME_LEN_KEPT: usize = 66 * 1024;

/// KiB of the kernel's buffer: each frame takes the place of the longest that is kept.
const BUFFER_KIB: u32 = 64 * 1024;

/// The same for the mesh, with room for some thousands of such long frames: a busy machine lets tcpdump wait for its turn.
const MESH_BUFFER_KIB: u32 = 512 * 1024;

/// The same for the capture at a single port, of which a test has many.
const PORT_BUFFER_KIB: u32 = 16 * 1024;

/// First bytes of a pcap file with nanoseconds, in this machine's byte order (pcap-savefile(5)).
const MAGIC: u32 = 0xa1b2_3c4d;

const FILE_HEADER_LEN: usize = 24;

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Running,
    file: NamedTempFile,
}

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// When the bridge saw it, in nanoseconds since 1970 (UTC): captures of one machine can be compared.
    pub at_nanos: u64,
    /// Its length on the wire in bytes.
    pub len: usize,
    /// Its first bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Starts to capture and returns when it does. The bridge's own device in promiscuous mode shows each frame once,
    /// whatever ports it came in and goes out by.
    #[track_caller]
    pub(crate) fn start(lab: &Lab, host: &str) -> Self {
        Self::start_at(lab, host, "bridge")
    }

    /// Starts to capture at a device of a host and returns when it does.
    #[track_caller]
    pub(crate) fn start_at(lab: &Lab, host: &str, device: &str) -> Self {
        let file = NamedTempFile::new().unwrap_or_else(|e| panic!("cannot make a file: {e}"));
        let path = file.path().display().to_string();
        let (kept, buffer) = match (host, device) {
            ("net-mesh", _) => (MESH_FRAME_LEN_KEPT, MESH_BUFFER_KIB),
            (_, "bridge") => (FRAME_LEN_KEPT, BUFFER_KIB),
            (_, _) => (FRAME_LEN_KEPT, PORT_BUFFER_KIB),
        };
        let (kept, buffer) = (kept.to_string(), buffer.to_string());
        let tcpdump = lab.spawn(
            host,
            &[
                "tcpdump",
                "-Z",
                "root",
                "-n",
                "-i",
                device,
                "-s",
                &kept,
                "-B",
                &buffer,
                "-w",
                &path,
                "-U",
                "--immediate-mode",
                "--time-stamp-precision=nano",
            ],
        );
        let mut capture = Self { tcpdump, file };
        eventually(LIMIT, "tcpdump captures", || {
            capture.assert_running();
            capture.tcpdump.stderr().contains("listening on").then_some(())
        });
        capture
    }

    #[track_caller]
    fn assert_running(&mut self) {
        if let Some(code) = self.tcpdump.ended() {
            panic!("tcpdump (Debian package tcpdump) ended with exit code {code}: {}", self.tcpdump.stderr());
        }
    }

    /// All frames so far, in the order of their arrival.
    ///
    /// # Panics
    ///
    /// When frames are lost or the file is no capture.
    #[must_use]
    #[track_caller]
    pub fn frames(&mut self) -> Vec<CapturedFrame> {
        self.catch_up();
        let bytes = fs::read(self.file.path()).unwrap_or_default();
        parse(&bytes).unwrap_or_else(|why| panic!("the capture cannot be read: {why}"))
    }

    /// Ends the capture.
    ///
    /// # Panics
    ///
    /// As [`Self::frames`].
    #[must_use]
    #[track_caller]
    pub fn stop(mut self) -> Vec<CapturedFrame> {
        self.frames()
    }

    /// Waits until tcpdump has written every frame that the kernel had for it when this was called: asked by SIGUSR1, it
    /// tells both numbers.
    #[track_caller]
    fn catch_up(&mut self) {
        let mut answers = self.counts().len();
        let mut expected = None;
        eventually(LIMIT, "tcpdump has written what it has seen", || {
            self.assert_running();
            self.tcpdump.signal(Signal::SIGUSR1);
            let counts = eventually(LIMIT, "tcpdump tells its counts", || {
                Some(self.counts()).filter(|counts| counts.len() > answers)
            });
            answers = counts.len();
            let [captured, received, dropped] = *counts.last()?;
            assert!(dropped == 0, "tcpdump lost {dropped} frames");
            let expected = *expected.get_or_insert(received);
            (captured >= expected).then_some(())
        });
    }

    /// Each answer to SIGUSR1 so far: captured, received by the filter, dropped by the kernel.
    fn counts(&self) -> Vec<[u64; 3]> {
        let said = self.tcpdump.stderr();
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let answers = whole.lines().filter(|line| line.contains(" captured, ") && line.ends_with("dropped by kernel"));
        let numbers = |line: &str| -> Option<[u64; 3]> {
            let all: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            all.try_into().ok()
        };
        answers.filter_map(numbers).collect()
    }
}

/// Reads a pcap file with nanoseconds. A record that is still being written is left out.
fn parse(file: &[u8]) -> Result<Vec<CapturedFrame>, String> {
    if word(file, 0) != Some(MAGIC) {
        return Err("it does not begin as a pcap file with nanoseconds".into());
    }
    let mut frames = Vec::new();
    let mut rest = file.get(FILE_HEADER_LEN..).unwrap_or_default();
    while let Some((header, after)) = rest.split_at_checked(16) {
        let field = |place| word(header, place).unwrap_or_default();
        let (seconds, nanos, kept, len) = (field(0), field(4), field(8), field(12));
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let Some((bytes, next)) = after.split_at_checked(size(kept)) else { break };
        let at_nanos = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        frames.push(CapturedFrame { at_nanos, len: size(len), bytes: bytes.to_vec() });
        rest = next;
    }
    Ok(frames)
}

fn word(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_are_read_and_a_half_one_left_out() {
        let mut file: Vec<u8> = MAGIC.to_ne_bytes().to_vec();
        file.resize(FILE_HEADER_LEN, 0);
        for words in [[7_u32, 5, 3, 60], [8, 0, 3, 3]] {
            words.iter().for_each(|w| file.extend(w.to_ne_bytes()));
            file.extend([1, 2, 3]);
        }
        let first = CapturedFrame { at_nanos: 7_000_000_005, len: 60, bytes: vec![1, 2, 3] };
        assert_eq!(parse(&file).unwrap().len(), 2);
        assert_eq!(parse(&file[..file.len() - 1]).unwrap(), [first]);
        assert_eq!(parse(&file[..FILE_HEADER_LEN]).unwrap(), []);
        assert!(parse(b"").is_err());
        assert!(parse(&[0; 64]).is_err());
    }
}
