//! The table against a naive model: a list, and who may make room in a few lines.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use proptest::prelude::*;

use super::*;
use crate::chosen::{HoldMax, Marked, Settings};
use crate::flow::FlowKey;
use crate::id::Interface;
use crate::inspector::{Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals};
use crate::limits::BUCKETS;
use crate::outbox::Outbox;
use crate::packet::{Arrival, Came, Frame};
use crate::session::{Midstream, Opening, Timeouts};

/// Streams of the table, of which a source may have two.
const ALL: usize = 32;

const HASH_KEY: HashKey = HashKey([4; 16]);

/// Remembers who ended why.
#[derive(Default)]
struct Ends(Vec<(FlowKey, EndReason)>);

impl Inspector for Ends {
    type Part = ();

    fn stream_started(&mut self, _: Instant, _: &Stream, (): &mut ()) -> PerDirection<Standing> {
        PerDirection::default()
    }

    fn inspect(&mut self, _: Instant, _: &mut [Inspection], _: &mut dyn Parts<()>) {}

    fn stream_ended(&mut self, _: Instant, stream: &Stream, _: &Totals, reason: EndReason, (): &mut ()) {
        self.0.push((stream.opener, reason));
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

struct World {
    now: Instant,
    chosen: Chosen<()>,
    ends: Ends,
    out: Outbox,
}

/// A stream by its number, which says its protocol and its source.
type Number = u16;

fn is_tcp(number: Number) -> bool {
    !number.is_multiple_of(3)
}

/// Half of the streams come from three hosts, each other one from its own.
fn host(number: Number) -> u16 {
    if number.is_multiple_of(2) { number % 3 } else { 100 + number }
}

fn flow(number: Number) -> FlowKey {
    let [high, low] = host(number).to_be_bytes();
    let source = IpAddr::from(Ipv4Addr::new(10, 1, high, low));
    let (protocol, to) = if is_tcp(number) { (6, 80) } else { (17, 53) };
    FlowKey::new(Interface::First, protocol, (source, 1_000 + number), (Ipv4Addr::new(10, 2, 0, 1).into(), to))
}

impl World {
    fn new() -> Self {
        let hour = Duration::from_secs(3_600);
        let timeouts = Timeouts::alike(hour);
        let settings = Settings {
            node: "c".parse().unwrap(),
            timeouts,
            hold_max: HoldMax { time: hour, frames: 1, bytes: 2_000 },
            midstream: Midstream::Drop,
            bounds: Bounds { markers: ALL, ..Bounds::default() },
            hash_key: HASH_KEY,
            buckets: BUCKETS,
        };
        let (ends, out) = Default::default();
        Self { now: Instant::from_nanos(1), chosen: Chosen::new(settings), ends, out }
    }

    /// A packet of a stream comes and leaves again, if it may.
    fn passes(&mut self, number: Number, key: FlowKey, segment: Segment<'_>) {
        self.now = self.now + Duration::from_millis(1);
        let (from, to) = (key.source(), key.destination());
        let ip = frames::ip([[1; 6], [2; 6]], from.ip(), to.ip(), 9);
        let ports = (from.port(), to.port());
        let bytes =
            if is_tcp(number) { frames::tcp(ip, ports, segment) } else { frames::udp(ip, ports, segment.payload) };
        let arrival = Arrival::parse(key.interface(), Frame::from_bytes(&bytes), Came::Directly).unwrap();
        let turn = &mut Turn::new(self.now, &mut self.ends, &mut self.out);
        let opening = |arrival: &Arrival| Opening::of(&arrival.headers);
        let accepted = self.chosen.accept(turn, &HASH_KEY.hashed(key), &arrival, opening, |_, _| Ok(7));
        let Ok(Marked { slot, direction, .. }) = accepted else { return };
        if self.chosen.markers.at(slot).return_key.is_none() {
            let return_key = key.reversed(Interface::Second);
            self.chosen.learn_return_key(turn, slot, (return_key, u64::from(number))).unwrap();
            self.chosen.acknowledged(slot, "b".parse().unwrap(), turn.out);
        }
        self.chosen.depart(turn, slot, direction, &arrival.headers);
    }

    fn goes(&mut self, number: Number, segment: Segment<'_>) {
        self.passes(number, flow(number), segment);
    }

    fn comes_back(&mut self, number: Number, segment: Segment<'_>) {
        self.passes(number, flow(number).reversed(Interface::Second), segment);
    }

    /// Which streams stand in the table, and in which class.
    fn streams(&self) -> Vec<(FlowKey, Option<Class>)> {
        let class = |slot| self.chosen.room.queues.queue_of(slot).map(|class| Class::ALL[class]);
        let mut streams: Vec<_> =
            self.chosen.markers.iter().map(|(slot, session)| (session.opener, class(slot))).collect();
        streams.sort_by_key(|(flow, _)| *flow);
        streams
    }
}

/// One stream of the model. They stand in the order in which they came into their classes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: Number,
    class: Class,
    started: u64,
}

#[derive(Default)]
struct Model {
    streams: Vec<Entry>,
    steps: u64,
}

impl Model {
    fn count(&self, class: Class) -> usize {
        self.streams.iter().filter(|entry| entry.class == class).count()
    }

