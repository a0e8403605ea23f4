//! The addresses of the test network, those of the lab, and the ports of the load.

use std::net::Ipv4Addr;

/// The first network.
pub(crate) const FIRST_NETWORK: &str = "10.1.0.0/24";

/// The second network.
pub(crate) const SECOND_NETWORK: &str = "10.2.0.0/24";

/// The host `client`, in the first network.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);

/// The gateway of `client`: a kernel router's address or the cluster's virtual one.
pub(crate) const FIRST_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// The host `server`, in the second network.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 100);

/// The gateway of `server`.
pub(crate) const SECOND_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);

/// Where small frames go. No kernel has this address: `load serve` answers ARP for it with [`SINK_MAC`].
pub(crate) const SINK: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 99);

/// The MAC of [`SINK`]. It is not the one of `server`'s interface, so the kernel there counts the frame and drops it
/// before it costs much.
pub(crate) const SINK_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x02, 0x63];

/// UDP echo, pinned to the first CPU.
pub(crate) const ECHO_PINNED_PORT: u16 = 7000;

/// UDP echo, not pinned.
pub(crate) const ECHO_PORT: u16 = 7001;

/// TCP ports of the connection server. Several, so that the client never runs out of ports of its own.
pub(crate) const CONNECTION_PORTS: std::ops::Range<u16> = 7100..7108;

/// Where `iperf3 -s` listens.
pub(crate) const IPERF_PORT: u16 = 5201;
