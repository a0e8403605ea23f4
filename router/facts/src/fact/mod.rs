//! Facts: what parsers found, by stable names.

mod records;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::Oddity;
use crate::limits::{FACTS_BYTES_MAX, LIST_LEN_MAX};

pub use records::{Answer, Question, Request, Response};

/// The version of names, types and meanings below. It grows when one of them changes; a new name alone changes nothing.
pub const FACTS_VERSION: u32 = 1;

/// The type of a fact's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A number.
    Number,
    /// A text.
    Text,
    /// Texts in the order in which they came.
    Texts,
    /// Oddities, each once, in the order in which they came.
    Oddities,
    /// HTTP requests in order.
    Requests,
    /// HTTP responses in order.
    Responses,
    /// DNS questions in order.
    Questions,
    /// DNS records in order.
    Answers,
}

impl Kind {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Number => "number",
            Self::Text => "text",
            Self::Texts => "texts",
            Self::Oddities => "oddities",
            Self::Requests => "requests",
            Self::Responses => "responses",
            Self::Questions => "questions",
            Self::Answers => "answers",
        }
    }
}

/// Where a fact is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// On the stream's chosen node alone: it speaks of this stream and moves with it.
    Stream,
    /// Of use for other streams as well, wherever they are handled: meant for the cluster's table of facts.
    Wide,
}

impl Scope {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Wide => "wide",
        }
    }
}

macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $kind:ident, $scope:ident;)+) => {
        /// The name of a fact.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum FactName {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FactName {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its stable name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The type of its value.
            pub fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)+
                }
            }

            /// Where it is known.
            pub fn scope(self) -> Scope {
                match self {
                    $(Self::$name => Scope::$scope,)+
                }
            }
        }
    };
}

facts! {
    /// The name of the server that the client asks for (RFC 6066, section 3).
    TlsSni = "tls.sni", Text, Stream;
    /// The application protocols that the client offers (RFC 7301).
    TlsAlpn = "tls.alpn", Texts, Stream;
    /// The versions that the client offers, by its preference, without GREASE (RFC 8446, section 4.2.1).
    TlsVersions = "tls.versions", Texts, Stream;
    /// The client's JA4 fingerprint.
    TlsJa4 = "tls.ja4", Text, Stream;
    /// True if the client sent an encrypted hello, or pretends to: the name is then the outer one (RFC 9849).
    TlsEch = "tls.ech", Flag, Stream;
    /// The name in the client's second hello, where it differs.
    TlsSecondSni = "tls.second_sni", Text, Stream;
    /// The version that the server chose.
    TlsServerVersion = "tls.server_version", Text, Stream;
    /// The application protocol that a server of TLS 1.2 or older chose.
    TlsServerAlpn = "tls.server_alpn", Text, Stream;
    /// The names in the certificate of a server of TLS 1.2 or older (RFC 5280, section 4.2.1.6): the subject's if it has no others.
    TlsCertificateNames = "tls.certificate_names", Texts, Stream;
    /// What is odd about the handshake.
    TlsOddities = "tls.oddities", Oddities, Stream;
    /// Heads of requests (RFC 9112).
    HttpRequests = "http.requests", Requests, Stream;
    /// Heads of responses (RFC 9112).
    HttpResponses = "http.responses", Responses, Stream;
    /// What is odd about requests and responses.
    HttpOddities = "http.oddities", Oddities, Stream;
    /// Questions of queries (RFC 1035, section 4.1.2).
    DnsQuestions = "dns.questions", Questions, Stream;
    /// Records of the answer sections of responses (RFC 1035, section 4.1.3).
    DnsAnswers = "dns.answers", Answers, Wide;
    /// The code of the last response (RFC 1035, section 4.1.1).
    DnsResponseCode = "dns.response_code", Number, Stream;
    /// The greatest datagram that the client takes (RFC 6891, section 6.2.3).
    DnsUdpSize = "dns.udp_size", Number, Stream;
    /// What is odd about messages.
    DnsOddities = "dns.oddities", Oddities, Stream;
    /// The name of the server that the client asks for (RFC 6066, section 3).
    QuicSni = "quic.sni", Text, Stream;
    /// The application protocols that the client offers (RFC 7301).
    QuicAlpn = "quic.alpn", Texts, Stream;
    /// The versions of TLS that the client offers (RFC 8446, section 4.2.1).
    QuicVersions = "quic.tls_versions", Texts, Stream;
    /// The client's JA4 fingerprint.
    QuicJa4 = "quic.ja4", Text, Stream;
    /// True if the client sent an encrypted hello, or pretends to (RFC 9849).
    QuicEch = "quic.ech", Flag, Stream;
    /// The version of QUIC of the client's first packet: 1 (RFC 9000) or 2 (RFC 9369).
    QuicVersion = "quic.version", Number, Stream;
    /// The connection ID to which the client sends its first packet, in hexadecimal digits (RFC 9000, section 7.2).
    QuicDestination = "quic.dcid", Text, Stream;
    /// What is odd about it.
    QuicOddities = "quic.oddities", Oddities, Stream;
    /// The client's identification string (RFC 4253, section 4.2).
    SshClientBanner = "ssh.client_banner", Text, Stream;
    /// The server's.
    SshServerBanner = "ssh.server_banner", Text, Stream;
    /// What is odd about them.
    SshOddities = "ssh.oddities", Oddities, Stream;
}

