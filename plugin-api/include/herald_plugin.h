/* The C contract between the Herald router and its plugins.
 * Generated from plugin-api/src/abi.rs, which holds the rules of the contract; do not edit.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef HERALD_PLUGIN_H
#define HERALD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Contracts with different major numbers do not understand each other. The entry symbol's name carries it.
 */
#define HERALD_ABI_MAJOR 1

/**
 * Counts the additions within one major number; any two of them understand each other.
 */
#define HERALD_ABI_MINOR 0

/**
 * Most packets in one batch.
 */
#define HERALD_BATCH_PACKETS_MAX 64

/**
 * Largest size of a plugin's state of one stream, in bytes.
 */
#define HERALD_STATE_SIZE_MAX 4096

/**
 * Largest alignment of a plugin's state of one stream, in bytes.
 */
#define HERALD_STATE_ALIGN_MAX 64

/**
 * Status: done.
 */
#define HERALD_OK 0

/**
 * Status: the plugin failed. From `packets`: it failed at the packet that `HeraldBatch::reached` names.
 */
#define HERALD_FAULT -1

/**
 * Action: no opinion, next plugin. With a wider scope than the packet: do not ask me again within that scope.
 */
#define HERALD_ACTION_PASS 0

/**
 * Action: skip the rest of the chain.
 */
#define HERALD_ACTION_ACCEPT 1

/**
 * Action: skip the rest of the chain for this packet, and do not call me again for this stream.
 */
#define HERALD_ACTION_BYPASS 2

/**
 * Action: end the packet silently. 3 is kept for `hold`.
 */
#define HERALD_ACTION_DROP 4

/**
 * Action: end the packet and tell both ends: TCP resets, ICMP prohibited.
 */
#define HERALD_ACTION_REJECT 5

/**
 * Scope: this packet.
 */
#define HERALD_SCOPE_PACKET 0

/**
 * Scope: this and all later packets of the stream in this direction.
 */
#define HERALD_SCOPE_FLOW 1

/**
 * Scope: this and all later packets of the stream.
 */
#define HERALD_SCOPE_STREAM 2

/**
 * Direction: from the opener of the stream.
 */
#define HERALD_DIRECTION_FROM_OPENER 0

/**
 * Direction: to the opener.
 */
#define HERALD_DIRECTION_TO_OPENER 1

/**
 * Interface: the first.
 */
#define HERALD_INTERFACE_FIRST 0

/**
 * Interface: the second.
 */
#define HERALD_INTERFACE_SECOND 1

/**
 * Transport: one of which nothing more was parsed.
 */
#define HERALD_TRANSPORT_OTHER 0

/**
 * Transport: TCP; ports and control bits are set.
 */
#define HERALD_TRANSPORT_TCP 1

/**
 * Transport: UDP; ports are set.
 */
#define HERALD_TRANSPORT_UDP 2

/**
 * Transport: ICMP or ICMPv6 echo request or reply; both ports are the identifier.
 */
#define HERALD_TRANSPORT_ECHO 3

/**
 * Transport: ICMP or ICMPv6 error that quotes a packet of this stream.
 */
#define HERALD_TRANSPORT_ICMP_ERROR 4

/**
 * End reason: both FINs were acknowledged.
 */
#define HERALD_END_FINISHED 0

/**
 * End reason: a TCP reset.
 */
#define HERALD_END_RESET 1

/**
 * End reason: nothing came for the state's time.
 */
#define HERALD_END_TIMED_OUT 2

/**
 * End reason: a plugin dropped or rejected the stream.
 */
#define HERALD_END_VERDICT 3

/**
 * End reason: another node won the stream.
 */
#define HERALD_END_REFUSED 4

/**
 * End reason: a new connection took the stream's key.
 */
#define HERALD_END_REPLACED 5

/**
 * End reason: the node stops.
 */
#define HERALD_END_SHUTDOWN 6

/**
 * End reason: another node has taken the stream over from this one.
 */
#define HERALD_END_HANDED_OVER 7

/**
 * End reason: the stream made room for others in a full table.
 */
