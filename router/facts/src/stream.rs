//! Parsers of a stream, chosen by its first bytes, and the facts of both directions.

use crate::detect::{self, Detected, Protocol};
use crate::limits::DETECT_BYTES_MAX;
use crate::quic;
use crate::ssh::Speaker;
use crate::{Facts, Progress, dns, http, ssh, tls};

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From whom the stream's first packet came.
    FromOpener,
    /// To whom the stream's first packet came.
    ToOpener,
}

/// Who reads the bytes.
#[derive(Debug)]
enum Readers {
    /// First bytes of both directions, from the opener first.
    Undecided([Vec<u8>; 2]),
    Tls(tls::ClientParser, tls::ServerParser),
    Http(Box<http::Parser>),
    Dns(dns::Parser, dns::Parser),
    Ssh(ssh::Parser, ssh::Parser),
    Unknown,
}

/// The facts of a TCP stream. It takes the bytes of each direction in order; a hole ends what can be said of that
/// direction: whoever feeds it stops then.
#[derive(Debug)]
pub struct Stream {
    readers: Readers,
    facts: Facts,
}

impl Default for Stream {
    fn default() -> Self {
        Self { readers: Readers::Undecided([Vec::new(), Vec::new()]), facts: Facts::new() }
    }
}

impl Stream {
    /// A stream without bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The same, for who takes facts out.
    pub fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Takes the next bytes of a direction.
    pub fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Progress {
        let facts = &mut self.facts;
        match (&mut self.readers, direction) {
            (Readers::Undecided(_), _) => self.decide(direction, bytes),
            (Readers::Unknown, _) => Progress::NotThis,
            (Readers::Tls(client, _), Direction::FromOpener) => client.feed(bytes, facts),
            (Readers::Tls(_, server), Direction::ToOpener) => server.feed(bytes, facts),
            (Readers::Http(parser), Direction::FromOpener) => parser.from_client(bytes, facts),
            (Readers::Http(parser), Direction::ToOpener) => parser.from_server(bytes, facts),
            (Readers::Dns(client, _), Direction::FromOpener) => client.feed(bytes, facts),
            (Readers::Dns(_, server), Direction::ToOpener) => server.feed(bytes, facts),
            (Readers::Ssh(client, _), Direction::FromOpener) => client.feed(bytes, facts),
            (Readers::Ssh(_, server), Direction::ToOpener) => server.feed(bytes, facts),
        }
    }

    /// Keeps the bytes, and chooses who reads them if they tell.
    fn decide(&mut self, direction: Direction, bytes: &[u8]) -> Progress {
        let Readers::Undecided([opener, responder]) = &mut self.readers else { return Progress::NotThis };
        let kept = match direction {
            Direction::FromOpener => &mut *opener,
            Direction::ToOpener => &mut *responder,
        };
        // One whole piece beyond the bound says all that can be said.
        let room = (2 * DETECT_BYTES_MAX).saturating_sub(kept.len());
        let piece = bytes.get(..room).unwrap_or(bytes);
        let is_full = piece.len() < bytes.len();
        kept.extend_from_slice(piece);
        let detected = match direction {
            Direction::FromOpener => detect::opener(opener),
            // Who opened may still say what it is; lines before the string of SSH say nothing.
            Direction::ToOpener => match detect::responder(responder) {
                Detected::Unknown if !is_full && opener.is_empty() => Detected::Need(1),
                Detected::Unknown if !is_full => detect::opener(opener),
                detected @ (Detected::Need(_) | Detected::Found(_) | Detected::Unknown) => detected,
            },
        };
        let (opener, responder) = (std::mem::take(opener), std::mem::take(responder));
        let rest = bytes.get(piece.len()..).unwrap_or_default();
        self.readers = match detected {
            Detected::Need(len) if !is_full => {
                self.readers = Readers::Undecided([opener, responder]);
                return Progress::Need(len);
            }
            Detected::Need(_) | Detected::Unknown => Readers::Unknown,
            Detected::Found(Protocol::Tls) => Readers::Tls(tls::ClientParser::new(), tls::ServerParser::new()),
            Detected::Found(Protocol::Http) => Readers::Http(Box::default()),
            Detected::Found(Protocol::Dns) => Readers::Dns(dns::Parser::new(), dns::Parser::new()),
            Detected::Found(Protocol::Ssh) => {
                Readers::Ssh(ssh::Parser::new(Speaker::Client), ssh::Parser::new(Speaker::Server))
            }
        };
        let of_opener = self.feed(Direction::FromOpener, &opener);
        let of_responder = self.feed(Direction::ToOpener, &responder);
        match direction {
            _ if !rest.is_empty() => self.feed(direction, rest),
            Direction::FromOpener => of_opener,
            Direction::ToOpener => of_responder,
        }
    }
}

/// The port of DNS (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;

/// Who reads the datagrams.
#[derive(Debug)]
enum Datagram {
    Undecided,
    Dns,
    Quic(Box<quic::Parser>),
    Unknown,
}

/// The facts of a stream of UDP datagrams.
#[derive(Debug)]
pub struct Datagrams {
    port: u16,
    reader: Datagram,
    facts: Facts,
}

