//! The target of a request, and hosts with ports (RFC 9112, section 3.2; RFC 3986, section 3.2).

use crate::name::{Form, Name};

/// A target, taken apart.
#[derive(Debug)]
pub(super) struct Target {
    /// Path and query.
    pub(super) path: String,
    /// Of the absolute form and of `CONNECT`.
    pub(super) authority: Option<Authority>,
    /// The authority has a user's name before the host.
    pub(super) has_user: bool,
}

impl Target {
    /// `None`: none of the four forms.
    pub(super) fn parse(method: &str, target: &str) -> Option<Self> {
        if method == "CONNECT" {
            return Some(Self { path: String::new(), ..Self::of(target, "") });
        }
        if target.starts_with('/') || target == "*" {
            return Some(Self { path: target.to_owned(), authority: None, has_user: false });
        }
        let (scheme, rest) = target.split_once("://")?;
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return None;
        }
        // Some receivers end the authority at a backslash, too: the host is odd then.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        Some(Self::of(authority, path))
    }

    fn of(authority: &str, path: &str) -> Self {
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Self { path, authority: Some(Authority::parse(host.as_bytes())), has_user: user.is_some() }
    }
}

/// A host with its port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Authority {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    /// The host is neither a host name nor an address, or the port no number.
    pub(super) is_odd: bool,
}

impl Authority {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        // A colon inside brackets belongs to an address.
        let colon = bytes.iter().rposition(|byte| *byte == b':');
        let bracket = bytes.iter().rposition(|byte| *byte == b']');
        let (host, port) = match colon.filter(|colon| bracket.is_none_or(|bracket| bracket < *colon)) {
            Some(colon) => (bytes.get(..colon).unwrap_or_default(), bytes.get(colon + 1..)),
            None => (bytes, None),
        };
        let number = port.and_then(|port| {
            let is_number = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
            std::str::from_utf8(port).ok().filter(|_| is_number)?.parse().ok()
        });
        // A colon without a port is allowed (RFC 3986, section 3.2.3).
        let is_port_odd = port.is_some_and(|port| !port.is_empty()) && number.is_none();
        if host.is_empty() {
            return Self { host: None, port: number, is_odd: is_port_odd || port.is_some() };
        }
        let name = Name::new(if is_port_odd { bytes } else { host });
        let is_odd = is_port_odd
            || name.form == Form::Other
            || name.form == Form::Address && name.text.contains(':') && !name.text.starts_with('[');
        Self { host: Some(name.text), port: number, is_odd }
    }

    /// Host and port in one text.
    pub(super) fn whole(self) -> String {
        let host = self.host.unwrap_or_default();
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_taken_apart() {
        type Case<'a> = (&'a [u8], Option<&'a str>, Option<u16>, bool);
        let cases: &[Case<'_>] = &[
            (b"Example.test", Some("example.test"), None, false),
            (b"example.test.:8080", Some("example.test"), Some(8080), false),
            (b"example.test:", Some("example.test"), None, false),
            (b"192.0.2.1:80", Some("192.0.2.1"), Some(80), false),
            (b"[2001:db8::1]", Some("[2001:db8::1]"), None, false),
            (b"[2001:db8::1]:443", Some("[2001:db8::1]"), Some(443), false),
            (b"", None, None, false),
            (b":80", None, Some(80), true),
            (b"example.test:http", Some("example.test:http"), None, true),
            (b"example.test:99999", Some("example.test:99999"), None, true),
            (b"2001:db8::1", Some("2001:db8:"), Some(1), true),
            (b"a@example.test", Some("a@example.test"), None, true),
            (b"a.test,b.test", Some("a.test,b.test"), None, true),
            (b"a.test b.test", Some("a.test\\032b.test"), None, true),
            (b"a.test\\@b.test", Some("a.test\\\\@b.test"), None, true),
        ];
        for (bytes, host, port, is_odd) in cases {
            let expected = Authority { host: host.map(str::to_owned), port: *port, is_odd: *is_odd };
            assert_eq!(Authority::parse(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn targets_have_four_forms() {
        let parse = |method, target| {
            Target::parse(method, target).map(|target| (target.path, target.authority.map(Authority::whole)))
        };
        let path = |path: &str| Some((path.to_owned(), None));
        let both = |path: &str, host: &str| Some((path.to_owned(), Some(host.to_owned())));
        assert_eq!(parse("GET", "/a?b"), path("/a?b"));
        assert_eq!(parse("OPTIONS", "*"), path("*"));
        assert_eq!(parse("GET", "http://A.test:81/x"), both("/x", "a.test:81"));
        assert_eq!(parse("GET", "http://a.test"), both("/", "a.test"));
        assert_eq!(parse("GET", "http://a.test?q"), both("/?q", "a.test"));
        assert_eq!(parse("GET", "http://u:p@a.test/"), both("/", "a.test"));
        assert_eq!(parse("CONNECT", "a.test:443"), both("", "a.test:443"));
        assert_eq!(parse("GET", "a.test"), None);
        assert_eq!(parse("GET", "1x://a.test"), None);
    }
}
