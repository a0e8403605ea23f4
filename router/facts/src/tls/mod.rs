//! TLS handshakes up to where they are encrypted (RFC 8446, RFC 5246): a parser for each direction.

mod certificate;
mod hello;
mod ja4;
mod messages;
#[cfg(test)]
mod tests;

use crate::limits::{CERTIFICATE_BYTES_MAX, HELLO_BYTES_MAX};
use crate::{FactName, Facts, Oddity, Progress, Value};

pub(crate) use hello::ClientHello;
use hello::ServerHello;
pub(crate) use ja4::{Transport, hex};
use messages::{Messages, Step};

/// Handshake types (RFC 8446, section 4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// Reads what a client says: its hello, and a second one where there is one.
#[derive(Debug, Default)]
pub struct ClientParser {
    messages: Messages,
    /// The first hello's name, once there was a hello.
    first: Option<Option<String>>,
    /// What looks like a handshake may be encrypted.
    has_changed: bool,
    end: Option<Progress>,
}

impl ClientParser {
    /// A parser at the stream's first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. After the first hello it still wants to see that no other one follows: who needs no more than
    /// the first one's facts looks for them, not for the end.
    pub fn feed(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.end {
            return end;
        }
        let progress = self.read(bytes, facts);
        finish(progress, &mut self.end, &mut self.messages, facts)
    }

    fn read(&mut self, mut bytes: &[u8], facts: &mut Facts) -> Progress {
        loop {
            match self.messages.next(&mut bytes, limit_client) {
                Step::Need(len) => return Progress::Need(len),
                Step::NotTls => return Progress::NotThis,
                Step::Broken(_) if self.has_changed => return Progress::Done,
                Step::Broken(oddity) => return Progress::Refused(oddity),
                Step::ChangeCipherSpec => self.has_changed = true,
                // Encrypted, or the end.
                Step::OtherRecord => return Progress::Done,
                Step::Message(CLIENT_HELLO) => match ClientHello::parse(self.messages.body()) {
                    Some(hello) => self.hello(&hello, facts),
                    None if self.has_changed => return Progress::Done,
                    None => return Progress::Refused(Oddity::TlsHello),
                },
                Step::Message(_) if self.first.is_some() => return Progress::Done,
                Step::Message(_) => return Progress::NotThis,
            }
        }
    }

    fn hello(&mut self, hello: &ClientHello, facts: &mut Facts) {
        let name = hello.name.as_ref().map(|name| name.text.clone());
        match &self.first {
            None => {
                hello.tell(&Transport::Tls.names(), facts);
                self.first = Some(name);
            }
            Some(first) if *first == name => {}
            Some(_) => {
                facts.add_oddity(FactName::TlsOddities, Oddity::TlsSecondHello);
                if let Some(name) = name {
                    facts.add(FactName::TlsSecondSni, Value::Text(name));
                }
            }
        }
    }
}

/// The bytes that a client's message of this type may have, and what it is if it has more; of other types none is read.
fn limit_client(kind: u8) -> Option<(usize, Oddity)> {
    (kind == CLIENT_HELLO).then_some((HELLO_BYTES_MAX, Oddity::TlsHelloTooLong))
}

/// Reads what a server says: the version that it chose and, before TLS 1.3, its certificate.
#[derive(Debug, Default)]
pub struct ServerParser {
    messages: Messages,
    end: Option<Progress>,
    has_hello: bool,
}

impl ServerParser {
    /// A parser at the stream's first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.end {
            return end;
        }
        let progress = self.read(bytes, facts);
        finish(progress, &mut self.end, &mut self.messages, facts)
    }

    fn read(&mut self, mut bytes: &[u8], facts: &mut Facts) -> Progress {
        loop {
            match self.messages.next(&mut bytes, limit_server) {
                Step::Need(len) => return Progress::Need(len),
                Step::NotTls => return Progress::NotThis,
                Step::Broken(oddity) => return Progress::Refused(oddity),
                Step::ChangeCipherSpec if !self.has_hello => {}
                Step::ChangeCipherSpec | Step::OtherRecord => return Progress::Done,
                Step::Message(SERVER_HELLO) => {
                    let Some(hello) = ServerHello::parse(self.messages.body()) else {
                        return Progress::Refused(Oddity::TlsHello);
                    };
                    if hello.is_retry {
                        continue;
                    }
                    hello.tell(facts);
                    self.has_hello = true;
                    if hello.version >= hello::TLS_1_3 {
                        return Progress::Done;
                    }
                }
                Step::Message(CERTIFICATE) if self.has_hello => {
                    let Some(names) = certificate::names(self.messages.body()) else {
                        return Progress::Refused(Oddity::TlsCertificate);
                    };
                    facts.add(FactName::TlsCertificateNames, Value::Texts(names));
                    return Progress::Done;
                }
                // A resumed session has no certificate.
                Step::Message(_) if self.has_hello => return Progress::Done,
                Step::Message(_) => return Progress::NotThis,
            }
        }
    }
}

fn limit_server(kind: u8) -> Option<(usize, Oddity)> {
    match kind {
        SERVER_HELLO => Some((HELLO_BYTES_MAX, Oddity::TlsHelloTooLong)),
        CERTIFICATE => Some((CERTIFICATE_BYTES_MAX, Oddity::TlsCertificateTooLong)),
        _ => None,
    }
}

/// At an end: keeps it, gives the memory back and tells what is odd.
fn finish(progress: Progress, end: &mut Option<Progress>, messages: &mut Messages, facts: &mut Facts) -> Progress {
    if progress.is_end() {
        *end = Some(progress);
        *messages = Messages::default();
    }
    if let Progress::Refused(oddity) = progress {
        facts.add_oddity(FactName::TlsOddities, oddity);
    }
    progress
}