impl Serialize for FactName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The value of a fact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "`Kind` says what they are")]
pub enum Value {
    Flag(bool),
    Number(u64),
    Text(String),
    Texts(Vec<String>),
    Oddities(Vec<Oddity>),
    Requests(Vec<Request>),
    Responses(Vec<Response>),
    Questions(Vec<Question>),
    Answers(Vec<Answer>),
}

/// What a list's element counts for besides its texts, in bytes.
const ELEMENT_COST: usize = 128;

impl Value {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Flag(_) => Kind::Flag,
            Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
            Self::Texts(_) => Kind::Texts,
            Self::Oddities(_) => Kind::Oddities,
            Self::Requests(_) => Kind::Requests,
            Self::Responses(_) => Kind::Responses,
            Self::Questions(_) => Kind::Questions,
            Self::Answers(_) => Kind::Answers,
        }
    }

    /// What it counts for among the bytes of a stream's facts.
    pub fn cost(&self) -> usize {
        match self {
            Self::Flag(_) | Self::Number(_) | Self::Oddities(_) => 0,
            Self::Text(text) => text.len(),
            Self::Texts(list) => list.iter().map(|text| ELEMENT_COST + text.len()).sum(),
            Self::Requests(list) => list.iter().map(|request| ELEMENT_COST + request.text_len()).sum(),
            Self::Responses(list) => list.iter().map(|_| ELEMENT_COST).sum(),
            Self::Questions(list) => list.iter().map(|question| ELEMENT_COST + question.text_len()).sum(),
            Self::Answers(list) => list.iter().map(|answer| ELEMENT_COST + answer.text_len()).sum(),
        }
    }

    /// How many elements it has.
    fn len(&self) -> usize {
        match self {
            Self::Flag(_) | Self::Number(_) | Self::Text(_) => 1,
            Self::Texts(list) => list.len(),
            Self::Oddities(list) => list.len(),
            Self::Requests(list) => list.len(),
            Self::Responses(list) => list.len(),
            Self::Questions(list) => list.len(),
            Self::Answers(list) => list.len(),
        }
    }

    /// Appends the elements of another value of the same type; a single value takes the place of the old one, whose cost
    /// comes back.
    fn append(&mut self, value: Self) -> usize {
        match (self, value) {
            (Self::Texts(list), Self::Texts(mut more)) => list.append(&mut more),
            (Self::Oddities(list), Self::Oddities(more)) => {
                for oddity in more {
                    if !list.contains(&oddity) {
                        list.push(oddity);
                    }
                }
            }
            (Self::Requests(list), Self::Requests(mut more)) => list.append(&mut more),
            (Self::Responses(list), Self::Responses(mut more)) => list.append(&mut more),
            (Self::Questions(list), Self::Questions(mut more)) => list.append(&mut more),
            (Self::Answers(list), Self::Answers(mut more)) => list.append(&mut more),
            (old, new) => {
                let freed = old.cost();
                *old = new;
                return freed;
            }
        }
        0
    }
}

