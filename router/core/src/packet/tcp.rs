//! What the router reads of a TCP header's options.

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