impl Datagrams {
    /// A stream to this port of whom it was opened to: on port 53 what is no DNS is odd, elsewhere it is another protocol.
    pub fn new(port: u16) -> Self {
        Self { port, reader: Datagram::Undecided, facts: Facts::new() }
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The same, for who takes facts out.
    pub fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Takes the next datagram. Of DNS each says for itself whether it is refused: the next one may be whole.
    pub fn feed(&mut self, direction: Direction, datagram: &[u8]) -> Progress {
        if let Datagram::Undecided = self.reader {
            self.reader = self.decide(direction, datagram);
        }
        match (&mut self.reader, direction) {
            (Datagram::Undecided, _) => Progress::Need(1),
            (Datagram::Unknown, _) => Progress::NotThis,
            (Datagram::Dns, _) => match dns::datagram(datagram, &mut self.facts) {
                Progress::Done => Progress::Need(1),
                progress @ (Progress::Need(_) | Progress::NotThis | Progress::Refused(_)) => progress,
            },
            (Datagram::Quic(parser), Direction::FromOpener) => parser.datagram(datagram, &mut self.facts),
            // What a server says in its first flight names nothing.
            (Datagram::Quic(_), Direction::ToOpener) => Progress::Done,
        }
    }

    fn decide(&self, direction: Direction, datagram: &[u8]) -> Datagram {
        let mut tried = Facts::new();
        if self.port == DNS_PORT {
            Datagram::Dns
        } else if quic::is_plausible(datagram) {
            match direction {
                Direction::FromOpener => Datagram::Quic(Box::default()),
                Direction::ToOpener => Datagram::Undecided,
            }
        } else if dns::is_plausible(datagram) && dns::datagram(datagram, &mut tried) == Progress::Done {
            Datagram::Dns
        } else {
            Datagram::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Direction::{FromOpener, ToOpener};
    use super::*;

    fn json_of(facts: &Facts) -> serde_json::Value {
        serde_json::to_value(facts).unwrap()
    }

    #[test]
    fn parsers_are_chosen_by_first_bytes_of_either_direction() {
        // The server speaks first, and says nothing that tells.
        let mut stream = Stream::new();
        assert_eq!(stream.feed(ToOpener, b"Hello\r\nSSH-2.0-s"), Progress::Need(1));
        assert_eq!(stream.feed(FromOpener, b"SSH-2.0"), Progress::Need(1));
        assert_eq!(stream.feed(FromOpener, b"-c\r\n"), Progress::Done);
        assert_eq!(stream.feed(ToOpener, b"\r\n"), Progress::Done);
        assert_eq!(
            json_of(stream.facts()),
            json!({"ssh.client_banner": "SSH-2.0-c", "ssh.server_banner": "SSH-2.0-s"})
        );
        // Nobody hears the client.
        let mut stream = Stream::new();
        assert_eq!(stream.feed(ToOpener, b"HTTP/1.1 204 no\r\n\r\n"), Progress::Need(1));
        assert_eq!(json_of(stream.facts()), json!({"http.responses": [{"status": 204, "version": "1.1"}]}));
        let mut stream = Stream::new();
        assert_eq!(stream.feed(FromOpener, b"EHLO a\r\n"), Progress::NotThis);
        assert_eq!(stream.feed(ToOpener, b"HTTP/1.1 204 no\r\n\r\n"), Progress::NotThis);
        assert!(stream.facts().is_empty());
    }

    #[test]
    fn what_is_kept_of_the_undecided_has_a_bound() {
        let mut stream = Stream::new();
        for _ in 0..2 {
            assert_eq!(stream.feed(ToOpener, &[b'x'; DETECT_BYTES_MAX]), Progress::Need(1));
        }
        assert_eq!(stream.feed(ToOpener, b"x"), Progress::NotThis);
        assert!(matches!(stream.readers, Readers::Unknown));
        // A piece that is longer than the bound is read whole.
        let mut stream = Stream::new();
        stream.feed(FromOpener, b"GET / HTTP/1.0\r\n\r\n".repeat(DETECT_BYTES_MAX / 8).as_slice());
        assert_eq!(json_of(stream.facts())["http.requests"].as_array().unwrap().len(), DETECT_BYTES_MAX / 8);
    }

    #[test]
    fn datagrams_tell_by_themselves_and_ports_only_what_is_odd() {
        let query = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
        let looping = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01";
        for port in [53, 5353] {
            let mut datagrams = Datagrams::new(port);
            assert_eq!(datagrams.feed(FromOpener, query), Progress::Need(1));
            assert!(datagrams.feed(FromOpener, looping).is_end());
            assert_eq!(datagrams.feed(FromOpener, query), Progress::Need(1));
            assert_eq!(json_of(datagrams.facts())["dns.questions"].as_array().unwrap().len(), 2);
        }
        assert_eq!(Datagrams::new(5353).feed(FromOpener, looping), Progress::NotThis);
        assert!(matches!(Datagrams::new(53).feed(FromOpener, looping), Progress::Refused(_)));
        assert_eq!(Datagrams::new(443).feed(FromOpener, b"hello"), Progress::NotThis);
    }
}
