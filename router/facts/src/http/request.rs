//! A request's head, and how its body ends.

use super::body::Body;
use super::target::{Authority, Target};
use super::{Asked, refused};
use crate::Oddity;
use crate::fact::Request;
use httparse::Header;

/// Bytes of a method: the longest registered one has 17.
const METHOD_LEN_MAX: usize = 32;

/// False if the bytes cannot begin a request: no method and white space stand there.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\r").unwrap_or(bytes);
    let len = bytes.iter().position(|byte| !is_token(*byte));
    let is_method = match len {
        Some(len) => {
            (1..=METHOD_LEN_MAX).contains(&len)
                && bytes.get(len).is_some_and(|byte| matches!(byte, b'\t'..=b'\r' | b' '))
        }
        None => bytes.len() <= METHOD_LEN_MAX,
    };
    // The preface of HTTP/2 (RFC 9113, section 3.4).
    bytes.is_empty() || is_method && !bytes.starts_with(b"PRI * HTTP/2")
}

/// A byte of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What the response depends on.
pub(super) fn asked(head: &[u8]) -> Asked {
    if head.starts_with(b"HEAD ") {
        Asked::Head
    } else if head.starts_with(b"CONNECT ") {
        Asked::Connect
    } else {
        Asked::Other
    }
}

type Read = (Request, Result<Body, Oddity>);

/// Reads a whole head: the request, and its body unless that cannot be framed for certain.
pub(super) fn read<'head>(head: &'head [u8], headers: &mut [Header<'head>]) -> Result<Read, Oddity> {
    let mut parsed = httparse::Request::new(headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(Oddity::HttpLineEnd),
        Err(error) => return Err(refused(error)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Oddity::HttpFirstLine);
    };
    let target = Target::parse(method, target).ok_or(Oddity::HttpFirstLine)?;
    let mut oddities = Vec::new();
    let lines: Vec<_> = values(parsed.headers, "host").collect();
    let named = match lines.as_slice() {
        [] => None,
        [line] => Some(Authority::parse(line)),
        _ => {
            oddities.push(Oddity::HttpHostTwice);
            None
        }
    };
    if lines.is_empty() && minor > 0 {
        oddities.push(Oddity::HttpNoHost);
    }
    if target.authority.is_some() && named.is_some() && target.authority != named {
        oddities.push(Oddity::HttpOtherHost);
    }
    if target.has_user {
        oddities.push(Oddity::HttpUserInformation);
    }
    let is_told =
        lines.is_empty() || lines.len() == 1 && target.authority.as_ref().is_none_or(|_| target.authority == named);
    let authority = target.authority.or(named).unwrap_or_default();
    if authority.is_odd {
        oddities.push(Oddity::HttpHostNoHost);
    }
    let body = framing(parsed.headers, minor, &mut oddities);
    if let Err(oddity) = body {
        oddities.push(oddity);
    }
    let host_lines =
        if is_told { Vec::new() } else { lines.iter().map(|line| Authority::parse(line).whole()).collect() };
    let request = Request {
        method: method.to_owned(),
        path: target.path,
        host: authority.host,
        port: authority.port,
        host_lines,
        version: format!("1.{minor}"),
        oddities,
    };
    Ok((request, body))
}

/// The values of a header in order, without the white space around.
pub(super) fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.trim_ascii())
}

/// How a request's body ends (RFC 9112, section 6.3).
fn framing(headers: &[Header<'_>], minor: u8, oddities: &mut Vec<Oddity>) -> Result<Body, Oddity> {
    let length = length(headers, oddities)?;
    let codings: Vec<_> = values(headers, "transfer-encoding").collect();
    match codings.as_slice() {
        [] => Ok(length.map_or(Body::None, Body::Length)),
        _ if minor == 0 => Err(Oddity::HttpOldTransferEncoding),
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => {
            if length.is_some() {
                oddities.push(Oddity::HttpLengthAndChunked);
            }
            Ok(Body::chunked())
        }
        _ => Err(Oddity::HttpTransferEncoding),
    }
}

/// The one length that the headers say.
pub(super) fn length(headers: &[Header<'_>], oddities: &mut Vec<Oddity>) -> Result<Option<u64>, Oddity> {
    let mut lengths = values(headers, "content-length");
    let Some(first) = lengths.next() else { return Ok(None) };
    for other in lengths {
        if other != first {
            return Err(Oddity::HttpLength);
        }
        if !oddities.contains(&Oddity::HttpLengthTwice) {
            oddities.push(Oddity::HttpLengthTwice);
        }
    }
    let text = std::str::from_utf8(first).map_err(|_| Oddity::HttpLength)?;
    // A sign or a list is none that all receivers read alike.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Oddity::HttpLength);
    }
    text.parse().map(Some).map_err(|_| Oddity::HttpLength)
}