/// The facts of one stream. As JSON: an object of names and values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// By name.
    held: Vec<(FactName, Value)>,
    cost: usize,
    left_out: u64,
}

impl Facts {
    /// No facts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a fact, if it is known.
    pub fn get(&self, name: FactName) -> Option<&Value> {
        self.held.iter().find(|(held, _)| *held == name).map(|(_, value)| value)
    }

    /// All facts in the order of [`FactName::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (FactName, &Value)> {
        self.held.iter().map(|(name, value)| (*name, value))
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes a fact out: a list then begins anew, and there is room for more.
    pub fn take(&mut self, name: FactName) -> Option<Value> {
        let place = self.held.iter().position(|(held, _)| *held == name)?;
        let (_, value) = self.held.remove(place);
        self.cost = self.cost.saturating_sub(value.cost());
        Some(value)
    }

    /// How many values had no room (`LIST_LEN_MAX`, `FACTS_BYTES_MAX`) and were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Adds a value: to the end of a list, or in the place of a single one.
    pub(crate) fn add(&mut self, name: FactName, value: Value) {
        debug_assert_eq!(name.kind(), value.kind(), "{name:?}");
        let cost = value.cost();
        let held = self.held.binary_search_by_key(&name, |(held, _)| *held);
        let old = held.ok().and_then(|place| self.held.get_mut(place)).map(|(_, value)| value);
        let len = old.as_ref().map_or(0, |old| old.len());
        if self.cost + cost > FACTS_BYTES_MAX || len + value.len() > LIST_LEN_MAX {
            self.left_out += 1;
            return;
        }
        self.cost += cost;
        match (old, held) {
            (Some(old), _) => self.cost = self.cost.saturating_sub(old.append(value)),
            (None, Ok(place) | Err(place)) => self.held.insert(place, (name, value)),
        }
    }

    /// Adds an oddity, once.
    pub(crate) fn add_oddity(&mut self, name: FactName, oddity: Oddity) {
        self.add(name, Value::Oddities(vec![oddity]));
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(&name, value)?;
        }
        if self.left_out > 0 {
            map.serialize_entry("left_out", &self.left_out)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_to_a_bound_and_begin_anew_when_taken() {
        let mut facts = Facts::new();
        for _ in 0..LIST_LEN_MAX + 7 {
            facts.add(FactName::TlsAlpn, Value::Texts(vec!["a".to_owned()]));
        }
        assert_eq!(facts.left_out(), 7);
        assert_eq!(facts.take(FactName::TlsAlpn), Some(Value::Texts(vec!["a".to_owned(); LIST_LEN_MAX])));
        assert!(facts.is_empty() && facts.cost == 0);
        facts.add(FactName::TlsSni, Value::Text("b".repeat(FACTS_BYTES_MAX)));
        facts.add(FactName::TlsAlpn, Value::Texts(vec!["a".to_owned()]));
        assert_eq!(facts.left_out(), 8);
    }

    #[test]
    fn oddities_come_once_and_facts_in_one_order() {
        let mut facts = Facts::new();
        facts.add_oddity(FactName::TlsOddities, Oddity::TlsHello);
        facts.add_oddity(FactName::TlsOddities, Oddity::TlsRecord);
        facts.add_oddity(FactName::TlsOddities, Oddity::TlsHello);
        facts.add(FactName::TlsSni, Value::Text("a".to_owned()));
        facts.add(FactName::TlsSni, Value::Text("b".to_owned()));
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(json, r#"{"tls.sni":"b","tls.oddities":["malformed hello","malformed record"]}"#);
    }
}
