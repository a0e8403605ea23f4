//! The numbers of the contract.

/// Contracts with different major numbers do not understand each other, but for 0.9, which becomes 1.0 by additions alone:
/// hosts of 1.x load plugins of 0.9. Both have the entry symbol `herald_plugin_v1`.
pub const HERALD_ABI_MAJOR: u32 = 0;
/// Counts the additions within one major number; any two from 9 on understand each other.
pub const HERALD_ABI_MINOR: u32 = 9;

/// Most packets in one batch.
pub const HERALD_BATCH_PACKETS_MAX: u32 = 64;
/// Largest size of a plugin's state of one stream, in bytes.
pub const HERALD_STATE_SIZE_MAX: u32 = 4096;
/// Largest alignment of a plugin's state of one stream, in bytes.
pub const HERALD_STATE_ALIGN_MAX: u32 = 64;

/// Most bytes that `HeraldStreamBytes::want` may ask for; more counts as so many.
pub const HERALD_WANT_MAX: u64 = 1_048_576;

/// Status: done.
pub const HERALD_OK: i32 = 0;
/// Status: the plugin failed. From `packets`: it failed at the packet that `HeraldBatch::reached` names.
pub const HERALD_FAULT: i32 = -1;
/// Status of the host's functions: no hook in which this may be said runs on this thread.
pub const HERALD_NO_CALL: i32 = -2;
/// Status of the host's functions: an argument that the contract does not allow.
pub const HERALD_WRONG: i32 = -3;
/// Status of the host's functions: a bound is reached; the same may succeed later.
pub const HERALD_FULL: i32 = -4;
/// Status of the host's functions: the packet has no room for that, or may not change its length.
pub const HERALD_NO_ROOM: i32 = -5;
/// Status of the host's functions: the packet's checksum is wrong, or it is a fragment: it is not to be rewritten.
pub const HERALD_UNSOUND: i32 = -6;
/// Status of the host's functions: there is nothing of that name.
pub const HERALD_NOTHING: i32 = -7;

/// In place of a packet's index: the instance itself. Reserved: not yet built.
pub const HERALD_INSTANCE: u32 = u32::MAX;

/// Action: no opinion, next plugin. With a wider scope than the packet: do not ask me again within that scope.
pub const HERALD_ACTION_PASS: u8 = 0;
/// Action: skip the rest of the chain.
pub const HERALD_ACTION_ACCEPT: u8 = 1;
/// Action: skip the rest of the chain for this packet, and do not call me again for this stream.
pub const HERALD_ACTION_BYPASS: u8 = 2;
/// Action: keep the packet until `HeraldHost::resolve` or a time-out. Not from `stream_started` or `timer`. Reserved: not yet
/// built; who says it has failed.
pub const HERALD_ACTION_HOLD: u8 = 3;
/// Action: end the packet silently.
pub const HERALD_ACTION_DROP: u8 = 4;
/// Action: end the packet and tell both ends: TCP resets, ICMP prohibited.
pub const HERALD_ACTION_REJECT: u8 = 5;

/// Scope: this packet.
pub const HERALD_SCOPE_PACKET: u8 = 0;
/// Scope: this and all later packets of the stream in this direction.
pub const HERALD_SCOPE_FLOW: u8 = 1;
/// Scope: this and all later packets of the stream.
pub const HERALD_SCOPE_STREAM: u8 = 2;

/// Direction: from the opener of the stream.
pub const HERALD_DIRECTION_FROM_OPENER: u8 = 0;
/// Direction: to the opener.
pub const HERALD_DIRECTION_TO_OPENER: u8 = 1;

/// Interface: the first.
pub const HERALD_INTERFACE_FIRST: u8 = 0;
/// Interface: the second.
pub const HERALD_INTERFACE_SECOND: u8 = 1;

