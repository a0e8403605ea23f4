//! Which protocol a stream speaks, by its first bytes and not by its port.

use crate::dns;
use crate::limits::DETECT_BYTES_MAX;
use crate::reader::Reader;

/// A protocol over TCP that has a parser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// TLS up to where it is encrypted.
    Tls,
    /// HTTP/1.
    Http,
    /// DNS over TCP.
    Dns,
    /// SSH.
    Ssh,
}

/// What the first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detected {
    /// They may become one; at least so many more would say more.
    Need(usize),
    /// This one.
    Found(Protocol),
    /// None that has a parser.
    Unknown,
}

/// What an opener's first bytes say. At most `DETECT_BYTES_MAX` of them are looked at.
pub fn opener(bytes: &[u8]) -> Detected {
    let bytes = bytes.get(..DETECT_BYTES_MAX).unwrap_or(bytes);
    let candidates = [
        (Protocol::Tls, prefix(bytes, &[Some(22), Some(3), None, None, None, Some(1)])),
        (Protocol::Ssh, literal(bytes, b"SSH-")),
        (Protocol::Http, request(bytes)),
        (Protocol::Dns, query(bytes)),
    ];
    first(&candidates)
}

/// The same of whoever answers, for when it speaks first or alone is heard.
pub fn responder(bytes: &[u8]) -> Detected {
    let candidates = [
        (Protocol::Tls, prefix(bytes, &[Some(22), Some(3), None, None, None, Some(2)])),
        (Protocol::Ssh, literal(bytes, b"SSH-")),
        (Protocol::Http, literal(bytes, b"HTTP/1.")),
    ];
    first(&candidates)
}

/// Whether bytes are of one protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Yes,
    No,
    /// So many more bytes may tell.
    Need(usize),
}

fn first(candidates: &[(Protocol, Is)]) -> Detected {
    let mut need = None;
    for (protocol, is) in candidates {
        match *is {
            Is::Yes => return Detected::Found(*protocol),
            Is::No => {}
            Is::Need(len) => need = Some(need.map_or(len, |least: usize| least.min(len))),
        }
    }
    need.map_or(Detected::Unknown, Detected::Need)
}

fn literal(bytes: &[u8], begin: &[u8]) -> Is {
    let fits = bytes.iter().zip(begin).all(|(byte, wanted)| byte == wanted);
    all_or_more(fits, bytes.len(), begin.len())
}

/// The same where some bytes may be any.
fn prefix(bytes: &[u8], begin: &[Option<u8>]) -> Is {
    let fits = bytes.iter().zip(begin).all(|(byte, wanted)| wanted.is_none_or(|wanted| wanted == *byte));
    all_or_more(fits, bytes.len(), begin.len())
}

fn all_or_more(fits: bool, len: usize, wanted: usize) -> Is {
    match wanted.checked_sub(len) {
        _ if !fits => Is::No,
        None | Some(0) => Is::Yes,
        Some(missing) => Is::Need(missing),
    }
}

/// Methods that are known as such before their line is whole (RFC 9110, section 9; RFC 5789; RFC 4918).
const METHODS: [&[u8]; 17] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
];

/// A known method and white space, or a line that ends like a request's: other protocols say words and spaces, too.
fn request(bytes: &[u8]) -> Is {
    // Empty lines before a request are read (RFC 9112, section 2.2).
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = bytes.get(begin..).unwrap_or_default();
    let word = bytes.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(bytes.len());
    let Some((method, rest)) = bytes.split_at_checked(word) else { return Is::No };
    match rest.first() {
        None if bytes.len() + begin <= METHOD_LEN_MAX => return Is::Need(1),
        None => return Is::No,
        Some(b' ' | b'\t' | 0x0b | 0x0c) if METHODS.contains(&method) => return Is::Yes,
        Some(b' ' | b'\t') if !method.is_empty() && method.len() <= METHOD_LEN_MAX => {}
        Some(_) => return Is::No,
    }
    match rest.iter().position(|byte| *byte == b'\n').and_then(|end| rest.get(..end)) {
        Some(line) if line.trim_ascii_end().windows(8).last().is_some_and(|end| end.starts_with(b"HTTP/1.")) => Is::Yes,
        Some(_) => Is::No,
        None if begin + bytes.len() < DETECT_BYTES_MAX => Is::Need(1),
        None => Is::No,
    }
}