#define HERALD_END_EVICTED 8

/**
 * Log level: something failed.
 */
#define HERALD_LEVEL_ERROR 1

/**
 * Log level: something is odd.
 */
#define HERALD_LEVEL_WARN 2

/**
 * Log level: something worth knowing happened.
 */
#define HERALD_LEVEL_INFO 3

/**
 * Log level: for who looks for a mistake.
 */
#define HERALD_LEVEL_DEBUG 4

/**
 * Log level: every step.
 */
#define HERALD_LEVEL_TRACE 5

/**
 * Owner name of the ELF note in section `.note.herald`, padded to 8 bytes with zeros; its length counts one zero.
 */
#define HERALD_NOTE_OWNER_LEN 7

/**
 * Type of the ELF note: a manifest.
 */
#define HERALD_NOTE_TYPE 1

/**
 * First word of the manifest: `HRLD` in memory order of a little-endian machine.
 */
#define HERALD_NOTE_MAGIC 1145852488

/**
 * Bit of `HeraldNoteHeader::flags`: a panic is caught in the plugin and comes out as a fault.
 */
#define HERALD_NOTE_FAULTS_CAUGHT 1

/**
 * Text in UTF-8, not ended by a zero.
 */
typedef struct {
    /**
     * First byte; null only if the text is empty.
     */
    const uint8_t *bytes;
    /**
     * Length in bytes.
     */
    uintptr_t len;
} HeraldText;

/**
 * Room that the host lends for a text that the plugin writes.
 */
typedef struct {
    /**
     * First byte of the room.
     */
    uint8_t *bytes;
    /**
     * Size of the room in bytes.
     */
    uintptr_t capacity;
    /**
     * Bytes written, by the plugin.
     */
    uintptr_t len;
} HeraldTextRoom;

/**
 * What the host offers. It lives as long as the process.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * The host takes log messages up to this level (`HERALD_LEVEL_*`).
     */
    uint32_t level;
    /**
     * [any] Writes a message of the named plugin to the host's log. Must not be called for each packet.
     */
    void (*log)(uint32_t level, HeraldText plugin, HeraldText message);
    /**
     * [any] Nanoseconds since 1970-01-01 00:00 UTC.
     */
    uint64_t (*unix_nanos)(void);
    /**
     * [any] An addition to the contract by its name, such as `herald.x.NAME/0`; null if the host has none of it.
     */
    const void *(*extension)(HeraldText name);
} HeraldHost;

/**
 * A stream as it is told to plugins at its start and its end.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * IP protocol number.
     */
    uint8_t protocol;
    /**
     * The interface at which the stream opened (`HERALD_INTERFACE_*`).
     */
    uint8_t interface;
    /**
     * 1 if the stream was taken up in its middle, else 0.
     */
    uint8_t midstream;
    /**
     * Zero.
     */
    uint8_t reserved;
    /**
     * Number of the stream on this node, never reused in one run of the node.
     */
    uint64_t id;
    /**
     * The opener's address; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
     */
    uint8_t source[16];
    /**
     * The address the opener spoke to, in the same form.
     */
    uint8_t destination[16];
    /**
     * The opener's port; the identifier of an ICMP echo; 0 for protocols without ports.
     */
    uint16_t source_port;
    /**
     * The port the opener spoke to, likewise.
     */
    uint16_t destination_port;
    /**
     * Zero.
     */
    uint32_t reserved_2;
    /**
     * Now, in nanoseconds of the host's monotonic clock.
     */
    uint64_t now;
    /**
     * Id of the chosen node, which is the node that asks.
     */
    HeraldText chosen;
} HeraldStream;

/**
 * A stream's end.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Why the stream ended (`HERALD_END_*`).
     */
    uint32_t reason;
    /**
     * Packets on the wire from the opener.
     */
    uint64_t packets_from_opener;
    /**
     * Ethernet bytes from the opener.
     */
    uint64_t bytes_from_opener;
    /**
     * Packets on the wire to the opener.
     */
    uint64_t packets_to_opener;
    /**
     * Ethernet bytes to the opener.
     */
    uint64_t bytes_to_opener;
    /**
     * When the stream started, in nanoseconds of the host's monotonic clock.
     */
    uint64_t started;
    /**
     * When its last packet came, on the same clock.
     */
    uint64_t last_packet;
} HeraldEnd;

