//! The chain of IPv6 extension headers (RFC 8200, section 4), of a packet or of what an ICMP error quotes of one.
//!
//! It ends at the first header that the packet's destination may not look behind: then the packet belongs to no stream that
//! the destination has with what stands there, and is one of that header's own protocol. A reset inside AH, for one, is none
//! of a connection that AH does not protect.

use super::Odd;

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The protocol that stands there: a transport's, or an extension header's.
    pub(super) protocol: u8,
    /// Bytes from the end of the IPv6 header.
    pub(super) at: usize,
    /// A fragment header says that more of the packet comes in others.
    pub(super) is_fragmented: bool,
    pub(super) odd: Odd,
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Longest chain, in headers; what has more ends there.
const HEADERS_MAX: usize = 8;

impl Chain {
    /// Follows the chain that begins with `protocol` behind an IPv6 header, as far as it is there.
    pub(super) fn follow(protocol: u8, bytes: &[u8]) -> Self {
        let mut chain = Self { protocol, at: 0, is_fragmented: false, odd: Odd::No };
        let mut number = 0;
        loop {
            let rest = bytes.get(chain.at..).unwrap_or_default();
            match chain.passed(number, rest) {
                Step::Behind(next, len) if number < HEADERS_MAX => {
                    (chain.protocol, chain.at) = (next, chain.at + len);
                    number += 1;
                }
                Step::Behind(..) => return Self { odd: Odd::Header, ..chain },
                Step::Ends(odd) => return Self { odd, ..chain },
            }
        }
    }

    fn passed(&mut self, number: usize, rest: &[u8]) -> Step {
        match (self.protocol, number) {
            (HOP_BY_HOP, 0) | (DESTINATION_OPTIONS, _) => match whole(rest) {
                Some((next, header)) if passes(header.get(2..).unwrap_or_default()) => Step::Behind(next, header.len()),
                Some(_) | None => Step::Ends(Odd::Header),
            },
            (HOP_BY_HOP, _) => Step::Ends(Odd::Header),
            (ROUTING, _) => match whole(rest) {
                // With segments left this is not the packet's last destination (RFC 8200, section 4.4).
                Some((next, header @ [_, _, _, 0, ..])) => Step::Behind(next, header.len()),
                Some(_) | None => Step::Ends(Odd::Header),
            },
            (FRAGMENT, _) => match *rest {
                [next, _, high, low, _, _, _, _, ..] => {
                    let place = u16::from_be_bytes([high, low]);
                    self.is_fragmented |= place & !0x6 != 0;
                    if place >> 3 == 0 { Step::Behind(next, 8) } else { Step::Ends(Odd::No) }
                }
                _ => Step::Ends(Odd::Header),
            },
            (_, _) => Step::Ends(Odd::No),
        }
    }
}

enum Step {
    /// There is more: the next header, and the length of this one.
    Behind(u8, usize),
    Ends(Odd),
}

/// A header that has its length in its second byte, and the one behind it.
fn whole(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let &[next, len, ..] = bytes else { return None };
    Some((next, bytes.get(..(usize::from(len) + 1) * 8)?))
}

/// True if a destination goes on behind these options whether it knows them or not (RFC 8200, section 4.2).
fn passes(mut options: &[u8]) -> bool {
    const PAD_1: u8 = 0;
    while let Some((&kind, rest)) = options.split_first() {
        if kind == PAD_1 {
            options = rest;
            continue;
        }
        let Some(behind) = rest.split_first().and_then(|(&len, rest)| rest.get(usize::from(len)..)) else {
            return false;
        };
        if kind >> 6 != 0 {
            return false;
        }
        options = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAD: [u8; 6] = [1, 4, 0, 0, 0, 0];

    /// Headers by their number, each with what stands in it behind the number of the next and its length.
    type Headers<'a> = &'a [(u8, &'a [u8])];

    /// Headers one after the other, and the number of the first.
    fn headers(of: Headers<'_>, last: u8) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        let next = of.iter().skip(1).map(|(kind, _)| *kind).chain([last]);
        for ((kind, content), next) in of.iter().zip(next) {
            assert!((content.len() + 2).is_multiple_of(8));
            let len = if *kind == FRAGMENT { 0 } else { u8::try_from((content.len() + 2) / 8 - 1).unwrap() };
            bytes.extend([next, len]);
            bytes.extend_from_slice(content);
        }
        (of.first().map_or(last, |(kind, _)| *kind), bytes)
    }

    #[test]
    fn a_chain_ends_where_its_destination_may_not_look_on() {
        let end = |protocol, at| Chain { protocol, at, is_fragmented: false, odd: Odd::No };
        let odd = |protocol, at| Chain { odd: Odd::Header, ..end(protocol, at) };
        let fragmented = |protocol, at| Chain { is_fragmented: true, ..end(protocol, at) };
        let long = [1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let cases: [(&str, Headers<'_>, Chain); 18] = [
            ("nothing", &[], end(17, 0)),
            ("hop-by-hop", &[(0, &PAD)], end(17, 8)),
            ("destination options", &[(60, &PAD)], end(17, 8)),
            ("long ones", &[(60, &long)], end(17, 16)),
            ("all", &[(0, &PAD), (60, &PAD), (43, &[4, 0, 0, 0, 0, 0]), (60, &PAD)], end(17, 32)),
            ("an unknown option", &[(60, &[0x1e, 4, 1, 2, 3, 4])], end(17, 8)),
            ("padding of one byte", &[(60, &[0; 6])], end(17, 8)),
            ("an option to discard", &[(60, &[0x5e, 4, 1, 2, 3, 4])], odd(60, 0)),
            ("a home address", &[(60, &PAD), (60, &[0xc9, 4, 1, 2, 3, 4])], odd(60, 8)),
            ("an option that is too long", &[(60, &[1, 5, 0, 0, 0, 0])], odd(60, 0)),
            ("hop-by-hop behind others", &[(60, &PAD), (0, &PAD)], odd(0, 8)),
            ("segments left", &[(43, &[0, 1, 0, 0, 0, 0])], odd(43, 0)),
            ("an atomic fragment", &[(44, &[0, 0, 0, 0, 0, 7])], end(17, 8)),
            ("a first fragment", &[(44, &[0, 1, 0, 0, 0, 7])], fragmented(17, 8)),
            ("another fragment", &[(60, &PAD), (44, &[0, 8, 0, 0, 0, 7])], fragmented(44, 8)),
            ("AH", &[(51, &[0; 14])], end(51, 0)),
            ("mobility", &[(60, &PAD), (135, &PAD)], end(135, 8)),
            ("too many", &[(60, PAD.as_slice()); 9], odd(60, 64)),
        ];
        for (name, of, chain) in cases {
            let (first, mut bytes) = headers(of, 17);
            bytes.extend([0; 8]);
            assert_eq!(Chain::follow(first, &bytes), chain, "{name}");
        }
        let (first, bytes) = headers(&[(0, &PAD), (60, &PAD)], 17);
        for (len, chain) in [(16, end(17, 16)), (15, odd(60, 8)), (8, odd(60, 8)), (7, odd(0, 0)), (0, odd(0, 0))] {
            assert_eq!(Chain::follow(first, &bytes[..len]), chain, "cut to {len}");
        }
    }
}
