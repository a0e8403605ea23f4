//! The interface of this host that has a certain address.

use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;

use crate::error::BenchError;

/// An interface.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// Its name.
    pub(crate) name: String,
    /// Its place among the interfaces and its MAC, as packet sockets want them.
    pub(crate) link: LinkAddr,
    /// Its MAC.
    pub(crate) mac: [u8; 6],
}

impl Interface {
    /// Finds the interface that has this address.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn with(address: Ipv4Addr) -> Result<Self, BenchError> {
        let list = || getifaddrs().map_err(BenchError::system("cannot list the interfaces"));
        let missing = || BenchError::Missing(format!("no Ethernet interface here has the address {address}"));
        let has_address =
            list()?.find(|i| i.address.and_then(|a| Some(a.as_sockaddr_in()?.ip() == address)).unwrap_or_default());
        let name = has_address.ok_or_else(missing)?.interface_name;
        let named = list()?.filter(|i| i.interface_name == name);
        let link = named.into_iter().find_map(|i| i.address?.as_link_addr().copied()).ok_or_else(missing)?;
        let mac = link.addr().ok_or_else(missing)?;
        Ok(Self { name, link, mac })
    }
}
