//! A record of an ended stream, and its line.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use herald_plugin::prelude::*;
use serde::Serialize;

/// All that a line says; of fixed size, so that it travels without an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) protocol: u8,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) interface: Interface,
    pub(crate) midstream: bool,
    pub(crate) chosen: ([u8; Self::CHOSEN_LEN_MAX], usize),
    pub(crate) packets: [u64; 2],
    pub(crate) bytes: [u64; 2],
    /// When the line is written, in nanoseconds since 1970.
    pub(crate) told: u64,
    /// When the last packet came, in nanoseconds since 1970.
    pub(crate) ended: u64,
    pub(crate) duration: Duration,
    pub(crate) reason: EndReason,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    flow_id: u64,
    event_type: &'a str,
    src_ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    dest_ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_id: Option<u16>,
    flow: Flow<'a>,
    herald: Herald<'a>,
}

#[derive(Serialize)]
struct Flow<'a> {
    pkts_toserver: u64,
    pkts_toclient: u64,
    bytes_toserver: u64,
    bytes_toclient: u64,
    start: String,
    end: String,
    age: u64,
    reason: &'a str,
}

#[derive(Serialize)]
struct Herald<'a> {
    chosen: &'a str,
    interface: &'a str,
    duration_us: u128,
    midstream: bool,
}

impl Record {
    /// Node ids are shorter.
    const CHOSEN_LEN_MAX: usize = 16;

    /// The record of a stream whose end is told now, `told` nanoseconds after 1970. Its life lasts until its last packet,
    /// not until the silence behind it was long enough.
    pub(crate) fn of(stream: &StreamInfo<'_>, end: &End<'_>, told: u64) -> Self {
        let silence = stream.now().saturating_sub(end.last_packet());
        let mut chosen = [0; Self::CHOSEN_LEN_MAX];
        let len = stream.chosen().len().min(chosen.len());
        chosen.iter_mut().zip(stream.chosen().bytes()).for_each(|(place, byte)| *place = byte);
        Self {
            id: stream.id(),
            protocol: stream.protocol(),
            source: stream.source(),
            destination: stream.destination(),
            interface: stream.interface(),
            midstream: stream.midstream(),
            chosen: (chosen, len),
            packets: [end.packets_from_opener(), end.packets_to_opener()],
            bytes: [end.bytes_from_opener(), end.bytes_to_opener()],
            told,
            ended: told.saturating_sub(u64::try_from(silence.as_nanos()).unwrap_or(u64::MAX)),
            duration: end.last_packet().saturating_sub(end.started()),
            reason: end.reason(),
        }
    }

    /// Appends the record's line.
    pub(crate) fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let [pkts_toserver, pkts_toclient] = self.packets;
        let [bytes_toserver, bytes_toclient] = self.bytes;
        let (chosen, len) = &self.chosen;
        let end = timestamp(self.ended);
        let has_ports = matches!(self.protocol, 6 | 17);
        let line = Line {
            timestamp: timestamp(self.told),
            flow_id: self.id,
            event_type: "flow",
            src_ip: self.source.ip(),
            src_port: has_ports.then(|| self.source.port()),
            dest_ip: self.destination.ip(),
            dest_port: has_ports.then(|| self.destination.port()),
            proto: protocol_name(self.protocol),
            icmp_id: matches!(self.protocol, 1 | 58).then(|| self.source.port()),
            flow: Flow {
                pkts_toserver,
                pkts_toclient,
                bytes_toserver,
                bytes_toclient,
                start: timestamp(
                    self.ended.saturating_sub(u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX)),
                ),
                end,
                age: self.duration.as_secs(),
                reason: self.reason.name(),
            },
            herald: Herald {
                chosen: chosen.get(..*len).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default(),
                interface: self.interface.as_str(),
                duration_us: self.duration.as_micros(),
                midstream: self.midstream,
            },
        };
        serde_json::to_writer(&mut *to, &line)?;
        to.push(b'\n');
        Ok(())
    }
}

/// The names that EVE uses.
fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "IPv6-ICMP".to_owned(),
        other => format!("{other:03}"),
    }
}

/// Nanoseconds since 1970 in the form of EVE, in UTC.
fn timestamp(nanos: u64) -> String {
    let (seconds, micros) = (nanos / 1_000_000_000, nanos / 1_000 % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+0000")
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    // At most 584 rounds: nanoseconds in 64 bits end in 2554.
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(id: u64) -> Record {
        let mut chosen = [0; 16];
        chosen[0] = b'c';
        Record {
            id,
            protocol: 6,
            source: "10.1.0.100:41234".parse().unwrap(),
            destination: "10.2.0.100:80".parse().unwrap(),
            interface: Interface::First,
            midstream: false,
            chosen: (chosen, 1),
            packets: [5, 4],
            bytes: [420, 3200],
            told: 951_825_599_000_678_999,
            ended: 951_825_599_000_678_999,
            duration: Duration::from_micros(1_500_678),
            reason: EndReason::Finished,
        }
    }

    #[test]
    fn a_line_is_an_eve_flow_record() {
        let mut line = Vec::new();
        record(7).write(&mut line).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"timestamp":"2000-02-29T11:59:59.000678+0000","flow_id":7,"event_type":"flow","#,
                r#""src_ip":"10.1.0.100","src_port":41234,"dest_ip":"10.2.0.100","dest_port":80,"proto":"TCP","#,
                r#""flow":{"pkts_toserver":5,"pkts_toclient":4,"bytes_toserver":420,"bytes_toclient":3200,"#,
                r#""start":"2000-02-29T11:59:57.500000+0000","end":"2000-02-29T11:59:59.000678+0000","age":1,"#,
                r#""reason":"finished"},"#,
                r#""herald":{"chosen":"c","interface":"first","duration_us":1500678,"midstream":false}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn an_echo_has_an_identifier_and_no_ports() {
        let mut line = Vec::new();
        Record { protocol: 58, source: "[fd00:1::1]:9".parse().unwrap(), ..record(1) }.write(&mut line).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&line["icmp_id"], &line["proto"]), (&9.into(), &"IPv6-ICMP".into()));
        assert!(line.get("src_port").is_none());
    }

    #[test]
    fn days_become_dates() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (20_453, (2025, 12, 31)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }
}
