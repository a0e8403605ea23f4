//! Scenarios in a real lab: the same files that the simulator runs. What happened is recorded from outside, at the port of
//! every node, and from inside, by the nodes' events and by a plugin that writes down each packet; then it is checked.

mod checks;
mod conversations;
mod part;
mod ports;
mod record;

use std::fs;
use std::path::Path;
use std::time::Duration;

use herald::io::clock;

use crate::lab::{Builder, Lab};
use crate::process::pause;
use crate::scenario::{Action, Choices, Scenario};
use conversations::Conversations;
use part::Part;
use ports::Ports;
use record::Record;

/// Time between the moment at which everything is ready and the first step of a scenario.
const LEAD: Duration = Duration::from_millis(200);

/// Runs a scenario file in a lab of its own and checks what happened.
///
/// # Panics
///
/// When the file cannot be understood, asks for what a lab cannot do, or a promise of the cluster was broken.
#[track_caller]
pub fn perform(file: &Path) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()));
    let scenario: Scenario = text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let impossible = part::impossible(&scenario);
    assert!(impossible.is_empty(), "{}: a lab cannot do this: {}", file.display(), impossible.join("; "));
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    // A node that gets no processor for a detection time is succeeded as if it had been stopped. That may happen once on a
    // busy machine, and changes who holds and who owns; it breaks no promise.
    if !check(&name, &scenario).is_empty() {
        let differences = check(&name, &scenario);
        assert!(differences.is_empty(), "{name} came twice to something else:\n{}", differences.join("\n"));
    }
}

/// Plays a scenario and checks the promises; returns what the scenario expects otherwise.
#[track_caller]
fn check(name: &str, scenario: &Scenario) -> Vec<String> {
    let (lab, record) = play(scenario);
    println!("{name}:\n{}", record.account());
    let broken = checks::broken(&record);
    assert!(broken.is_empty(), "{name}: {} promises are broken:\n{}", broken.len(), broken.join("\n"));
    drop(lab);
    checks::unexpected(&record)
}

/// Plays a scenario to its end and waits until all is quiet; the lab is still up then.
#[track_caller]
fn play(scenario: &Scenario) -> (Lab, Record) {
    let lab = shape(Lab::up("scene"), &scenario.choices).start();
    let ports = Ports::watch(&lab);
    let mut conversations = Conversations::prepare(&lab, scenario);
    let mut part = Part::new(scenario.seed);
    let first_ms = scenario.steps.first().map_or(0, |step| step.at_ms);
    let began = clock::now() + LEAD;
    for step in &scenario.steps {
        pause((began + Duration::from_millis(step.at_ms - first_ms)).since(clock::now()));
        if let Action::Open(open) = &step.action {
            conversations.open(&lab, open);
        } else {
            part.act(&lab, step);
        }
    }
    let talks = conversations.await_end();
    part.await_quiet(&lab);
    let record = Record { expected: scenario.expected.clone(), ..Record::of(&lab, ports, part, talks) };
    (lab, record)
}

/// The settings of a lab that a scenario chooses.
fn shape(lab: Builder, choices: &Choices) -> Builder {
    let [keying, redirectors, redirecting, midstream] = part::words(choices);
    // So the same nodes are chosen in each run.
    lab.set("cluster.id", "scenarios")
        .set("cluster.secret", "all scenarios have this one")
        .set("choose.per_interface_key", keying == "per-interface")
        .set("choose.redirectors", redirectors)
        .set("redirect", redirecting)
        .set("midstream", midstream)
        .set("hold_ms_max", choices.hold_ms)
        .set("hold_frames_max", choices.hold_frames)
        .set("plugins", "[{name = \"flowlog\", config = {packets = true}}]")
}
