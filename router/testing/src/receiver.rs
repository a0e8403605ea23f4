//! A receiver of TCP that is as naive as it can be and errs as Linux does: what was measured of its queue, its window, its RSTs
//! and its checks. It reads all bytes at once.

/// A segment between two ends, as the wire has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
    pub flags: u8,
    /// The window, without scale.
    pub window: u16,
    /// The sender's clock.
    pub timestamp: Option<u32>,
    /// The checksum is right.
    pub is_sound: bool,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Wire {
    /// A bare acknowledgement.
    #[must_use]
    pub fn ack(sequence: u32, acknowledgement: u32) -> Self {
        Self {
            sequence,
            acknowledgement,
            flags: 16,
            window: 65_000,
            timestamp: None,
            is_sound: true,
            payload: Vec::new(),
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn end(&self) -> u32 {
        self.sequence.wrapping_add(u32::try_from(self.payload.len()).unwrap())
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const URG: u8 = 32;

/// True if the first number is behind the second.
fn after(one: u32, other: u32) -> bool {
    other.wrapping_sub(one).cast_signed() < 0
}

/// One end of an open connection that only reads.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// What the application has read.
    pub read: Vec<u8>,
    /// It has read the end, too.
    pub is_ended: bool,
    /// The connection was reset.
    pub is_reset: bool,
    /// The next sequence number that it waits for.
    pub next: u32,
    /// What it sends next, and what it has ever sent.
    pub own: u32,
    /// Bytes of its window.
    pub window: u16,
    /// The newest timestamp, if both use them.
    pub newest: Option<u32>,
    /// Both take selective acknowledgements.
    pub has_sack: bool,
    /// Segments behind holes by their beginnings, which may overlap.
    queue: Vec<Wire>,
}

impl Receiver {
    /// Behind a handshake: the next number that it waits for, the next that it sends.
    #[must_use]
    pub fn new(next: u32, own: u32, window: u16) -> Self {
        Self {
            read: Vec::new(),
            is_ended: false,
            is_reset: false,
            next,
            own,
            window,
            newest: None,
            has_sack: true,
            queue: Vec::new(),
        }
    }

    /// What it says now.
    #[must_use]
    pub fn answer(&self) -> Wire {
        Wire { window: self.window, timestamp: self.newest.map(|_| 1_000_000), ..Wire::ack(self.own, self.next) }
    }

    /// A segment arrives; whether it is answered.
    pub fn arrive(&mut self, wire: &Wire) -> bool {
        if !wire.is_sound || self.is_reset {
            return false;
        }
        let is_late = matches!((self.newest, wire.timestamp), (Some(newest), Some(now)) if newest.wrapping_sub(now).cast_signed() > 1);
        if is_late && !wire.has(RST) {
            return true;
        }
        let end = wire.end();
        let limit = self.next.wrapping_add(self.window.into());
        let is_outside =
            after(self.next, end.wrapping_add(u32::from(wire.flags & (FIN | SYN) != 0))) || after(wire.sequence, limit);
        if wire.has(RST) {
            let highest =
                self.queue.iter().map(Wire::end).max_by(|a, b| if after(*a, *b) { 1.cmp(&0) } else { 0.cmp(&1) });
            let is_at_edge = self.has_sack && highest == Some(wire.sequence);
            self.is_reset = wire.sequence == self.next || is_at_edge;
            return !self.is_reset;
        }
        if is_outside || wire.has(SYN) {
            return true;
        }
        if !wire.has(ACK) || after(wire.acknowledgement, self.own) {
            return false;
        }
        if let (Some(newest), Some(now)) = (self.newest, wire.timestamp)
            && !after(wire.sequence, self.next)
            && after(now, newest)
        {
            self.newest = Some(now);
        }
        if self.is_ended {
            return true;
        }
        if after(wire.sequence, self.next) {
            self.enqueue(wire);
        } else {
            self.eat(wire);
            self.drain();
        }
        true
    }

    /// A segment that begins where it waits, or before.
    fn eat(&mut self, wire: &Wire) {
        let known = usize::try_from(self.next.wrapping_sub(wire.sequence)).unwrap();
        let is_old = known > wire.payload.len() || known == wire.payload.len() && !wire.has(FIN);
        if is_old || self.is_ended {
            return;
        }
        let mut fresh = wire.payload[known..].to_vec();
        // The urgent byte is taken out of the stream.
        if wire.has(URG) {
            fresh.pop();
        }
        self.read.extend(fresh);
        self.next = wire.end();
        if wire.has(FIN) {
            self.next = self.next.wrapping_add(1);
            self.is_ended = true;
            self.queue.clear();
        }
    }

    fn drain(&mut self) {
        while !self.queue.is_empty() && !after(self.queue[0].sequence, self.next) {
            let wire = self.queue.remove(0);
            self.eat(&wire);
        }
    }

    /// Linux's `tcp_data_queue_ofo`: what lies inside another is dropped, what begins with another and is longer replaces it, what
    /// covers others removes them, and of two that overlap the lower one is read first.
    fn enqueue(&mut self, wire: &Wire) {
        if wire.payload.is_empty() && !wire.has(FIN) {
            return;
        }
        let end = |wire: &Wire| wire.end().wrapping_add(u32::from(wire.has(FIN)));
        let covers = |one: &Wire, other: &Wire| !after(one.sequence, other.sequence) && !after(end(other), end(one));
        if self.queue.iter().any(|other| covers(other, wire)) {
            return;
        }
        self.queue.retain(|other| !covers(wire, other));
        let place =
            self.queue.iter().position(|other| after(other.sequence, wire.sequence)).unwrap_or(self.queue.len());
        self.queue.insert(place, wire.clone());
    }
}
