//! A host's network card in the hands of the test.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use netns_tests::{Lab, Running, eventually};
use tempfile::TempDir;

use crate::LIMIT;
use crate::case::End;

/// Passes frames on between `eth0` and the test, each behind its length. What the host itself sends is not seen.
const RELAY: &str = r#"
import select, socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
wire.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
try:
    wire.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE, which only root may
except PermissionError:
    pass
wire.bind(("eth0", 3))
test = socket.socket(socket.AF_UNIX)
test.connect(sys.argv[1])
orders = test.makefile("rb", buffering=0)
def read(count):
    data = b""
    while len(data) < count:
        part = orders.read(count - len(data))
        if not part:
            sys.exit()
        data += part
    return data
while True:
    for ready in select.select([wire, test], [], [])[0]:
        if ready is wire:
            frame = wire.recv(70000)
            test.sendall(struct.pack("=I", len(frame)) + frame)
        else:
            wire.send(read(*struct.unpack("=I", read(4))))
"#;

/// Frames go out and come in at a host's `eth0`.
#[derive(Debug)]
pub(crate) struct Port {
    stream: UnixStream,
    arrived: RefCell<Vec<u8>>,
    relay: Running,
    _folder: TempDir,
}

impl Port {
    #[track_caller]
    pub(crate) fn open(lab: &Lab, end: End) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let relay = lab.spawn(end.host(), &["/usr/bin/python3", "-c", RELAY, &path.display().to_string()]);
        let (stream, _) = eventually(LIMIT, "the relay is there", || listener.accept().ok());
        stream.set_nonblocking(false).unwrap();
        Self { stream, arrived: RefCell::default(), relay, _folder: folder }
    }

    #[track_caller]
    pub(crate) fn send(&self, frame: &[u8]) {
        let len = (frame.len() as u32).to_ne_bytes();
        if let Err(error) = (&self.stream).write_all(&[&len, frame].concat()) {
            panic!("the relay is gone: {error}: {}", self.relay.stderr());
        }
    }

    /// The frames that have arrived.
    #[track_caller]
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        let mut arrived = self.arrived.borrow_mut();
        let mut part = vec![0; 1 << 18];
        self.stream.set_nonblocking(true).unwrap();
        let read = (&self.stream).read(&mut part);
        self.stream.set_nonblocking(false).unwrap();
        match read {
            Ok(0) => panic!("the relay is gone: {}", self.relay.stderr()),
            Ok(len) => arrived.extend(&part[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("cannot receive: {error}"),
        }
        let mut frames = Vec::new();
        while let Some((len, rest)) = arrived.split_first_chunk()
            && let Some(frame) = rest.get(..u32::from_ne_bytes(*len) as usize)
        {
            let end = 4 + frame.len();
            frames.push(frame.to_vec());
            arrived.drain(..end);
        }
        frames
    }
}
