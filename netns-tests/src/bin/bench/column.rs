//! What is measured of each case, and the figures that come of it.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use crate::address::{CONNECTION_PORTS, ECHO_PINNED_PORT, ECHO_PORT, IPERF_PORT, SERVER};
use crate::cpus::Cpus;
use crate::error::BenchError;
use crate::load::{connections, frames, rtt};
use crate::site::Site;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Column {
    /// iperf3, one stream.
    Tcp1,
    /// iperf3, four streams.
    Tcp4,
    /// Small UDP frames, at most 256 on their way; the load on one CPU, the device on another.
    Packets,
    /// UDP request and response, everything on one CPU: the cost of the way.
    RoundTrip,
    /// The same with nothing pinned: with what waking other CPUs costs.
    RoundTripFree,
    /// TCP connections: connect, one byte each way, close.
    Connections,
    /// iperf3, datagrams of 8,000 bytes as fast as the host sends them: what arrives, without a fragment missing.
    Fragments,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Tcp1,
    Tcp1Cpu,
    Tcp4,
    Tcp4Cpu,
    Packets,
    PacketsLost,
    RoundTripP50,
    RoundTripP99,
    RoundTripFreeP50,
    RoundTripFreeP99,
    Connections,
    Fragments,
    FragmentsLost,
}

/// Figures of one measurement.
pub(crate) type Measured = Vec<(Figure, f64)>;

impl Column {
    /// All, in the order of measuring.
    pub(crate) const ALL: [Self; 7] = [
        Self::Tcp1,
        Self::Tcp4,
        Self::Packets,
        Self::RoundTrip,
        Self::RoundTripFree,
        Self::Connections,
        Self::Fragments,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp1 => "tcp1",
            Self::Tcp4 => "tcp4",
            Self::Packets => "packets",
            Self::RoundTrip => "round-trip",
            Self::RoundTripFree => "round-trip-free",
            Self::Connections => "connections",
            Self::Fragments => "fragments",
        }
    }

    /// Measures it once, for about so many seconds.
    ///
    /// # Errors
    ///
    /// When a load program fails or nothing comes through.
    pub(crate) fn measure(self, site: &Site, seconds: u32, cpus: Cpus) -> Result<Measured, BenchError> {
        let time = Duration::from_secs(seconds.into());
        match self {
            Self::Tcp1 => tcp(site, 1, seconds, [Figure::Tcp1, Figure::Tcp1Cpu]),
            Self::Tcp4 => tcp(site, 4, seconds, [Figure::Tcp4, Figure::Tcp4Cpu]),
            Self::Packets => packets(site, time, cpus),
            Self::RoundTrip => {
                let _pinned = site.device.pin(cpus.first, cpus)?;
                let arguments = [format!("--port={ECHO_PINNED_PORT}"), format!("--cpu={}", cpus.first)];
                round_trip(site, &arguments, time, [Figure::RoundTripP50, Figure::RoundTripP99])
            }
            Self::RoundTripFree => {
                let arguments = [format!("--port={ECHO_PORT}")];
                round_trip(site, &arguments, time, [Figure::RoundTripFreeP50, Figure::RoundTripFreeP99])
            }
            Self::Connections => connections(site, time),
            Self::Fragments => fragments(site, seconds),
        }
    }
}

impl Figure {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 13] = [
        Self::Tcp1,
        Self::Tcp4,
        Self::Packets,
        Self::PacketsLost,
        Self::RoundTripP50,
        Self::RoundTripP99,
        Self::RoundTripFreeP50,
        Self::RoundTripFreeP99,
        Self::Connections,
        Self::Fragments,
        Self::FragmentsLost,
        Self::Tcp1Cpu,
        Self::Tcp4Cpu,
    ];

    /// Its name in JSON, with its unit.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp1 => "tcp1_gbit_per_s",
            Self::Tcp1Cpu => "tcp1_device_cpu_s_per_gb",
            Self::Tcp4 => "tcp4_gbit_per_s",
            Self::Tcp4Cpu => "tcp4_device_cpu_s_per_gb",
            Self::Packets => "packets_kpps",
            Self::PacketsLost => "packets_lost_percent",
            Self::RoundTripP50 => "round_trip_p50_us",
            Self::RoundTripP99 => "round_trip_p99_us",
            Self::RoundTripFreeP50 => "round_trip_free_p50_us",
            Self::RoundTripFreeP99 => "round_trip_free_p99_us",
            Self::Connections => "connections_per_s",
            Self::Fragments => "fragmented_gbit_per_s",
            Self::FragmentsLost => "fragmented_lost_percent",
        }
    }

    /// Its name in the table, with its unit.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Tcp1 => "TCP, 1 stream, Gbit/s",
            Self::Tcp1Cpu => "TCP 1, device's CPU s/GB",
            Self::Tcp4 => "TCP, 4 streams, Gbit/s",
            Self::Tcp4Cpu => "TCP 4, device's CPU s/GB",
            Self::Packets => "UDP, 60-byte frames, kpps",
            Self::PacketsLost => "of these lost, %",
            Self::RoundTripP50 => "round trip, one CPU, p50 us",
            Self::RoundTripP99 => "round trip, one CPU, p99 us",
            Self::RoundTripFreeP50 => "round trip, free, p50 us",
            Self::RoundTripFreeP99 => "round trip, free, p99 us",
            Self::Connections => "TCP connections, 1/s",
            Self::Fragments => "UDP, fragmented 8 KB, Gbit/s",
            Self::FragmentsLost => "of these lost, %",
        }
    }

    /// Whether its ratio to the kernel router says something.
    pub(crate) const fn has_ratio(self) -> bool {
        match self {
            Self::PacketsLost | Self::FragmentsLost | Self::Tcp1Cpu | Self::Tcp4Cpu => false,
            Self::Tcp1
            | Self::Tcp4
            | Self::Packets
            | Self::RoundTripP50
            | Self::RoundTripP99
            | Self::RoundTripFreeP50
            | Self::RoundTripFreeP99
            | Self::Connections
            | Self::Fragments => true,
        }
    }
}

