//! A few addresses that every packet is compared with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A few addresses, by family.
#[derive(Debug)]
pub(super) struct Addresses {
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
    /// One bit for what each ends with: most of those that are not among them have another.
    ends: u64,
}

impl Addresses {
    pub(super) fn new(v4: impl Iterator<Item = Ipv4Addr>, v6: impl Iterator<Item = Ipv6Addr>) -> Self {
        let (v4, v6): (Vec<_>, Vec<_>) = (v4.collect(), v6.collect());
        let ends = v4.iter().map(|v4| end(v4.octets())).chain(v6.iter().map(|v6| end(v6.octets())));
        Self { ends: ends.fold(0, |ends, end| ends | end), v4, v6 }
    }

    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.ends & end(v4.octets()) != 0 && self.v4.contains(&v4),
            IpAddr::V6(v6) => self.ends & end(v6.octets()) != 0 && self.v6.contains(&v6),
        }
    }
}

fn end<const LEN: usize>(octets: [u8; LEN]) -> u64 {
    octets.last().map_or(0, |last| 1 << (last % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_in_is_there_and_nothing_else(
            v4 in prop::collection::vec(0_u32..300, 0..4), v6 in prop::collection::vec(0_u128..300, 0..4),
        ) {
            let addresses =
                Addresses::new(v4.iter().copied().map(Ipv4Addr::from_bits), v6.iter().copied().map(Ipv6Addr::from_bits));
            for bits in 0..300 {
                prop_assert_eq!(addresses.contains(Ipv4Addr::from_bits(bits).into()), v4.contains(&bits));
                let wide = u128::from(bits);
                prop_assert_eq!(addresses.contains(Ipv6Addr::from_bits(wide).into()), v6.contains(&wide));
            }
        }
    }
}
