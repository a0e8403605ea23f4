//! Addresses that may not be on a wire, or may not cross a router.
//!
//! [`MARTIANS`] is the table, from RFC 6890; section 2 of `router/docs/cluster.md` shows it. With every packet [`scope_of`] is
//! asked, which says the same in few instructions; a test compares the two.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address pair may not be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Both may cross a router.
    Global,
    /// Not on this wire, or not across a router.
    Martian,
    /// To a group.
    Multicast,
}

/// One block of addresses that is special to a router.
#[cfg(test)]
pub(super) struct Block {
    pub(super) net: &'static str,
    pub(super) what: &'static str,
    pub(super) standard: &'static str,
    /// What becomes of a packet from there, and of one to there.
    pub(super) from: Scope,
    pub(super) to: Scope,
}

/// The blocks of RFC 6890 that are not forwarded, and those that a reader may look for. A longer prefix counts before a shorter
/// one. Of 0.0.0.0/8 only the first address and of 240.0.0.0/4 only the last one is special: there are hosts in the rest, and
/// kernels forward to them. What is not here is unicast as any other: private, shared, documentation and benchmark addresses, and
/// the lowest and highest addresses of networks that are not connected.
#[cfg(test)]
pub(super) const MARTIANS: [Block; 16] = {
    const fn block(net: &'static str, what: &'static str, standard: &'static str, from: Scope, to: Scope) -> Block {
        Block { net, what, standard, from, to }
    }
    use Scope::{Global, Martian, Multicast};
    [
        block("0.0.0.0/32", "this host", "RFC 1122, section 3.2.1.3", Martian, Martian),
        block(
            "0.0.0.0/8",
            "this network, but for its first address",
            "RFC 6890; forwarded as by kernels",
            Global,
            Global,
        ),
        block("127.0.0.0/8", "loopback", "RFC 1122, section 3.2.1.3", Martian, Martian),
        block("169.254.0.0/16", "link-local", "RFC 3927, section 7", Martian, Martian),
        block("224.0.0.0/4", "multicast", "RFC 5771", Martian, Multicast),
        block("240.0.0.0/4", "reserved, but for its last address", "RFC 6890; forwarded as by kernels", Global, Global),
        block("255.255.255.255/32", "limited broadcast", "RFC 8190", Martian, Multicast),
        block("::/128", "unspecified", "RFC 4291, section 2.5.2", Martian, Martian),
        block("::1/128", "loopback", "RFC 4291, section 2.5.3", Martian, Martian),
        block("::ffff:0.0.0.0/96", "IPv4-mapped", "RFC 4291, section 2.5.5.2", Martian, Martian),
        block("fe80::/10", "link-local", "RFC 4291, section 2.5.6", Martian, Martian),
        block("ff00::/8", "multicast", "RFC 4291, section 2.7", Martian, Multicast),
        block("100::/64", "discard-only", "RFC 6666", Global, Global),
        block("64:ff9b::/96", "translation", "RFC 6052", Global, Global),
        block("2002::/16", "6to4", "RFC 3056", Global, Global),
        block("fc00::/7", "unique local", "RFC 4193", Global, Global),
    ]
};

/// The scope of a packet's addresses.
#[inline]
pub(super) fn scope_of(source: IpAddr, destination: IpAddr) -> Scope {
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            if to.is_multicast() || to.is_broadcast() {
                Scope::Multicast
            } else if stays_v4(from) || from.is_multicast() || stays_v4(to) {
                Scope::Martian
            } else {
                Scope::Global
            }
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            if to.is_multicast() {
                Scope::Multicast
            } else if stays_v6(from) || from.is_multicast() || stays_v6(to) {
                Scope::Martian
            } else {
                Scope::Global
            }
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Scope::Martian,
    }
}

fn stays_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 127 || (first == 169 && second == 254) || address.is_unspecified() || address.is_broadcast()
}

/// The parser refuses mapped addresses already: they would meet the keys of IPv4 streams.
fn stays_v6(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;

    /// What the table says of an address: of those that hold it, the longest prefix counts.
    fn by_table(address: IpAddr) -> (Scope, Scope) {
        let holds = |block: &&Block| block.net.parse::<IpNet>().unwrap().contains(&address);
        let longest =
            MARTIANS.iter().filter(holds).max_by_key(|block| block.net.parse::<IpNet>().unwrap().prefix_len());
        longest.map_or((Scope::Global, Scope::Global), |block| (block.from, block.to))
    }

    fn before(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_sub(1)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_sub(1)).into(),
        }
    }

    fn after(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(1)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(1)).into(),
        }
    }

    #[test]
    fn the_scopes_are_those_of_the_table() {
        let edges = MARTIANS.iter().filter(|block| block.what != "IPv4-mapped").flat_map(|block| {
            let net: IpNet = block.net.parse().unwrap();
            [before(net.network()), net.network(), after(net.network()), net.broadcast(), after(net.broadcast())]
        });
        let others = ["10.1.0.100", "100.64.0.5", "192.0.2.255", "198.18.0.1", "2001:db8::1", "fec0::5", "fd00:2::"];
        for address in edges.chain(others.map(|text| text.parse().unwrap())) {
            if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
                continue;
            }
            let plain: IpAddr = if address.is_ipv4() { [10, 9, 9, 9].into() } else { "fd00:9::9".parse().unwrap() };
            let found = (scope_of(address, plain), scope_of(plain, address));
            assert_eq!(found, by_table(address), "from and to {address}");
        }
        assert_eq!(scope_of([10, 1, 0, 1].into(), "fd00:2::1".parse().unwrap()), Scope::Martian);
    }

    #[test]
    fn the_documents_show_the_table() {
        let document = include_str!("../../../docs/cluster.md");
        for Block { net, what, standard, from, to } in &MARTIANS {
            let word = |scope: &Scope| match scope {
                Scope::Global => "forwarded",
                Scope::Martian => "`martian`",
                Scope::Multicast => "`multicast`",
            };
            let line = format!("| {net} | {what} | {standard} | {} | {} |", word(from), word(to));
            assert!(document.contains(&line), "missing in cluster.md: {line}");
        }
    }
}
