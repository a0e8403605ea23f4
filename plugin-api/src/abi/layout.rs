//! The layout of the contract: what is written here holds for ever. A structure may grow behind its last line.

use core::mem::offset_of;

use super::*;

/// Offsets of fields, in bytes, and the structure's size.
macro_rules! layout {
    ($type:ident, $size:literal: $($field:ident $at:literal),+) => {
        $(assert_eq!(offset_of!($type, $field), $at, concat!(stringify!($type), ".", stringify!($field)));)+
        assert_eq!(size_of::<$type>(), $size, stringify!($type));
    };
}

#[test]
#[cfg(target_pointer_width = "64")]
fn structures_lie_as_they_always_did() {
    layout!(HeraldHost, 120: size 0, level 4, abi_major 8, abi_minor 12, log 16, unix_nanos 24, extension 32, replace 40,
        inject 48, mark 56, note 64, noted 72, timer 80, expect 88, hold 96, resolve 104, count 112);
    layout!(HeraldStream, 96: size 0, protocol 4, interface 5, midstream 6, reserved 7, id 8, source 16, destination 32,
        source_port 48, destination_port 50, mark 52, now 56, chosen 64, related 80, unix_now 88);
    layout!(HeraldEnd, 104: size 0, reason 4, packets_from_opener 8, bytes_from_opener 16, packets_to_opener 24,
        bytes_to_opener 32, started 40, last_packet 48, by 56, why 72, notes 88, each_note 96);
    layout!(HeraldStreamBytes, 80: size 0, direction 4, marks 5, reserved 6, stream 8, state 16, offset 24, fresh 32, want 48,
        now 56, unix_now 64, mark 72, reserved_too 76);
    layout!(HeraldPacket, 64: bytes 0, state 8, stream 16, len 24, end 28, wire_packets 32, network_at 36,
        transport_at 38, payload_at 40, source_port 42, destination_port 44, protocol 46, ip_version 47, transport 48,
        tcp_flags 49, direction 50, interface 51, mark 52, marks 56, gso_size 58, vlan 60, vlan_tags 62, gso_type 63);
    layout!(HeraldVerdict, 16: action 0, scope 1, reserved 2, reason_len 4, reason 8);
    layout!(HeraldBatch, 56: size 0, count 4, packet_size 8, verdict_size 12, reached 16, reserved 20, now 24, packets 32,
        verdicts 40, unix_now 48);
    layout!(HeraldPlugin, 152: size 0, state_size 4, state_align 8, reserved 12, create 16, destroy 24, stream_started 32,
        packets 40, stream_ended 48, counters 56, extension 64, timer 72, stream_exported 80, stream_imported 88,
        command 96, prepare 104, adopt 112, discard 120, cluster_changed 128, stream_bytes 136, fact 144);
    layout!(HeraldNoteHeader, 64: magic 0, size 4, abi_major 8, abi_minor 12, host_size 16, plugin_size 20,
        stream_size 24, end_size 28, packet_size 32, verdict_size 36, batch_size 40, state_size 44, state_align 48,
        flags 52, text_len 56, schema_len 60);
    layout!(HeraldText, 16: bytes 0, len 8);
    layout!(HeraldBytes, 16: bytes 0, len 8);
    layout!(HeraldTextRoom, 24: bytes 0, capacity 8, len 16);
    layout!(HeraldExpected, 56: size 0, mark 4, time 8, source 16, destination 32, destination_port 48, protocol 50,
        action 51, reserved 52);
    layout!(HeraldCluster, 16: size 0, members 4, share 8, version 12);
    layout!(HeraldSum, 32: size 0, nodes 4, own 8, sum 16, age 24);
    layout!(HeraldCounterSink, 24: size 0, reserved 4, context 8, report 16);
}