    fn is_outsized(&self, number: Number) -> bool {
        // A closed connection lives until its time is over, which never comes in this world.
        self.streams.iter().filter(|entry| host(entry.number) == host(number)).count() > ALL / 16
    }

    fn of(&self, classes: &[Class]) -> Vec<Entry> {
        self.streams.iter().copied().filter(|entry| classes.contains(&entry.class)).collect()
    }

    fn outsized(&self, classes: &[Class]) -> Vec<Number> {
        self.of(classes).iter().map(|entry| entry.number).filter(|number| self.is_outsized(*number)).collect()
    }

    /// Who may make room among these.
    fn victims(&self, classes: &[Class]) -> Vec<Number> {
        let mut oldest: Vec<Entry> = classes.iter().filter_map(|class| self.of(&[*class]).first().copied()).collect();
        oldest.sort_by_key(|entry| entry.started);
        oldest.first().map(|entry| entry.number).into_iter().chain(self.outsized(classes)).collect()
    }

    /// Who may make room for a stream of this class; the second is whether it may find none.
    fn make_room(&self, class: Class, reopens: bool) -> (Vec<Number>, bool) {
        let max = if class == Class::HalfOpen { ALL / 4 } else { ALL / 2 };
        if self.count(class) >= max {
            return (self.victims(&[class]), false);
        }
        if reopens || self.streams.len() < ALL {
            return (Vec::new(), false);
        }
        if let Some(ended) = self.of(&[Class::Ended]).first() {
            return (vec![ended.number], false);
        }
        let answered = self.count(Class::Answered) + self.count(Class::Established);
        let unanswered = self.victims(&[Class::HalfOpen, Class::OneWay]);
        if answered < ALL - ALL / 16 && !unanswered.is_empty() {
            return (unanswered, false);
        }
        (self.outsized(&[Class::Answered, Class::Established]), true)
    }

    fn class_of(&self, number: Number) -> Option<Class> {
        self.streams.iter().find(|entry| entry.number == number).map(|entry| entry.class)
    }

