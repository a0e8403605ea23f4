//! `herald lab relay`, a process of the lab: it has the TAPs of a relay and does what its switch says.
//!
//! ```text
//!  keeper --orders, answers (one line each)-- relay -- TAPs: uplink, one for each node that is concerned
//! ```

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::io::tap::Taken;
use crate::io::{Tap, clock};
use herald_core::limits::RELAY_TURN_FRAMES_MAX;
use herald_core::packet::{Frame, Tag};
use herald_lab::{Answer, Course, Order, Switch, UPLINK, port, read_line, write_line};

/// The keeper's place among the sources; ports have the places below it.
const KEEPER: Token = Token(usize::MAX);

/// Events taken at once.
const EVENTS_LEN: usize = 64;

/// Time for the rest of a line from the keeper.
const LINE_TIME_MAX: Duration = Duration::from_secs(5);

/// Relays until the keeper, which is at the other end of standard input, is gone.
///
/// # Errors
///
/// When the kernel does not do its part.
pub fn run() -> io::Result<()> {
    let keeper = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    keeper.set_read_timeout(Some(LINE_TIME_MAX))?;
    keeper.set_write_timeout(Some(LINE_TIME_MAX))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&keeper.as_raw_fd()), KEEPER, Interest::READABLE)?;
    let spare = Frame::with_full_buffer();
    Relay { keeper, poll, ports: Vec::new(), switch: Switch::default(), tag: None, spare }.serve()
}

struct Relay {
    keeper: UnixStream,
    poll: Poll,
    /// In the order of the switch: the uplink, then those of the nodes.
    ports: Vec<Port>,
    switch: Switch,
    /// The tag of the nodes' frames.
    tag: Option<Tag>,
    /// What is read into.
    spare: Frame,
}

struct Port {
    name: String,
    tap: Tap,
    readable: bool,
}

impl Relay {
    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_LEN);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let mut asked = false;
            for event in &events {
                match self.ports.get_mut(event.token().0) {
                    Some(port) => port.readable = true,
                    None => asked = true,
                }
            }
            if asked {
                match read_line(&self.keeper) {
                    Ok(order) => self.obey(order)?,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            let Self { switch, ports, tag, .. } = self;
            switch.deadline_reached(clock::now(), &mut |port, frame| send(ports, *tag, port, frame));
            for place in 0..self.ports.len() {
                self.take_frames(place);
            }
        }
    }

    /// How long nothing is to be done by itself.
    fn patience(&self) -> Option<Duration> {
        if self.ports.iter().any(|port| port.readable) {
            return Some(Duration::ZERO);
        }
        self.switch.next_deadline().map(|deadline| deadline.since(clock::now()))
    }

    /// Takes some of the frames that wait at a port.
    fn take_frames(&mut self, place: usize) {
        let Self { ports, switch, spare, tag, .. } = self;
        for _ in 0..RELAY_TURN_FRAMES_MAX {
            let Some(port) = ports.get_mut(place).filter(|port| port.readable) else { return };
            match port.tap.read(spare) {
                // What has not the tag of the nodes' network is not of that network.
                Taken::Frame if place > 0 && !is_of(*tag, spare) => {}
                Taken::Frame => {
                    switch.frame_arrived(clock::now(), place, spare, &mut |port, frame| send(ports, *tag, port, frame));
                }
                Taken::Cut => {}
                Taken::Empty | Taken::Gone => port.readable = false,
            }
        }
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        let answer = match order {
            Order::Take(course) => match self.open(&course) {
                Ok(()) => {
                    self.tag = course.vlan.map(Tag::of);
                    self.switch.take(course);
                    Answer::Done
                }
                Err(why) => Answer::Failed(why),
            },
            Order::Count => Answer::Counts(self.switch.counts()),
        };
        write_line(&self.keeper, &answer)
    }

    /// Opens the ports of a course, and closes those that it does not have.
    fn open(&mut self, course: &Course) -> Result<(), String> {
        let names = [UPLINK.to_owned()].into_iter().chain(course.nodes.iter().map(|node| port(node)));
        let mut before = std::mem::take(&mut self.ports);
        for name in names {
            let port = match before.iter().position(|port| port.name == name) {
                Some(place) => before.swap_remove(place),
                None => {
                    let (tap, _not_watched) = Tap::open(&name, None).map_err(|error| error.to_string())?;
                    Port { name, tap, readable: true }
                }
            };
            self.ports.push(port);
        }
        self.watch().map_err(|error| format!("the relay cannot watch its ports: {error}"))
    }

    /// Registers each port under its place.
    fn watch(&mut self) -> io::Result<()> {
        for (place, port) in self.ports.iter_mut().enumerate() {
            let registry = self.poll.registry();
            let _first_time = registry.deregister(&mut port.tap);
            registry.register(&mut port.tap, Token(place), Interest::READABLE)?;
            port.readable = true;
        }
        Ok(())
    }
}

/// Sends a frame out of a port. What the kernel does not take is lost, as on a full switch.
fn send(ports: &[Port], tag: Option<Tag>, place: usize, frame: &Frame) {
    let Some(port) = ports.get(place) else { return };
    // The uplink leads to the hosts, whose frames have no tag.
    let _lost = match frame.tag().or(tag).filter(|_| place > 0 && tag.is_some()) {
        Some(tag) => port.tap.write_tagged(frame, tag),
        None => port.tap.write(frame),
    };
}

/// True for a frame with this tag, which is taken out; without a tag, for any.
fn is_of(tag: Option<Tag>, frame: &mut Frame) -> bool {
    tag.is_none_or(|tag| frame.inner_tag().is_some_and(|inner| inner.vlan() == tag.vlan()) && frame.untag())
}