/// Bytes of a method before the space; what is longer is none.
const METHOD_LEN_MAX: usize = 32;

/// A query with its length before it: one question, no answers, few other records, no flag of a response.
fn query(bytes: &[u8]) -> Is {
    const WANTED: usize = 2 + dns::HEADER_LEN;
    // The shortest: a header, the root, type and class.
    const LEN_MIN: u16 = 17;
    let mut reader = Reader::new(bytes);
    let mut fields = [0; 7];
    for (place, field) in fields.iter_mut().enumerate() {
        let Some(number) = reader.u16() else { return Is::Need(WANTED - bytes.len()) };
        let fits = match place {
            0 => number >= LEN_MIN,
            // RD, AD and CD may be set.
            2 => number & !0x0130 == 0,
            3 => number == 1,
            4 => number == 0,
            5 => number <= 1,
            6 => number <= 2,
            _ => true,
        };
        if !fits {
            return Is::No;
        }
        *field = number;
    }
    Is::Yes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn openers_are_known_by_their_first_bytes() {
        let found = |protocol| Detected::Found(protocol);
        let cases: &[(&[u8], Detected)] = &[
            (b"", Detected::Need(1)),
            (b"\x16\x03\x01\x02\x00", Detected::Need(1)),
            (b"\x16\x03\x01\x02\x00\x01", found(Protocol::Tls)),
            (b"\x16\x03\x01\x02\x00\x02", Detected::Unknown),
            (b"SSH", Detected::Need(1)),
            (b"SSH-2", found(Protocol::Ssh)),
            (b"GET ", found(Protocol::Http)),
            (b"\r\n\r\nPOST\t", found(Protocol::Http)),
            (b"BREW /pot HTTP/1.1\r\n", found(Protocol::Http)),
            (b"get / HTTP/1.1 \n", found(Protocol::Http)),
            (b"BREW /pot HTCPCP/1.0\r\n", Detected::Unknown),
            (b"EHLO example.test\r\n", Detected::Unknown),
            (b"PRI * HTTP/2.0\r\n", Detected::Unknown),
            (b"\0\x11\xab\xcd\x01\0\0\x01\0\0\0\0\0\x01", found(Protocol::Dns)),
            (b"\0\x11\xab\xcd\x81\0\0\x01\0\0\0\0\0\x01", Detected::Unknown),
            (b"\0\x11\xab\xcd\x01\0\0\x02\0\0\0\0\0\x01", Detected::Unknown),
            (b"\0\x10\xab\xcd", Detected::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(opener(bytes), *expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(responder(b"HTTP/1.1"), found(Protocol::Http));
        assert_eq!(responder(b"\x16\x03\x03\0\x7a\x02"), found(Protocol::Tls));
        assert_eq!(responder(b"220 smtp"), Detected::Unknown);
    }

    #[test]
    fn what_could_become_a_request_is_given_up_at_a_bound() {
        let long = |len: usize| [&b"BREW /"[..], &vec![b'x'; len]].concat();
        assert_eq!(opener(&long(DETECT_BYTES_MAX - 7)), Detected::Need(1));
        assert_eq!(opener(&long(DETECT_BYTES_MAX)), Detected::Unknown);
        assert_eq!(opener(&[&long(DETECT_BYTES_MAX)[..], b" HTTP/1.1\r\n"].concat()), Detected::Unknown);
        assert_eq!(opener(&[b'X'; 33]), Detected::Unknown);
        assert_eq!(opener(&[b'\n'; 33]), Detected::Unknown);
    }

    proptest! {
        /// What was found once stays so, and what is unknown becomes nothing.
        #[test]
        fn more_bytes_change_no_answer(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>()) {
            let first = opener(&bytes[..at.index(bytes.len() + 1)]);
            if !matches!(first, Detected::Need(_)) {
                prop_assert_eq!(opener(&bytes), first);
            }
        }
    }
}
