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
use crate::quiet::Patience;
use crate::results::Results;
use crate::site::Site;
use crate::{interrupt, json, namespaces, process, table};

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
    let patience = Patience::new(options.wait_quiet());
    let mut run = Run { options, cpus, patience, results: Results::default() };
    let sites = run.build()?;
    for take in 1..=options.takes() {
        run.measure(take, &sites)?;
    }
    drop(sites);
    run.print();
    run.write()?;
    Ok(if run.results.failures.is_empty() { Outcome::Complete } else { Outcome::Partial })
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

/// What a run has got so far.
struct Run<'a> {
    options: &'a Options,
    cpus: Cpus,
    patience: Patience,
    results: Results,
}

impl Run<'_> {
    /// Builds the wanted cases. One that cannot be built is a failure of its own; the others are measured.
    fn build(&mut self) -> Result<Vec<Site>, BenchError> {
        let mut sites = Vec::new();
        for case in Case::ALL {
            if !Column::ALL.iter().any(|&column| self.options.wants(case, column)) {
                continue;
            }
            eprintln!("building {}", case.title());
            match Site::build(case, self.cpus) {
                Ok(site) => sites.push(site),
                Err(BenchError::Interrupted) => return Err(BenchError::Interrupted),
                Err(error) => self.fail(format!("{}: {error}", case.name())),
            }
        }
        Ok(sites)
    }

    /// One take: each column in all cases, one after the other.
    fn measure(&mut self, take: u32, sites: &[Site]) -> Result<(), BenchError> {
        for column in Column::ALL {
            for site in sites.iter().filter(|s| self.options.wants(s.case, column)) {
                let of = format!("take {take} of {}: {} {}", self.options.takes(), site.case.name(), column.name());
                self.patience.wait()?;
                match column.measure(site, self.options.seconds(), self.cpus) {
                    Ok(measured) => {
                        eprintln!("{of}: {}", show(&measured));
                        self.results.add(site.case, &measured);
                    }
                    Err(BenchError::Interrupted) => return Err(BenchError::Interrupted),
                    Err(error) => self.fail(format!("{of}: {error}")),
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, failure: String) {
        eprintln!("bench: {failure}");
        self.results.failures.push(failure);
    }

    fn print(&self) {
        println!("{}", table::table(&self.results));
        println!("median of {} and its ratio to the kernel router's; [least .. greatest]", self.options.takes());
        if self.patience.in_vain > 0 {
            println!("{} measurements began on a busy machine: do not trust them", self.patience.in_vain);
        }
        for failure in &self.results.failures {
            println!("not measured: {failure}");
        }
    }

    fn write(&self) -> Result<(), BenchError> {
        let path = self.options.json();
        let text = format!("{:#}\n", json::json(self.options, self.patience.in_vain, &self.results));
        fs::write(&path, text).map_err(BenchError::system(format!("cannot write {}", path.display())))?;
        println!("written: {}", path.display());
        Ok(())
    }
}

fn show(measured: &Measured) -> String {
    measured.iter().map(|(figure, value)| format!("{} {value:.2}", figure.name())).collect::<Vec<_>>().join(", ")
}