    fn set(&mut self, number: Number, class: Class) {
        let place = self.streams.iter().position(|entry| entry.number == number).unwrap();
        if self.streams[place].class != class {
            let entry = self.streams.remove(place);
            self.streams.push(Entry { class, ..entry });
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open(Number),
    Answer(Number),
    Complete(Number),
    Reset(Number),
}

fn any_step() -> impl Strategy<Value = Step> {
    let number = || 0_u16..80;
    prop_oneof![
        5 => number().prop_map(Step::Open),
        3 => number().prop_map(Step::Answer),
        3 => number().prop_map(Step::Complete),
        1 => number().prop_map(Step::Reset),
    ]
}

const DATAGRAM: Segment<'_> = Segment { flags: 0, sequence: 0, acknowledgement: 0, payload: b"a datagram" };
const RESET: Segment<'_> = Segment { flags: 20, sequence: 501, acknowledgement: 101, payload: &[] };

fn check_open(world: &mut World, model: &mut Model, number: Number) {
    let known = model.class_of(number);
    model.steps += 1;
    world.goes(number, if is_tcp(number) { SYN } else { DATAGRAM });
    let class = if is_tcp(number) { Class::HalfOpen } else { Class::OneWay };
    if known.is_some_and(|known| known != Class::Ended) {
        return;
    }
    let (victims, may_find_none) = model.make_room(class, known.is_some());
    let stands = |number: Number| world.chosen.markers.slot_of(&flow(number)).is_some();
    let gone: Vec<_> = model.streams.iter().map(|entry| entry.number).filter(|known| !stands(*known)).collect();
    let opened = stands(number) && known.is_none() || known.is_some() && !gone.contains(&number);
    if !opened {
        assert!(may_find_none && gone.is_empty(), "{number} found no room: {victims:?}");
        return;
    }
    match gone[..] {
        [] => assert!(victims.is_empty(), "one of {victims:?} was to make room"),
        [victim] => assert!(victims.contains(&victim), "{victim} made room instead of {victims:?}"),
        _ => panic!("{gone:?} made room for one"),
    }
    model.streams.retain(|entry| !gone.contains(&entry.number) && entry.number != number);
    model.streams.push(Entry { number, class, started: model.steps });
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_model(steps in proptest::collection::vec(any_step(), 1..400)) {
        let (mut world, mut model) = (World::new(), Model::default());
        for step in steps {
            match step {
                Step::Open(number) => check_open(&mut world, &mut model, number),
                Step::Answer(number) => match model.class_of(number) {
                    None | Some(Class::Ended) => {}
                    Some(_) if is_tcp(number) => world.comes_back(number, SYN_ACK),
                    Some(_) => {
                        world.comes_back(number, DATAGRAM);
                        model.set(number, Class::Answered);
                    }
                },
                Step::Complete(number) if model.class_of(number) == Some(Class::HalfOpen) => {
                    world.comes_back(number, SYN_ACK);
                    world.goes(number, ACK);
                    model.set(number, Class::Established);
                }
                Step::Reset(number) if is_tcp(number) && model.class_of(number) == Some(Class::Established) => {
                    world.comes_back(number, RESET);
                    model.set(number, Class::Ended);
                }
                Step::Complete(_) | Step::Reset(_) => {}
            }
            let mut expected: Vec<_> = model.streams.iter().map(|e| (flow(e.number), Some(e.class))).collect();
            expected.sort_by_key(|(flow, _)| *flow);
            prop_assert_eq!(world.streams(), expected);
            prop_assert!(world.chosen.markers.len() <= ALL);
            let alive = model.streams.len();
            prop_assert_eq!(world.chosen.alive(), alive);
            let [_, counts @ ..] = Class::ALL.map(|class| world.chosen.room.evicted(class));
            let ended = world.ends.0.iter().filter(|(_, reason)| *reason == EndReason::Evicted).count() as u64;
            prop_assert_eq!(counts.iter().sum::<u64>(), ended);
            world.out.spent.clear();
            world.out.events.clear();
        }
    }
}

#[test]
fn a_key_that_is_opened_again_and_again_leaves_nothing() {
    let mut world = World::new();
    for time in 1..=1_000 {
        world.goes(1, Segment { sequence: time * 1_000_000, ..SYN });
        let reset = Segment { acknowledgement: time * 1_000_000 + 1, sequence: 0, ..RESET };
        world.comes_back(1, reset);
    }
    let session = world.chosen.markers.at(world.chosen.markers.slot_of(&flow(1)).unwrap());
    assert_eq!((session.generation, world.chosen.markers.len()), (1_000, 1));
    assert_eq!(format!("{:?}", world.chosen.deadlines).matches("slot").count(), 1);
}
