//! The explorations: each is complete, or the test fails.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use herald_core::id::Interface;
use stateright::Checker;

use crate::explore::Explored;
use crate::memo::Memo;
use crate::options::Options;
use crate::scenario::{Channel, Fault, Opens, Scenario, Stream};
use crate::sights::Seen;
use crate::walk;

/// Opened from the first network; the redirector of its return packets, asked without an announcement, would name another.
const PLAIN: Stream =
    Stream { opens: Opens::From(Interface::First), is_tcp: false, chosen: [2, 0], heir: 0, packets: [1, 1] };

/// The same from the second network.
const MIRRORED: Stream =
    Stream { opens: Opens::From(Interface::Second), is_tcp: false, chosen: [1, 2], heir: 2, packets: [1, 1] };

/// Both hosts open it at once, and each redirector chooses another node.
const CONTESTED: Stream = Stream { opens: Opens::Both, is_tcp: true, chosen: [2, 1], heir: 0, packets: [1, 1] };

const ANY_FAULT: &[Fault] = &[Fault::RoleTaken, Fault::Death, Fault::LinkBreak];

/// A scenario, explored once for each choice of so many slow channels; of all if `None`.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scenario: Scenario,
    pub(crate) slow: Option<usize>,
}

fn run(name: &'static str, streams: [Option<Stream>; 2], faults: u8, patience: u8, slow: Option<usize>) -> Run {
    Run { scenario: Scenario::new(name, streams, (ANY_FAULT, faults), patience), slow }
}

/// What every test run explores, the smaller before the larger.
pub(crate) fn short() -> Vec<Run> {
    let opened = [Some(Stream { packets: [1, 0], ..PLAIN }), Some(Stream { packets: [0, 1], ..MIRRORED })];
    vec![
        run("one contested stream", [Some(CONTESTED), None], 0, 1, None),
        run("two streams, one from each side", [Some(PLAIN), Some(MIRRORED)], 0, 1, None),
        run("one stream", [Some(PLAIN), None], 1, 1, Some(1)),
        run("two streams, one contested", [Some(PLAIN), Some(CONTESTED)], 0, 0, None),
        run("two streams, first packets only", opened, 1, 0, Some(1)),
    ]
}

/// What takes a minute or two in profile `sim`.
pub(crate) fn long() -> Vec<Run> {
    let two = [Some(PLAIN), Some(CONTESTED)];
    vec![
        run("one stream", [Some(PLAIN), None], 1, 1, Some(2)),
        run("one contested stream", [Some(CONTESTED), None], 2, 1, Some(1)),
        run("two streams, one contested", two, 0, 1, None),
        run("one stream", [Some(PLAIN), None], 2, 1, Some(2)),
        run("one contested stream", [Some(CONTESTED), None], 2, 1, Some(2)),
        run("two streams, one from each side", [Some(PLAIN), Some(MIRRORED)], 2, 1, Some(1)),
        run("two streams, one contested", two, 2, 1, Some(1)),
    ]
}

/// What takes half an hour.
pub(crate) fn pairs() -> Vec<Run> {
    vec![run("two streams, one contested", [Some(PLAIN), Some(CONTESTED)], 2, 1, Some(2))]
}

impl Run {
    /// The scenario with each choice of slow channels.
    pub(crate) fn scenarios(&self) -> impl Iterator<Item = Scenario> + '_ {
        let channels = Channel::all();
        let count = self.slow.unwrap_or(channels.len());
        let sets = (0_u32..1 << channels.len()).filter(move |set| set.count_ones() as usize == count);
        sets.map(move |set| {
            let numbered = channels.iter().enumerate();
            let slow = numbered.filter(|(number, _)| set >> number & 1 == 1).map(|(_, channel)| *channel).collect();
            self.scenario.clone().with_slow(slow)
        })
    }
}

/// Explores everything and prints the table.
pub(crate) fn all(options: &Options) -> ExitCode {
    println!(
        "{:<34} {:>11} {:>6} {:>8} {:>10} {:>10} {:>5} {:>8}",
        "MODEL", "SLOW", "FAULTS", "TIMEOUTS", "STATES", "UNIQUE", "DEPTH", "SECONDS"
    );
    let seen = Arc::new(Seen::default());
    let runs = match (options.full, options.pairs) {
        (_, true) => pairs(),
        (true, false) => long(),
        (false, false) => short(),
    };
    for (number, run) in (1..).zip(runs) {
        if options.only.is_none_or(|only| only == number) && !explore(&run, options, &seen) {
            return ExitCode::FAILURE;
        }
    }
    let missing = seen.missing();
    if !missing.is_empty() && options.only.is_none() {
        println!("every run was complete, but nothing was seen of {}", missing.join(", "));
        return ExitCode::FAILURE;
    }
    println!("every run was complete, and every promise kept");
    ExitCode::SUCCESS
}

/// Explores one model with each choice of slow channels. False if that was not complete or a promise was broken.
fn explore(run: &Run, options: &Options, seen: &Arc<Seen>) -> bool {
    let (mut states, mut unique, mut depth) = (0, 0, 0);
    let begin = Instant::now();
    let memo = Arc::new(Memo::new(&run.scenario, seen));
    for scenario in run.scenarios() {
        let model = Explored::new(scenario, &memo);
        let (broken, checker) = model.explore(options.threads());
        if let Some(path) = broken {
            println!("{}", model.scenario);
            model.story(&path).iter().for_each(|line| println!("  {line}"));
            return false;
        }
        if !checker.is_done() {
            println!("{}: not complete", model.scenario);
            return false;
        }
        walk::some(&model);
        states += checker.state_count();
        unique += checker.unique_state_count();
        depth = depth.max(checker.max_depth());
    }
    let Scenario { name, faults: (_, faults), patience, .. } = run.scenario;
    let slow = run.slow.map_or("all".to_owned(), |count| format!("any {count} of 8"));
    let seconds = begin.elapsed().as_secs_f64();
    println!("{name:<34} {slow:>11} {faults:>6} {patience:>8} {states:>10} {unique:>10} {depth:>5} {seconds:>8.1}");
    true
}
