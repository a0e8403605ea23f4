//! Where readers of other threads meet the event loop: it copies its tables for them part by part, between the frames, and
//! a reader takes the parts when all are there. Neither waits for the other.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::oneshot;

use herald_core::session::Row;

/// Readings at the same time; people do not ask for more.
const READINGS_MAX: usize = 4;

/// Rows copied in one turn of the loop, so that its frames do not wait long.
const TURN_ROWS_MAX: usize = 4_096;

/// The parts that nobody has taken yet, by reading and number.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<DashMap<(u64, usize), Vec<Row>>>);

/// A reading of which every part is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complete {
    reading: u64,
    parts: usize,
}

/// The loop's side: the readings that are under way, oldest first.
#[derive(Debug)]
pub struct Publisher {
    published: Published,
    readings: Vec<Reading>,
    last: u64,
}

#[derive(Debug)]
struct Reading {
    number: u64,
    /// The next part to copy.
    next: usize,
    reply: oneshot::Sender<Complete>,
}

impl Published {
    /// Takes all rows of a reading.
    #[must_use]
    pub fn take(&self, complete: Complete) -> Vec<Row> {
        let part = |number| self.0.remove(&(complete.reading, number)).map(|(_, rows)| rows);
        (0..complete.parts).filter_map(part).flatten().collect()
    }
}

impl Publisher {
    /// No readings. `published` is the readers' side.
    #[must_use]
    pub fn new(published: Published) -> Self {
        Self { published, readings: Vec::new(), last: 0 }
    }

    /// Somebody wants to read; told by the end of the channel if there are too many already.
    pub fn begin(&mut self, reply: oneshot::Sender<Complete>) {
        if self.readings.len() < READINGS_MAX {
            self.last += 1;
            self.readings.push(Reading { number: self.last, next: 0, reply });
        }
    }

    /// True while there is something to copy.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Copies a turn's worth of rows for the oldest reading. `rows` gives a part of the tables, `None` behind the last.
    pub fn publish(&mut self, rows: impl Fn(usize) -> Option<Vec<Row>>) {
        let Some(reading) = self.readings.first_mut() else { return };
        let mut copied = 0;
        while copied < TURN_ROWS_MAX && !reading.reply.is_closed() {
            let Some(part) = rows(reading.next) else { break };
            copied += part.len() + 1;
            self.published.0.insert((reading.number, reading.next), part);
            reading.next += 1;
        }
        if copied >= TURN_ROWS_MAX {
            return;
        }
        let Reading { number, next, reply } = self.readings.remove(0);
        let complete = Complete { reading: number, parts: next };
        if reply.send(complete).is_err() {
            // The reader has gone: nobody takes its parts.
            drop(self.published.take(complete));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use herald_core::flow::FlowKey;
    use herald_core::id::Interface;
    use herald_core::session::Kind;
    use herald_core::time::Instant;

    /// Three parts, which together take two turns.
    fn rows(part: usize) -> Option<Vec<Row>> {
        let end = (Ipv4Addr::LOCALHOST.into(), 1);
        let row = Row {
            kind: Kind::Marker,
            interface: Interface::First,
            opener: FlowKey::new(Interface::First, 6, end, end),
            chosen: "a".parse().unwrap(),
            generation: 1,
            state: "active",
            interest: None,
            started: Instant::default(),
            seen: Instant::default(),
            packets: part as u64,
            bytes: 0,
        };
        (part < 3).then(|| vec![row; TURN_ROWS_MAX / 2])
    }

    #[test]
    fn a_reading_takes_its_turns_and_leaves_nothing() {
        let published = Published::default();
        let mut publisher = Publisher::new(published.clone());
        let (reply, mut complete) = oneshot::channel();
        publisher.begin(reply);
        publisher.publish(rows);
        assert!(publisher.is_busy() && complete.try_recv().is_err());
        publisher.publish(rows);
        assert!(!publisher.is_busy());
        let taken = published.take(complete.try_recv().unwrap());
        assert_eq!((taken.len(), published.0.len()), (3 * TURN_ROWS_MAX / 2, 0));
    }

    #[test]
    fn what_a_reader_leaves_behind_is_forgotten() {
        let published = Published::default();
        let mut publisher = Publisher::new(published.clone());
        let (reply, complete) = oneshot::channel();
        publisher.begin(reply);
        publisher.publish(rows);
        drop(complete);
        publisher.publish(rows);
        assert!(!publisher.is_busy() && published.0.is_empty());
    }

    #[test]
    fn readings_are_bounded() {
        let mut publisher = Publisher::new(Published::default());
        let mut asked: Vec<_> = (0..=READINGS_MAX)
            .map(|_| {
                let (reply, complete) = oneshot::channel();
                publisher.begin(reply);
                complete
            })
            .collect();
        let refused = asked.pop().unwrap().try_recv();
        assert_eq!(refused, Err(oneshot::error::TryRecvError::Closed));
        assert!(asked.iter_mut().all(|complete| complete.try_recv() == Err(oneshot::error::TryRecvError::Empty)));
    }
}