/**
 * One packet of a batch: a flat descriptor, so that reading a field is a load. Offsets are in bytes from the start of
 * the Ethernet header and never lie behind `len`.
 */
typedef struct {
    /**
     * The frame, from its Ethernet header on. Not to be written in this version.
     */
    const uint8_t *bytes;
    /**
     * The plugin's own state of the packet's stream: `state_size` bytes that never move while the stream lives. May be
     * null where that size is 0.
     */
    void *state;
    /**
     * Number of the stream.
     */
    uint64_t stream;
    /**
     * Length of the frame in bytes.
     */
    uint32_t len;
    /**
     * Where the IP packet ends; Ethernet padding may follow.
     */
    uint32_t end;
    /**
     * Packets on the wire that the frame stands for: more than 1 for a super-frame.
     */
    uint32_t wire_packets;
    /**
     * Where the IP header starts.
     */
    uint16_t network_at;
    /**
     * Where the transport header starts.
     */
    uint16_t transport_at;
    /**
     * Where the transport's payload starts.
     */
    uint16_t payload_at;
    /**
     * Source port, or identifier of an ICMP echo, or 0.
     */
    uint16_t source_port;
    /**
     * Destination port, or identifier of an ICMP echo, or 0.
     */
    uint16_t destination_port;
    /**
     * IP protocol number of the transport.
     */
    uint8_t protocol;
    /**
     * 4 or 6.
     */
    uint8_t ip_version;
    /**
     * What was parsed of the transport (`HERALD_TRANSPORT_*`).
     */
    uint8_t transport;
    /**
     * TCP control bits as on the wire (RFC 9293, section 3.1), else 0.
     */
    uint8_t tcp_flags;
    /**
     * Who sent it, seen from the stream (`HERALD_DIRECTION_*`).
     */
    uint8_t direction;
    /**
     * Where it arrived (`HERALD_INTERFACE_*`).
     */
    uint8_t interface;
    /**
     * Zeros.
     */
    uint32_t reserved[3];
} HeraldPacket;

/**
 * What a plugin says of a packet or a stream. The host sets each to zeros, which is pass, before it asks.
 */
typedef struct {
    /**
     * `HERALD_ACTION_*`.
     */
    uint8_t action;
    /**
     * `HERALD_SCOPE_*`.
     */
    uint8_t scope;
    /**
     * Effects; 0 in this version.
     */
    uint16_t effects;
    /**
     * Length of the reason in bytes.
     */
    uint32_t reason_len;
    /**
     * Reason of a drop or reject: a short text in UTF-8 that stays valid and unchanged as long as the process lives.
     */
    const uint8_t *reason;
} HeraldVerdict;

/**
 * Packets to judge, in the order of their arrival. Several may belong to one stream: what a plugin says of packets
 * that its own earlier verdict already covers does not count.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Number of packets and verdicts, at most `HERALD_BATCH_PACKETS_MAX`.
     */
    uint32_t count;
    /**
     * Distance from one packet to the next in bytes.
     */
    uint32_t packet_size;
    /**
     * Distance from one verdict to the next in bytes.
     */
    uint32_t verdict_size;
    /**
     * Index of the packet the plugin has come to; it counts when the plugin returns `HERALD_FAULT`.
     */
    uint32_t reached;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Now, in nanoseconds of the host's monotonic clock.
     */
    uint64_t now;
    /**
     * The first packet.
     */
    const HeraldPacket *packets;
    /**
     * The first verdict, to be written.
     */
    HeraldVerdict *verdicts;
} HeraldBatch;

/**
 * Where a plugin reports its counters.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * To be given to `report`.
     */
    void *context;
    /**
     * [control] Reports one counter; the name is copied. To be called only inside `counters`.
     */
    void (*report)(void *context, HeraldText name, uint64_t value);
} HeraldCounterSink;

