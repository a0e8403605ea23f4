//! Names in the one form in which they are compared.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::{HOST_NAME_LEN_MAX, LABEL_LEN_MAX};

/// A name in canonical form: lower case, without the dot of the root, punycode left as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name. Bytes that are no printable ASCII stand as `\ddd`, a backslash as `\\` (RFC 1035, section 5.1).
    pub text: String,
    /// What it may name.
    pub form: Form,
}

/// What a name may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A host name (RFC 1123, section 2.1): labels of letters, digits and hyphens.
    Host,
    /// An address in its usual writing, IPv6 with or without brackets.
    Address,
    /// Neither.
    Other,
}

impl Name {
    /// Brings a name into its canonical form.
    ///
    /// ```
    /// use herald_facts::name::{Form, Name};
    ///
    /// assert_eq!(Name::new(b"WWW.Example.test.").text, "www.example.test");
    /// assert_eq!(Name::new(b"a\0.test").form, Form::Other);
    /// ```
    pub fn new(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        let mut text = String::with_capacity(bytes.len());
        for byte in bytes {
            push_escaped(&mut text, *byte);
        }
        let form = form(&text);
        Self { text, form }
    }
}

/// Appends a byte of a name in lower case, or escaped.
pub(crate) fn push_escaped(text: &mut String, byte: u8) {
    match byte {
        b'\\' => text.push_str("\\\\"),
        0x21..=0x7e => text.push(byte.to_ascii_lowercase().into()),
        _ => {
            text.push('\\');
            for digit in [byte / 100, byte / 10 % 10, byte % 10] {
                text.push((b'0' + digit).into());
            }
        }
    }
}

/// What a canonical name may name.
pub(crate) fn form(text: &str) -> Form {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let is_address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => text.parse::<IpAddr>().is_ok(),
    };
    if is_address {
        return Form::Address;
    }
    // What ends in a number would be read as an address by some (RFC 3696, section 2; WHATWG URL).
    let ends_in_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() <= HOST_NAME_LEN_MAX && text.split('.').all(is_label) && !ends_in_number {
        Form::Host
    } else {
        Form::Other
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_LEN_MAX).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The address in the usual writing, if the bytes are one.
pub(crate) fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let cases: &[(&[u8], &str, Form)] = &[
            (b"www.example.test", "www.example.test", Form::Host),
            (b"WwW.ExAmPlE.TeSt.", "www.example.test", Form::Host),
            (b"xn--mnchen-3ya.de", "xn--mnchen-3ya.de", Form::Host),
            (b"a", "a", Form::Host),
            (b"", "", Form::Other),
            (b".", "", Form::Other),
            (b"a..b", "a..b", Form::Other),
            (b"a.b..", "a.b.", Form::Other),
            (b"-a.b", "-a.b", Form::Other),
            (b"a-.b", "a-.b", Form::Other),
            (b"_a.b", "_a.b", Form::Other),
            (b"a b", "a\\032b", Form::Other),
            (b"a\\b", "a\\\\b", Form::Other),
            (b"a\0.test", "a\\000.test", Form::Other),
            ("ä.test".as_bytes(), "\\195\\164.test", Form::Other),
            (b"192.0.2.1", "192.0.2.1", Form::Address),
            (b"[2001:DB8::1]", "[2001:db8::1]", Form::Address),
            (b"2001:db8::1", "2001:db8::1", Form::Address),
            (b"[192.0.2.1]", "[192.0.2.1]", Form::Other),
            (b"192.0.2.256", "192.0.2.256", Form::Other),
            (b"example.1", "example.1", Form::Other),
        ];
        for (bytes, text, form) in cases {
            assert_eq!(Name::new(bytes), Name { text: (*text).to_owned(), form: *form });
        }
        let label = [b'a'; 63];
        let labels = |last: usize| [&label[..], &label, &label, &label[..last]].join(&b'.');
        assert_eq!(Name::new(&labels(61)).form, Form::Host);
        assert_eq!(Name::new(&labels(62)).form, Form::Other);
        assert_eq!(Name::new(&[b'a'; 64]).form, Form::Other);
    }
}