/// Bulk TCP. Cubic, because BBR paces and so hides what the device costs.
fn tcp(site: &Site, streams: u8, seconds: u32, figures: [Figure; 2]) -> Result<Measured, BenchError> {
    let to = format!("--client={SERVER}");
    let arguments = [to, format!("--port={IPERF_PORT}"), "--congestion=cubic".into(), format!("--parallel={streams}")];
    let before = site.device.cpu_time();
    let report = site.iperf(&arguments, seconds)?;
    let after = site.device.cpu_time();
    let [rate, cpu] = figures;
    let mut measured = vec![(rate, received(&report, "bits_per_second")? / 1e9)];
    if let (Some(before), Some(after)) = (before, after) {
        measured.push((cpu, after.saturating_sub(before).as_secs_f64() / (received(&report, "bytes")? / 1e9)));
    }
    Ok(measured)
}

/// What arrived, by iperf3's report: more than nothing.
fn received(report: &Value, field: &str) -> Result<f64, BenchError> {
    let at = format!("/end/sum_received/{field}");
    figure(report, &at).and_then(|value| if value > 0.0 { Ok(value) } else { Err(unintelligible(report, &at)) })
}

/// A figure of iperf3's report.
fn figure(report: &Value, at: &str) -> Result<f64, BenchError> {
    report.pointer(at).and_then(Value::as_f64).ok_or_else(|| unintelligible(report, at))
}

fn unintelligible(report: &Value, at: &str) -> BenchError {
    let said = report.get("error").map_or_else(|| format!("no {at}"), Value::to_string);
    BenchError::Unintelligible { command: "iperf3".into(), said }
}

/// Each datagram is six fragments at an MTU of 1,500. The one that lacks one of them counts as lost.
fn fragments(site: &Site, seconds: u32) -> Result<Measured, BenchError> {
    let to = format!("--client={SERVER}");
    let port = format!("--port={IPERF_PORT}");
    let arguments = [to, port, "--udp".into(), "--length=8000".into(), "--bitrate=0".into()];
    let report = site.iperf(&arguments, seconds)?;
    let rate = received(&report, "bits_per_second")? / 1e9;
    Ok(vec![(Figure::Fragments, rate), (Figure::FragmentsLost, figure(&report, "/end/sum/lost_percent")?)])
}

fn packets(site: &Site, time: Duration, cpus: Cpus) -> Result<Measured, BenchError> {
    let _pinned = site.device.pin(cpus.second, cpus)?;
    let counted: frames::Counted = site.load("frames", &[format!("--cpu={}", cpus.first)], time)?;
    Ok(vec![(Figure::Packets, counted.per_second / 1e3), (Figure::PacketsLost, counted.lost_percent)])
}

fn round_trip(site: &Site, arguments: &[String], time: Duration, figures: [Figure; 2]) -> Result<Measured, BenchError> {
    let times: rtt::Times = site.load("rtt", arguments, time)?;
    let [p50, p99] = figures;
    Ok(vec![(p50, times.p50_us), (p99, times.p99_us)])
}

fn connections(site: &Site, time: Duration) -> Result<Measured, BenchError> {
    let ports = format!("--ports={}-{}", CONNECTION_PORTS.start, CONNECTION_PORTS.end);
    let counted: connections::Counted = site.load("connections", &[ports], time)?;
    Ok(vec![(Figure::Connections, counted.per_second)])
}
