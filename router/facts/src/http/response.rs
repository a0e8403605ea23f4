//! A response's head, and how its body ends.

use super::body::Body;
use super::refused;
use super::request::{length, values};
use crate::Oddity;
use crate::fact::Response;
use httparse::Header;

/// False if the bytes cannot begin a response.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\r").unwrap_or(bytes);
    bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected)
}

type Read = (Response, Result<Body, Oddity>);

/// Reads a whole head: the response, and its body if it is one that may have a body.
pub(super) fn read<'head>(head: &'head [u8], headers: &mut [Header<'head>]) -> Result<Read, Oddity> {
    let mut parsed = httparse::Response::new(headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(Oddity::HttpLineEnd),
        Err(error) => return Err(refused(error)),
    }
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else { return Err(Oddity::HttpFirstLine) };
    let mut oddities = Vec::new();
    let body = framing(parsed.headers, minor, &mut oddities);
    if let Err(oddity) = body {
        oddities.push(oddity);
    }
    Ok((Response { status, version: format!("1.{minor}"), oddities }, body))
}

/// How a response's body ends (RFC 9112, section 6.3).
fn framing(headers: &[Header<'_>], minor: u8, oddities: &mut Vec<Oddity>) -> Result<Body, Oddity> {
    let length = length(headers, oddities)?;
    let codings: Vec<_> = values(headers, "transfer-encoding").collect();
    let Some(last) = codings.last() else { return Ok(length.map_or(Body::UntilClose, Body::Length)) };
    if length.is_some() {
        oddities.push(Oddity::HttpLengthAndChunked);
    }
    if minor == 0 {
        oddities.push(Oddity::HttpOldTransferEncoding);
    }
    if codings.len() == 1 && last.eq_ignore_ascii_case(b"chunked") {
        return Ok(Body::chunked());
    }
    oddities.push(Oddity::HttpTransferEncoding);
    let final_coding = last.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    Ok(if final_coding.eq_ignore_ascii_case(b"chunked") { Body::chunked() } else { Body::UntilClose })
}