/// Transport: one of which nothing more was parsed.
pub const HERALD_TRANSPORT_OTHER: u8 = 0;
/// Transport: TCP; ports and control bits are set.
pub const HERALD_TRANSPORT_TCP: u8 = 1;
/// Transport: UDP; ports are set.
pub const HERALD_TRANSPORT_UDP: u8 = 2;
/// Transport: ICMP or ICMPv6 echo request or reply; both ports are the identifier.
pub const HERALD_TRANSPORT_ECHO: u8 = 3;
/// Transport: ICMP or ICMPv6 error that quotes a packet of this stream.
pub const HERALD_TRANSPORT_ICMP_ERROR: u8 = 4;

/// Mark of a packet: a fragment of a datagram; only the first one has a transport header.
pub const HERALD_PACKET_FRAGMENT: u16 = 1;
/// Mark of a packet: a whole datagram, put together from fragments.
pub const HERALD_PACKET_WHOLE: u16 = 2;
/// Mark of a packet: its transport checksum is partial; the field holds the pseudo header's sum.
pub const HERALD_PACKET_CHECKSUM_PARTIAL: u16 = 4;
/// Mark of a packet: somebody has verified its transport checksum already. Without this mark and the former nobody has.
pub const HERALD_PACKET_CHECKSUM_VALID: u16 = 8;
/// Mark of a packet: odd but legal, such as overlong options; the router lets it pass.
pub const HERALD_PACKET_ODD: u16 = 16;
/// Mark of a packet: a plugin made it.
pub const HERALD_PACKET_INJECTED: u16 = 32;
/// Mark of a packet: an earlier plugin has rewritten it.
pub const HERALD_PACKET_REWRITTEN: u16 = 64;

/// Segmentation: none, the frame is one packet (`virtio_net_hdr`, as all of these).
pub const HERALD_GSO_NONE: u8 = 0;
/// Segmentation: TCP over IPv4.
pub const HERALD_GSO_TCPV4: u8 = 1;
/// Segmentation: TCP over IPv6.
pub const HERALD_GSO_TCPV6: u8 = 4;
/// Segmentation: several UDP datagrams behind one header.
pub const HERALD_GSO_UDP: u8 = 5;

/// What is known of bytes in order: some are missing in front of them. The stream had begun before it came to this node, or an
/// earlier plugin has accepted them.
pub const HERALD_BYTES_GAP: u8 = 1;
/// What is known of bytes in order: behind them the sender has closed this direction.
pub const HERALD_BYTES_END: u8 = 2;
/// What is known of bytes in order: the host cannot go on, and by its exception policy the rest of the stream passes without
/// inspection. It is the last call for this stream.
pub const HERALD_BYTES_LOST: u8 = 4;

/// End reason: both FINs were acknowledged.
pub const HERALD_END_FINISHED: u32 = 0;
/// End reason: a TCP reset.
pub const HERALD_END_RESET: u32 = 1;
/// End reason: nothing came for the state's time.
pub const HERALD_END_TIMED_OUT: u32 = 2;
/// End reason: a plugin dropped or rejected the stream.
pub const HERALD_END_VERDICT: u32 = 3;
/// End reason: another node won the stream.
pub const HERALD_END_REFUSED: u32 = 4;
/// End reason: a new connection took the stream's key.
pub const HERALD_END_REPLACED: u32 = 5;
/// End reason: the node stops.
pub const HERALD_END_SHUTDOWN: u32 = 6;
/// End reason: another node has taken the stream over from this one.
pub const HERALD_END_HANDED_OVER: u32 = 7;
/// End reason: the stream made room for others in a full table.
pub const HERALD_END_EVICTED: u32 = 8;

/// Log level: something failed.
pub const HERALD_LEVEL_ERROR: u32 = 1;
/// Log level: something is odd.
pub const HERALD_LEVEL_WARN: u32 = 2;
/// Log level: something worth knowing happened.
pub const HERALD_LEVEL_INFO: u32 = 3;
/// Log level: for who looks for a mistake.
pub const HERALD_LEVEL_DEBUG: u32 = 4;
/// Log level: every step.
pub const HERALD_LEVEL_TRACE: u32 = 5;
