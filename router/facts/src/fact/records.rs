//! Elements of lists among the facts that are more than a text.

use serde::Serialize;

use crate::Oddity;

/// The head of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Request {
    /// As it was sent.
    pub method: String,
    /// Path and query as they were sent; empty for `CONNECT`.
    pub path: String,
    /// The host in canonical form, by the target if that has one, else by the one Host line. `None`: there is none, or
    /// more than one.
    pub host: Option<String>,
    /// The port behind the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What the Host lines say, where it is not what `host` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_lines: Vec<String>,
    /// `1.0` or `1.1`.
    pub version: String,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub oddities: Vec<Oddity>,
}

impl Request {
    /// Bytes of its texts.
    pub(super) fn text_len(&self) -> usize {
        let lines: usize = self.host_lines.iter().map(String::len).sum();
        self.method.len() + self.path.len() + self.host.as_ref().map_or(0, String::len) + lines
    }
}

/// The head of a response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// `1.0` or `1.1`.
    pub version: String,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub oddities: Vec<Oddity>,
}

/// What is asked (RFC 1035, section 4.1.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Question {
    /// In canonical form; `.` is the root.
    pub name: String,
    /// The type of records that is asked for.
    #[serde(rename = "type")]
    pub kind: u16,
    /// 1 is the Internet.
    pub class: u16,
}

/// A record of the answer section (RFC 1035, section 4.1.3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Answer {
    /// In canonical form.
    pub name: String,
    /// The record's type.
    #[serde(rename = "type")]
    pub kind: u16,
    /// Seconds for which it may be kept.
    pub ttl: u32,
    /// The address of A and AAAA, the name of CNAME, DNAME, NS and PTR; of others nothing is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Question {
    /// Bytes of its texts.
    pub(super) fn text_len(&self) -> usize {
        self.name.len()
    }
}

impl Answer {
    /// Bytes of its texts.
    pub(super) fn text_len(&self) -> usize {
        self.name.len() + self.data.as_ref().map_or(0, String::len)
    }
}