/**
 * What a plugin offers. It lives as long as the process. Hooks may be null: then the plugin is not asked.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Bytes of state for each stream, at most `HERALD_STATE_SIZE_MAX`; the same as in the manifest.
     */
    uint32_t state_size;
    /**
     * Alignment of that state: a power of two, at most `HERALD_STATE_ALIGN_MAX`.
     */
    uint32_t state_align;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * [control] Makes an instance from its configuration, a text in TOML. Null: refused, and `error` says why.
     */
    void *(*create)(HeraldText config, HeraldTextRoom *error);
    /**
     * [control] Unmakes an instance; nothing is called with it later. Streams that live then are not told.
     */
    void (*destroy)(void *instance);
    /**
     * [loop] A stream started: make its state and say what is known of it already. The host gives `state_size` bytes of
     * zeroes, aligned; what the plugin leaves there, padding included, the host neither reads nor writes until the stream
     * has ended. A verdict that ends packets covers the whole stream whatever its scope. After a fault the state counts
     * as not made.
     */
    int32_t (*stream_started)(void *instance, const HeraldStream *stream, void *state, HeraldVerdict *verdict);
    /**
     * [loop] Judges packets. The host reads the verdicts behind the call, so a batch may have packets that the plugin's
     * own verdict on an earlier one covers; what it says of them counts for nothing.
     */
    int32_t (*packets)(void *instance, HeraldBatch *batch);
    /**
     * [loop] A stream ended: unmake its state, whose bytes are nobody's afterwards. Not called after a fault of this
     * plugin in this stream.
     */
    int32_t (*stream_ended)(void *instance, const HeraldStream *stream, const HeraldEnd *end, void *state);
    /**
     * [control] Reports the plugin's own counters. May run while the loop's thread is inside another hook.
     */
    int32_t (*counters)(void *instance, const HeraldCounterSink *sink);
    /**
     * [any] An addition to the contract by its name; null if the plugin has none of it.
     */
    const void *(*extension)(HeraldText name);
} HeraldPlugin;

/**
 * The fixed part of the manifest in the ELF note; the text of `plugin.toml` follows it. The host reads it before the
 * file is loaded, so a wrong plugin never runs an instruction.
 */
typedef struct {
    /**
     * `HERALD_NOTE_MAGIC`.
     */
    uint32_t magic;
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * `HERALD_ABI_MAJOR` the plugin was built with.
     */
    uint32_t abi_major;
    /**
     * `HERALD_ABI_MINOR` the plugin was built with.
     */
    uint32_t abi_minor;
    /**
     * Size of `HeraldHost`.
     */
    uint32_t host_size;
    /**
     * Size of `HeraldPlugin`.
     */
    uint32_t plugin_size;
    /**
     * Size of `HeraldStream`.
     */
    uint32_t stream_size;
    /**
     * Size of `HeraldEnd`.
     */
    uint32_t end_size;
    /**
     * Size of `HeraldPacket`.
     */
    uint32_t packet_size;
    /**
     * Size of `HeraldVerdict`.
     */
    uint32_t verdict_size;
    /**
     * Size of `HeraldBatch`.
     */
    uint32_t batch_size;
    /**
     * Bytes of state for each stream.
     */
    uint32_t state_size;
    /**
     * Alignment of that state.
     */
    uint32_t state_align;
    /**
     * `HERALD_NOTE_*` bits.
     */
    uint32_t flags;
    /**
     * Length of the text in bytes.
     */
    uint32_t text_len;
} HeraldNoteHeader;

/**
 * The entry of a plugin, exported as `herald_plugin_v1`. [control] Called once for each loaded library; null if the
 * plugin cannot work with this host.
 */
typedef const HeraldPlugin *(*HeraldEntry)(const HeraldHost *host);

#endif  /* HERALD_PLUGIN_H */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The one function that a plugin exports (HeraldEntry). [control] Called once for each loaded library.
 */
const HeraldPlugin *herald_plugin_v1(const HeraldHost *host);

#ifdef __cplusplus
}
#endif
