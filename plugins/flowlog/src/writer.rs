//! The thread that writes: takes what waits, writes it at once, and sees whether the file is still the one of that name.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use herald_plugin::prelude::*;

use crate::Counts;
use crate::line::Record;

/// Lines that are written at once.
const BATCH_LINES_MAX: u64 = 1024;

/// Pause between two looks into the queue while streams keep ending, so that the event loop need not wake this thread for
/// each of them.
const PAUSE: Duration = Duration::from_millis(20);

/// The file and what is to be written to it.
pub(crate) struct Writer {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// The last write failed; it may have left half a line.
    torn: bool,
    counts: Arc<Counts>,
}

impl Writer {
    /// Opens the file to append to it, and makes it if there is none.
    pub(crate) fn open(path: &Path, counts: Arc<Counts>) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self { path: path.to_owned(), file, buffer: Vec::new(), lines: 0, torn: false, counts })
    }

    /// Writes records until the queue's other end is gone.
    pub(crate) fn run(mut self, records: &Receiver<Record>) {
        while let Ok(first) = records.recv() {
            let mut next = Ok(first);
            while let Ok(record) = next {
                self.add(&record);
                next = records.try_recv();
                if self.lines >= BATCH_LINES_MAX || next.is_err() {
                    self.flush();
                }
                if matches!(next, Err(TryRecvError::Empty)) {
                    thread::park_timeout(PAUSE);
                    next = records.try_recv();
                }
            }
        }
    }

    fn add(&mut self, record: &Record) {
        match record.write(&mut self.buffer) {
            Ok(()) => self.lines += 1,
            Err(_) => {
                self.counts.lost.fetch_add(1, Relaxed);
            }
        }
    }

    /// Writes the buffer; what cannot be written is lost, counted, and told once.
    fn flush(&mut self) {
        let (count, written) = match self.write() {
            Ok(()) => (&self.counts.lines, true),
            Err(error) => {
                if !self.torn {
                    error!("cannot write to {}: {error}; lines are lost", self.path.display());
                }
                (&self.counts.lost, false)
            }
        };
        count.fetch_add(self.lines, Relaxed);
        self.torn = !written;
        self.lines = 0;
        self.buffer.clear();
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.is_current()? {
            self.file = open(&self.path)?;
            self.torn = false;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(&self.buffer)
    }

    /// The open file is still the one at the path.
    fn is_current(&self) -> io::Result<bool> {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let opened = identity(self.file.metadata()?);
        Ok(self.path.metadata().is_ok_and(|metadata| identity(metadata) == opened))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::record;
    use std::fs;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn every_record_becomes_a_line_behind_those_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.json");
        fs::write(&path, "{}\n").unwrap();
        let counts = Arc::new(Counts::default());
        let writer = Writer::open(&path, Arc::clone(&counts)).unwrap();
        let (queue, records) = sync_channel(4096);
        for id in 0..3000 {
            queue.send(record(id)).unwrap();
        }
        drop(queue);
        writer.run(&records);
        let text = fs::read_to_string(&path).unwrap();
        let ids: Vec<_> =
            text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["flow_id"].as_u64()).collect();
        assert_eq!(ids, [None].into_iter().chain((0..3000).map(Some)).collect::<Vec<_>>());
        assert_eq!((counts.lines.load(Relaxed), counts.lost.load(Relaxed)), (3000, 0));
    }

    #[test]
    fn a_file_that_was_moved_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("flows.json"), folder.path().join("flows.json.1"));
        let mut writer = Writer::open(&path, Arc::default()).unwrap();
        writer.add(&record(1));
        writer.flush();
        fs::rename(&path, &moved).unwrap();
        writer.add(&record(2));
        writer.flush();
        for (path, id) in [(moved, "\"flow_id\":1,"), (path, "\"flow_id\":2,")] {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.contains(id) && text.lines().count() == 1, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let counts = Arc::new(Counts::default());
        let mut writer = Writer::open(Path::new("/dev/full"), Arc::clone(&counts)).unwrap();
        for id in 0..3 {
            writer.add(&record(id));
        }
        writer.flush();
        assert_eq!((counts.lines.load(Relaxed), counts.lost.load(Relaxed)), (0, 3));
    }

    #[test]
    fn a_file_that_takes_nothing_does_not_keep_the_router_from_ending() {
        use std::sync::mpsc::channel;
        let (go_on, hangs) = channel::<()>();
        let mut flowlog = crate::Flowlog::default();
        flowlog.writer = Some(thread::spawn(move || hangs.recv().unwrap_or(())));
        let (ended, end) = channel();
        thread::spawn(move || {
            drop(flowlog);
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(go_on);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        use herald_plugin::Plugin;
        for (config, expected) in [
            ("", "missing field `path`"),
            ("path = \"/nowhere/flows.json\"", "path is \"/nowhere/flows.json\": No such file"),
            ("path = \"/dev/null\"\nqueue_lines = 0", "queue_lines is 0; allowed is a number from 1"),
            ("path = \"/dev/null\"\nfile = 1", "unknown field `file`"),
        ] {
            let error = crate::Flowlog::default().configure(config).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
