//! Herald beside a kernel router: the same real programs through both, and what they say compared. Differences are only those
//! that `differences.rs` lists with their reasons.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

mod calls;
mod differences;
mod site;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;
use std::time::Duration;

use self::calls::{Call, PROGRAMS, Program, When};
use self::differences::{DIFFERENCES, explain};
use self::site::Site;

/// For anything that takes a moment on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What a call says at Herald and at the kernel, the calls of a program one after the other, both routers at the same time.
fn run<'a>(sites: &[Site; 2], program: &Program, calls: &[&'a Call]) -> Vec<(&'a Call, [String; 2])> {
    let say = |site: &Site| calls.iter().map(|call| site.say(program, call)).collect::<Vec<_>>();
    let [herald, kernel] = thread::scope(|scope| {
        sites.each_ref().map(|site| scope.spawn(move || say(site))).map(|said| said.join().unwrap())
    });
    calls.iter().zip(herald).zip(kernel).map(|((call, herald), kernel)| (*call, [herald, kernel])).collect()
}

/// Runs what is wanted, and returns how often each difference was seen.
fn compare(wanted: impl Fn(&Call) -> bool) -> BTreeMap<&'static str, usize> {
    let sites = Site::both();
    let mut used: BTreeMap<&'static str, usize> = DIFFERENCES.iter().map(|d| (d.name, 0)).collect();
    let (mut count, mut failures, mut failed) = (0, 0, String::new());
    for program in PROGRAMS {
        let calls: Vec<&Call> = program.calls.iter().filter(|call| wanted(call)).collect();
        count += calls.len();
        for (call, [herald, kernel]) in run(&sites, program, &calls) {
            // Two that say nothing are alike, too, whatever became of the packets.
            if is_silent(&kernel) == call.is_silent {
                if herald == kernel {
                    continue;
                }
                if let Some(name) = explain(call, &herald, &kernel) {
                    *used.entry(name).or_default() += 1;
                    continue;
                }
            }
            failures += 1;
            let _ = writeln!(failed, "\n{}, at {}: {}", program.name, call.host, call.line);
            for (name, said) in [("Herald", herald), ("kernel", kernel)] {
                let _ = writeln!(failed, "  {name}:\n    {}", said.trim_end().replace('\n', "\n    "));
            }
        }
    }
    println!("{count} calls of {} programs; {} permitted differences:", PROGRAMS.len(), DIFFERENCES.len());
    for difference in DIFFERENCES {
        println!("{:6} {}: {}", used[difference.name], difference.name, difference.why);
    }
    assert!(
        failures == 0,
        "{failures} calls differ from those by way of the kernel router, or say too little there:{failed}"
    );
    used
}

/// True if a call has told only its exit code.
fn is_silent(said: &str) -> bool {
    said.lines().all(|line| line.trim().is_empty() || line.starts_with("exit code "))
}

#[test]
fn programs_meet_what_they_meet_at_a_kernel_router() {
    let _used = compare(|call| matches!(call.when, When::Always));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn every_program_meets_what_it_meets_at_a_kernel_router() {
    let used = compare(|_| true);
    let stale: Vec<_> = used.iter().filter(|(_, count)| **count == 0).collect();
    assert!(stale.is_empty(), "the list names what does not differ: {stale:?}");
}
