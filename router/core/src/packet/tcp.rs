//! What the router reads of a TCP header's options.

/// What the options of a TCP header say, for those who follow a connection. What follows an option that is broken is not read,
/// as Linux does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The sender's clock (RFC 7323, section 3).
    pub timestamp: Option<u32>,
    /// The scale of the sender's windows, on a SYN (RFC 7323, section 2).
    pub scale: Option<u8>,
    /// The sender takes selective acknowledgements, on a SYN (RFC 2018).
    pub allows_sack: bool,
    /// There is a Fast Open cookie: data on the SYN may be taken (RFC 7413).
    pub has_cookie: bool,
    /// The segment is signed (RFC 2385, RFC 5925): who changes it breaks it.
    pub is_signed: bool,
}

impl TcpOptions {
    /// Reads the bytes between the fixed header and the payload.
    #[must_use]
    pub fn of(mut options: &[u8]) -> Self {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        let mut found = Self::default();
        while let Some((&kind, rest)) = options.split_first() {
            match (kind, rest.split_first()) {
                (END, _) | (_, None) => break,
                (NO_OPERATION, Some(_)) => options = rest,
                (_, Some((&len, _))) => {
                    let Some((option, behind)) = options.split_at_checked(usize::from(len)) else { break };
                    let Some(value) = option.get(2..) else { break };
                    found.take(kind, value);
                    options = behind;
                }
            }
        }
        found
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        const EXPERIMENT_FAST_OPEN: [u8; 2] = [0xf9, 0x89];
        match (kind, value) {
            (3, &[scale]) => self.scale = Some(scale),
            (4, &[]) => self.allows_sack = true,
            (8, &[a, b, c, d, _, _, _, _]) => self.timestamp = Some(u32::from_be_bytes([a, b, c, d])),
            (19 | 29, _) => self.is_signed = true,
            (34, cookie) => self.has_cookie = !cookie.is_empty(),
            (254, [a, b, cookie @ ..]) if [*a, *b] == EXPERIMENT_FAST_OPEN => self.has_cookie = !cookie.is_empty(),
            (_, _) => {}
        }
    }
}

/// The window scale among a SYN's options. What follows an option that is broken is not read.
pub(super) fn offered_scale(mut options: &[u8]) -> Option<u8> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    while let Some((&kind, rest)) = options.split_first() {
        options = match (kind, rest) {
            (END, _) => return None,
            (NO_OPERATION, _) => rest,
            (WINDOW_SCALE, &[3, scale, ..]) => return Some(scale),
            (_, &[len, ..]) => options.get(usize::from(len).max(2)..)?,
            (_, &[]) => return None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_whatever_stands_between() {
        let none = TcpOptions::default();
        let cases: [(&[u8], TcpOptions); 9] = [
            (&[], none),
            (&[2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7], TcpOptions { scale: Some(7), allows_sack: true, ..none }),
            (&[1, 1, 8, 10, 0, 0, 1, 2, 9, 9, 9, 9], TcpOptions { timestamp: Some(258), ..none }),
            (&[8, 9, 0, 0, 1, 2, 9, 9, 9, 4, 2], TcpOptions { allows_sack: true, ..none }),
            (&[34, 2, 0, 0], none),
            (&[34, 6, 1, 2, 3, 4], TcpOptions { has_cookie: true, ..none }),
            (&[254, 8, 0xf9, 0x89, 1, 2, 3, 4], TcpOptions { has_cookie: true, ..none }),
            (&[99, 1, 4, 2], none),
            (&[19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], TcpOptions { is_signed: true, ..none }),
        ];
        for (options, expected) in cases {
            assert_eq!(TcpOptions::of(options), expected, "{options:?}");
        }
    }

    #[test]
    fn a_scale_is_found_among_other_options() {
        let cases: [(&[u8], Option<u8>); 9] = [
            (&[], None),
            (&[3, 3, 7], Some(7)),
            (&[1, 1, 3, 3, 14, 0], Some(14)),
            (&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 9], Some(9)),
            (&[0, 3, 3, 7], None),
            (&[3, 4, 7, 0], None),
            (&[99, 0, 3, 3, 7], Some(7)),
            (&[2, 40, 3, 3, 7], None),
            (&[3], None),
        ];
        for (options, scale) in cases {
            assert_eq!(offered_scale(options), scale, "{options:?}");
        }
    }
}
