//! One run: build every case, measure them side by side, print and write what came of it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::case::Case;
use crate::column::{Column, Measured};
use crate::cpus::Cpus;
use crate::error::BenchError;
use crate::options::Options;
use crate::process::OnInterrupt;
use crate::results::Results;
use crate::site::Site;
use crate::{busy, interrupt, json, namespaces, process, table};

/// Above this share of the machine's CPUs in use by others, figures are not worth much.
const BUSY_PERCENT_MAX: f64 = 5.0;

/// Whether everything that was wanted was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it.
    Complete,
    /// Something failed and was named.
    Partial,
}

/// Measures what the options ask for.
///
/// # Errors
///
/// When the machine lacks something, or an end was asked for. Whatever was built is removed in any case.
pub(crate) fn run(options: &Options) -> Result<Outcome, BenchError> {
    interrupt::watch()?;
    let cpus = Cpus::found()?;
    check_machine()?;
    namespaces::remove_leftovers();
    let mut results = Results::default();
    let mut busy_percent = Vec::new();
    let sites = build(options, cpus, &mut results)?;
    for take in 1..=options.takes() {
        busy_percent.push(idle_machine()?);
        measure(options, take, &sites, cpus, &mut results)?;
    }
    drop(sites);
    println!("{}", table::table(&results));
    println!("median of {} and its ratio to the kernel router's; [least .. greatest]", options.takes());
    for failure in &results.failures {
        println!("not measured: {failure}");
    }
    let path = options.json();
    let text = format!("{:#}\n", json::json(options, &busy_percent, &results));
    fs::write(&path, text).map_err(BenchError::system(format!("cannot write {}", path.display())))?;
    println!("written: {}", path.display());
    Ok(if results.failures.is_empty() { Outcome::Complete } else { Outcome::Partial })
}

/// Fails early and says what to do.
fn check_machine() -> Result<(), BenchError> {
    if !geteuid().is_root() {
        return Err(BenchError::Missing("the kernel router needs root: run the benchmark as root".into()));
    }
    for (program, argument, package) in [("ip", "-V", "iproute2"), ("iperf3", "--version", "iperf3")] {
        let mut command = Command::new(program);
        command.arg(argument).stdin(Stdio::null());
        process::run(command, Duration::from_secs(10), OnInterrupt::Stop)
            .map_err(|e| BenchError::Missing(format!("{e}; on Debian: apt-get install {package}")))?;
    }
    Ok(())
}

/// Builds the wanted cases. One that cannot be built is a failure of its own; the others are measured.
fn build(options: &Options, cpus: Cpus, results: &mut Results) -> Result<Vec<Site>, BenchError> {
    let mut sites = Vec::new();
    for case in Case::ALL {
        if !Column::ALL.iter().any(|&column| options.wants(case, column)) {
            continue;
        }
        eprintln!("building {}", case.title());
        match Site::build(case, cpus) {
            Ok(site) => sites.push(site),
            Err(BenchError::Interrupted) => return Err(BenchError::Interrupted),
            Err(error) => fail(results, format!("{}: {error}", case.name())),
        }
    }
    Ok(sites)
}

/// With everything built and nothing measured, how much of the machine is in use? Other work spoils the figures, and so
/// would nodes that are not idle when nothing comes.
fn idle_machine() -> Result<f64, BenchError> {
    let percent = busy::percent()?;
    if percent > BUSY_PERCENT_MAX {
        eprintln!("warning: the machine is {percent:.0} % busy before the load starts; figures will be off");
    }
    Ok(percent)
}

/// One take: each column in all cases, one after the other.
fn measure(options: &Options, take: u32, sites: &[Site], cpus: Cpus, results: &mut Results) -> Result<(), BenchError> {
    for column in Column::ALL {
        for site in sites.iter().filter(|s| options.wants(s.case, column)) {
            let of = format!("take {take} of {}: {} {}", options.takes(), site.case.name(), column.name());
            match column.measure(site, options.seconds(), cpus) {
                Ok(measured) => {
                    eprintln!("{of}: {}", show(&measured));
                    results.add(site.case, &measured);
                }
                Err(BenchError::Interrupted) => return Err(BenchError::Interrupted),
                Err(error) => fail(results, format!("{of}: {error}")),
            }
        }
    }
    Ok(())
}

fn show(measured: &Measured) -> String {
    measured.iter().map(|(figure, value)| format!("{} {value:.2}", figure.name())).collect::<Vec<_>>().join(", ")
}

fn fail(results: &mut Results, failure: String) {
    eprintln!("bench: {failure}");
    results.failures.push(failure);
}
